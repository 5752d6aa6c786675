#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# promise.sh SCENARIO... - prints the promise that each scenario proves: what users may rely
# on, and what is broken if the scenario fails. The promise is one sentence, in the first
# line of the scenario's first comment after the licence. Exits with 1 if a scenario has
# none.
set -u

status=0
for scenario; do
	awk -v name="$scenario" '
		/^#!/ || /SPDX/ || /^# shellcheck/ || /^(#|\/\*)$/ { next }
		{
			gsub(/^(#|\/\*| \*) | \*\/$/, "")
			if ($0 ~ /^[A-Z`].*\.$/) {
				found = 1
				print
			}
			exit
		}
		END {
			if (!found)
				print name ": the first line of its comment is no sentence" >"/dev/stderr"
			exit !found
		}
	' "$scenario" || status=1
done
exit $status
