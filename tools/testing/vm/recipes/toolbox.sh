# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The toolbox: a root in which everything is built and from which QEMU runs,
# so that nothing depends on what this machine has.

toolbox_packages=(
	# the module
	gcc-14 ccache make sparse pahole libelf1t64 kmod
	# the helper
	pkg-config libc6-dev libnl-3-dev libnl-genl-3-dev libkmod-dev libjson-c-dev libxxhash-dev libsystemd-dev libblkid-dev scdoc
	# the lab
	qemu-system-x86 e2fsprogs cpio xz-utils zstd socat rsync busybox-static
	# the checks
	clang llvm libclang-rt-19-dev shellcheck codespell cppcheck git
	python3-yaml python3-jsonschema
	# the debug kernel
	bc flex bison libelf-dev libssl-dev bzip2
)

# Distribution makefiles ask for gcc-14 by name, the helper's for cc. toolbox.sh has the
# links to ccache first in its PATH.
toolbox_compiler() {
	local tool
	for tool in gcc gcov gcc-ar gcc-nm gcc-ranlib; do
		ln -sf "$tool-14" "$1/usr/bin/$tool"
		ln -sf "$tool-14" "$1/usr/bin/x86_64-linux-gnu-$tool"
	done
	ln -sf gcc-14 "$1/usr/bin/cc"
	mkdir -p "$1/usr/lib/ccache"
	for tool in cc gcc gcc-14 x86_64-linux-gnu-gcc-14; do
		ln -sf ../../bin/ccache "$1/usr/lib/ccache/$tool"
	done
}

build_toolbox() {
	local dir=$1 kernels
	kernels=$(artefact_path kernels)
	debian_root "$dir" "${toolbox_packages[@]}"
	toolbox_compiler "$dir"
	cp -al "$kernels/headers/." "$dir"
}
