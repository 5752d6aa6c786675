#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# mkguest.sh ROOT VERSION OUT - L2's initramfs: busybox, the modules of kernel
# VERSION for the devices that tests give a guest, the guest agent, and init.
set -euo pipefail

root=$1 version=$2 out=$3
here=$(cd -- "$(dirname -- "$0")" && pwd)
modules=(virtio_pci virtio_console virtio_blk virtio_net e1000e nvme igbvf)

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

# What a program is linked to, and its loader.
libraries_of() { chroot "$root" ldd "$1" | grep -o '/[^ )]*'; }

mkdir -p "$tree"/{bin,modules}
cp "$root/bin/busybox" "$root/usr/sbin/qemu-ga" "$tree/bin"
libraries_of /usr/sbin/qemu-ga | while read -r file; do
	install -D "$root$file" "$tree$file"
done
cp "$here/init" "$tree/init"
"$here/../initrd/copy-modules.sh" "$root" "$version" "$tree/modules" "${modules[@]}"
(cd "$tree" && find . | "$root/bin/busybox" cpio -o -H newc 2>/dev/null) >"$out"
