#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# initramfs.sh - what an initramfs did that has the module, before this ran:
# it was booted with one that a real host would make (boot.sh --initrd), and with
# cpr_handover.region= on the command line.
set -u

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

nic=0000:00:02.0
log=/results/dmesg-boot.log
dmesg >"$log"

# The line of the kernel log that first has this, or nothing.
line_of() { grep -anm 1 -- "$1" "$log" | cut -d: -f1; }

# Both are there, and in this order.
first() {
	local one other
	one=$(line_of "$1") other=$(line_of "$2")
	echo "'$1' in line ${one:-none}, '$2' in line ${other:-none}"
	[ -n "$one" ] && [ -n "$other" ] && [ "$one" -lt "$other" ]
}

owns_region() { grep -A 1 'Persistent Memory (legacy)' /proc/iomem | grep -q 'cpr_handover$'; }

driver_is() { [ "$(basename "$(readlink "/sys/bus/pci/devices/$nic/driver")")" = "$1" ]; }

# Nothing here has loaded a driver: what is loaded, an initramfs has.
check "the module is loaded" test -d /sys/module/cpr_handover
check "with the region of the command line" test "$(cat /sys/module/cpr_handover/parameters/region)" = 1G!4G
check "it owns the region" owns_region
check "the initramfs tells that it loaded it" grep -q 'cpr-handover: cpr_handover is loaded from the initramfs' "$log"
check "udev was not before it" test -z "$(line_of 'cpr-handover: udev ran before this')"
check "e1000e came after it" first 'cpr_handover: region of' 'e1000e: Intel'
check "and has its device, which no VM had" driver_is e1000e
check "nd_pmem came, too" test -d /sys/module/nd_pmem
check "and does not have the region" test ! -e /dev/pmem0
check "the boot went on, to the disk" grep -q '^/dev/vda / ext4 ' /proc/mounts
exit 0
