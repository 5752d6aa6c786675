#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh DIR - state files of QEMU, as they are and damaged; KTAP.
#
#	CPR_HELPER	the program
#	MUTATE, FITS, FUZZ	built from here and from ../fuzz
#	CPR_QEMU_NEXT	artefact with a newer QEMU, which writes the same guests
#
# Made, mapped and damaged anew in each run: nothing of it is kept in the tree.
set -u
here=$(cd "$(dirname "$0")" && pwd)
: "${CPR_HELPER:?}" "${MUTATE:?}" "${FITS:?}"
dir=$1
count=0 failed=0

result() { # STATUS DESCRIPTION
	count=$((count + 1))
	[ "$1" = ok ] || failed=$((failed + 1))
	echo "$1 $count - $2"
}

# DESCRIPTION COMMAND...
holds() {
	local what=$1
	shift
	if "$@" >"$dir/out" 2>&1; then
		grep '^#' "$dir/out"
		result ok "$what"
	else
		sed 's/^#*/# /' "$dir/out" | head -n 20
		result 'not ok' "$what"
	fi
}

# What is told of a file is what was asked for when it was made.
agrees() {
	"$CPR_HELPER" --json validate "$1.state" >"$dir/json" || { cat "$dir/json"; return 1; }
	python3 - "$1.json" "$dir/json" <<-'EOF2'
		import json, sys
		want, got = (json.load(open(path)) for path in sys.argv[1:])
		assert got['valid'] and not got['proven'], got
		assert got['machine'] == want['machine'], got
		assert got['capabilities'] == want['caps'], got
		assert got['runstate'] == ('running' if want['running'] else 'prelaunch'), got
		in_place = [b['name'] for b in got['ram']['blocks'] if b['in_place']]
		assert in_place == want['in_place'], in_place
		assert got['ram']['in_place'] + got['ram']['in_file'] == got['ram']['bytes'], got
	EOF2
}

# Of a newer QEMU, a few: the grammar is the same.
damaged() {
	case $1 in
	next/*-cpr | next/*run*) ! [[ $1 = */q35-cpr || $1 = */pc-* || $1 = *mapped* ]] ;;
	next/*) return 1 ;;
	esac
}

# How many random damages, and how far apart prefixes end: all of them for two small
# files, fewer where each costs more.
effort() {
	case $1 in
	microvm-cpr) echo 10000 1 ;;
	q35-small-cpr) echo 400 7 ;;
	next/*) echo 60 29999 ;;
	*mapped*) echo 10 1999999 ;;
	*) echo 60 4999 ;;
	esac
}

# Held against what the QEMU that saved it knows to load. A newer one's modules are not
# where the toolbox's are, which it refuses to load: there are none then.
fits() { # NAME
	local machine dump=$dir/dump
	machine=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["machine"])' "$dir/$1.json")
	case $1 in
	next/*) dump_next "$machine" "$dump" ;;
	*) qemu-system-x86_64 -M "$machine" -dump-vmstate "$dump" ;;
	esac && "$FITS" "$dump" "$dir/$1.state"
}
dump_next() { # MACHINE DUMP
	mkdir -p "$dir/modules"
	# shellcheck disable=SC2016
	unshare --mount --propagation unchanged sh -c \
		'! [ -d "$0" ] || mount --bind "$1" "$0" || exit; exec "$2" -M "$3" -dump-vmstate "$4"' \
		/usr/lib/x86_64-linux-gnu/qemu "$dir/modules" "$next" "$1" "$2"
}

check() {
	local name=$1 base=$dir/$1
	holds "$name: whole, and told as it was made" agrees "$base"
	holds "$name: fits the QEMU that saved it" fits "$name"
	damaged "$name" || return 0
	python3 "$here/map.py" "$base.state" >"$base.map" || { result 'not ok' "$name: mapped"; return; }
	# shellcheck disable=SC2046
	holds "$name: no damage is accepted" "$MUTATE" "$base.state" "$base.map" $(effort "$name")
}

echo 'TAP version 13'
mkdir -p "$dir/next"
rm -f "$dir"/{,next/}*.state
holds 'QEMU makes state files' python3 "$here/make.py" "$dir"
next=${CPR_QEMU_NEXT:-}/root/usr/bin/qemu-system-x86_64
if [ -x "$next" ]; then
	holds "and so does $("$next" --version | sed -n '1s/.*version \([^ ]*\).*/\1/p')" \
		env QEMU="$next" python3 "$here/make.py" "$dir/next"
else
	count=$((count + 1))
	echo "ok $count - and so does a newer one # SKIP needs install.sh qemu-next"
fi
# Beside all that follows; what it says is in its own file.
fuzz() {
	mkdir -p "$dir/corpus"
	cp "$dir"/{microvm,q35-small}-cpr.state "$dir/corpus"
	"$FUZZ" -seed=1 -max_total_time="${FUZZ_SECONDS:-60}" -max_len=400000 -timeout=10 \
		-rss_limit_mb=512 -verbosity=0 -artifact_prefix="$dir/" "$dir/corpus" \
		"$here/../fuzz/regressions" >"$dir/fuzz.log" 2>&1
}
fuzzed() { wait "$fuzzer" || { cat "$dir/fuzz.log"; return 1; }; }

if [ -n "${FUZZ:-}" ]; then
	fuzz &
	fuzzer=$!
fi

for file in "$dir"/{,next/}*.state; do
	[ -e "$file" ] || continue
	name=${file#"$dir/"}
	check "${name%.state}"
done

if [ -n "${FUZZ:-}" ]; then
	holds 'the fuzzer finds nothing in a short time' fuzzed
else
	count=$((count + 1))
	echo "ok $count - the fuzzer # SKIP needs clang"
fi
echo "1..$count"
[ $failed = 0 ]
