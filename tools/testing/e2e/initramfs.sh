#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The initramfs loads the module before any driver that could take a held device.
#
# initramfs.sh - looks at what the initramfs did before this script ran: L1 was booted
# with one that a real host would make (boot.sh --initrd), and with cpr_handover.region=
# on the command line.
set -u

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

nic=0000:00:02.0
log=/results/dmesg-boot.log
dmesg >"$log"

# The number of the first line of the kernel log that has TEXT, or nothing.
line_of() { grep -anm 1 -- "$1" "$log" | cut -d: -f1; } # TEXT

# The kernel log has both texts, in this order.
in_order() { # TEXT TEXT
	local one other
	one=$(line_of "$1") other=$(line_of "$2")
	echo "'$1' in line ${one:-none}, '$2' in line ${other:-none}"
	[ -n "$one" ] && [ -n "$other" ] && [ "$one" -lt "$other" ]
}

owns_region() { grep -A 1 'Persistent Memory (legacy)' /proc/iomem | grep -q 'cpr_handover$'; }

# This script has loaded no driver: what is loaded, the initramfs has loaded.
check "the module is loaded" test -d /sys/module/cpr_handover
check "the module has the region of the command line" test "$(cat /sys/module/cpr_handover/parameters/region)" = 1G!4G
check "the module owns the region" owns_region
check "the initramfs reports that it loaded the module" grep -q 'cpr-handover: cpr_handover is loaded from the initramfs' "$log"
check "udev did not run before" test -z "$(line_of 'cpr-handover: udev ran before this')"
check "e1000e was loaded after the module" in_order 'cpr_handover: region of' 'e1000e: Intel'
check "e1000e has its device, which no VM had" test "$(driver_of $nic)" = e1000e
check "nd_pmem was loaded, too" test -d /sys/module/nd_pmem
check "nd_pmem does not own the region" test ! -e /dev/pmem0
check "the boot went on, to the disk" grep -q '^/dev/vda / ext4 ' /proc/mounts
exit 0
