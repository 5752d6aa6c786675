#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# copy-modules.sh ROOT VERSION DEST MODULE... - copies kernel modules and all
# that they need from ROOT to DEST, unpacked, and writes DEST/order: the order
# to insert them in. What is built into the kernel, or not in it, is left out.
set -euo pipefail

root=$1 version=$2 dest=$3
shift 3

: >"$dest/order"
for module; do
	chroot "$root" modprobe -S "$version" --show-depends "$module" 2>/dev/null || true
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r path; do
	name=${path##*/}
	name=${name%%.ko*}.ko
	case $path in
	*.xz) "$root/bin/busybox" xzcat "$root$path" >"$dest/$name" ;;
	*) cp "$root$path" "$dest/$name" ;;
	esac
	echo "$name" >>"$dest/order"
done
