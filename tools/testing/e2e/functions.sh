#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The list at the top of lib.sh has every function of lib.sh, as its comment says.
#
# functions.sh [--write] - compares the two, or writes the list anew.
#
# A function's comment begins with "# NAME [ARGUMENT...] - DESCRIPTION", which is its
# line in the list; "# ---- HEADING ----" is a heading there.
set -euo pipefail

lib=$(dirname "$0")/lib.sh

# The list as it should be, from the comments; a function without one is an error.
functions() {
	awk '
		!in_body { in_body = /^lab_state=/; next }
		/^# ---- / { print "#"; gsub(/^# ---- | ----$/, ""); print "# " $0 ":"; next }
		/^#/ { if (!first) first = $0; next }
		/^[a-z_0-9]+\(\)/ {
			name = $0
			sub(/\(.*/, "", name)
			if (first !~ "^# " name "( .*)? - ") {
				print "lib.sh: " name "() has no comment \"# " name " ... - ...\"" >"/dev/stderr"
				bad = 1
			}
			sub(/^# /, "#   ", first)
			print first
		}
		{ first = "" }
		END { exit bad }
	' "$lib"
}

# The list as it is: all up to the first code.
list() { sed -n '/^# Functions:$/,/^lab_state=/p' "$lib" | sed '1d;$d'; }

if [ "${1:-}" = --write ]; then
	list=$(functions)
	{
		sed '/^# Functions:$/q' "$lib"
		printf '%s\n\n' "$list"
		sed -n '/^lab_state=/,$p' "$lib"
	} >"$lib.new"
	mv "$lib.new" "$lib"
else
	diff <(list) <(functions && echo) || {
		echo "run tools/testing/e2e/functions.sh --write"
		exit 1
	}
fi
