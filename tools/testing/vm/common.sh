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

# tree_sum DIR - of every name, mode and byte below it; nothing for no DIR.
tree_sum() {
	[ -d "$1" ] || return 0
	tar -C "$1" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -c . | sha256sum
}

# add_tree FROM TO - replaces files rather than writing to them, as those in a
# copy of an artefact are linked to the artefact's.
add_tree() { tar -C "$1" -c . | tar -C "$2" -x --keep-directory-symlink --no-overwrite-dir --no-same-owner; }
