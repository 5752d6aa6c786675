#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The initramfs loads the module if there is a region, reports failures, and the boot goes on.
#
# run.sh - runs the initramfs script in a root of its own, with a fake modprobe and busybox's
# shell; then checks what the order of the script depends on.
set -u

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
script=$here/../../../user/initramfs-tools/scripts/init-top/cpr-handover
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
count=0 failed=0

result() { # STATUS DESCRIPTION
	count=$((count + 1))
	[ "$1" = ok ] || failed=$((failed + 1))
	echo "$1 $count - $2"
}

# A root directory of a host that boots with this command line.
host() {
	rm -rf "${root:?}"/*
	mkdir -p "$root"/{bin,sbin,dev,etc/modprobe.d,proc,run,sys/module,usr/lib/modprobe.d}
	cp "$(command -v busybox)" "$root/bin/busybox"
	ln -s busybox "$root/bin/sh"
	ln -s busybox "$root/bin/cat"
	ln -s busybox "$root/bin/mkdir"
	cp "$script" "$root/load"
	: >"$root/dev/kmsg"
	echo "BOOT_IMAGE=/vmlinuz root=/dev/vda $1" >"$root/proc/cmdline"
	modprobe_does 'mkdir -p /sys/module/cpr_handover'
}

modprobe_does() {
	printf '#!/bin/sh\necho "$MODPROBE_OPTIONS $*" >/asked\n%s\n' "$1" >"$root/sbin/modprobe"
	chmod 755 "$root/sbin/modprobe"
}

option() { # FILE LINE...
	printf '%s\n' "${@:2}" >"$root/$1"
}

boot() { MODPROBE_OPTIONS=-qb chroot "$root" /bin/busybox env PATH=/bin /bin/sh /load; }

complain() { sed 's/^/#   /' "$root/dev/kmsg"; }

# loads DESCRIPTION, leaves DESCRIPTION: the script calls modprobe for the module, or does
# nothing.
loads() {
	if boot && [ "$(cat "$root/asked")" = ' -b cpr_handover' ]; then
		result ok "$1"
	else
		result 'not ok' "$1"
		complain
	fi
}

leaves() {
	if boot && [ ! -e "$root/asked" ] && [ ! -s "$root/dev/kmsg" ]; then
		result ok "$1"
	else
		result 'not ok' "$1"
		complain
	fi
}

says() { # DESCRIPTION TEXT
	if grep -qF -- "$2" "$root/dev/kmsg"; then
		result ok "$1"
	else
		result 'not ok' "$1"
		complain
	fi
}

# ---- when the script loads the module ----
host 'quiet'
leaves 'no region on the command line: nothing is done'
host 'memmap=64M$1G memmap=8G'
leaves 'memmap= without a region: nothing is done'
host 'quiet -- memmap=1G!4G'
leaves 'memmap= after --, for init: nothing is done'
host 'cpr_handover.hold=0'
leaves 'another parameter of the module: nothing is done'
host 'cpr_handover.region='
leaves 'region= without a value: nothing is done'
host '* memmap=1G!4G'
loads 'memmap= with a region: the module is loaded'
says 'the kernel log has a message' '<6>cpr-handover: cpr_handover is loaded from the initramfs'
host 'memmap=64M$1G,1G!4G quiet'
loads 'memmap= with a region that is second in a list: the module is loaded'
host 'cpr_handover.region=1G!4G'
loads 'region= on the command line: the module is loaded'
host 'cpr-handover.region=1G!4G'
loads 'region= with a dash in the name: the module is loaded'
host ''
option etc/modprobe.d/cpr.conf '# options cpr_handover region=1G!4G' 'options cpr_handover hold=0'
leaves 'no region= in modprobe.d: nothing is done'
option etc/modprobe.d/cpr.conf 'options cpr_handover hold=1 region=1G!4G'
loads 'region= in modprobe.d: the module is loaded'
host ''
option usr/lib/modprobe.d/cpr.conf 'options cpr-handover \' 'region=1G!4G'
loads 'region= in a line that is continued: the module is loaded'

host 'memmap=1G!4G elfcorehdr=0x5f000000'
leaves 'a crash kernel: nothing is done'
host 'elfcorehdr=1M@0x5f000000 cpr_handover.region=1G!4G'
leaves 'a crash kernel with region=: nothing is done'
host 'memmap=1G!4G -- elfcorehdr=1'
loads 'elfcorehdr= after --, for init: the module is loaded'

# ---- the message of each failure, and that the boot goes on ----
host 'memmap=1G!4G'
modprobe_does 'echo "modprobe: ERROR: could not insert it: No such device" >&2; exit 1'
loads 'the module does not load: the boot goes on'
says 'the module does not load: an error is logged' '<3>cpr-handover: cannot load cpr_handover: modprobe: ERROR: could not insert it: No such device; drivers of the host may take devices of held guests'
host 'memmap=1G!4G'
rm "$root/sbin/modprobe"
if boot; then result ok 'no modprobe: the boot goes on'; else result 'not ok' 'no modprobe: the boot goes on'; fi
says 'no modprobe: an error is logged' '<3>cpr-handover: cannot load cpr_handover'
host 'memmap=1G!4G modprobe.blacklist=cpr_handover'
modprobe_does true
loads 'the module is blacklisted: the boot goes on'
says 'the module is blacklisted: a warning is logged' '<4>cpr-handover: cpr_handover is blacklisted and was not loaded'
host 'memmap=1G!4G'
mkdir -p "$root/run/udev"
: >"$root/run/udev/control"
loads 'udev runs already: the module is loaded'
says 'udev runs already: a warning is logged' '<4>cpr-handover: udev ran before this'
host 'memmap=1G!4G'
mkdir -p "$root/run/udev" "$root/run/systemd/system"
: >"$root/run/udev/control"
loads 'systemd has a socket for udev: the module is loaded'
if grep -q 'udev ran' "$root/dev/kmsg"; then
	result 'not ok' 'systemd has a socket for udev: no warning is logged'
else
	result ok 'systemd has a socket for udev: no warning is logged'
fi

# ---- what initramfs-tools sees ----
if [ -x "$script" ] && [ -z "$("$script" prereqs)" ]; then
	result ok 'the script has no prerequisites'
else
	result 'not ok' 'the script has no prerequisites'
fi
if [ "$(printf '%s\n' "${script##*/}" udev | LC_ALL=C sort | head -n 1)" != udev ]; then
	result ok 'the name of the script is before udev'
else
	result 'not ok' 'the name of the script is before udev'
fi

echo "1..$count"
[ $failed -eq 0 ]
