# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# A command line that makes no sense is refused with the reason, and all options are documented.
#
# Needs nothing.

refuses 'no command' 2 'cpr-helper: command: none given'
refuses 'unknown command' 2 "cpr-helper: command 'rum': there is no such command" rum
refuses 'unknown global option' 2 \
	"cpr-helper: option '--jsn': there is no such option before the command" --jsn list
refuses 'unknown option' 2 "cpr-helper: save --everything: there is no such option" save --everything
refuses 'unknown short option' 2 "cpr-helper: list -x: there is no such option" list -x
refuses 'option without its value' 2 "cpr-helper: save --timeout: the option needs a value" \
	save a --timeout
refuses 'value for an option that takes none' 2 \
	"cpr-helper: save --all 'yes': the option takes no value" save --all=yes
# An abbreviation that is unique today is another option tomorrow.
for words in 'delete web1 --fo' 'delete web1 --forc' 'save a --al' 'list --js' 'restore a --forc=x' \
	'update --kern x' 'run a --ra 64M -- true' 'save a --dry'; do
	option=$(grep -o -- '--[a-z-]*' <<<"$words" | head -1)
	# shellcheck disable=SC2086
	refuses "an abbreviated option: $words" 2 "cpr-helper: ${words%% *} $option: there is no such option" $words
done
refuses 'an abbreviated one before the command' 2 \
	"cpr-helper: option '--vers': there is no such option before the command" --vers
refuses 'a value in the next word, whatever it looks like' 2 \
	"cpr-helper: save --timeout '--all': no number of seconds above 0, up to 86400" save a --timeout --all
refuses 'a value behind its letter' 2 "cpr-helper: save --jobs '999': no number from 1 to 256" save --all -vj999
refuses 'no option behind --' 2 "cpr-helper: show: word '--all': the command takes one word beside its options" \
	show a -- --all
refuses 'name missing' 2 'cpr-helper: show: NAME is missing' show
refuses 'file missing' 2 'cpr-helper: inspect: FILE is missing' inspect
refuses 'too many words' 2 "cpr-helper: show: word 'b': the command takes one word beside its options" show a b
refuses 'a word that the command does not take' 2 \
	"cpr-helper: list: word 'extra': the command takes nothing but options" list extra
refuses 'neither name nor --all' 2 'cpr-helper: save: NAME or --all is missing' save
refuses 'both name and --all' 2 'cpr-helper: restore: both NAME and --all' restore a --all
for bad in 0 -1 x 1e9; do
	refuses "--timeout $bad" 2 \
		"cpr-helper: save --timeout '$bad': no number of seconds above 0, up to 86400" \
		save a --timeout=$bad
done
refuses 'update of nothing' 2 'cpr-helper: update: --kernel VERSION or --qemu BINARY is missing' update
for bad in ../../etc /lib/modules/x . ''; do
	refuses "update to '$bad'" 2 "cpr-helper: update --kernel '$bad': no release of a kernel, as in /lib/modules" \
		update --kernel "$bad"
done
for option in image initrd append command-line; do
	refuses "update --$option without a kernel" 2 "cpr-helper: update: --$option needs --kernel VERSION" \
		update --qemu /bin/true --$option x
done
for bad in 0 257 x -1; do
	refuses "--jobs $bad" 2 "cpr-helper: save --jobs '$bad': no number from 1 to 256" save --all --jobs=$bad
	refuses "-j$bad" 2 "cpr-helper: restore --jobs '$bad': no number from 1 to 256" restore --all -j$bad
done
refuses 'device without an action' 2 'cpr-helper: device: release is missing' device
refuses 'device with another one' 2 "cpr-helper: device: 'give' is no action of it" device give 41:00.0
refuses 'device release of none' 2 'cpr-helper: device: ADDRESS is missing' device release
refuses 'device release of a driver' 2 "cpr-helper: device: 'e1000e' is no PCI address" device release e1000e
refuses 'kexec is called update now' 2 "cpr-helper: command 'kexec': there is no such command" kexec
CPR_FAULT=save-done:kill refuses 'a fault point in a build that has none' 2 \
	"cpr-helper: CPR_FAULT 'save-done:kill': it is for tests, and this build has no fault points" list
CPR_FAULT='' refuses 'an empty one' 2 \
	"cpr-helper: CPR_FAULT '': it is for tests, and this build has no fault points" list
refuses 'nor does it list any' 2 \
	"cpr-helper: option '--fault-points': there is no such option before the command" --fault-points
refuses 'run without --' 2 \
	"cpr-helper: run: the -- before QEMU's command line is missing" run a qemu-system-x86_64
refuses 'run with nothing after --' 2 'cpr-helper: run: nothing follows the --' run a --
refuses 'run without a name' 2 'cpr-helper: run: NAME is missing' run -- true

why='a name is made of letters, digits, dot, underscore and dash'
for command in show save abort restore delete; do
	refuses "$command: a name with a slash" 2 "cpr-helper: VM name 'a/b': $why" $command a/b
done
refuses 'run: a name with a slash' 2 "cpr-helper: VM name '../a': a name must not begin with a dot or a dash" \
	run ../a --ram 64M -- true
refuses 'a name with a space' 2 "cpr-helper: VM name 'a b': $why" show 'a b'
refuses 'a hidden name' 2 "cpr-helper: VM name '.a': a name must not begin with a dot or a dash" show .a
refuses 'an empty name' 2 "cpr-helper: VM name '': the name is empty" show ''
long=$(printf 'x%.0s' {1..65})
refuses 'a long name' 2 "cpr-helper: VM name '$long': the name is longer than 64 bytes" show "$long"

refuses 'QEMU binary missing' 3 "cpr-helper: QEMU binary 'no-such-qemu': there is no such program" \
	run a --ram 64M -- no-such-qemu
refuses 'a directory as QEMU binary' 3 "cpr-helper: QEMU binary '/bin': there is no such program" \
	update --qemu /bin
refuses 'no RAM size' 2 "cpr-helper: --ram: the size of the guest's RAM is not given" run a -- true
refuses 'a RAM size that is none' 2 \
	"cpr-helper: run --ram 'much': no size like 512M or 4G, nor a list of them" \
	run a --ram much -- true
refuses 'an empty part of a list of sizes' 2 \
	"cpr-helper: run --ram '64M,': no size like 512M or 4G, nor a list of them" \
	run a --ram 64M, -- true
refuses 'RAM that is lost at the kexec' 4 \
	"cpr-helper: QEMU option '-object memory-backend-ram,id=x,size=64M': this memory is anonymous and is lost at the kexec" \
	run a -- true -m 64M -object memory-backend-ram,id=x,size=64M
passed='of passed-through devices only PCI ones are handed over'
for device in vfio-ap,sysfsdev=/sys/x vfio-ccw,sysfsdev=/sys/x vfio-user-pci,socket=/x; do
	refuses "a device that is no PCI device: ${device%%,*}" 4 \
		"cpr-helper: QEMU option '-device $device': $passed" run a --ram 64M -- true -device $device
done
mdev=/sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001
refuses 'a mediated device' 4 \
	"cpr-helper: QEMU option '-device vfio-pci,sysfsdev=$mdev': it names no PCI device, and no other can be handed over" \
	run a --ram 64M -- true -device vfio-pci,sysfsdev=$mdev
refuses 'a device by its file descriptor' 4 \
	"cpr-helper: QEMU option '-device vfio-pci,fd=9': the file descriptor does not exist after a kexec" \
	run a --ram 64M -- true -device vfio-pci,fd=9
refuses 'a device that is exchanged later' 4 \
	"cpr-helper: QEMU option '-set device.x.host=01:00.0': it could replace a device that is passed through by another" \
	run a --ram 64M -- true -set device.x.host=01:00.0
while read -r option; do
	# shellcheck disable=SC2086
	refuses "an open file: $option" 4 \
		"cpr-helper: QEMU option '$option': the file descriptor does not exist after a kexec" \
		run a --ram 64M --dry-run -- true $option
done <<-'EOF'
	-netdev tap,fd=5
	-netdev tap,id=n,fds=5:6
	-netdev tap,id=n,ifname=tap0,vhostfd=5
	-chardev socket,fd=7
	-drive file=/dev/fd/5
	-drive filename=/dev/fdset/1
	-blockdev driver=file,node-name=f,filename=/proc/self/fd/5
	-add-fd fd=9,set=1
EOF
for option in -m -netdev --kernel; do
	refuses "an option without its argument: $option" 2 \
		"cpr-helper: QEMU option '$option': the option requires an argument" \
		run a --ram 64M --dry-run -- true -nodefaults $option
done
true=$(realpath "$(type -P true)")
prints 'run --dry-run' "create /run/cpr/a/ram0, 64M
start $true -append 'a b' -object memory-backend-file,id=cpr-ram0,size=64M,mem-path=/run/cpr/a/ram0,share=on,align=2M -machine memory-backend=cpr-ram0 -m 64M" \
	run a --ram 64M --dry-run -- true -append 'a b'
json 'a file of the guest' "o['argv'][:2] == ['-append', 'init=/dev/fd/5']" \
	run a --ram 64M --dry-run -- true -append init=/dev/fd/5
json 'run --dry-run --json' \
	"o['argv'][:2] == ['-M', 'q35'] and o['memory'] == [{'file': 'ram0', 'id': 'cpr-ram0', 'size': 64 << 20}]" \
	run a --ram 64M --dry-run -- true -M q35

# WORDS REMEDY ARGUMENT...: a wrong command line is answered with what was probably meant.
meant() {
	local words=$1 remedy=$2
	call "${@:3}"
	holds "did you mean: $words" test "$status" = 2 -a "$(sed -n 's/^  remedy: //p' <<<"$err")" = "$remedy"
}
meant 'a letter wrong' 'did you mean run?' rum
meant 'two letters swapped' 'did you mean restore?' restroe --all
meant 'the beginning of a command' 'did you mean validate?' val x
meant 'the word of another program' 'did you mean list?' ls
meant 'a former command' 'did you mean update?' kexec
meant 'a word like no other' "'cpr-helper help' lists them" xyzzy
meant 'an abbreviated option' 'did you mean --force?' delete a --fo
meant 'a mistyped option' 'did you mean --no-rehearse?' save a --no-reherse
meant 'an option before the command' 'did you mean --json?' --jsn list
meant 'an option like no other' "'cpr-helper save --help'" save a --everything
meant 'help of what is no command' 'did you mean abort?' help abrot
call help
holds 'help is --help' test "$status$out" = "0$("$helper" --help)"

for command in format inspect run adopt list show room save abort update restore delete device validate help; do
	call help $command
	holds "help $command is $command --help" test "$status$out" = "0$("$helper" $command --help)"
	text=$out
	# What an example says is a command line that makes sense; nothing is changed by --dry-run.
	while read -r example; do
		dry=
		! grep -q -- '^  --dry-run' <<<"$text" || dry=--dry-run
		# shellcheck disable=SC2086
		set -- ${example#cpr-helper }
		call "$1" $dry "${@:2}"
		holds "example: $example" test "$status" != 2 -a "${example%% *}" = cpr-helper
	done < <(sed -n '/^Examples\?:/,$s/^  //p' <<<"$text")
	holds "$command has examples" grep -q '^Examples\?:$' <<<"$text"
	call $command --help
	holds "$command --help" test "$status$err" = 0 -a "${out%%:*}" = Usage
	holds "$command --help fits on a terminal" test "$(wc -L <<<"$out")" -le 80
	holds "$command is in the help" grep -q "^  $command " <("$helper" --help)
	holds "$command is in the man page" grep -q "^\*$command\*" "$here/../../../user/man/cpr-helper.8.scd"
	# Each of its options, too, and in the completion.
	for option in $(sed -n '/^Options:/,/^$/s/^  \(-[a-uw-z], \)\?--\([a-z-]*\).*/\2/p' <<<"$out"); do
		holds "$command --$option is documented" \
			grep -q -- "--$option" "$here/../../../user/man/cpr-helper.8.scd"
		holds "$command --$option is completed" \
			grep -q -- "--$option" "$here/../../../user/completions/cpr-helper.bash"
	done
done
call --version
holds '--version' test "$status" = 0 -a "${out%% *}" = cpr-helper

json 'an error in JSON' \
	"o['error'] == {'what': 'VM name', 'value': 'a/b', 'why': '$why', 'remedy': 'choose a name like web1', 'code': 2}" \
	show a/b
json 'an error of the options in JSON' "o['error']['code'] == 2 and o['error']['remedy']" list -x
json 'no command, in JSON' "o['error']['code'] == 2 and o['error']['value'] is None"
if [ -c /dev/full ]; then
	"$helper" --help >/dev/full 2>"$tmp/err"
	holds 'output that cannot be written' test $? = 1
fi

if [ -d /sys/module/cpr_handover ]; then
	skip 'module not loaded' 'it is loaded'
else
	for command in list 'show a' 'save a' 'save --all' 'abort a' 'restore a' 'delete a' 'device release 41:00.0' format; do
		# shellcheck disable=SC2086
		refuses "$command: module not loaded" 4 \
			"cpr-helper: module 'cpr_handover': not loaded" $command
	done
	refuses 'run: module not loaded' 4 "cpr-helper: module 'cpr_handover': not loaded" \
		run a --ram 64M -- true
	if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
		cp "$helper" "$tmp/helper"
		root_helper=$helper
		helper=$tmp/nobody
		printf '#!/bin/sh\nexec setpriv --reuid 65534 --regid 65534 --clear-groups %q "$@"\n' \
			"$tmp/helper" >"$helper"
		chmod 755 "$helper"
		refuses 'unprivileged update' 4 'cpr-helper: kexec: needs root' update --kernel x
		refuses 'unprivileged format of a file' 1 \
			"cpr-helper: cannot open '/etc/shadow': Permission denied" \
			format --start 4G /etc/shadow
		helper=$root_helper
	else
		skip 'unprivileged' 'needs root and setpriv'
	fi
fi
