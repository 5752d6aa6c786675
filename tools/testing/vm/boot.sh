#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# boot.sh [OPTION...] SCRIPT [ARGUMENT...] - boots L1, runs SCRIPT (a path in L1) there, and
# prints SCRIPT's standard output. Exits with 0 only if the run has passed, and with 75 if
# emulation has lost L1.
#
#   --kernel 6.12|7.3|debug   the kernel to boot (6.12)
#   --mem SIZE                memory of L1 (4G)
#   --cpus N                  CPUs of L1 (2)
#   --append TEXT             more words for the kernel command line
#   --initrd MAKER            initramfs-tools or dracut: boot with the initramfs that L1
#                             itself would make, instead of the lab's own; L1 has it as
#                             /results/initrd, too
#   --with DEVICE             nvme, igb, e1000e or empty: one more slot with this device,
#                             alone in its IOMMU group; may repeat
#   --disk ARTEFACT           one more disk, read-only, with the artefact's disk.img, and
#                             the artefact's name as its serial number
#   --iommu KIND              intel, amd, virtio or none (intel)
#   --timeout SECONDS         of a fast machine (240)
#   --results DIR             directory for logs (build/lab/results/KERNEL-SCRIPT)
#   --accel auto|tcg|kvm      (auto)
#
# CPR_TIMEOUT_SCALE: how much slower this machine is than a fast one (1).
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"
# shellcheck source-path=SCRIPTDIR
. "$vm_dir/splat.sh"

kernel=6.12 mem=4G cpus=2 append='' timeout=240 results='' accel=auto maker='' iommu=intel devices=() disk=''
while [ $# -gt 0 ]; do
	case $1 in
	--kernel) kernel=$2 ;;
	--mem) mem=$2 ;;
	--cpus) cpus=$2 ;;
	--append) append=$2 ;;
	--initrd) maker=$2 ;;
	--with) devices+=("$2") ;;
	--timeout) timeout=$2 ;;
	--disk) disk=$2 ;;
	--results) results=$2 ;;
	--accel) accel=$2 ;;
	--iommu) iommu=$2 ;;
	-*) die "unknown option $1" ;;
	*) break ;;
	esac
	shift 2
done
[ $# -gt 0 ] || die "usage: boot.sh [OPTION...] SCRIPT [ARGUMENT...]"

"$vm_dir/image.sh"
accel=$("$vm_dir/accel.sh" "$accel")
script=${1##*/}
results=${results:-$lab_dir/results/$kernel-${script%.sh}}
rm -rf "$results"
mkdir -p "$results"
results=$(cd "$results" && pwd)

read -r _ version vmlinuz initrd < <(grep "^${kernel//./\\.} " "$lab_dir/kernels") ||
	die "L1 has no kernel $kernel, only: $(cut -d' ' -f1 "$lab_dir/kernels" | paste -sd' '); the debug kernel comes with 'install.sh debug-kernel'"

if [ -n "$maker" ]; then
	initrd=$("$vm_dir/initramfs.sh" "$maker" "$kernel")
	cp "$initrd" "$results/initrd"
fi

# Emulation is several times slower, and so is a kernel with all its checks, or one CPU.
scale=${CPR_TIMEOUT_SCALE:-1}
[ "$accel" = kvm ] || scale=$((scale * 3))
[ "$kernel" != debug ] || scale=$((scale * 3))
[ "$cpus" -gt 1 ] || scale=$((scale * 2))
timeout=$((timeout * scale))

cat >"$results/payload" <<EOF
run=($(printf '%q ' "$@"))
CPR_SCALE=$scale
CPR_TIMEOUT_SCALE=$scale
CPR_KERNEL=$kernel
EOF

cmdline="console=ttyS0 loglevel=5 printk.time=1 log_buf_len=1M panic=-1 root=/dev/vda rw intel_iommu=on memmap=1G!4G"
# A steady tick: emulation can lose the interrupt in which a tickless kernel programs the
# next one, and that CPU's timer then stops for ever; see testing.md.
cmdline+=" nohz=off highres=off"
# Guests have no SVM of their own: KVM would keep a guest's global interrupt flag in the
# VMCB then, where emulation has lost it; see testing.md.
cmdline+=" kvm_amd.nested=0 kvm_amd.vgif=0"
# While booting, L1 counts ticks in a loop, and panics if a busy host has delivered too few.
cmdline+=" no_timer_check"
# On an NMI, which comes when the time is over, L1 prints what it is doing, even if its
# timers have stopped: tasks, blocked tasks, timers and the stacks of all CPUs.
cmdline+=" unknown_nmi_panic panic_print=0xc5"
# Nothing runs on after an oops, only to hang on what the dead task has locked.
cmdline+=" oops=panic"
# KASAN takes each address for a wild one while the kernel, with an interrupt in between,
# reads its CPU's features anew, 5-level paging among them.
[ "$kernel" != debug ] || cmdline+=" panic_on_warn=1 no5lvl"
# Otherwise systemd in the initramfs would start L1's systemd instead of l1-init.
[ -z "$maker" ] || cmdline+=" init=/sbin/init"
cmdline+=${append:+ $append}

# A PC with an IOMMU. The NIC at 00:02.0 is alone in its IOMMU group. L1 has QEMU's own
# monitor on the port cpr.monitor: this QEMU is both ends of the socket.
# shellcheck disable=SC2054 # these commas are QEMU's
machine=(
	-M "q35,accel=$accel,kernel-irqchip=split" -cpu max -smp "$cpus" -m "$mem"
	-nodefaults -no-user-config -no-reboot -display none
	-kernel "$vmlinuz" -initrd "$initrd" -append "$cmdline"
	-serial "file:$results/console.log" -d cpu_reset -D "$results/resets.log"
	-netdev user,id=net,restrict=on -device e1000e,netdev=net,addr=02.0
	-drive "file=$lab_dir/l1.img,format=raw,if=none,id=disk,snapshot=on,cache=unsafe"
	-device virtio-blk-pci,drive=disk
	-fsdev "local,id=results,path=$results,security_model=none"
	-device virtio-9p-pci,fsdev=results,mount_tag=results
	-device virtio-serial-pci -chardev file,id=verdict,path=/dev/stdout
	-device virtserialport,chardev=verdict,name=cpr.verdict
	-chardev socket,id=monitor,path=monitor,server=on,wait=off -mon chardev=monitor,mode=control
	-chardev socket,id=asks,path=monitor -device virtserialport,chardev=asks,name=cpr.monitor
	-chardev pipe,id=late,path=late -mon chardev=late,mode=readline
)

if [ -n "$disk" ]; then
	"$vm_dir/install.sh" "$disk"
	machine+=(
		-drive "file=$("$vm_dir/install.sh" path "$disk")/disk.img,format=raw,if=none,id=artefact,readonly=on"
		-device "virtio-blk-pci,drive=artefact,serial=$disk"
	)
fi

# shellcheck disable=SC2054 # as above
case $iommu in
intel) machine+=(-device intel-iommu,intremap=on,caching-mode=off) ;;
amd) machine+=(-device amd-iommu,intremap=on) ;;
virtio) machine+=(-device virtio-iommu-pci) ;;
none) ;;
*) die "no IOMMU is called '$iommu'" ;;
esac

# Each device has the ID in-N and is alone behind a root port, slot-N, at 00:1N.0. An empty
# slot has a network and a disk, too, for a device that is plugged later.
slot=0
for device in "${devices[@]}"; do
	slot=$((slot + 1))
	truncate -s 64M "$results/disk-$slot"
	machine+=(
		-device "pcie-root-port,id=slot-$slot,addr=1$slot.0,slot=$slot,chassis=$slot"
		-netdev "user,id=net-$slot,restrict=on"
		-blockdev "driver=file,node-name=disk-$slot,filename=$results/disk-$slot"
	)
	place=id=in-$slot,bus=slot-$slot
	case $device in
	nvme) machine+=(-device "nvme,$place,serial=cpr-$slot,drive=disk-$slot") ;;
	igb | e1000e) machine+=(-device "$device,$place,netdev=net-$slot,mac=52:54:00:00:01:0$slot") ;;
	empty) ;;
	*) die "no device is called '$device'" ;;
	esac
done

# When the time is over: have L1 print what it is doing, which ends L1.
ask_when_late() {
	sleep "$timeout" &
	# shellcheck disable=SC2064 # this sleep
	trap "kill $!; exit" TERM
	wait $!
	echo "$timeout" >"$results/was-late"
	echo nmi 1<>"$results/late.in"
}

cd "$results"
mkfifo late.in late.out
ask_when_late </dev/null >/dev/null 2>&1 &
late=$!
trap 'kill $late 2>/dev/null || true; rm -f "$results"/late.in "$results"/late.out' EXIT

# In the foreground, so that Ctrl-C reaches QEMU.
status=0
timeout --foreground -k 10 $((timeout + 20 * scale)) "$vm_dir/toolbox.sh" qemu-system-x86_64 "${machine[@]}" \
	</dev/null 2>"$results/qemu.log" |
	tee "$results/verdict" | sed -u '/^verdict: /d' || status=${PIPESTATUS[0]}

# Print why the run has failed, or nothing.
verdict() {
	local last
	last=$(tail -n 1 "$results/verdict")
	if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
		echo "timeout after $timeout s, and L1 did not print what it was doing"
	elif [ -e "$results/was-late" ]; then
		echo "timeout after $timeout s; the console has what L1 was doing"
	elif [ "$status" -ne 0 ]; then
		echo "QEMU exits with $status"
	elif splats "$results/console.log" >"$results/splats"; then
		echo "the console has a splat"
	elif grep -q '^not ok' "$results/verdict" || [ "$last" = "verdict: fail" ]; then
		echo "a test point failed"
	elif [ "$last" != "verdict: pass" ]; then
		echo "L1 ended without a verdict"
	fi
}

# Emulation has lost L1: no test point failed, and L1 stopped, or the end of a kernel stack
# was overwritten, or L1 had no stack left to report that. See testing.md.
lost() {
	[ "$accel" = tcg ] && ! grep -q '^not ok' "$results/verdict" &&
		{ [ -e "$results/was-late" ] || grep -q '^Triple fault' "$results/resets.log" ||
			grep -aq 'corrupted stack end detected' "$results/console.log"; }
}

reason=$(verdict)
if [ -n "$reason" ]; then
	say "the end of the console:"
	tail -n 30 "$results/console.log" >&2
	cat "$results/qemu.log" >&2
	say "logs: $results"
	say "FAILED on $version: $*: $reason"
	! lost || exit 75
	exit 1
fi
