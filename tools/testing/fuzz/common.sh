# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Shared by the scripts here that run in L1, after ../selftests/cpr/common.sh.

# fuzz PROGRAM [ARGUMENT...] - prints the program's test points, and all else as comments
fuzz() {
	local status line
	"/usr/libexec/cpr-fuzz/$1" "${@:2}" >/run/fuzz.out 2>&1
	status=$?
	while read -r line; do
		case $line in
		'ok '*) ok "${line#ok * - }" ;;
		'not ok '*) not_ok "${line#not ok * - }" ;;
		*) echo "# ${line#\# }" ;;
		esac
	done < <(grep -v '^1\.\.' /run/fuzz.out)
	[ $status -le 1 ] && grep -q '^1\.\.' /run/fuzz.out ||
		not_ok "the fuzzer runs to its end, not to status $status"
}

fsck_finds_nothing() {
	attach_pmem
	cpr-helper inspect --check /dev/pmem0
	local status=$?
	detach_pmem
	return $status
}
