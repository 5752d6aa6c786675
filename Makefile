# SPDX-License-Identifier: GPL-2.0-only
#
# For humans; what kbuild reads is Kbuild.
#
#	make demo		a guest survives a kexec, shown as it happens
#	make test		all tests; closes with how many passed and failed
#	make test LAYER=unit	one layer: static, unit, cli, boot, state, selftests, fs, e2e
#	make test-long		what takes too long to be among all tests
#	make fuzz SECONDS=N	any bytes as a state file, for an hour if N is not given
#	make bench		what things cost, on this machine
#	make modules KDIR=...	the module, for the running kernel if KDIR is not given
#	make helper		cpr-helper, its man page and completions
#	make install		cpr-helper, and the module into each new initramfs; DESTDIR= is honoured
#	make dkms-install	the module, through DKMS
#	make check		sparse, checkpatch and shellcheck
#	make ynl KSRC=...	netlink code from its specification, see tools/ynl-gen.sh
#	make clean

VERSION := 0.1.0
export CPR_VERSION := $(VERSION)

KDIR ?= /lib/modules/$(shell uname -r)/build
LAB := tools/testing/vm

all: modules helper

modules:
	$(MAKE) -C $(KDIR) M=$(CURDIR) CPR_VERSION=$(VERSION) modules

helper:
	$(MAKE) -C user

install:
	$(MAKE) -C user install

# What kbuild needs and nothing else.
DKMS_TREE = $(DESTDIR)/usr/src/cpr-handover-$(VERSION)
dkms-tree:
	install -d $(DKMS_TREE)
	cp -r kmod uapi Kbuild Makefile $(DKMS_TREE)/
	sed 's/#MODULE_VERSION#/$(VERSION)/' dkms.conf >$(DKMS_TREE)/dkms.conf

# For all kernels that have headers: one that does not run yet is what it is for. 77
# is of a kernel that dkms.conf leaves out.
MODULES = /lib/modules
dkms-install: dkms-tree
	@status=0; for build in $(MODULES)/*/build; do \
		[ -e "$$build" ] || continue; \
		kernel=$${build#$(MODULES)/}; \
		dkms install cpr-handover/$(VERSION) -k "$${kernel%/build}" || \
			[ $$? -eq 77 ] || status=1; \
	done; \
	if ! dkms status cpr-handover/$(VERSION) | grep installed; then \
		echo 'dkms-install: no kernel from 6.12 to 7.3 has its headers here' >&2; \
		status=1; \
	fi; exit $$status

demo:
	tools/testing/demo/demo.sh

test:
	$(LAB)/install.sh all
	$(LAB)/product.sh
	tools/testing/run.sh $(LAYER)

test-long:
	$(MAKE) test LAYER=long

fuzz:
	$(LAB)/install.sh toolbox
	$(LAB)/toolbox.sh make -C tools/testing/state fuzz $(if $(SECONDS),SECONDS=$(SECONDS))
	$(LAB)/toolbox.sh make -C tools/testing/fuzz fuzz $(if $(SECONDS),SECONDS=$(SECONDS))

bench:
	$(LAB)/install.sh toolbox l1
	$(LAB)/product.sh
	$(LAB)/boot.sh --kernel 7.3 --results build/lab/results/bench /lab/bench/dma.sh
	$(LAB)/toolbox.sh $(MAKE) -s -C user O=$(CURDIR)/build/bench-user
	$(LAB)/toolbox.sh env ANALYZE=$(ANALYZE) tools/testing/bench/validate.sh \
		build/bench-user/cpr-helper build/bench-state

check:
	$(LAB)/install.sh toolbox l1
	tools/testing/check.sh

ynl:
	tools/ynl-gen.sh $(KSRC)

clean:
	rm -rf build
	find kmod -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' \
		-o -name '.*.cmd' -o -name modules.order -o -name Module.symvers | xargs rm -f

.PHONY: all modules helper install dkms-tree dkms-install demo test test-long fuzz bench check ynl clean
