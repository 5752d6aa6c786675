#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh [LAYER...] - runs the tests: all layers, or those whose names begin with a LAYER.
# Layers that begin with long/ are run only if a LAYER names them.
#
# Layers run beside each other as far as the cores of this machine allow.
#
# Each layer's command prints KTAP. Before it run.sh prints the promise that the layer
# proves, and after it the layer's test points and seconds. At the end there is a table of
# all layers, and in the last line the number of test points that passed and failed.
set -uo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.." || exit

# NAME | CORES | COMMAND, where CORES is how many cores the layer keeps busy, and the number
# of CPUs of its L1, and @ is the directory of the lab. /lab in L1 is tools/testing here.
layers() {
	cat <<-'EOF'
		static/sources           | 1 | tools/testing/check.sh
		static/tests             | 1 | tools/testing/check-tests.sh
		dkms                     | 1 | @/toolbox.sh tools/testing/dkms.sh
		boot/script              | 1 | @/toolbox.sh tools/testing/boot/run.sh
		fuzz                     | 1 | @/toolbox.sh make -s -C tools/testing/fuzz check
		unit                     | 2 | @/toolbox.sh make -s -j$(nproc) -C tools/testing/unit check
		cli                      | 2 | CPR_QEMU_NEXT=$(@/install.sh path qemu-next) @/toolbox.sh make -s -j$(nproc) -C tools/testing/cli check
		state                    | 2 | CPR_QEMU_NEXT=$(@/install.sh path qemu-next) @/toolbox.sh make -s -j$(nproc) -C tools/testing/state check
		selftests/6.12           | 2 | @/boot.sh --kernel 6.12 --append memmap=64M!5G /lab/selftests/cpr/run.sh
		selftests/debug          | 2 | @/boot.sh --kernel debug --append memmap=64M!5G /lab/selftests/cpr/run.sh
		fs/7.3                   | 2 | @/boot.sh --kernel 7.3 /lab/fs/run.sh short
		e2e/cuts                 | 2 | @/boot.sh --kernel 7.3 /lab/e2e/cuts.sh 15
		e2e/vfio-6.12-7.3        | 1 | @/boot.sh --kernel 6.12 --timeout 400 --with nvme --with igb --with nvme /lab/e2e/vfio.sh 7.3 split=0000:00:02.0+slot1 vf=vf2 asleep=slot3
		e2e/7.3-6.12             | 1 | @/boot.sh --kernel 7.3 --timeout 400 /lab/e2e/handover.sh 6.12 4
		e2e/faults               | 1 | @/boot.sh --kernel 6.12 --timeout 400 /lab/e2e/faults.sh --guests 2 save-written restore-loaded
		selftests/7.3            | 1 | @/boot.sh --kernel 7.3 --append memmap=64M!5G /lab/selftests/cpr/run.sh
		selftests/devices        | 1 | @/boot.sh --kernel 7.3 /lab/selftests/cpr/devices.sh right changed late give_up foreign bounds
		e2e/scope                | 1 | @/boot.sh --kernel 6.12 --append lab.systemd /lab/e2e/scope.sh
		e2e/adversity            | 1 | @/boot.sh --kernel 6.12 /lab/e2e/adversity.sh
		selftests/poison-6.12    | 1 | @/boot.sh --kernel 6.12 /lab/selftests/cpr/poison.sh
		selftests/poison-7.3     | 1 | @/boot.sh --kernel 7.3 /lab/selftests/cpr/poison.sh
		selftests/kdump          | 1 | @/boot.sh --kernel 7.3 --append elfcorehdr=4G /lab/selftests/cpr/kdump.sh
		selftests/no-iommu       | 1 | @/boot.sh --kernel 7.3 --iommu none /lab/selftests/cpr/devices.sh no_iommu
		long/netlink-short       | 2 | @/boot.sh --kernel 7.3 /lab/fuzz/netlink.sh 20000 --processes 2
		long/failnth             | 2 | @/boot.sh --kernel debug --timeout 2400 /lab/selftests/cpr/failnth.sh
		long/netlink-7.3         | 2 | @/boot.sh --kernel 7.3 --timeout 2400 /lab/fuzz/netlink.sh 10000000 --processes 2
		long/netlink-debug       | 2 | @/boot.sh --kernel debug --timeout 1200 /lab/fuzz/netlink.sh 1000000 --processes 2
		long/images-debug        | 2 | @/boot.sh --kernel debug --timeout 600 /lab/fuzz/images.sh 2000
		long/trinity-debug       | 2 | @/boot.sh --kernel debug --disk suites --timeout 300 /lab/fuzz/trinity.sh 10
		long/poison-debug        | 2 | @/boot.sh --kernel debug /lab/selftests/cpr/poison.sh
		long/fs-6.12             | 2 | @/boot.sh --kernel 6.12 --timeout 1800 /lab/fs/run.sh whole
		long/fs-7.3              | 2 | @/boot.sh --kernel 7.3 --timeout 1800 /lab/fs/run.sh whole
		long/fs-debug            | 2 | @/boot.sh --kernel debug --timeout 1800 /lab/fs/run.sh whole
		long/suites-6.12         | 2 | @/boot.sh --kernel 6.12 --disk suites --timeout 900 /lab/fs/suites.sh
		long/suites-7.3          | 2 | @/boot.sh --kernel 7.3 --disk suites --timeout 900 /lab/fs/suites.sh
		long/suites-debug        | 2 | @/boot.sh --kernel debug --disk suites --timeout 900 /lab/fs/suites.sh
		long/vfio-both           | 2 | @/boot.sh --kernel 7.3 --timeout 400 --with nvme /lab/e2e/vfio.sh 6.12 both=0000:00:02.0+slot1
		long/vfio-initramfs      | 2 | @/boot.sh --kernel 7.3 --initrd initramfs-tools --timeout 400 /lab/e2e/vfio.sh 7.3 nic=0000:00:02.0
		long/vfio-adversity      | 1 | @/boot.sh --kernel 7.3 --timeout 600 --with e1000e --with empty /lab/e2e/vfio-adversity.sh
		long/6.12-7.3            | 2 | @/boot.sh --kernel 6.12 /lab/e2e/handover.sh 7.3 1
		long/7.3-7.3             | 2 | @/boot.sh --kernel 7.3 /lab/e2e/handover.sh 7.3 1
		long/adversity-73        | 2 | @/boot.sh --kernel 7.3 /lab/e2e/adversity.sh
		long/cuts-7.3            | 2 | @/boot.sh --kernel 7.3 --timeout 2400 /lab/e2e/cuts.sh 300
		long/cuts-6.12           | 2 | @/boot.sh --kernel 6.12 --timeout 2400 /lab/e2e/cuts.sh 300
		long/copy                | 2 | @/boot.sh --kernel 6.12 --timeout 400 /lab/e2e/copy.sh 7.3
		long/ring                | 1 | @/boot.sh --kernel 6.12 --timeout 2400 /lab/e2e/ring.sh 7.3 50
		long/faults-update       | 2 | @/boot.sh --kernel 6.12 --timeout 600 /lab/e2e/faults.sh update abort
		long/faults-save         | 2 | @/boot.sh --kernel 6.12 --timeout 600 /lab/e2e/faults.sh save
		long/faults-seal         | 2 | @/boot.sh --kernel 6.12 --timeout 600 /lab/e2e/faults.sh seal restore
		long/faults-73-update    | 2 | @/boot.sh --kernel 7.3 --timeout 600 /lab/e2e/faults.sh update abort
		long/faults-73-save      | 2 | @/boot.sh --kernel 7.3 --timeout 600 /lab/e2e/faults.sh save
		long/faults-73-seal      | 2 | @/boot.sh --kernel 7.3 --timeout 600 /lab/e2e/faults.sh seal restore
		long/debug               | 2 | @/boot.sh --kernel debug /lab/e2e/handover.sh debug 1
		long/kho                 | 2 | @/boot.sh --kernel debug --append "kho=on liveupdate=on kho_scratch=128M,768M,32M" /lab/e2e/handover.sh debug 1
		long/vfio-debug          | 2 | @/boot.sh --kernel debug --timeout 400 --with nvme /lab/e2e/vfio.sh debug iommufd=0000:00:02.0+slot1
		long/devices             | 2 | @/boot.sh --kernel 7.3 --timeout 500 --with e1000e /lab/selftests/cpr/devices.sh
		long/devices-6.12        | 2 | @/boot.sh --kernel 6.12 --timeout 500 --with e1000e /lab/selftests/cpr/devices.sh
		long/devices-debug       | 2 | @/boot.sh --kernel debug --timeout 500 --with e1000e /lab/selftests/cpr/devices.sh
		long/root-disk           | 2 | @/boot.sh --kernel 7.3 --initrd initramfs-tools --append cpr_handover.region=1G!4G /lab/e2e/root-disk.sh
		long/initramfs-tools     | 2 | @/boot.sh --kernel 6.12 --initrd initramfs-tools --append cpr_handover.region=1G!4G /lab/e2e/initramfs.sh
		long/dracut              | 2 | @/boot.sh --kernel 7.3 --initrd dracut --append cpr_handover.region=1G!4G /lab/e2e/initramfs.sh
		long/vfio-7.3-6.12       | 2 | @/boot.sh --kernel 7.3 --timeout 400 --with nvme --with igb --with nvme /lab/e2e/vfio.sh 6.12 split=0000:00:02.0+slot1 vf=vf2 asleep=slot3
		long/vfio-adversity-6.12 | 1 | @/boot.sh --kernel 6.12 --timeout 600 --with e1000e --with empty /lab/e2e/vfio-adversity.sh
		long/vfio-amd            | 2 | @/boot.sh --kernel 7.3 --iommu amd --timeout 200 /lab/e2e/vfio.sh 6.12 nic=0000:00:02.0
		long/vfio-virtio         | 2 | @/boot.sh --kernel 6.12 --iommu virtio --timeout 300 --with nvme /lab/e2e/vfio.sh 7.3 both=0000:00:02.0+slot1
	EOF
}

wanted() {
	local name=$1 prefix
	shift
	if [ $# -eq 0 ]; then
		[[ $name != long/* ]]
		return
	fi
	for prefix; do
		[[ $name != "$prefix"* ]] || return 0
	done
	return 1
}

# The script in COMMAND that has the layer's test points, or whose Makefile is named there.
scenario() { # COMMAND
	local word
	for word in $1; do
		word=${word/#\/lab\//tools\/testing\/}
		[[ $word == tools/testing/* ]] || continue
		if [ -f "$word" ]; then
			echo "$word"
		elif [ -f "$word/run.sh" ]; then
			echo "$word/run.sh"
		fi
		return
	done
}

# Counts a layer's test points. A layer that exits with an error, or has no test point,
# counts as a failure, if no point has failed.
count() { # LOG STATUS
	local points bad skips
	points=$(grep -cE '^(not )?ok\b' "$1")
	bad=$(grep -cE '^not ok\b' "$1")
	skips=$(grep -ciE '^ok\b.*# SKIP' "$1")
	if [ "$bad" -eq 0 ] && { [ "$2" -ne 0 ] || [ "$points" -eq 0 ]; }; then
		echo "not ok - the layer exits with $2 after $points test points"
		bad=1
		points=$((points + 1))
	fi
	layer_passed=$((points - bad - skips)) layer_failed=$bad layer_skipped=$skips
}

row() { # NAME PASSED FAILED SKIPPED SECONDS
	printf '# %-26s %5d passed %4d failed %4d skipped %6d s\n' "$@"
}

# Returns the command's status; its output goes to LOG, too.
try() { # COMMAND LOG
	(eval "$1") </dev/null | tee "$2"
	return "${PIPESTATUS[0]}"
}

# Writes the layer's counts, its seconds, and how often its L1 was lost to RESULT.
#
# A layer whose L1 is lost by emulation (status 75) is run again, twice at most, and not when
# it has taken long already. L1 then has one CPU: what is lost is lost in what the CPUs do at
# the same time, see testing.md.
run_layer() { # NAME CORES COMMAND RESULT
	local name=$1 cores=$2 command=$3 result=$4 started=$SECONDS lost=0
	local status again script promise
	script=$(scenario "$command")
	promise=$([ -z "$script" ] || tools/testing/promise.sh "$script" 2>/dev/null)
	[ -z "$promise" ] || echo "# $name: $promise"
	# Each layer has its own logs.
	command=${command//@\/boot.sh/@\/boot.sh --results build/lab/results/${name//\//-} --cpus $cores}
	command=${command//@/tools/testing/vm}
	echo "# $name: $command"
	for again in 'once more' 'once more, for the last time' ''; do
		try "$command" "$result.log"
		status=$?
		[ $status -eq 75 ] && [ -n "$again" ] && [ $((SECONDS - started)) -lt 1200 ] || break
		echo "# $name: emulation has lost L1; the layer is run $again, with one CPU"
		command=${command/--cpus $cores/--cpus 1}
		lost=$((lost + 1))
	done
	count "$result.log" $status
	echo "$layer_passed $layer_failed $layer_skipped $((SECONDS - started)) $lost" >"$result"
	row "$name" "$layer_passed" "$layer_failed" "$layer_skipped" $((SECONDS - started))
}

results=$(mktemp -d)
declare -A name_of cores_of
busy=0

# A layer that runs beside others has a process group of its own, to be ended as a whole.
end_all() {
	local pid
	for pid in "${!name_of[@]}"; do
		kill -TERM -- "-$pid" 2>/dev/null
	done
	rm -rf "$results"
}
trap end_all EXIT
trap 'exit 130' INT TERM

result_of() { # NAME
	echo "$results/${1//\//-}"
}

# Waits until a layer has ended, and prints what it has printed.
finish_one() {
	local pid
	wait -n -p pid
	cat "$(result_of "${name_of[$pid]}").out"
	busy=$((busy - cores_of[$pid]))
	unset "name_of[$pid]" "cores_of[$pid]"
}

begin() { # NAME CORES COMMAND
	local result
	result=$(result_of "$1")
	set -m
	run_layer "$@" "$result" >"$result.out" 2>&1 &
	set +m
	name_of[$!]=$1
	cores_of[$!]=$2
	busy=$((busy + $2))
}

list=()
while read -r line; do
	! wanted "${line%% *}" "$@" || list+=("$line")
done < <(layers)

# A layer that takes all cores, or is the only one, prints at once.
all_cores=$(nproc)
[ ${#list[@]} -gt 1 ] || all_cores=1
for line in "${list[@]}"; do
	IFS='|' read -r name cores command <<<"$line"
	name=${name%% *} cores=${cores// } command=${command# }
	while [ $busy -gt 0 ] && [ $((busy + cores)) -gt "$all_cores" ]; do
		finish_one
	done
	if [ "$cores" -ge "$all_cores" ]; then
		run_layer "$name" "$cores" "$command" "$(result_of "$name")"
	else
		begin "$name" "$cores" "$command"
	fi
done
while [ $busy -gt 0 ]; do
	finish_one
done

passed=0 failed=0 skipped=0 lost=0
echo "#"
for line in "${list[@]}"; do
	name=${line%% *}
	# A layer that was killed has no result, and counts as a failure.
	read -r -a result 2>/dev/null <"$(result_of "$name")" || result=(0 1 0 0 0)
	row "$name" "${result[@]:0:4}"
	passed=$((passed + result[0]))
	failed=$((failed + result[1]))
	skipped=$((skipped + result[2]))
	lost=$((lost + result[4]))
done
row "all layers" $passed $failed $skipped $SECONDS
[ $lost -eq 0 ] || echo "# runs in which emulation lost L1: $lost"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
