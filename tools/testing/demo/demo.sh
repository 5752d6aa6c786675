#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# demo.sh [FROM [TO]] - a guest survives the kexec of its host from kernel series FROM
# (6.12) into TO (7.3): printed as it happens, with the time of each step as seen from
# outside, and a verdict at the end.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
lab=$here/../vm
from=${1:-6.12} to=${2:-7.3}

"$lab/install.sh" host toolbox l1
"$lab/product.sh"

declare -A at
now() { date +%s%N; }
begin=$(now)

# Milliseconds between two marks, as seconds.
between() {
	local ms=$(((at[$2] - at[$1]) / 1000000))
	printf '%4d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
}

tell() {
	local line ms
	while IFS= read -r line; do
		ms=$((($(now) - begin) / 1000000))
		case $line in
		@*) at[${line#@}]=$(now) ;;
		'# '* | 'ok '*) ;;
		*) printf '%5d.%d  %s\n' $((ms / 1000)) $((ms % 1000 / 100)) "$line" ;;
		esac
	done
}

summary() {
	[ -n "${at[ticking]:-}" ] || return 0
	echo
	echo "  save the guest                 $(between save saved)"
	echo "  seal, kexec, boot              $(between kexec booted)"
	echo "  load the module                $(between booted loaded)"
	echo "  restore the guest              $(between restore restored)"
	echo "  until it has ticked again      $(between restored ticking)"
	echo
	echo "  All of it emulated: the host is a virtual machine without KVM, so only the"
	echo "  ratios tell something."
	echo
}

echo "One guest, one host, two kernels: $from and $to."
status=0
tell < <("$lab/boot.sh" --kernel "$from" --results "$lab/../../../build/lab/results/demo" \
	/lab/demo/story.sh "$to" || echo "@failed")
summary
[ -z "${at[failed]:-}" ] || status=1
if [ $status -eq 0 ] && [ -n "${at[ticking]:-}" ]; then
	echo "PASSED: the guest runs on under the new kernel, with the memory it had."
else
	echo "FAILED: see above."
	exit 1
fi
