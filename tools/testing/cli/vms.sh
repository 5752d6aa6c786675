# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# The parts with VMs have a real QEMU in common, and fake.c in the module's place.
#
# vms_world() sets CPR_FAKE if there are root and QEMU 10.0.
#
# The guest is a boot sector that counts in its memory, at 32 KiB; the memory is a file, so
# the test can read the count. A guest that started anew would count from 0.

qemu_version() { qemu-system-x86_64 --version 2>/dev/null | sed -n '1s/.*version \([0-9]*\)\.\([0-9]*\).*/\1 \2/p'; }
usable() {
	local major
	read -r major _ < <(qemu_version)
	[ "${major:-0}" -ge 10 ]
}

guest_image() { # FILE
	# Suspends to RAM (S3) when the byte at 8008h is set, by the port 604h that the
	# firmware gives to the power management of q35. It wakes at 7c20h if the
	# firmware finds that in the FACS, and has to give the port back then.
	#	xor ax,ax; mov ds,ax; mov dword [8000h],0; mov dword [8004h],0
	#	mov byte [8008h],0; jmp 1
	# 7c20:	cli; xor ax,ax; mov ds,ax
	#	mov dx,0cf8h; mov eax,8000f840h; out dx,eax
	#	mov dx,0cfch; mov eax,601h; out dx,eax
	#	mov dx,0cf8h; mov eax,8000f844h; out dx,eax
	#	mov dx,0cfch; mov al,80h; out dx,al
	# 1:	add dword [8000h],1; adc dword [8004h],0; cmp byte [8008h],0; je 1
	#	mov byte [8008h],0; mov dx,604h; mov ax,2400h; out dx,ax; jmp 1
	{
		printf '\x31\xc0\x8e\xd8\x66\xc7\x06\x00\x80\x00\x00\x00\x00\x66\xc7\x06\x04\x80\x00\x00\x00\x00\xc6\x06\x08\x80\x00\xeb\x2f\x00\x00\x00'
		printf '\xfa\x31\xc0\x8e\xd8\xba\xf8\x0c\x66\xb8\x40\xf8\x00\x80\x66\xef\xba\xfc\x0c\x66\xb8\x01\x06\x00\x00\x66\xef\xba\xf8\x0c\x66\xb8\x44\xf8\x00\x80\x66\xef\xba\xfc\x0c\xb0\x80\xee\x66'
		printf '\x83\x06\x00\x80\x01\x66\x83\x16\x04\x80\x00\x80\x3e\x08\x80\x00\x74\xed\xc6\x06\x08\x80\x00\xba\x04\x06\xb8\x00\x24\xef\xeb\xdf'
	} >"$1"
	truncate -s 510 "$1"
	printf '\x55\xaa' >>"$1"
	truncate -s 1M "$1"
}
qemu=(qemu-system-x86_64 -M q35,accel=tcg -display none -nodefaults
	-drive "file=$tmp/boot,format=raw,snapshot=on")
start() { # NAME [HELPER OPTION...] [-- QEMU OPTION...]
	local name=$1 options=()
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1"); shift; done
	call run "$name" --ram 32M "${options[@]}" -- "${qemu[@]}" "${@:2}"
	[ "$status" = 0 ] || complain "$err"
}
# The guest's count. QEMU writes the memory to a file if the VM is in copy mode.
counted() {
	local file=/run/cpr/$1/ram0
	if [ ! -e "$file" ]; then
		file=$tmp/memory
		rm -f "$file"
		qmp "$1" "{\"execute\": \"pmemsave\", \"arguments\":
			{\"val\": 0, \"size\": 32776, \"filename\": \"$file\"}}" >/dev/null
	fi
	od -An -tu8 -j32768 -N8 "$file" | tr -d ' '
}
counted_more() { [ "$(counted "$1")" -gt "$2" ]; } # NAME COUNT
counts_on() { soon counted_more "$1" "$2"; } # NAME COUNT: the guest counts beyond it
# On a busy machine a guest that runs may also count nothing for so long, so that this can
# miss an error, but not report a wrong one.
stands_still() { local a; a=$(counted "$1"); sleep 0.3; [ "$(counted "$1")" = "$a" ]; }
counts() { counts_on "$1" 0 && counts_on "$1" "$(counted "$1")"; }
qmp() { # NAME COMMAND: the reply
	python3 - "/run/cpr-helper/$1.qmp" "$2" <<-'EOF'
		import json, os, socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.settimeout(60 * float(os.environ["CPR_TIMEOUT_SCALE"]))
		s.connect(sys.argv[1])
		f = s.makefile("rw")
		f.readline()
		for command in '{"execute": "qmp_capabilities"}', sys.argv[2]:
		    f.write(command + "\n")
		    f.flush()
		    while True:
		        reply = json.loads(f.readline() or '{"return": "gone"}')
		        if "event" not in reply:
		            break
		print(json.dumps(reply))
	EOF
}
switch() { # NAME CAPABILITY true|false: whether QEMU does
	qmp "$1" "{\"execute\": \"migrate-set-capabilities\", \"arguments\": {\"capabilities\":
		[{\"capability\": \"$2\", \"state\": $3}]}}" | grep -q return
}
state_is() { # NAME MODULE-STATE [GUEST]
	"$helper" --json list | python3 -c "
import json, sys
vm = [v for v in json.load(sys.stdin)['vms'] if v['name'] == '$1'][0]
assert vm['state'] == '$2', vm
assert '${3:-}' == ((vm['qemu'] or {}).get('status') or ''), vm"
}
pid_of() { "$helper" --json list | python3 -c "
import json, sys
print([v for v in json.load(sys.stdin)['vms'] if v['name'] == '$1'][0]['qemu']['pid'])"; }
has_ended() { ! [ -d "/proc/$1" ]; } # PID
kill_qemu() { # NAME
	local pid
	pid=$(pid_of "$1") && kill -9 "$pid" && soon has_ended "$pid"
}
end() { # NAME: end its QEMU, and delete the VM
	kill_qemu "$1" 2>/dev/null
	"$helper" delete --force "$1" >/dev/null
}
# As after a kexec: a sealed VM is held.
next_kernel() { sed -i 's/^sealed/held/' "$CPR_FAKE"/vm.*; }
# The XXH3-128 of a file.
xxh3() { # FILE
	python3 - "$1" <<-'EOF'
		import ctypes, sys
		class Hash(ctypes.Structure):
		    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]
		xxh = ctypes.CDLL("libxxhash.so.0")
		xxh.XXH3_128bits.restype = Hash
		xxh.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
		data = open(sys.argv[1], "rb").read()
		h = xxh.XXH3_128bits(data, len(data))
		print("%016x%016x" % (h.high, h.low))
	EOF
}
# Record the digest of the manifest as it is now, as if the VM had been sealed with it.
reseal() { echo "$(xxh3 "/run/cpr/$1/manifest.json") - " >"$CPR_FAKE/digests.$1"; }
# A saved VM as the next kernel finds it: sealed, and its QEMU gone.
next_host() { # NAME
	kill_qemu "$1" || return
	sed -i 's/^saved/held/' "$CPR_FAKE/vm.$1"
	reseal "$1"
}
gone() { ! [ -e "/run/cpr/$1" ]; }
# Have another process map the memory of a VM; $hidden is its PID.
hide() { # NAME
	python3 -c "
import mmap, signal
file = open('/run/cpr/$1/ram0', 'r+b')
memory = mmap.mmap(file.fileno(), 4096)
file.close()
signal.pause()" &
	hidden=$!
	soon grep -q "/run/cpr/$1/ram0" "/proc/$hidden/maps"
}
manifest() { # NAME EXPRESSION of m
	python3 -c "
import json
m = json.load(open('/run/cpr/$1/manifest.json'))
assert ($2), m"
}

# Replace each FROM, in Python's escapes, by TO in the state of VM "a", and write the new
# size and digest to the manifest, as if the VM had been saved with that state.
forge() { # [FROM TO]...
	python3 - "$@" <<-'EOF'
		import sys
		state = open("/run/cpr/a/state", "rb").read()
		words = [w.encode().decode("unicode_escape").encode("latin1") for w in sys.argv[1:]]
		for old, new in zip(words[::2], words[1::2]):
		    assert state.count(old) == 1, (old, state.count(old))
		    state = state.replace(old, new)
		open("/run/cpr/a/state", "wb").write(state)
	EOF
	python3 - "$(xxh3 /run/cpr/a/state)" <<-'EOF'
		import json, os, sys
		m = json.load(open("/run/cpr/a/manifest.json"))
		m["saved"]["size"] = os.path.getsize("/run/cpr/a/state")
		m["saved"]["digest"] = "xxh3-128:" + sys.argv[1]
		json.dump(m, open("/run/cpr/a/manifest.json", "w"))
	EOF
	reseal a
}
# A kernel to boot: files in the usual places, a module with the right vermagic,
# and a command line that has the region.
kexec_world() {
	local dir=/lib/modules/9.9.9-cpr
	command -v gcc >/dev/null && command -v depmod >/dev/null || return 1
	mkdir -p /lib/modules && mount -t tmpfs tmpfs /lib/modules && mkdir -p $dir/extra || return 1
	for v in 9.9.9-cpr 9.9.8-cpr; do
		mkdir -p /lib/modules/$v/extra
		echo 'const char v[] __attribute__((section(".modinfo"))) = "vermagic=9.9.9-cpr SMP";' |
			gcc -x c -c - -o /lib/modules/$v/extra/cpr_handover.ko || return 1
		: >/lib/modules/$v/modules.order
		: >/lib/modules/$v/modules.builtin
		depmod $v 2>/dev/null || return 1
	done
	mkdir -p /lib/modules/9.9.7-cpr
	for v in 9.9.9 9.9.8 9.9.7; do : >/lib/modules/$v-cpr/vmlinuz; done
	printf 070701 >"$tmp/initrd"
	echo 'BOOT_IMAGE=/x root=/dev/vda1 memmap=1G!4G quiet' >"$tmp/cmdline"
	mount --bind "$tmp/cmdline" /proc/cmdline
}

# The map of a firmware, as in sysfs. TYPE FIRST LAST...: its entries.
firmware_map() {
	local n=0
	rm -rf "$tmp/firmware/"*
	for (( ; $#; n++)); do
		mkdir "$tmp/firmware/$n"
		echo "$1" >"$tmp/firmware/$n/type"
		echo "$2" >"$tmp/firmware/$n/start"
		echo "$3" >"$tmp/firmware/$n/end"
		shift 3
	done
}
firmware_world() {
	mkdir "$tmp/firmware"
	firmware_map 'System RAM' 0x0 0x1ffffffff
	mount --bind "$tmp/firmware" /sys/firmware/memmap 2>/dev/null
}

vms_world() {
	[ "$(id -u)" = 0 ] && usable || return 0
	helper=$CPR_HELPER_FAKE
	mkdir -p /run/cpr /run/cpr-helper /etc/cpr-helper
	mount -t tmpfs -o mode=755 tmpfs /etc/cpr-helper
	mount -t tmpfs -o size=256M tmpfs /run/cpr
	mount -t tmpfs tmpfs /run/cpr-helper
	export CPR_FAKE=$tmp/fake
	mkdir "$CPR_FAKE"
	: >"$CPR_FAKE/loaded"
	guest_image "$tmp/boot"
	firmware_world || true
	kexec_world || true
}
