#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Every state file that QEMU writes is accepted, and every damaged one is refused.
#
# run.sh DIR - makes state files with QEMU in DIR, damages them, and tests what
# cpr-helper says; prints KTAP.
#
#	CPR_HELPER	the program
#	MUTATE, FITS, FUZZ	programs built from here and from ../fuzz
#	CPR_QEMU_NEXT	artefact with a newer QEMU, which makes the same files
#	CPR_TIMEOUT_SCALE	how much slower this machine is than a fast one
#
# The files are made anew in each run: none of them is kept in the source tree.
set -u
here=$(cd "$(dirname "$0")" && pwd)
: "${CPR_HELPER:?}" "${MUTATE:?}" "${FITS:?}"
dir=$1
scale=${CPR_TIMEOUT_SCALE:-1}
count=0 failed=0

result() { # STATUS DESCRIPTION
	count=$((count + 1))
	[ "$1" = ok ] || failed=$((failed + 1))
	echo "$1 $count - $2"
}

# DESCRIPTION COMMAND...: a test point, passed if the command succeeds.
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

# What cpr-helper prints about a file is what make.py asked QEMU for.
agrees() { # BASE
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

# Whether a file is to be damaged. Of the newer QEMU's files a few are enough: the
# grammar is the same.
damaged() { # NAME
	case $1 in
	next/*-cpr | next/*run*) ! [[ $1 = */q35-cpr || $1 = */pc-* || $1 = *mapped* ]] ;;
	next/*) return 1 ;;
	esac
}

# The number of random damages, and the distance between the ends of prefixes: all
# prefixes of two small files, fewer where one test costs more.
effort() { # NAME
	case $1 in
	microvm-cpr) echo 10000 1 ;;
	q35-small-cpr) echo 400 7 ;;
	next/*) echo 60 29999 ;;
	*mapped*) echo 10 1999999 ;;
	*) echo 60 4999 ;;
	esac
}

# Compares each device in the file with what the QEMU that saved it says it can load.
fits() { # NAME
	local machine dump=$dir/dump
	machine=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["machine"])' "$dir/$1.json")
	case $1 in
	next/*) dump_next "$machine" "$dump" ;;
	*) qemu-system-x86_64 -M "$machine" -dump-vmstate "$dump" ;;
	esac && "$FITS" "$dump" "$dir/$1.state"
}

# The newer QEMU refuses to load the modules of the toolbox's QEMU: an empty directory
# covers them.
dump_next() { # MACHINE DUMP
	mkdir -p "$dir/modules"
	# shellcheck disable=SC2016
	unshare --mount --propagation unchanged sh -c \
		'! [ -d "$0" ] || mount --bind "$1" "$0" || exit; exec "$2" -M "$3" -dump-vmstate "$4"' \
		/usr/lib/x86_64-linux-gnu/qemu "$dir/modules" "$next" "$1" "$2"
}

# The file has the property that make.py makes it for, on any machine.
sections() { # NAME KIND LEAST
	local found
	found=$(grep -c "^$2 " "$dir/$1.map")
	echo "$found sections are '$2', at least $3 are wanted"
	[ "$found" -ge "$3" ]
}

check() { # NAME
	local name=$1 base=$dir/$1
	holds "$name: it is accepted, and described as it was made" agrees "$base"
	holds "$name: it fits the QEMU that saved it" fits "$name"
	damaged "$name" || return 0
	python3 "$here/map.py" "$base.state" >"$base.map" ||
		{ result 'not ok' "$name: map.py reads it"; return; }
	[[ $name != *slow* ]] ||
		holds "$name: RAM blocks continue over the end of a section" sections "$name" continued 2
	[[ $name != *slow-run ]] ||
		holds "$name: sections repeat pages that were sent before" sections "$name" optional 1
	# shellcheck disable=SC2046
	holds "$name: no damage is accepted" "$MUTATE" "$base.state" "$base.map" $(effort "$name")
}

echo 'TAP version 13'
mkdir -p "$dir/next"
rm -f "$dir"/{,next/}*.state
holds 'QEMU writes state files' python3 "$here/make.py" "$dir"
next=${CPR_QEMU_NEXT:-}/root/usr/bin/qemu-system-x86_64
if [ -x "$next" ]; then
	holds "QEMU $("$next" --version | sed -n '1s/.*version \([^ ]*\).*/\1/p') writes state files" \
		env QEMU="$next" python3 "$here/make.py" "$dir/next"
else
	count=$((count + 1))
	echo "ok $count - a newer QEMU writes state files # SKIP needs install.sh qemu-next"
fi

# Runs beside all tests that follow. Its output is in fuzz.log.
fuzz() {
	mkdir -p "$dir/corpus"
	cp "$dir"/{microvm,q35-small}-cpr.state "$dir/corpus"
	"$FUZZ" -seed=1 -max_total_time="${FUZZ_SECONDS:-60}" -max_len=400000 -timeout=$((10 * scale)) \
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
