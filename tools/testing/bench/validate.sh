#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# validate.sh - measures how long cpr-helper takes to check a large state file, beside reading
# it. A benchmark without limits that could fail. Runs in the toolbox.
#
#	ANALYZE		QEMU's scripts/analyze-migration.py, to be measured as well
#
# The guest has 1 GiB of RAM, no page of which is zero, all of it in the file.
set -eu

helper=$1 dir=$2 size=1024
mkdir -p "$dir"
state=$dir/large.state

qmp() { printf '{"execute":"qmp_capabilities"}\n%s\n' "$@"; }

make_state() {
	head -c ${size}M /dev/urandom >"$dir/ram"
	rm -f "$state"
	{
		qmp '{"execute":"migrate-set-parameters","arguments":{"max-bandwidth":0}}' \
			"{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"file:$state\"}}"
		until grep -q '"POSTMIGRATE"\|"status": "completed"' "$dir/said"; do
			sleep 0.2
			echo '{"execute":"query-migrate"}'
		done
		echo '{"execute":"quit"}'
	} | qemu-system-x86_64 -M q35,accel=tcg,memory-backend=ram -m ${size}M -S -display none \
		-nodefaults -qmp stdio -object \
		"memory-backend-file,id=ram,size=${size}M,mem-path=$dir/ram,share=off" >"$dir/said"
	rm "$dir/ram"
}

# NAME COMMAND...: the best of 3, and the most memory
measure() {
	python3 - "$@" <<-'EOF2'
		import resource, subprocess, sys, time

		def run():
		    begin = time.monotonic()
		    subprocess.run(sys.argv[2:], check=True, capture_output=True)
		    return time.monotonic() - begin

		best = min(run() for _ in range(3))
		peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
		print(f"{sys.argv[1]:28} {best:8.2f} s {peak // 1024:6} MiB")
	EOF2
}

: >"$dir/said"
make_state
echo "# a state file of $(stat -c %s "$state") bytes, in the page cache; best of 3:"
measure 'dd bs=1M' dd if="$state" of=/dev/null bs=1M
measure 'cpr-helper validate' "$helper" validate "$state"
[ -z "${ANALYZE:-}" ] || measure 'analyze-migration.py' python3 "$ANALYZE" -f "$state"
rm "$state"
