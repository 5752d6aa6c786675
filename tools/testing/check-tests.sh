#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The tests keep their own rules: promises, and the library of the scenarios.
#
# check-tests.sh - prints KTAP.
set -u

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cd "$here" || exit
count=0 failed=0

check() { # DESCRIPTION COMMAND...
	local desc=$1 output
	shift
	count=$((count + 1))
	if output=$("$@" 2>&1); then
		echo "ok $count - $desc"
	else
		failed=$((failed + 1))
		echo "not ok $count - $desc"
		printf '%s\n' "$output" | head -n 50 | sed 's/^/# /'
	fi
}

# All files with test points; lib.sh and common.sh are sourced by them.
scenarios() {
	find boot cli e2e fs selftests state dkms.sh check-tests.sh -name '*.sh' ! -name lib.sh ! -name common.sh
	find unit -name 'test-*.c'
	ls fs/*.c
	grep -l ktap_run selftests/cpr/*.c
}

# shellcheck disable=SC2046 # paths without blanks
promises() { ./promise.sh $(scenarios) >/dev/null; }

functions_of() { grep -ohE '^[a-z_0-9]+\(\)' "$@"; }

# A function of lib.sh that a script defines again would change what lib.sh does.
no_function_twice() {
	local script twice status=0
	for script in $(grep -lE '^\. .*(lib|common)\.sh' -r e2e fs selftests demo bench vm); do
		twice=$(sort <(functions_of e2e/lib.sh) <(functions_of "$script") | uniq -d)
		[ -z "$twice" ] || { echo "$script: $(xargs <<<"$twice") is in lib.sh"; status=1; }
	done
	return $status
}

# cli/run.sh has the list of all parts; vms.sh is what they share.
parts_are_run() {
	local part status=0
	for part in cli/*.sh; do
		part=$(basename "$part" .sh)
		[[ $part =~ ^(run|vms)$ ]] || grep -q "^groups=.*\<$part\>" cli/run.sh ||
			{ echo "cli/$part.sh is not in cli/run.sh"; status=1; }
	done
	return $status
}

check "every scenario begins with its promise" promises
check "the list of functions in lib.sh is complete" e2e/functions.sh
check "no script defines a function of lib.sh again" no_function_twice
check "every part of the command line tests is run" parts_are_run
echo "1..$count"
[ $failed -eq 0 ]
