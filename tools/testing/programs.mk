# SPDX-License-Identifier: GPL-2.0-only
#
# For a directory of test programs that L1 runs: $(PROGRAMS) are made in $(O), by rules of
# the Makefile that includes this, and `make install DESTDIR=` copies them.

$(O):
	mkdir -p $@

install: all
	install -d $(DESTDIR)
	install -m 755 $(addprefix $(O)/,$(PROGRAMS)) $(DESTDIR)

clean:
	rm -rf $(O)

.PHONY: all install clean
