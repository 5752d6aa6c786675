#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# mkinitrd.sh ROOT VERSION OUT - the least that lets kernel VERSION find L1's
# disk: busybox, the modules for it, and an init. Not compressed: QEMU and
# kexec copy it faster than the emulated machine would unpack it.
set -euo pipefail

root=$1 version=$2 out=$3
here=$(cd -- "$(dirname -- "$0")" && pwd)
# The IOMMU first: devices behind it wait for it.
modules=(virtio_iommu virtio_pci virtio_blk ext4 crc32c_generic)

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

mkdir -p "$tree"/{bin,dev,mnt,proc,sys,modules}
cp "$root/bin/busybox" "$tree/bin/busybox"
cp "$here/init" "$tree/init"
"$here/copy-modules.sh" "$root" "$version" "$tree/modules" "${modules[@]}"
(cd "$tree" && find . | "$root/bin/busybox" cpio -o -H newc 2>/dev/null) >"$out"
