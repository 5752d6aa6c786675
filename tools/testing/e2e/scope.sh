#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# With systemd, a guest is a unit of its own and outlives the service that has started it.
#
# scope.sh - for `boot.sh --append lab.systemd`. Services of type oneshot, whose processes
# systemd kills when they end, run a guest and update its QEMU.
set -u

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

unit=cpr-scoped.scope

# COMMAND...: by a service, which ends with it. There is no D-Bus, as systemd-run needs it.
once() {
	cat >/run/systemd/system/once.service <<-END
		[Unit]
		DefaultDependencies=no
		[Service]
		Type=oneshot
		Environment=CPR_TIMEOUT_SCALE=$CPR_TIMEOUT_SCALE
		ExecStart=/bin/bash /run/once
		StandardError=tty
	END
	printf '%q ' exec "$@" >/run/once
	systemctl daemon-reload && systemctl start once.service
}
run_once() {
	local argv
	guest_argv scoped
	once /usr/sbin/cpr-helper run scoped --ram 128M -- "${argv[@]}"
}
cgroup_of() { sed -n 's/^0:://p' "/proc/$1/cgroup"; }
pid_of() { cpr-helper --json list | jq -r '.vms[0].qemu.pid'; }
in_unit() {
	[ "$(cgroup_of "$(pid_of)")" = "/machine.slice/$unit" ] &&
		[ "$(systemctl show -P ControlGroup $unit)" = "/machine.slice/$unit" ]
}
has_ended() { ! kill -0 "$1" 2>/dev/null; }
unit_is_gone() { [ "$(systemctl show -P LoadState $unit)" = not-found ]; }

check "PID 1 is systemd" test "$(cat /proc/1/comm)" = systemd
load_module region=1G!4G
check "the region is formatted" cpr-helper format --label e2e
check "a service starts the guest, and ends" run_once
check "the guest boots" guest_boots scoped run_once
check "its QEMU is in a unit of its own" in_unit
check "show names it" test "$(cpr-helper --json show scoped | jq -r .vm.qemu.cgroup)" = "/machine.slice/$unit"

sleep 1000 &
left=$!
echo $left >"/sys/fs/cgroup/machine.slice/$unit/cgroup.procs"
record_guests scoped >"$lab_state/before"
check "a service updates its QEMU" once /usr/sbin/cpr-helper update --qemu /usr/bin/qemu-system-x86_64
check "the guest runs on" guest_continues scoped "$lab_state/before"
check "the next QEMU is in the unit, too" in_unit
check "what the first QEMU has left has ended" has_ended $left

check "systemctl stop ends the guest" systemctl stop $unit
check "its QEMU is gone" wait_until 30 guest_is_gone scoped
check "and so is the unit" wait_until 30 unit_is_gone
check "the VM is deleted" cpr-helper delete scoped
check "the module is unloaded" unload_module
exit 0
