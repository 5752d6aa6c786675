#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# image.sh - makes build/lab/l1.img, the disk of L1, from the artefact l1, the product in
# build/l1-overlay, and these tests as /lab. Does nothing if none of these has changed.
#
#   build/lab/kernels    a line per kernel in the image: SERIES VERSION VMLINUZ INITRD
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"

overlay=$top_dir/build/l1-overlay
tests=$top_dir/tools/testing
guest_series=6.12

mkdir -p "$lab_dir"
exec {lock}>"$lab_dir/lock"
flock "$lock"

"$vm_dir/install.sh" toolbox l1
base=$("$vm_dir/install.sh" path l1)
# The debug kernel takes long to build: it is in the image only if the cache has it.
debug=$("$vm_dir/install.sh" path debug-kernel)
[ -d "$debug" ] || debug=

key=$(
	{
		echo "$base $debug"
		tree_sum "$overlay"
		tree_sum "$tests"
	} | sha256sum
)
if [ -e "$lab_dir/l1.img" ] && [ "$(cat "$lab_dir/l1.key" 2>/dev/null)" = "$key" ]; then
	exit 0
fi

say "l1.img: making it"
started=$SECONDS
# In the cache, on the file system of the artefact: its files are linked, not copied.
work=$(mktemp -d -p "$cache_dir" tmp-image-XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root

cp -al "$base/root" "$root"
while read -r series version; do
	echo "$series $version $base/root/boot/vmlinuz-$version $base/root/boot/initrd.img-$version"
done <"$base/versions" >"$work/kernels"

if [ -n "$debug" ]; then
	version=$(cat "$debug/version")
	add_tree "$debug/root" "$root"
	"$vm_dir/initrd/mkinitrd.sh" "$root" "$version" "$lab_dir/initrd-debug.img"
	cp "$lab_dir/initrd-debug.img" "$root/boot/initrd.img-$version"
	echo "debug $version $debug/root/boot/vmlinuz-$version $lab_dir/initrd-debug.img" >>"$work/kernels"
fi

[ ! -d "$overlay" ] || add_tree "$overlay" "$root"
index_modules() {
	local pids=() pid version
	while read -r _ version _; do
		chroot "$root" depmod "$version" &
		pids+=($!)
	done <"$work/kernels"
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
}
index_modules

mkdir -p "$root/lab/guest"
add_tree "$tests" "$root/lab"
cut -d' ' -f1,2 "$work/kernels" >"$root/lab/kernels"
version=$(sed -n "s/^$guest_series //p" "$root/lab/kernels")
"$vm_dir/guest/mkguest.sh" "$root" "$version" "$root/lab/guest/initrd"
ln "$root/boot/vmlinuz-$version" "$root/lab/guest/vmlinuz"
ln -sf /lab/vm/l1-init "$root/usr/sbin/init"

rm -f "$lab_dir/l1.key"
"$vm_dir/toolbox.sh" mke2fs -q -t ext4 -m 0 -d "$root" "$lab_dir/l1.img.new" 6G
mv "$lab_dir/l1.img.new" "$lab_dir/l1.img"
mv "$work/kernels" "$lab_dir/kernels"
echo "$key" >"$lab_dir/l1.key"
say "l1.img: done in $((SECONDS - started)) s"
