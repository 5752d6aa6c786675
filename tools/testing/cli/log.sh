# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# What a guest makes its QEMU print takes nothing that a save of the guest needs.

log_size() { stat -c %s "/run/cpr/$1/qemu.log"; }
log_grows() { [ "$(log_size "$1")" -gt "$2" ]; } # NAME SIZE
# NAME: its QEMU prints the registers.
log_more() { qmp "$1" '{"execute": "system_reset"}' >/dev/null; }

log_tests() {
	local size
	section 'log'
	start a -- -d cpu_reset
	log_more a
	holds 'QEMU prints to it' soon log_grows a 0
	json 'show has the end of it' "0 < len(o['vm']['log'].splitlines()) <= 20" show a
	call show a
	holds 'show, in words' grep -q '^log: ' <<<"$out"
	size=$(log_size a)
	call save a
	holds 'a save leaves a short log alone' test "$status" = 0 -a "$(log_size a)" -ge "$size"
	call abort a

	yes 'printed by a guest' | head -n 400000 >>/run/cpr/a/qemu.log
	echo 'printed last' >>/run/cpr/a/qemu.log
	call save a
	holds 'a save with a long log' test "$status" = 0
	holds 'cuts it' test "$(log_size a)" -le 65536
	holds 'to whole lines' test "$(sort -u /run/cpr/a/qemu.log)" = $'printed by a guest\nprinted last'
	call abort a
	size=$(log_size a)
	log_more a
	holds 'QEMU goes on at its end' soon log_grows a "$size"
	holds 'after what was kept' grep -A 1 -a 'printed last' /run/cpr/a/qemu.log
	holds 'and there is no hole' test "$(tr -d '\0' </run/cpr/a/qemu.log | wc -c)" = "$(log_size a)"

	yes 'printed by a guest' | head -n 400000 >>/run/cpr/a/qemu.log
	call save a
	next_host a
	call restore a
	holds 'a restore cuts it as well' test "$status" = 0 -a "$(log_size a)" -le 70000
	end a
}

if [ -z "${CPR_FAKE:-}" ]; then
	skip 'logs' 'needs root and QEMU 10.0'
else
	log_tests
fi
