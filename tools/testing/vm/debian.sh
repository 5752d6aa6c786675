# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The lab's Debian: the suites that packages come from, at the mirror that this machine
# itself is configured to use.

debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# debian_mirror LABEL - print the address of the archive with this label.
# apt knows labels only after an update, which `install.sh host` has done.
debian_mirror() {
	# shellcheck disable=SC2016 # apt expands them
	apt-get indextargets --format '$(LABEL)|$(REPO_URI)' |
		sed -n "s/^$1|//p" | sort -u | head -n 1
}

debian_sources() {
	local main security
	main=$(debian_mirror Debian)
	security=$(debian_mirror Debian-Security)
	[ -n "$main" ] || die "apt on this machine has no Debian mirror: is it Debian, and did apt-get update succeed?"
	local suite
	for suite in trixie trixie-updates trixie-backports; do
		echo "deb [signed-by=$debian_keyring] $main $suite main"
	done
	[ -z "$security" ] ||
		echo "deb [signed-by=$debian_keyring] $security trixie-security main"
}

# This machine's proxy, if it has one.
debian_proxy() {
	apt-config dump | grep -i '^Acquire::https\?::Proxy' || true
}

# debian_private_apt DIR - make DIR/apt.conf, for an apt with the lab's suites that shares
# nothing with this machine's own.
debian_private_apt() {
	local dir=$1
	mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial" "$dir/none"
	: >"$dir/status"
	debian_sources >"$dir/sources.list"
	cat >"$dir/apt.conf" <<-EOF
		Dir::State "$dir/state";
		Dir::State::status "$dir/status";
		Dir::Cache "$dir/cache";
		Dir::Etc::sourcelist "$dir/sources.list";
		Dir::Etc::sourceparts "$dir/none";
		Dir::Etc::preferencesparts "$dir/none";
		APT::Architecture "amd64";
		APT::Sandbox::User "root";
		Acquire::Languages "none";
		$(debian_proxy)
	EOF
	APT_CONFIG=$dir/apt.conf apt-get -qq update
}

# debian_root DIR PACKAGE... - make a trixie root directory with these packages and their
# dependencies, without documentation. After a crash it is made anew, so nothing needs to
# be synced to disk.
debian_root() {
	local root=$1 packages
	shift
	packages=$(IFS=,; echo "$*")
	local aptopts=(--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"')
	local line
	while read -r line; do
		aptopts+=("--aptopt=$line")
	done < <(debian_proxy)
	debian_sources | mmdebstrap --mode=root --variant=minbase --architectures=amd64 \
		--quiet --skip=check/empty,cleanup/apt/lists "${aptopts[@]}" \
		--dpkgopt=force-unsafe-io \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/info/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--include="$packages" trixie "$root" -
}
