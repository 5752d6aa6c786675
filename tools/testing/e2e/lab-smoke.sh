#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The lab itself works: a guest runs in L1, and L1's disk and verdict survive a kexec.
#
# lab-smoke.sh [SERIES] - uses nothing of the project; the kexec, to SERIES, is left out
# if no SERIES is given.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

memory_is_intact() { ! guest_is_corrupt smoke && [ -n "$(guest_digest smoke)" ]; }

if [ "$(phase)" = 1 ]; then
	modprobe -q kvm_amd || modprobe -q kvm_intel
	guest_argv smoke
	"${argv[@]}" -m 256M >&2 &
	check "a guest runs in L1" wait_tick smoke 2
	check "the guest's memory is intact" memory_is_intact
	kill %1
	wait || true
	say "the guest is at tick $(last_tick smoke)"
	[ -z "${1:-}" ] || kexec_to "$(kernel_version "$1")"
else
	check "kexec into $1" test "$(uname -r)" = "$(kernel_version "$1")"
	check "L1 has the disk it had before" wait_tick smoke 2 0
fi
