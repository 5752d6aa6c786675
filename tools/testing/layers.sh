#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# layers.sh - check that every call goes down. Prints each edge that does not, and
# then exits with 1.
#
# A unit is a .c file with its header, or a directory with all that is in it. The
# table lists the units of each tree, the lowest first. The rules:
#
#  - a file includes headers of its own unit and of lower units only;
#  - a header declares only what its own unit defines;
#  - a .c file declares nothing of another file by itself.
#
# By these rules no unit can call a higher one.
set -uo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.." || exit

# TREE UNIT... - lines of a tree continue each other, and so do units of a line. Units
# that are joined by a bar are beside each other: none of them includes another.
layers() {
	cat <<-'EOF'
		kmod compat port vm_state bad catalog identity frames dma_table
		kmod region cpr_internal
		kmod room
		kmod tree record events pci
		kmod poison
		kmod scrub space
		kmod store
		kmod image vm opens
		kmod memory probe vfio dma
		kmod group wanted judge hold
		kmod mapping revoke dir file inode fs netlink main
		user base stream|host|qemu vm handover cmd cpr-helper
	EOF
}

status=0
bad() {
	echo "$1"
	status=1
}

declare -A rank
count=0
while read -r tree units; do
	for level in $units; do
		count=$((count + 1))
		for unit in ${level//|/ }; do
			rank[$tree/$unit]=$count
		done
	done
done < <(layers)

# unit_of FILE - $unit is its unit; generated code belongs to the unit that needs it
unit_of() {
	unit=${1#*/}
	unit=${unit%%/*}
	unit=${unit%.[ch]}
	unit=${1%%/*}/${unit%_gen}
}

# resolve FILE NAME - $target is the file that FILE includes by NAME, or empty if that
# is in no tree
resolve() {
	local dir
	for dir in "${1%/*}" "${1%%/*}"; do
		target=$dir/$2
		while [[ $target =~ ^(.*/)?[^/]+/\.\./(.*)$ ]]; do
			target=${BASH_REMATCH[1]}${BASH_REMATCH[2]}
		done
		[ ! -e "$target" ] || return
	done
	target=
}

# declared HEADER - names of the functions and variables that it declares
declared() {
	awk '
	# Remove the arguments of a macro or an attribute, and its name.
	function strip_macros(s,    at, depth, end) {
		while (match(s, /(^|[^A-Za-z0-9_])([A-Z][A-Z0-9_]*|__[a-z]+__|__printf)[ \t]*\(/)) {
			at = RSTART
			end = RSTART + RLENGTH
			for (depth = 1; depth && end <= length(s); end++)
				depth += (substr(s, end, 1) == "(") - (substr(s, end, 1) == ")")
			s = substr(s, 1, at - 1) " " substr(s, end)
		}
		return s
	}
	function statement(s,    name) {
		s = strip_macros(s)
		if (s ~ /(^|[ \t])(typedef|static)[ \t]/)
			return
		if (match(s, /[A-Za-z_][A-Za-z0-9_]*\(/))
			print substr(s, RSTART, RLENGTH - 1)
		else if (s ~ /(^|[ \t])extern[ \t]/ && match(s, /[A-Za-z_][A-Za-z0-9_]*(\[[^]]*\])?[ \t]*$/)) {
			name = substr(s, RSTART, RLENGTH)
			sub(/[^A-Za-z0-9_].*/, "", name)
			print name
		}
	}
	{ text = text $0 "\n" }
	END {
		gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "", text)
		gsub(/\\\n/, " ", text)
		gsub(/(^|\n)[ \t]*#[^\n]*/, "\n", text)
		depth = 0
		for (i = 1; i <= length(text); i++) {
			c = substr(text, i, 1)
			if (c == "{") {
				depth++
			} else if (c == "}") {
				if (!--depth)
					part = ""
			} else if (!depth && c == ";") {
				statement(part)
				part = ""
			} else if (!depth) {
				part = part (c == "\n" ? " " : c)
			}
		}
	}' "$1"
}

check_includes() {
	local file=$1 own=$2 unit target name
	while read -r name; do
		resolve "$file" "$name"
		[ -n "$target" ] || continue
		unit_of "$target"
		[ "$unit" = "$own" ] || [ "${rank[$unit]:-0}" -lt "${rank[$own]}" ] ||
			bad "$file: includes \"$name\", which is not below it"
	done < <(sed -n 's/^#include "\(.*\)"/\1/p' "$file")
}

# undefined UNIT - those of the names on stdin that no .c file of the unit defines
undefined() {
	local source sources=()
	for source in "$1".c "$1"_gen.c "$1"/*.c; do
		[ ! -e "$source" ] || sources+=("$source")
	done
	awk '
	FILENAME == "-" { wanted[$1] = 1; next }
	/^[A-Za-z_]/ {
		split($0, part, /[=;]/)
		while (match(part[1], /[A-Za-z_][A-Za-z0-9_]*/)) {
			delete wanted[substr(part[1], RSTART, RLENGTH)]
			part[1] = substr(part[1], RSTART + RLENGTH)
		}
	}
	END { for (name in wanted) print name }' - "${sources[@]}"
}

check_declarations() {
	local file=$1 unit=$2 name
	case $file in
	*.c)
		while read -r name; do
			bad "$file: declares something of another file: $name"
		done < <(grep '^extern ' "$file")
		return
		;;
	esac
	while read -r name; do
		bad "$file: declares $name, which $unit does not define"
	done < <(declared "$file" | undefined "$unit")
}

while read -r tree; do
	while read -r file; do
		unit_of "$file"
		if [ -z "${rank[$unit]:-}" ]; then
			bad "$file: is in no layer"
			continue
		fi
		check_includes "$file" "$unit"
		check_declarations "$file" "$unit"
	done < <(git ls-files "$tree/*.c" "$tree/*.h")
done < <(layers | cut -d' ' -f1 | uniq)
exit $status
