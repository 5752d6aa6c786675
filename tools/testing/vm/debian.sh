# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Debian as the lab sees it: the suites it takes packages from, at the mirror
# that this machine itself is configured to use.

debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# debian_mirror LABEL - the address that serves the archive of that label.
# apt knows labels only after an update, which `install.sh host` has made.
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

# This machine's way out, if it needs a proxy.
debian_proxy() {
	apt-config dump | grep -i '^Acquire::https\?::Proxy' || true
}

# debian_private_apt DIR - makes DIR/apt.conf: an apt that knows the lab's
# suites and shares nothing with this machine's own.
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

# debian_root DIR PACKAGE... - a trixie root of these packages and what they
# depend on, without documentation. It is thrown away rather than repaired
# after a crash, so nothing in it needs to be synced to disk while it is made.
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
