#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# accel.sh [auto|tcg|kvm] - prints which accelerator to use: kvm only if a stock kernel has
# booted with it, and could run guests of its own. /dev/kvm may exist and hang. The answer
# is kept until this machine boots again.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"

probe() {
	[ -w /dev/kvm ] || return 1
	local vmlinuz initrd
	read -r _ _ vmlinuz initrd <"$lab_dir/kernels"
	timeout --foreground -k 2 $((20 * ${CPR_TIMEOUT_SCALE:-1})) "$vm_dir/toolbox.sh" qemu-system-x86_64 \
		-M q35,accel=kvm,kernel-irqchip=split -cpu max -m 1G -nodefaults -display none -no-reboot \
		-serial stdio -kernel "$vmlinuz" -initrd "$initrd" \
		-append "console=ttyS0 quiet panic=-1 cpr.probe" </dev/null 2>/dev/null |
		grep -aq 'probe: pass'
}

case ${1:-auto} in
tcg | kvm) echo "$1" ;;
auto)
	answer=$cache_dir/accel-$(cat /proc/sys/kernel/random/boot_id)
	if [ ! -e "$answer" ]; then
		if probe; then echo kvm; else echo tcg; fi >"$answer.$$"
		mv "$answer.$$" "$answer"
		say "accelerator: $(cat "$answer")"
	fi
	cat "$answer"
	;;
*) die "no accelerator is called '$1'" ;;
esac
