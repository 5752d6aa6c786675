# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The debug kernel: the newest source that Debian has of it, with only what
# L1 needs, and every checker on: KASAN, lockdep, kmemleak, fault injection;
# and what Debian's own kernels lack: KHO, LUO and IOMMUFD.
#
#   version     as `uname -r` says it
#   root/       /boot/vmlinuz-VERSION and /usr/lib/modules/VERSION
#   build/      to build modules against

debug_source=linux-source-7.3

debug_source_unpack() {
	local dir=$1
	debian_private_apt "$dir/apt"
	(cd "$dir/apt" && APT_CONFIG=$dir/apt/apt.conf apt-get -qq download "$debug_source")
	dpkg-deb --fsys-tarfile "$dir"/apt/linux-source-*.deb |
		tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
		tar -xJ -C "$dir/build" --strip-components=1
	rm -rf "$dir/apt"
}

# A symbol whose dependencies are not met drops out silently: look for each.
debug_config_check() {
	local config=$1 fragment=$2 line missing=0
	while read -r line; do
		case $line in
		'' | '#'*) continue ;;
		*=n) ! grep -q "^${line%=n}=" "$config" || { say "not off: ${line%=n}"; missing=1; } ;;
		*) grep -qxF "$line" "$config" || { say "not in the configuration: $line"; missing=1; } ;;
		esac
	done <"$fragment"
	return $missing
}

debug_make() {
	"${vm_dir:?}/toolbox.sh" nice make -C "$1" -j"$(nproc)" "${@:2}"
}

debug_configure() {
	local build=$1 fragment=$vm_dir/debug-kernel.config
	debug_make "$build" tinyconfig
	cat "$fragment" >>"$build/.config"
	debug_make "$build" olddefconfig
	debug_config_check "$build/.config" "$fragment"
}

# What building modules needs: headers, host tools, symbols; no objects.
debug_prune() {
	find "$1" -type f \( -name '*.o' -o -name '*.a' -o -name '*.cmd' -o -name '*.c' -o -name '*.rst' \
		-o -name '*.dts*' -o -name '*vmlinux*' -o -name 'bzImage' \) \
		-not -path '*/scripts/*' -not -path '*/tools/objtool/*' -delete
	rm -rf "$1"/{Documentation,drivers,fs,net,rust,samples,sound,tools/testing}
}

build_debug_kernel() {
	local dir=$1 version
	mkdir -p "$dir/build" "$dir/root/boot"
	debug_source_unpack "$dir"
	debug_configure "$dir/build"
	debug_make "$dir/build" bzImage modules
	version=$(cat "$dir/build/include/config/kernel.release")
	echo "$version" >"$dir/version"
	debug_make "$dir/build" INSTALL_MOD_PATH="$dir/root/usr" modules_install
	cp "$dir/build/arch/x86/boot/bzImage" "$dir/root/boot/vmlinuz-$version"
	rm -f "$dir/root/usr/lib/modules/$version"/{build,source}
	debug_prune "$dir/build"
}
