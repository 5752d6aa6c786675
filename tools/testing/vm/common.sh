# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What every lab script needs: where things are, and how to talk and give up.

vm_dir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
top_dir=$(cd -- "$vm_dir/../../.." && pwd)
cache_dir=${XDG_CACHE_HOME:-$HOME/.cache}/cpr-handover
# What is made from this checkout stays in this checkout.
lab_dir=$top_dir/build/lab
export vm_dir top_dir cache_dir lab_dir

say() { printf 'lab: %s\n' "$*" >&2; }

die() {
	say "error: $*"
	exit 1
}
