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
