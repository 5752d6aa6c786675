/* SPDX-License-Identifier: GPL-2.0-only */
/* Network interfaces of a network namespace, as the kernel describes them by rtnetlink. */
#ifndef CPR_LINK_H
#define CPR_LINK_H

#include <net/if.h>

#include "base/util.h"

struct nlattr;

/**
 * struct link - a network interface
 * @up: it is up
 * @bridge, @tap: what it is
 * @persistent, @multi_queue: of a tap: it stays when nobody uses it; it has several queues
 * @owner: of a tap: user who may use it without being root; -1 for none
 * @master: name of the bridge, or other interface, that it is a port of; "" if none
 */
struct link {
	bool up;
	bool bridge;
	bool tap;
	bool persistent;
	bool multi_queue;
	int64_t owner;
	char master[IF_NAMESIZE];
};

/**
 * link_read - look at an interface
 * @netns: path of the network namespace that it is in
 *
 * Returns: 0; -ENODEV if there is none of this name; or another negative errno.
 */
int link_read(const char *netns, const char *name, struct link *link);

/**
 * link_read_vf - find out what an interface has set for one of its virtual functions
 * @index: number of the function
 * @vf: gets "mac", "vlan", "qos", "spoofchk", "trust"; without those that the driver does not know
 *
 * Returns: as link_read().
 */
int link_read_vf(const char *netns, const char *name, int index, struct json_object *vf);

/* The same from the list (IFLA_VFINFO_LIST) in the kernel's answer. */
void link_parse_vf(struct nlattr *list, int index, struct json_object *vf);

#endif
