# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For every script of the lab: where things are, messages, and errors.

vm_dir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
top_dir=$(cd -- "$vm_dir/../../.." && pwd)
cache_dir=${XDG_CACHE_HOME:-$HOME/.cache}/cpr-handover
# What is built from this source tree stays in this source tree.
lab_dir=$top_dir/build/lab
export vm_dir top_dir cache_dir lab_dir

say() { printf 'lab: %s\n' "$*" >&2; }

die() {
	say "error: $*"
	exit 1
}

# tree_sum DIR - print a digest of every name, mode and byte below DIR, if DIR exists.
tree_sum() {
	[ -d "$1" ] || return 0
	tar -C "$1" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -c . | sha256sum
}

# add_tree FROM TO - copy all files below FROM to TO. Files are replaced, not overwritten:
# those in a copy of an artefact are hard links to the artefact's files.
add_tree() { tar -C "$1" -c . | tar -C "$2" -x --keep-directory-symlink --no-overwrite-dir --no-same-owner; }
