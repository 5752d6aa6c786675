# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Shared by the scripts here: the module on a part of the region that boot.sh reserves, as
# tests that go through all of a region take long.

# shellcheck source-path=SCRIPTDIR source=../../e2e/lib.sh
. /lab/e2e/lib.sh

# shellcheck disable=SC2034 # for the scripts that source this
bin=/usr/libexec/cpr-selftests
region=256M!4G

load() { modprobe cpr_handover region=$region "$@"; }
unload() { rmmod cpr_handover; }
fails() { ! "$@"; }

# run_program NAME [ARGUMENT...] - prints the program's test points with NAME and the
# last ARGUMENT in their descriptions. What the program prints can be read in the results
# while it runs.
run_program() {
	local out=/results/$1.out title=$1${2+ ${*: -1}}
	"$bin/$1" "${@:2}" >"$out" 2>&1
	local status=$?
	sed "s/^\(not ok\|ok\) \([0-9]*\) - /\1 \2 - $title: /" "$out"
	grep -q '^not ok' "$out" && : >"$lab_state/failed"
	[ $status -le 1 ] && grep -q '^1\.\.' "$out" || not_ok "$1 runs to its end, not to status $status"
}

# refuses DESC TEXT COMMAND... - COMMAND fails, and the module logs TEXT
refuses() {
	local desc=$1 text=$2
	shift 2
	dmesg -C
	if "$@" 2>/run/refuses; then
		not_ok "$desc: it was not refused"
	elif dmesg | grep -q "cpr_handover: .*$text"; then
		ok "$desc"
	else
		not_ok "$desc: '$text' is not what the kernel said"
		{ dmesg; cat /run/refuses; } | sed 's/^/#   /'
	fi
}

# The NIC, which is alone in its IOMMU group.
nic=0000:00:02.0

give_nic_to_vfio() {
	modprobe -a vfio-pci vfio_iommu_type1
	echo vfio-pci >/sys/bus/pci/devices/$nic/driver_override
	echo $nic >/sys/bus/pci/drivers_probe
}

take_nic_back() {
	echo $nic >/sys/bus/pci/drivers/vfio-pci/unbind
	echo >/sys/bus/pci/devices/$nic/driver_override
}

# all_is_free - all frames but those of the tables are free and zeroed. The label may be any
# bytes, so it is the numbers that are looked for.
all_is_free() {
	local frames clean
	frames=$("$bin/ctl" status | grep -ao ' frames=[0-9]* ' | tr -dc 0-9)
	clean=$("$bin/ctl" status | grep -ao ' clean=[0-9]* ' | tr -dc 0-9)
	[ "$frames" -gt 0 ] && [ "$frames" = "$clean" ]
}
