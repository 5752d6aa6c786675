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

# A host that has just come up, with this command line.
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

# loads DESCRIPTION, leaves DESCRIPTION: it asks for the module, or does nothing.
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

# ---- when ----
host 'quiet'
leaves 'a host without a region'
host 'memmap=64M$1G memmap=8G'
leaves 'a memmap= that keeps no region'
host 'quiet -- memmap=1G!4G'
leaves 'a memmap= that is for init'
host 'cpr_handover.hold=0'
leaves 'another parameter'
host 'cpr_handover.region='
leaves 'a region without a value'
host '* memmap=1G!4G'
loads 'a memmap= that keeps one'
says 'it says so' '<6>cpr-handover: cpr_handover is loaded from the initramfs'
host 'memmap=64M$1G,1G!4G quiet'
loads 'the second of a list'
host 'cpr_handover.region=1G!4G'
loads 'region= on the command line'
host 'cpr-handover.region=1G!4G'
loads 'spelled with a dash'
host ''
option etc/modprobe.d/cpr.conf '# options cpr_handover region=1G!4G' 'options cpr_handover hold=0'
leaves 'no region= in modprobe.d'
option etc/modprobe.d/cpr.conf 'options cpr_handover hold=1 region=1G!4G'
loads 'region= in modprobe.d'
host ''
option usr/lib/modprobe.d/cpr.conf 'options cpr-handover \' 'region=1G!4G'
loads 'a line that is continued'

# ---- what it says when it fails, and that the boot goes on ----
host 'memmap=1G!4G'
modprobe_does 'echo "modprobe: ERROR: could not insert it: No such device" >&2; exit 1'
loads 'a module that does not load'
says 'that is an error' '<3>cpr-handover: cannot load cpr_handover: modprobe: ERROR: could not insert it: No such device; drivers of the host may take devices of held guests'
host 'memmap=1G!4G'
rm "$root/sbin/modprobe"
if boot; then result ok 'no modprobe at all'; else result 'not ok' 'no modprobe at all'; fi
says 'that is one, too' '<3>cpr-handover: cannot load cpr_handover'
host 'memmap=1G!4G modprobe.blacklist=cpr_handover'
modprobe_does true
loads 'a module that is blacklisted'
says 'that is told' '<4>cpr-handover: cpr_handover is blacklisted and was not loaded'
host 'memmap=1G!4G'
mkdir -p "$root/run/udev"
: >"$root/run/udev/control"
loads 'udev that runs already'
says 'that is told, too' '<4>cpr-handover: udev ran before this'
host 'memmap=1G!4G'
mkdir -p "$root/run/udev" "$root/run/systemd/system"
: >"$root/run/udev/control"
loads 'the socket that systemd has for it'
if grep -q 'udev ran' "$root/dev/kmsg"; then
	result 'not ok' 'does not count'
else
	result ok 'does not count'
fi

# ---- as initramfs-tools sees it ----
if [ -x "$script" ] && [ -z "$("$script" prereqs)" ]; then
	result ok 'it has no prerequisites'
else
	result 'not ok' 'it has no prerequisites'
fi
if [ "$(printf '%s\n' "${script##*/}" udev | LC_ALL=C sort | head -n 1)" != udev ]; then
	result ok 'its name is before udev'
else
	result 'not ok' 'its name is before udev'
fi

echo "1..$count"
[ $failed -eq 0 ]
