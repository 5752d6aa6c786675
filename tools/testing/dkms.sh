#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# `make dkms-install` installs the module for every supported kernel that has headers.
#
# dkms.sh - dkms is a fake that records the kernels it is asked for.
set -u

top=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
count=0 failed=0

mkdir "$tmp/bin"
cat >"$tmp/bin/dkms" <<'EOF'
#!/bin/bash
case $1 in
install)
	case $4 in
	6.1.*) exit 77 ;;
	*bad*) exit 10 ;;
	esac
	echo "$2 $4" >>"$DKMS_DONE" ;;
status) sed 's/$/: installed/' "$DKMS_DONE" ;;
esac
EOF
chmod 755 "$tmp/bin/dkms"

# expect DESCRIPTION STATUS DONE KERNEL... - with the headers of these KERNELs, make exits
# with STATUS, and dkms has installed the module for those in DONE
expect() {
	local what=$1 status=$2 done=$3 kernel got=0
	shift 3
	rm -rf "$tmp/modules"
	mkdir -p "$tmp/modules/6.99-without-headers"
	for kernel; do
		mkdir -p "$tmp/modules/$kernel/build"
	done
	: >"$tmp/done"
	PATH=$tmp/bin:$PATH DKMS_DONE=$tmp/done make -s -C "$top" dkms-install DESTDIR="$tmp/root" \
		MODULES="$tmp/modules" >"$tmp/out" 2>&1 || got=1
	count=$((count + 1))
	if [ $got = "$status" ] && [ "$(sed 's/.* //' "$tmp/done" | xargs)" = "$done" ]; then
		echo "ok $count - $what"
	else
		failed=$((failed + 1))
		echo "not ok $count - $what"
		sed 's/^/# /' "$tmp/done" "$tmp/out"
	fi
}

expect 'the module is installed for each kernel with headers' 0 '6.12.1 7.3.0' 6.12.1 7.3.0
expect 'a kernel that is too old is left out' 0 '6.12.1' 6.1.9 6.12.1
expect 'a failure for one kernel does not stop the others, and is an error' 1 '6.12.1 7.3.0' 6.12.1 6.13-bad 7.3.0
expect 'no kernel that is new enough is an error' 1 '' 6.1.9
grep -q 'no kernel from 6.12 to 7.3' "$tmp/out" || { echo '# the error does not say so'; failed=1; }
expect 'no kernel at all is an error' 1 ''

echo "1..$count"
[ $failed -eq 0 ]
