#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A crash kernel leaves the region alone.
#
# kdump.sh - loads the module in an L1 that was booted with elfcorehdr=, which makes it a
# crash kernel, although it has all of its memory and there is no dump.
set -u

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

digest_of_region() {
	attach_pmem
	head -c 64M /dev/pmem0 | sha256sum
	detach_pmem
}

before=$(digest_of_region)
refuses "load in a crash kernel, with region=" "not loading: this is a crash kernel" load
refuses "load in a crash kernel, without region=" "not loading: this is a crash kernel" modprobe cpr_handover
check "nothing has claimed the region" fails grep -q cpr_handover /proc/iomem
check "the region has not changed" test "$before" = "$(digest_of_region)"
exit 0
