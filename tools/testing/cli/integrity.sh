# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# A VM is restored only from the manifest, the state and the memory that were sealed.
#
# Needs VMs, see vms.sh.

# The module's digests of a VM: "MANIFEST RAM".
digests_of() { cat "$CPR_FAKE/digests.$1" 2>/dev/null; }
# The digest of memory of 32 MiB: of its size, and of the digest of its only chunk.
ram_digest() { # FILE
	printf '\0\0\0\2\0\0\0\0%b' "$(xxh3 "$1" | sed 's/../\\x&/g')" >"$tmp/list"
	xxh3 "$tmp/list"
}
# Kill the VM's QEMU in postmigrate, and have restore seal the VM and then fail.
seal_only() { # NAME
	kill_qemu "$1"
	echo 'not yet' >"$CPR_FAKE/fail-claim"
	call restore "$1"
	rm "$CPR_FAKE/fail-claim"
	state_is "$1" sealed
}
poke() { printf '%b' "$3" | dd of="/run/cpr/$1" bs=1 seek="$2" conv=notrunc status=none; } # FILE OFFSET BYTES
still_sealed() { state_is i sealed && [ "$(digests_of i)" = "$digests" ]; }
changed_manifest="cpr-helper: manifest '/run/cpr/i/manifest.json': its digest is not the one that was sealed"
changed_memory="cpr-helper: memory of VM 'i': its digest is not the one that was sealed"

integrity_tests() {
	local digests before state free=$((16 << 20)) # where the guest has nothing

	start i
	call save i
	holds 'a save without --digest-ram' manifest i "'digest_ram' not in m and 'digest_ram' not in m['saved']"
	holds 'a running or saved VM has no digests' test -z "$(digests_of i)"
	json 'nor shows any' "o['vm']['digests'] is None" show i
	holds 'it is sealed' seal_only i
	digests=$(digests_of i)
	holds 'with a digest of the manifest alone' grep -qx '[0-9a-f]\{32\} - ' <<<"$digests"
	json 'which is shown' "o['vm']['digests'] == {'manifest': 'xxh3-128:${digests% - }', 'ram': None}" show i
	holds 'it is the one of all bytes of the file' test "$digests" = "$(xxh3 /run/cpr/i/manifest.json) - "
	call restore i
	holds 'it is restored' test "$status" = 0
	holds 'then the digests are gone' test -z "$(digests_of i)"

	json 'save --digest-ram' "o['vms'][0]['ok']" save i --digest-ram
	holds 'is remembered' manifest i "m['saved']['digest_ram'] is True"
	holds 'and sealed' seal_only i
	digests=$(digests_of i)
	holds 'with the digest of the memory' test "$(cut -d ' ' -f 2 <<<"$digests")" = "$(ram_digest /run/cpr/i/ram0)"
	call show i
	holds 'show tells both, in words' grep -q '^sealed manifest: *xxh3-128:[0-9a-f]\{32\}$' <<<"$out"
	holds 'each' grep -q '^sealed RAM: *xxh3-128:[0-9a-f]\{32\}$' <<<"$out"

	section 'changes after the seal'
	cp /run/cpr/i/manifest.json "$tmp/manifest"
	cp /run/cpr/i/state "$tmp/state"
	before=$(counted i)
	sed -i 's/"runstate": *"running"/"runstate":"paused"/' /run/cpr/i/manifest.json
	refuses 'a manifest that was edited' 1 "$changed_manifest" restore i
	cp "$tmp/manifest" /run/cpr/i/manifest.json
	echo >>/run/cpr/i/manifest.json
	refuses 'a manifest with a line more' 1 "$changed_manifest" restore i
	echo '{' >/run/cpr/i/manifest.json
	refuses 'one that is no JSON is not even read' 1 "$changed_manifest" restore i
	json 'in JSON' "o['error']['what'] == 'manifest' and o['error']['code'] == 1" restore i
	rm /run/cpr/i/manifest.json
	refuses 'none' 1 "cpr-helper: cannot read '/run/cpr/i/manifest.json': No such file or directory" restore i
	cp "$tmp/manifest" /run/cpr/i/manifest.json
	poke i/state 5000 X
	call restore i
	holds 'a state that was edited' test "$status" = 1
	holds 'is told with its place' grep -q "^cpr-helper: state file '/run/cpr/i/state': at byte [0-9]*, in " <<<"$err"
	state=$(xxh3 /run/cpr/i/state)
	sed -i "s/xxh3-128:[0-9a-f]*/xxh3-128:$state/" /run/cpr/i/manifest.json
	refuses 'a state and its digest in the manifest' 1 "$changed_manifest" restore i
	cp "$tmp/manifest" /run/cpr/i/manifest.json
	cp "$tmp/state" /run/cpr/i/state
	cp /run/cpr/i/ram0 "$tmp/ram0"
	poke i/ram0 $free X
	refuses 'memory that has changed' 1 "$changed_memory" restore i
	truncate -s 31M /run/cpr/i/ram0
	refuses 'memory that is shorter' 1 "cpr-helper: memory file '/run/cpr/i/ram0': it has 32505856 bytes, and should have 33554432" restore i
	cp "$tmp/ram0" /run/cpr/i/ram0
	holds 'it is sealed after all of that, with the same digests' still_sealed

	section 'restore fails after the claim'
	: >"$CPR_FAKE/log"
	echo 'broken' >"$CPR_FAKE/fail-pin"
	refuses 'a restore that fails' 1 "cpr-helper: VM 'i': kernel: broken" restore i
	rm "$CPR_FAKE/fail-pin"
	holds 'the VM was claimed and unclaimed' test "$(tr '\n' ';' <"$CPR_FAKE/log")" = 'claim i;unclaim i;'
	holds 'its digests are what they were' test "$(digests_of i)" = "$digests"
	# What QEMU and its KVM, and the verdict on devices, leave behind.
	sed -i 's/^[a-z]*/restoring/' "$CPR_FAKE/vm.i"
	poke i/ram0 $free '\1'
	echo >>/run/cpr/i/manifest.json
	echo 'not yet' >"$CPR_FAKE/fail-claim"
	call restore i
	rm "$CPR_FAKE/fail-claim"
	holds 'a restore that was cut off is undone' state_is i sealed
	holds 'with the digest of the memory as it is' test "$(digests_of i | cut -d ' ' -f 2)" = "$(ram_digest /run/cpr/i/ram0)"
	holds 'and of the manifest' test "$(digests_of i | cut -d ' ' -f 1)" = "$(xxh3 /run/cpr/i/manifest.json)"
	poke i/ram0 $free '\2'
	refuses 'it still protects' 1 "$changed_memory" restore i
	poke i/ram0 $free '\1'
	# A kernel that ended while the VM was restoring: the module has dropped it.
	sed -i 's/ [0-9a-f]* $/ - /' "$CPR_FAKE/digests.i"
	call restore i
	holds 'memory whose digest is not known any more' test "$status" = 0
	holds 'is restored with a note' grep -q "^cpr-helper: note: VM 'i': its memory is not compared: a kernel ended while it was being restored, or a page had a memory error$" <<<"$err"
	holds 'the guest goes on' counts_on i "$before"
	holds 'nothing is left of it' manifest i "'digest_ram' not in m and 'saved' not in m"

	section 'paused guest'
	qmp i '{"execute": "stop"}' >/dev/null
	call save i
	call abort i
	call save i --digest-ram
	holds 'a second save with --digest-ram' manifest i "m['saved']['digest_ram'] is True"
	echo 'no seal today' >"$CPR_FAKE/fail-seal"
	holds 'a seal that is refused' fails seal_only i
	rm "$CPR_FAKE/fail-seal"
	holds 'leaves no digests' test -z "$(digests_of i)"
	call restore i
	holds 'it is restored all the same' state_is i running paused
	end i
}
fails() { ! "$@"; }

# A page of the guest's memory that nobody can read any more.
memory_error_tests() {
	local before page=$((16 << 20))

	section 'a page with a memory error'
	start i
	echo 1 >"$CPR_FAKE/bad.i"
	refuses 'save --digest-ram of it' 4 "cpr-helper: --digest-ram 'i': memory errors in 1 of its pages, which cannot be read" save i --digest-ram
	holds 'its guest runs on' counts i
	rm "$CPR_FAKE/bad.i"
	call save i --digest-ram
	before=$(counted i)
	echo 1 >"$CPR_FAKE/bad.i"
	echo $((page + 4096)) >"$CPR_FAKE/unreadable"
	kill_qemu i
	call abort i
	holds 'a page that fails before the seal: the VM goes on' test "$status" = 0
	holds 'the page is named' grep -q "^cpr-helper: note: VM 'i': its memory is not compared: memory file '/run/cpr/i/ram0': page 4097, at byte 16781312, cannot be read: memory error$" <<<"$err"
	holds 'with the memory it had' counts_on i "$before"
	rm "$CPR_FAKE/unreadable" "$CPR_FAKE/bad.i"
	call save i --digest-ram
	before=$(counted i)
	seal_only i
	echo $((page + 4096)) >"$CPR_FAKE/unreadable"
	refuses 'a page that cannot be read, without a memory error' 1 "cpr-helper: memory file '/run/cpr/i/ram0': page 4097, at byte 16781312, cannot be read: memory error" restore i
	holds 'leaves it sealed' state_is i sealed
	echo 1 >"$CPR_FAKE/bad.i"
	call restore i
	holds 'a page that fails after the seal: the VM goes on' test "$status" = 0
	holds 'that page is named as well' grep -q 'its memory is not compared: .*: page 4097, at byte 16781312' <<<"$err"
	holds 'it goes on with the memory it had' counts_on i "$before"
	rm "$CPR_FAKE/unreadable" "$CPR_FAKE/bad.i"
	end i
}

if [ -z "${CPR_FAKE:-}" ]; then
	skip 'integrity' 'see VMs'
else
	integrity_tests
	memory_error_tests
fi
