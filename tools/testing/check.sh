#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check.sh - what can be said of the sources without running them: sparse on
# both kernels' headers, shellcheck, spelling, what documents point to, and
# checkpatch where KSRC has it.
set -uo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.." || exit
lab=tools/testing/vm
status=0

report() {
	local name=$1 output
	shift
	if output=$("$@" 2>&1) && [ -z "$output" ]; then
		echo "ok - $name"
	else
		echo "not ok - $name"
		printf '%s\n' "$output" | head -n 50 | sed 's/^/# /'
		status=1
	fi
}

# Debian's headers have no script that make's C=2 needs, and it then checks
# nothing, silently. So sparse is run here, with the flags that kbuild used. It
# is older than the newest headers: __typeof_unqual__ and the constants of
# MODULE_INFO are beyond it.
sparse() {
	local tree=$PWD/build/sparse/$1 kdir=/usr/src/linux-headers-$1
	rm -rf "$tree"
	mkdir -p "$tree"
	cp -a kmod uapi Kbuild Makefile "$tree/"
	$lab/toolbox.sh make -s -j"$(nproc)" -C "$tree" KDIR="$kdir" W=1 modules
	# shellcheck disable=SC2016 # it is the inner shell that expands
	$lab/toolbox.sh bash -c '
		for cmd in "$0"/kmod/.*.o.cmd; do
			line=$(sed -n "s/^savedcmd_[^ ]* := *[^ ]* //p" "$cmd")
			case $line in *" -c -o "*) ;; *) continue ;; esac
			flags=$(sed "s/;.*//; s/-Wp,-MMD,[^ ]*//; s/ -c -o [^ ]* / /; s/ *$//" <<<"$line")
			# Before 6.13 kbuild runs in its own tree, and names ours in full.
			case ${flags##* } in /*) cd "$1" ;; *) cd "$0" ;; esac
			eval "sparse -D__CHECK_ENDIAN__ -D__typeof_unqual__=__typeof__ \
				-D__linux__ -Dlinux -D__STDC__ -Dunix -D__unix__ -D__x86_64__ -m64 \
				-Wbitwise -Wno-return-void -Wno-unknown-attribute $flags" 2>&1
		done' "$tree" "$kdir" | grep -v 'error: bad constant expression$' || true
}

shell_scripts() {
	git ls-files | while read -r file; do
		head -n 1 "$file" | grep -q '^#!.*\b\(ba\|\)sh\b' && echo "$file"
	done
}

lint_shell() {
	local files
	mapfile -t files < <(shell_scripts)
	$lab/toolbox.sh shellcheck -x -S warning "${files[@]}"
}

spelling() {
	$lab/toolbox.sh codespell -L conectix,hda,iput,nd,ser,sme kmod user uapi tools Documentation README.md
}

# What the documents name is there: files that they link to, and the functions of
# `file.c:function()`. A fence of a code block stands alone in its line.
documents() {
	local doc target file function
	git ls-files '*.md' | while read -r doc; do
		grep -Hn '```' "$doc" | grep -v '^[^:]*:[0-9]*: *```[a-z]*$'
		grep -o '](\([^)#:]*\)[)#]' "$doc" | sed 's/^](//; s/.$//' | while read -r target; do
			[ -e "$(dirname "$doc")/$target" ] || echo "$doc: no file '$target'"
		done
		grep -oE '[a-z_0-9/.-]+\.(c|h|sh):[a-z_0-9]+\(\)' "$doc" | while IFS=: read -r file function; do
			git ls-files "$file" "*/$file" | xargs -r grep -q "\b${function%()}()\?" ||
				echo "$doc: no '$function' in '$file'"
		done
	done || true
}

# An interactive bash replaces a "!" outside of single quotes by a command of its history.
quoting() {
	git grep -nE '^[[:space:]]*(modprobe|insmod|echo|cpr-helper)\>.*![0-9]' -- '*.md' '*.scd' |
		grep -v "'[^']*![0-9][^']*'" || true
}

# Not asked for: what the uapi headers and port.h need because they are read by
# userspace too (types, attributes, BIT, min), the wrappers that compat.h is
# made of, and messages that are long because they say what to do.
checkpatch_ignore=CAMELCASE,PREFER_KERNEL_TYPES,PREFER_DEFINED_ATTRIBUTE_MACRO,BIT_MACRO
checkpatch_ignore+=,MACRO_ARG_REUSE,MACRO_ARG_PRECEDENCE,MACRO_WITH_FLOW_CONTROL
checkpatch_ignore+=,LONG_LINE_STRING,CONSTANT_COMPARISON,LINUX_VERSION_CODE,FILE_PATH_CHANGES

checkpatch() {
	git ls-files 'kmod/*.[ch]' 'uapi/linux/cpr_image.h' | grep -v _gen |
		xargs "$KSRC/scripts/checkpatch.pl" --no-tree --terse --strict --show-types \
			--ignore=$checkpatch_ignore -f |
		grep -v '^total:' || true
}

while read -r _ version; do
	report "sparse is silent on $version" sparse "$version"
done <"$($lab/install.sh path l1)/versions"
report "every call goes down" tools/testing/layers.sh
report "shellcheck" lint_shell
report "codespell" spelling
report "the documents' links" documents
report "the documents' quoting" quoting
[ -z "${KSRC:-}" ] || report "checkpatch" checkpatch
exit $status
