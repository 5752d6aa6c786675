# SPDX-License-Identifier: GPL-2.0-only
#
# For humans; what kbuild reads is Kbuild.

KDIR ?= /lib/modules/$(shell uname -r)/build

modules:
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules
