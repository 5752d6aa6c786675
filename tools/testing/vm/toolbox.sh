#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# toolbox.sh COMMAND [ARGUMENT...] - executes COMMAND in the toolbox, a chroot, with this
# source tree, in this directory. Exit status and signals are those of COMMAND.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"

[ $# -gt 0 ] || die "usage: toolbox.sh COMMAND [ARGUMENT...]"
"$vm_dir/install.sh" toolbox
root=$("$vm_dir/install.sh" path toolbox)

# Only the variables that a build should depend on.
environment=(PATH=/usr/lib/ccache:/usr/sbin:/usr/bin HOME="$HOME" LC_ALL=C.UTF-8
	# No CCACHE_BASEDIR: with relative names in them, the lists of headers name no target.
	CCACHE_DIR="$cache_dir/ccache" CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=4G)
for name in XDG_CACHE_HOME TERM MAKEFLAGS MAKELEVEL CI NO_COLOR SOURCE_DATE_EPOCH "${!CPR_@}"; do
	[ -z "${!name+set}" ] || environment+=("$name=${!name}")
done

# The mounts are this process's own, and end with it.
enter() {
	local root=$1 cwd=$2 top=$3 cache=$4
	shift 4
	local dir
	for dir in /proc /dev /sys /tmp "$top" "$cache"; do
		mkdir -p "$root$dir"
		mount --rbind "$dir" "$root$dir"
	done
	for dir in /etc/resolv.conf /etc/hosts; do
		[ -e "$dir" ] || continue
		[ -e "$root$dir" ] || : >"$root$dir"
		mount --bind "$dir" "$root$dir"
	done
	# env's own --chdir would come before the chroot
	# shellcheck disable=SC2016
	exec env -i "${@:2:$1}" /usr/sbin/chroot "$root" \
		/bin/sh -c 'cd "$0" && exec "$@"' "$cwd" "${@:$(($1 + 2))}"
}

mkdir -p "$cache_dir"
export -f enter
# shellcheck disable=SC2016
exec unshare --mount --propagation private bash -euc 'enter "$@"' enter \
	"$root" "$PWD" "$top_dir" "$cache_dir" "${#environment[@]}" "${environment[@]}" "$@"
