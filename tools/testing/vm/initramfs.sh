#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# initramfs.sh initramfs-tools|dracut SERIES - makes the initramfs that L1, with the product
# installed, would make for that kernel, and prints its path. The real tool runs in a copy
# of L1's root, and makes an initramfs for any machine; only if L1 or the product has
# changed.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"

[ $# -eq 2 ] || die "usage: initramfs.sh initramfs-tools|dracut SERIES"
maker=$1 series=$2
overlay=$top_dir/build/l1-overlay
out=$lab_dir/initramfs/$maker-$series

"$vm_dir/install.sh" l1
base=$("$vm_dir/install.sh" path l1)
version=$(sed -n "s/^${series//./\\.} //p" "$base/versions")
[ -n "$version" ] || die "L1 has no stock kernel $series"

# The initramfs also has the drivers that the module must load before: the NIC's, and those
# that make a disk of the region.
make_initramfs_tools() {
	local modules=/etc/initramfs-tools/modules
	rm "$1$modules"
	printf '%s\n' e1000e nd_e820 nd_pmem >"$1$modules"
	chroot "$1" mkinitramfs -o /boot/made "$2"
}

make_dracut() {
	chroot "$1" dracut --quiet --no-hostonly --force --add-drivers 'e1000e nd_e820 nd_pmem' \
		--kver "$2" /boot/made
}

# The mounts are this process's own, and end with it.
in_root() {
	local root=$1 dir
	for dir in proc dev sys; do
		mount --bind "/$dir" "$root/$dir"
	done
	"make_${3//-/_}" "$root" "$2"
}

mkdir -p "$lab_dir/initramfs"
exec {lock}>"$out.lock"
flock "$lock"

key=$({ echo "$base" && cat "$0" && tree_sum "$overlay"; } | sha256sum)
if [ -e "$out" ] && [ "$(cat "$out.key" 2>/dev/null)" = "$key" ]; then
	echo "$out"
	exit
fi

say "${out##*/}: making it (log: $out.log)"
started=$SECONDS
work=$(mktemp -d -p "$cache_dir" tmp-initramfs-XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT
cp -al "$base/root" "$work/root"
[ ! -d "$overlay" ] || add_tree "$overlay" "$work/root"
chroot "$work/root" depmod "$version"

rm -f "$out.key"
export -f in_root make_initramfs_tools make_dracut
# shellcheck disable=SC2016
if ! env PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TMPDIR= \
	unshare --mount --propagation private bash -euc 'in_root "$@"' in_root \
	"$work/root" "$version" "$maker" >"$out.log" 2>&1; then
	tail -n 20 "$out.log" >&2
	die "$maker made no initramfs"
fi
mv "$work/root/boot/made" "$out"
echo "$key" >"$out.key"
say "${out##*/}: done in $((SECONDS - started)) s"
echo "$out"
