#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# product.sh - builds what runs in L1 and installs it in build/l1-overlay: the module for
# each of L1's kernels, cpr-helper, and the programs of the tests. The debug kernel's module
# is built if the cache has that kernel.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"

overlay=$top_dir/build/l1-overlay
"$vm_dir/install.sh" toolbox l1
debug=$("$vm_dir/install.sh" path debug-kernel)

# Kbuild writes beside the sources, so each kernel gets its own copy of the sources.
build_module() {
	local version=$1 kdir=$2 tree=$top_dir/build/kmod/$1
	mkdir -p "$tree"
	"$vm_dir/toolbox.sh" rsync -a --delete --exclude='*.o' --exclude='*.ko' --exclude='*.mod*' \
		--exclude='.*.cmd' --exclude='*.order' --exclude='*.symvers' \
		kmod uapi Kbuild Makefile "$tree/"
	"$vm_dir/toolbox.sh" make -s -j"$(nproc)" -C "$tree" KDIR="$kdir" W=1 KCFLAGS=-Werror modules
	install -D -m 644 "$tree/kmod/cpr_handover.ko" \
		"$overlay/usr/lib/modules/$version/updates/dkms/cpr_handover.ko"
}

rm -rf "$overlay"
while read -r _ version; do
	build_module "$version" "/usr/src/linux-headers-$version"
done <"$("$vm_dir/install.sh" path l1)/versions"
[ ! -d "$debug" ] || build_module "$(cat "$debug/version")" "$debug/build"

"$vm_dir/toolbox.sh" make -s -j"$(nproc)" -C user install DESTDIR="$overlay"
# With fault points, for scenarios.
"$vm_dir/toolbox.sh" make -s -j"$(nproc)" -C user FAULTS=1 O="$top_dir/build/user-faults" "$top_dir/build/user-faults/cpr-helper"
install -D -m 755 build/user-faults/cpr-helper "$overlay/usr/libexec/cpr-selftests/cpr-helper"
"$vm_dir/toolbox.sh" make -s -j"$(nproc)" -C tools/testing/selftests/cpr install DESTDIR="$overlay/usr/libexec/cpr-selftests"
"$vm_dir/toolbox.sh" make -s -j"$(nproc)" -C tools/testing/bench install DESTDIR="$overlay/usr/libexec/cpr-bench"
"$vm_dir/toolbox.sh" make -s -j"$(nproc)" -C tools/testing/fs install DESTDIR="$overlay/usr/libexec/cpr-fs"
"$vm_dir/toolbox.sh" make -s -j"$(nproc)" -C tools/testing/fuzz install DESTDIR="$overlay/usr/libexec/cpr-fuzz"
