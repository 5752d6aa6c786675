# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the scripts here share: the module on a region that is a part of what
# boot.sh reserves, for tests that go through all of it are slow enough, and the
# image in it while the module is not loaded.

# shellcheck source-path=SCRIPTDIR source=../../e2e/lib.sh
. /lab/e2e/lib.sh

# shellcheck disable=SC2034 # it is for who sources this
bin=/usr/libexec/cpr-selftests
region=256M!4G
mnt=/run/cpr

load() { modprobe cpr_handover region=$region "$@"; }
unload() { rmmod cpr_handover; }
mounted() { mkdir -p $mnt && mount -t cprfs cprfs $mnt; }
fails() { ! "$@"; }

# refuses DESC TEXT COMMAND... - it fails, and the kernel log says why
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
