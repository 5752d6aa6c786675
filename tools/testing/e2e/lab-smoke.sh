#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# lab-smoke.sh [SERIES] - the lab's test of itself: an L2 runs in L1; and L1's
# disk and verdict go on over a stock kexec to SERIES, when one is named.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

start_guest() {
	modprobe -q kvm_amd || modprobe -q kvm_intel
	qemu-system-x86_64 -M q35,accel=kvm -cpu host -m 256M -nodefaults -display none -no-reboot \
		-kernel /lab/guest/vmlinuz -initrd /lab/guest/initrd \
		-append "console=ttyS0 quiet panic=-1 blob=16M" \
		-serial "file:$(guest_console smoke)" >&2 &
}

guest_is_well() { ! guest_corrupt smoke && [ -n "$(guest_sum smoke)" ]; }

if [ "$(phase)" = 1 ]; then
	start_guest
	check "a guest runs in L1" wait_tick smoke 2
	check "its memory keeps what it holds" guest_is_well
	kill %1
	wait || true
	say "guest at tick $(last_tick smoke)"
	[ -z "${1:-}" ] || kexec_to "$(kernel_of "$1")"
else
	check "kexec went to $1" test "$(uname -r)" = "$(kernel_of "$1")"
	check "L1's disk is the one it had" wait_tick smoke 2 0
fi
