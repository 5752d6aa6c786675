# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# No guest comes back without the taps, bridges and sockets that it had.
#
# Needs VMs, see vms.sh. The taps are in a network namespace of their own.

netns=/run/netns/cpr-needs
# COMMAND WORD...: as ip(8), which need not be here: tap NAME, bridge NAME, gone NAME, up NAME,
# down NAME, into BRIDGE NAME, out-of BRIDGE NAME.
links() {
	nsenter --net=$netns python3 - "$@" <<-'EOF'
		import fcntl, os, socket, struct, sys
		what, *names = sys.argv[1:]
		s = socket.socket()
		def tap(persist):
		    f = os.open("/dev/net/tun", os.O_RDWR)
		    fcntl.ioctl(f, 0x400454ca, struct.pack("16sH22x", names[0].encode(), 0x1002))
		    fcntl.ioctl(f, 0x400454cb, persist)
		def up(yes):
		    request = struct.pack("16sH22x", names[0].encode(), 0)
		    flags = struct.unpack("16sH22x", fcntl.ioctl(s, 0x8913, request))[1]
		    flags = flags | 1 if yes else flags & ~1
		    fcntl.ioctl(s, 0x8914, struct.pack("16sH22x", names[0].encode(), flags))
		def port(request):
		    index = socket.if_nametoindex(names[1])
		    fcntl.ioctl(s, request, struct.pack("16si20x", names[0].encode(), index))
		{"tap": lambda: tap(1), "gone": lambda: tap(0),
		 "bridge": lambda: fcntl.ioctl(s, 0x89a0, names[0].encode() + b"\0"),
		 "up": lambda: up(True), "down": lambda: up(False),
		 "into": lambda: port(0x89a2), "out-of": lambda: port(0x89a3)}[what]()
	EOF
}
# WHAT WHY COMMAND: restore refuses VM "n", and says by which command it would not.
restore_lacks() {
	refuses "${1#* }: restore --dry-run" 4 "cpr-helper: $1: $2" restore n --dry-run
	refuses "${1#* }: restore" 4 "cpr-helper: $1: $2" restore n
	holds "${1#* }: the remedy" grep -qF "  remedy: $3, by hand or by a hook; or '--force " <<<"$err"
}

taps_tests() {
	local ip='ip -n cpr-needs'
	section 'taps'
	mkdir -p /run/netns
	touch $netns
	if ! unshare --net=$netns true || ! links tap t0 || ! links bridge b0; then
		skip 'taps and bridges' 'they cannot be made here'
		rm -f $netns
		return
	fi
	links bridge b1
	links into b0 t0
	links up t0
	holds 'run' nsenter --net=$netns "$helper" run n --ram 32M -- "${qemu[@]}" \
		-netdev tap,id=n0,ifname=t0,script=no,downscript=no -device virtio-net-pci,netdev=n0,romfile=
	holds 'save' "$helper" save n
	holds 'they are on record' manifest n "m['needs'] == [
		{'kind': 'tap', 'name': 't0', 'bridge': 'b0', 'up': True,
		 'persistent': True, 'multi_queue': False}]"
	next_host n
	links down t0
	restore_lacks "tap 't0'" 'it is down' "'$ip link set t0 up'"
	links out-of b0 t0
	restore_lacks "tap 't0'" "it was in 'b0', and is in no bridge" "'$ip link set t0 master b0'"
	links into b1 t0
	restore_lacks "tap 't0'" "it was in 'b0', and is in 'b1'" "'$ip link set t0 master b0'"
	links gone t0
	restore_lacks "tap 't0'" "it does not exist, and was in 'b0'" \
		"'$ip tuntap add t0 mode tap && $ip link set t0 master b0 && $ip link set t0 up'"
	links bridge t0
	restore_lacks "tap 't0'" 'an interface that is no tap has its name' \
		"'$ip tuntap add t0 mode tap && $ip link set t0 master b0 && $ip link set t0 up'"
	umount $netns
	unshare --net=$netns true
	links bridge b0
	refuses 'what the guest never had' 3 "cpr-helper: --force 't1': the guest has no such disk" restore n --force t1
	declare -f links >"$tmp/links"
	mkdir -p /etc/cpr-helper/hooks.d
	printf '#!/bin/bash\n[ "$1.$2" = restore.before ] || exit 0\nnetns=%s\n. %s\nlinks tap t0 && links into b0 t0 && links up t0\n' \
		$netns "$tmp/links" >/etc/cpr-helper/hooks.d/tap
	chmod 755 /etc/cpr-helper/hooks.d/tap
	call restore n --dry-run
	holds 'a dry run has none' test "$status" = 4
	holds 'and says so' grep -qx "cpr-helper: note: VM 'n': no hook has run, which may make what is missing" <<<"$err"
	call restore n
	holds 'a hook makes it' test "$status" = 0
	holds 'the guest runs' counts n
	rm -r /etc/cpr-helper/hooks.d
	call save n
	next_host n
	links out-of b0 t0
	call restore n --force t0
	holds '--force' test "$status" = 0
	end n
	links gone t0
	holds 'a tap that QEMU makes' nsenter --net=$netns "$helper" run n --ram 32M -- "${qemu[@]}" \
		-netdev tap,id=n0,ifname=t0,script=no,downscript=no -device virtio-net-pci,netdev=n0,romfile=
	holds 'is nothing of the host' "$helper" save n
	call abort n
	links into b0 t0
	refuses 'it ends with QEMU' 4 "cpr-helper: tap 't0': QEMU has made it, and it ends with QEMU" \
		save n
	holds 'the guest runs on' counts n
	end n
	umount $netns
	rm $netns
}

serve() { # PATH
	python3 -c "
import signal, socket
s = socket.socket(socket.AF_UNIX)
s.bind('$1')
s.listen()
s.accept()
signal.pause()" &
	server=$!
	soon test -S "$1"
}
sockets_tests() {
	local server path=$tmp/served
	section 'sockets'
	serve "$path"
	start n -- -chardev "socket,id=c,path=$path" -serial chardev:c \
		-chardev "socket,id=d,path=$tmp/none,reconnect-ms=5000" -chardev "socket,id=e,path=$tmp/own,server=on,wait=off"
	holds 'save' "$helper" save n
	holds 'the one that QEMU connects to is on record' manifest n "m['needs'] == [{'kind': 'socket', 'name': '$path'}]"
	next_host n
	kill "$server"
	wait "$server" 2>/dev/null
	restore_lacks "socket '$path'" 'no process listens there' 'start the process that serves the guest there'
	rm "$path"
	restore_lacks "socket '$path'" 'it does not exist' 'start the process that serves the guest there'
	serve "$path"
	call restore n --dry-run
	holds 'to look at it does not connect' test "$status" = 0
	call restore n
	holds 'restore' test "$status" = 0
	holds 'the guest runs' counts n
	end n
	kill "$server"
	wait "$server" 2>/dev/null
	rm "$path"
}

if [ -z "${CPR_FAKE:-}" ]; then
	skip 'what guests need' 'needs root and QEMU 9.1'
else
	taps_tests
	sockets_tests
fi
