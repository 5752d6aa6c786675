#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# install.sh all|[host] [kernels] [toolbox] [l1] [debug-kernel] [qemu-next] [suites] - make what is missing
# install.sh path NAME                                                       - print where an artefact is
#
# Everything large is an artefact in the cache, in a directory named after a hash of all
# that goes into it: a changed recipe makes a new artefact. An artefact that exists is
# complete, as it gets its name last.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"
# shellcheck source-path=SCRIPTDIR
. "$vm_dir/debian.sh"

for recipe in kernels toolbox l1 debug-kernel qemu-next suites; do
	# shellcheck source=/dev/null
	. "$vm_dir/recipes/$recipe.sh"
done

# Everything that goes into an artefact.
artefact_inputs() {
	local recipe=$vm_dir/recipes/$1.sh
	case $1 in
	kernels | qemu-next | suites) cat "$recipe" ;;
	toolbox) cat "$recipe" && artefact_key kernels ;;
	l1) cat "$recipe" "$vm_dir"/initrd/* && artefact_key kernels ;;
	# Not the toolbox: a new package there is no reason for a new kernel.
	debug-kernel) cat "$recipe" "$vm_dir/debug-kernel.config" ;;
	esac
}

artefact_key() { artefact_inputs "$1" | sha256sum | cut -c1-12; }

artefact_path() {
	[ -e "$vm_dir/recipes/$1.sh" ] || die "nothing is called '$1'"
	echo "$cache_dir/$1-$(artefact_key "$1")"
}

artefact_build() {
	local name=$1 path=$2 tmp started=$SECONDS
	tmp=$cache_dir/tmp-$name
	rm -rf --one-file-system "$tmp"
	mkdir "$tmp"
	say "$name: making it (log: $cache_dir/$name.log)"
	if ! ("build_${name//-/_}" "$tmp") >"$cache_dir/$name.log" 2>&1; then
		tail -n 20 "$cache_dir/$name.log" >&2
		die "$name could not be made"
	fi
	mv -T "$tmp" "$path"
	say "$name: done in $((SECONDS - started)) s"
}

# Only one process makes an artefact; the others wait for it.
artefact_ensure() {
	local name=$1 path
	path=$(artefact_path "$name")
	[ ! -d "$path" ] || return 0
	mkdir -p "$cache_dir"
	(
		exec {lock}>"$cache_dir/$name.lock"
		flock "$lock"
		[ -d "$path" ] || artefact_build "$name" "$path"
	)
}

# In parallel: one waits for the network while another unpacks.
artefacts_ensure() {
	local name pids=() failed=0 pid
	for name; do
		artefact_ensure "$name" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || failed=1
	done
	return $failed
}

# What this machine itself needs; everything else is in the toolbox.
install_host() {
	local missing=()
	command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
	[ -e "$debian_keyring" ] || missing+=(debian-archive-keyring)
	if [ ${#missing[@]} -gt 0 ] || [ -z "$(debian_mirror Debian)" ]; then
		apt-get -qq update
	fi
	if [ ${#missing[@]} -gt 0 ]; then
		say "host: installing ${missing[*]}"
		DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
			"${missing[@]}" >/dev/null
	fi
}

# The kernels go into both toolbox and L1, and the debug kernel is built in the toolbox;
# toolbox and L1 can be made in parallel.
install() {
	local name together=()
	install_host
	for name; do
		case $name in
		toolbox | l1) together+=("$name") ;;
		debug-kernel | suites) together+=(toolbox) ;;
		esac
	done
	[ ${#together[@]} -eq 0 ] || artefact_ensure kernels
	artefacts_ensure "${together[@]}"
	for name; do
		[ "$name" = host ] || artefact_ensure "$name"
	done
}

case ${1:-help} in
path) artefact_path "${2:?}" ;;
all) install toolbox l1 debug-kernel qemu-next ;;
help | -*)
	sed -n '4,5s/^# //p' "$0" >&2
	exit 2
	;;
*) install "$@" ;;
esac
