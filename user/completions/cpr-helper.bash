# SPDX-License-Identifier: GPL-2.0-only
# Completion of cpr-helper(8) for bash.

_cpr_helper_vms() {
	local dir
	for dir in /run/cpr/*/; do
		[ -d "$dir" ] && basename "$dir"
	done
}

_cpr_helper() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} cmd='' i words
	local commands='format inspect run adopt list show room save abort update restore delete device validate help'

	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == -* ]] || { cmd=${COMP_WORDS[i]}; break; }
	done
	case $prev in
	--kernel) mapfile -t COMPREPLY < <(cd /lib/modules 2>/dev/null && compgen -d -- "$cur"); return ;;
	--ram-mode) mapfile -t COMPREPLY < <(compgen -W 'region copy' -- "$cur"); return ;;
	--user) mapfile -t COMPREPLY < <(compgen -u -- "$cur"); return ;;
	--image | --initrd | --qemu | --to | --qmp) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
	esac
	case $cmd in
	'') words="$commands --json --verbose --help --version" ;;
	format) words='--start --label --force --dry-run' ;;
	inspect) words='--check' ;;
	validate) words='' ;;
	help) words=$commands ;;
	run) words='--ram --ram-mode --room --user --agent --dry-run --' ;;
	adopt) words='--qmp --room --dry-run' ;;
	room) words="none --names --dry-run $(_cpr_helper_vms)" ;;
	show) words=$(_cpr_helper_vms) ;;
	save) words="--all --qemu --rehearse --no-rehearse --timeout --full --digest-ram --no-kexec --to --uri --restore-uri
		--jobs --dry-run $(_cpr_helper_vms)" ;;
	restore) words="--all --timeout --full --force --qemu --replace --revoke --jobs --dry-run $(_cpr_helper_vms)" ;;
	abort) words="--all --revoke --jobs --dry-run $(_cpr_helper_vms)" ;;
	device) words='release --dry-run' ;;
	delete) words="--force --revoke --dry-run $(_cpr_helper_vms)" ;;
	update) words='--kernel --qemu --image --initrd --append --command-line --timeout --jobs --digest-ram
		--no-rehearse --force --no-vms --exclude --shutdown --max-pause --revoke --dry-run' ;;
	esac
	[ -z "$cmd" ] || words+=' --json --verbose --help'
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	case $cmd in
	format | inspect | validate) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$cur") ;;
	esac
}

complete -F _cpr_helper cpr-helper
