/* SPDX-License-Identifier: GPL-2.0-only */
/* Virtual functions (SR-IOV), and what their physical function has set for them. */
#ifndef CPR_VF_H
#define CPR_VF_H

#include "base/util.h"

/**
 * vf_read - look at a virtual function
 * @address: PCI address
 * @vf: gets "pf", the address of its physical function; "index" and "count" of that one's
 *	functions; and if that one is a network card "link", its interface, and of "mac", "vlan",
 *	"qos", "spoofchk" and "trust" those that its driver knows
 *
 * Returns: false if there is no such device, or if it is no virtual function.
 */
bool vf_read(const char *address, struct json_object *vf);

#endif
