#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guests survive many kernels in a row, and nothing is used up on the way.
#
# ring.sh SERIES KEXECS [DEVICE] - starts three guests, one of them with the PCI DEVICE,
# and updates this kernel to SERIES, back to its own series, and so on, KEXECS times.
# After each kexec all guests run on, and the region has as many used frames as after the
# first kexec. In the end, each kernel's slabs are what they were when it first ran.
set -u

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

series=$1 kexecs=$2 device=${3:-0000:00:02.0}
guests=(agent plain nic)
before=$lab_state/before
slabs=$lab_state/slabs
guest_blob=8M

start() {
	case $1 in
	agent) start_guest "$1" 96M --agent ;;
	plain) start_guest "$1" 96M ;;
	nic) start_guest "$1" 128M -- -device "vfio-pci,host=$device" ;;
	esac
}

# The kernels take turns.
next_series() {
	[ -e "$lab_state/first" ] || uname -r >"$lab_state/first"
	if [ $(($(phase) % 2)) = 1 ]; then
		kernel_version "$series"
	else
		cat "$lab_state/first"
	fi
}

used_frames() {
	local frames clean
	/usr/libexec/cpr-selftests/ctl wait-clean
	read -r frames clean < <(/usr/libexec/cpr-selftests/ctl status | sed 's/.* frames=\([0-9]*\) clean=\([0-9]*\) .*/\1 \2/')
	echo $((frames - clean))
}

# Memory that cannot be reclaimed. A kernel that was booted by kexec is compared with
# itself alone, so that only what was carried over can differ.
note_slabs() {
	echo "$(uname -r) $(awk '/^SUnreclaim:/ { print $2 }' /proc/meminfo)" >>"$slabs"
	say "phase $(phase): $(used_frames) frames used, slabs: $(tail -n 1 "$slabs") KiB"
}

# A tenth is what the same kernel differs by from boot to boot.
slabs_are_steady() {
	awk '!($1 in first) { first[$1] = $2 } { last[$1] = $2 }
	END { for (k in first) { print k, first[k], last[k]; if (last[k] > first[k] * 1.1) bad = 1 } exit bad }' "$slabs"
}

leave_kernel() {
	local to
	to=$(next_series)
	record_guests "${guests[@]}" >"$before"
	wakeups nic >"$before.wakeups"
	say "kexec into $to"
	next_phase
	cpr-helper update --kernel "$to" --digest-ram --force >&2
	not_ok "kexec into $to"
}

run_guests() {
	local name
	load_module region=1G!4G
	check "the region is formatted" cpr-helper format --label ring
	for name in "${guests[@]}"; do
		check "$name starts" start "$name"
	done
	for name in "${guests[@]}"; do
		check "$name boots" guest_boots "$name" start "$name"
	done
	next_series >/dev/null
}

# Digests of the guests' RAM are compared by the restore.
restore_guests() {
	local name
	load_module
	mount_cprfs
	check "all guests are restored" cpr-helper restore --all
	for name in "${guests[@]}"; do
		check "$name runs on with its memory" guest_continues "$name" "$before"
	done
	check "nic was in S3 once" test "$(wakeups nic)" = $(($(<"$before.wakeups") + 1))
	check "nic uses its device" guest_uses nic "$(last_tick nic)" e1000e
	check "the DMA mappings of nic were verified" dma_verified nic
	[ -e "$before.frames" ] || used_frames >"$before.frames"
	check "as many frames are used as after the first kexec" test "$(used_frames)" = "$(<"$before.frames")"
	note_slabs
}

if [ "$(phase)" = 1 ]; then
	run_guests
else
	restore_guests
fi
[ "$(phase)" -gt "$kexecs" ] || leave_kernel
check "the slabs of each kernel are what they were" slabs_are_steady
end_guests "${guests[@]}"
exit 0
