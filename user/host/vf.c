// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "host/link.h"
#include "host/pci.h"
#include "host/vf.h"

#define HOST_NETNS "/proc/1/ns/net"

bool vf_read(const char *address, struct json_object *vf)
{
	_cleanup_free_ char *pf = pci_link_name(address, "physfn");
	_cleanup_free_ char *count = pf ? pci_text(pf, "sriov_numvfs") : NULL;
	_cleanup_free_ char *link = pf ? pci_interface(pf) : NULL;
	int n = count ? atoi(count) : 0;

	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *function = pci_link_name(pf, fmt("virtfn%d", i));

		if (!function || !streq(function, address))
			continue;
		jset_str(vf, "pf", pf);
		jset_int(vf, "index", i);
		jset_int(vf, "count", n);
		if (link)
			jset_str(vf, "link", link);
		if (link)
			link_read_vf(HOST_NETNS, link, i, vf);
		return true;
	}
	return false;
}
