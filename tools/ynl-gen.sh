#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Generate the netlink policy, the operation table and the UAPI header from
# Documentation/netlink/specs/cpr.yaml, with the generator of a kernel source
# tree. The results are checked in, so that a DKMS build needs no Python.
#
#	ynl-gen.sh KSRC [OUT]		OUT: where to write; the tree itself if not given
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
ksrc=${1:?usage: ynl-gen.sh KSRC [OUT]}
out=${2:-$top}
gen=$ksrc/tools/net/ynl/pyynl/ynl_gen_c.py
[ -f "$gen" ] || { echo "ynl-gen.sh: no generator at $gen: KSRC must be a kernel source tree, 7.3 or newer" >&2; exit 1; }

# The generator takes the schema from beside the spec, and wants a MAINTAINERS
# file above it: a tree of links offers both and leaves the sources alone.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/Documentation/netlink/specs"
touch "$work/MAINTAINERS"
ln -s "$ksrc"/Documentation/netlink/*.yaml "$work/Documentation/netlink/"
spec=$work/Documentation/netlink/specs/cpr.yaml
cp "$top/Documentation/netlink/specs/cpr.yaml" "$spec"

mkdir -p "$out/kmod" "$out/uapi/linux"
run() { python3 "$gen" --spec "$spec" "$@"; }
run --mode uapi --header -o "$out/uapi/linux/cpr.h"
run --mode kernel --header -o "$out/kmod/netlink_gen.h"
run --mode kernel --source -o "$out/kmod/netlink_gen.c"
# The header's guard and the paths it names are relative to the kernel tree.
sed -i -e "s|$work/||" -e "s|tools/net/ynl/ynl-regen.sh|tools/ynl-gen.sh KSRC|" \
	"$out/uapi/linux/cpr.h" "$out"/kmod/netlink_gen.[ch]
