# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# How long a guest was paused is reported in phases, and never as a wrong time.
#
# Needs VMs, see vms.sh. There is one kernel only: a kexec is made up by giving the time
# stamps in the manifest another boot ID.

# The phases of "pause" in an object, in order: NAME..., and their sum is the total.
pause_is() { # EXPRESSION CLOCK NAME...
	local pause=$1 clock=$2
	shift 2
	python3 -c "
import json
o = json.load(open('$tmp/out'))
p = $pause
assert p['clock'] == '$clock' and 'why' not in p, p
assert [f['name'] for f in p['phases']] == '$*'.split(), p
assert all(f['ms'] >= 0 for f in p['phases']), p
assert p['total_ms'] == sum(f['ms'] for f in p['phases']), p"
}
pauses() { # NAME EXPRESSION of p, the pauses kept for a report
	python3 -c "
import json
p = json.load(open('/run/cpr/$1/report.json'))['pauses']
assert ($2), p"
}
now_ms() { echo $(($(date +%s%N) / 1000000)); }
# Change the manifest `m` of the saved VM "p": r is its pause, marks the marks in it, hz the
# rate of the TSC if the TSC is steady.
edit() { # STATEMENT...
	python3 - "$@" <<-'EOF'
		import json, sys
		m = json.load(open("/run/cpr/p/manifest.json"))
		r = m["pause"]
		marks = r["marks"]
		hz = r.get("tsc_hz")
		exec("\n".join(sys.argv[1:]))
		json.dump(m, open("/run/cpr/p/manifest.json", "w"))
	EOF
}
# As if the guest had been saved under another kernel.
other_kernel() { edit 'for k in marks: k["boot"] = "another"' "$@"; }
saved_and_dead() { call save p; kill_qemu p; }
unknown() { # WHY
	python3 -c "
import json
p = json.load(open('$tmp/out'))['vms'][0]['pause']
assert p['clock'] == 'unknown' and p['total_ms'] is None and p['why'] == '$1', p
assert [f['name'] for f in p['phases'] if f['ms'] is None] == ['jump'], p"
}

pause_tests() {
	local begin least first='write check prove commit' then='jump ready start load verify resume'

	start p
	holds 'a guest' counts p
	json 'show, of one that was never saved' "o['vm']['pause'] is None" show p

	section 'save and abort'
	call --json save p
	holds 'save: the phases so far' pause_is "o['vms'][0]['pause']" boottime $first
	sleep 0.5
	call --json abort p
	holds 'abort: the whole of it' pause_is "o['vms'][0]['pause']" boottime $first resume
	holds 'it was aborted, and has stood still while nobody did anything' python3 -c "
import json
p = json.load(open('$tmp/out'))['vms'][0]['pause']
assert p['aborted'] and p['phases'][-1]['ms'] >= 500, p"
	holds 'it is kept' pauses p "len(p) == 1 and p[0]['aborted'] and p[0]['from'] == p[0]['to']"
	json 'show has it' "o['vm']['pause']['aborted'] and o['vm']['pause']['total_ms'] >= 500" show p
	call show p
	holds 'show, in words' grep -Eq '^last pause: +[0-9.]+ m?s, aborted \(write [0-9]+ ms, check [0-9.]+ m?s, prove [0-9.]+ m?s, commit [0-9.]+ m?s, resume [0-9.]+ m?s\)$' <<<"$out"

	section 'save fails'
	echo 'not now' >"$CPR_FAKE/fail-save"
	call save p
	rm "$CPR_FAKE/fail-save"
	holds 'a save that fails is a pause, too' pauses p "len(p) == 2 and p[1]['aborted'] and \
		[f['name'] for f in p[1]['phases']] == 'write check prove commit resume'.split()"

	section 'save and restore'
	begin=$(now_ms)
	call save p
	kill_qemu p
	least=$(now_ms)
	call restore p
	holds 'restore, in words' grep -Eq '^p: restored, the guest stood still [0-9.]+ m?s$' <<<"$out"
	holds 'it is no longer than all that was done' pauses p "len(p) == 3 and 'aborted' not in p[2] and \
		0 < p[2]['total_ms'] <= $(now_ms) - $begin + 1"
	call save p
	kill_qemu p
	call --json restore p
	holds 'restore: every phase' pause_is "o['vms'][0]['pause']" boottime $first $then
	json 'show: the same' "[f['name'] for f in o['vm']['pause']['phases']] == '$first $then'.split()" show p

	section 'restore fails once'
	saved_and_dead
	echo 'broken' >"$CPR_FAKE/fail-pin"
	call restore p
	holds 'a restore that fails' test "$status" = 1
	holds 'is no end of the pause' pauses p 'len(p) == 4'
	least=$(now_ms)
	rm "$CPR_FAKE/fail-pin"
	sleep 0.3
	call --json restore p
	holds 'the next one ends it, and has each phase once' pause_is "o['vms'][0]['pause']" boottime $first $then
	holds 'with the time between them' python3 -c "
import json
p = json.load(open('$tmp/out'))['vms'][0]['pause']
assert [f for f in p['phases'] if f['name'] == 'jump'][0]['ms'] >= 300, p"

	section 'wall clock set back'
	saved_and_dead
	edit 'for k in marks: k["wall_us"] += 3600 * 1000000'
	call --json restore p
	holds 'the wall clock was set back an hour meanwhile' pause_is "o['vms'][0]['pause']" boottime $first $then

	section 'another kernel'
	least=$(cut -d. -f1 /proc/uptime)
	saved_and_dead
	other_kernel 'for k in marks: k.pop("tsc", None); k["wall_us"] -= ('"$least"' + 60) * 1000000'
	call restore p
	holds 'without a steady TSC: the wall clock, and it is said' \
		grep -Eq '^p: restored, the guest stood still [0-9.]+ s by the wall clock$' <<<"$out"
	holds 'it is longer than that kernel runs' pauses p "p[-1]['clock'] == 'realtime' and \
		p[-1]['total_ms'] >= ($least + 60) * 1000"
	saved_and_dead
	other_kernel 'for k in marks: k.pop("tsc", None); k["wall_us"] += 3600 * 1000000'
	call --json restore p
	holds 'a wall clock that was set back' unknown 'the wall clock was set back, and the TSC is not steady'
	if ! grep -q '^flags.* constant_tsc.* nonstop_tsc' /proc/cpuinfo; then
		skip 'by the TSC' 'it is not steady here'
	else
		begin=$(now_ms)
		saved_and_dead
		other_kernel 'for k in marks: k["tsc"] -= ('"$least"' + 60) * hz' \
			'for k in marks: k["wall_us"] += 3600 * 1000000'
		call --json restore p
		holds 'by the TSC, whatever the wall clock says' pause_is "o['vms'][0]['pause']" tsc $first $then
		# The rate is measured in either kernel, to a thousandth.
		holds 'as long as it was' pauses p "-($least + 60) <= p[-1]['total_ms'] - ($least + 60) * 1000 \
			<= $(now_ms) - $begin + $least + 60"
		saved_and_dead
		other_kernel 'for k in marks: k["tsc"] += 3600 * hz'
		call --json restore p
		holds 'a TSC that went backwards' unknown 'the TSC went backwards'
		saved_and_dead
		other_kernel
		call restore p
		holds 'a TSC that began anew' grep -q '^p: restored, the guest stood still an unknown time: the TSC was reset: ' <<<"$out"
		saved_and_dead
		other_kernel 'r["tsc_hz"] = 2 * hz'
		call --json restore p
		holds 'a TSC of another rate' unknown 'the TSC runs at another rate than before'
	fi

	section 'damaged record'
	saved_and_dead
	edit 'm["pause"] = {"marks": [{"phase": "begin"}, {"phase": 5}, 7], "clock": []}'
	call --json restore p
	holds 'a damaged record' test "$status" = 0
	holds 'is none' grep -q '"pause":null' <<<"$out"
	holds 'the guest goes on' counts p

	section 'report'
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		call save p
		call abort p
	done
	holds 'no more than 16 are kept' pauses p "len(p) == 16 and all(x.get('aborted') for x in p[-10:])"
	echo '{' >/run/cpr/p/report.json
	call save p
	call abort p
	holds 'a damaged file begins anew' pauses p 'len(p) == 1'
	rm /run/cpr/p/report.json
	mkdir /run/cpr/p/report.json.new
	call save p
	call abort p
	holds 'that it cannot be kept stops nobody' test "$status" = 0
	rmdir /run/cpr/p/report.json.new
	refuses 'its name is reserved' 4 \
		"cpr-helper: QEMU option '-object memory-backend-file,id=m,share=on,size=1M,mem-path=/run/cpr/q/report.json': cpr-helper uses this name for another file" \
		run q --ram 32M -- "${qemu[@]}" -object memory-backend-file,id=m,share=on,size=1M,mem-path=/run/cpr/q/report.json
	call save p
	call abort p

	section 'update'
	end p
	start p
	call --json update --qemu qemu-system-x86_64
	holds 'update: every phase' pause_is "o['vms'][0]['pause']" boottime $first wait seal $then
	end p
	holds 'it goes with the VM' gone p
}

if [ -z "${CPR_FAKE:-}" ]; then
	skip 'how long guests stand still' 'needs the VMs of before'
else
	pause_tests
fi
