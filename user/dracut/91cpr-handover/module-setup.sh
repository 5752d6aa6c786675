#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2154 # dracut sets what is read here
#
# Puts cpr_handover into the initramfs, and loads it there before udev runs.

# called by dracut
check() {
	# A kernel without it is no error: it may be one that hands over no guests.
	if ! modinfo -k "$kernel" cpr_handover >/dev/null 2>&1; then
		dwarn "cpr-handover: kernel $kernel has no module cpr_handover, so it cannot keep guests"
		return 1
	fi
}

# called by dracut
depends() {
	return 0
}

# Also where only what this machine has now is wanted: a module is no hardware.
# called by dracut
installkernel() {
	hostonly='' instmods cpr_handover
}

# called by dracut
install() {
	# dracut takes all of /etc/modprobe.d along only if it is for this host alone.
	local file
	for file in /etc/modprobe.d/*.conf; do
		! grep -qs '^options[[:space:]]\+cpr[_-]handover[[:space:]]' "$file" || inst_simple "$file"
	done
	inst_script "$moddir/load" /sbin/cpr-handover-load
	inst_hook pre-udev 10 "$moddir/pre-udev.sh"
	inst_multiple cat modprobe
}
