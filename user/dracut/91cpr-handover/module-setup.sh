#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2154 # dracut sets these variables
#
# Add cpr_handover to the initramfs, and load it there before udev runs.

# called by dracut
check() {
	# A kernel without the module is no error: it may not be meant to run guests.
	if ! modinfo -k "$kernel" cpr_handover >/dev/null 2>&1; then
		dwarn "cpr-handover: kernel $kernel has no module cpr_handover, so it cannot keep guests over a kexec"
		return 1
	fi
}

# called by dracut
depends() {
	return 0
}

# Clear hostonly, which would limit the initramfs to modules of this host's hardware:
# no hardware needs this module.
# called by dracut
installkernel() {
	hostonly='' instmods cpr_handover
}

# called by dracut
install() {
	# dracut copies all of /etc/modprobe.d only with hostonly.
	local file
	for file in /etc/modprobe.d/*.conf; do
		! grep -qs '^options[[:space:]]\+cpr[_-]handover[[:space:]]' "$file" || inst_simple "$file"
	done
	inst_script "$moddir/load" /sbin/cpr-handover-load
	inst_hook pre-udev 10 "$moddir/pre-udev.sh"
	inst_multiple cat modprobe
}
