/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/cpr.yaml */
/* YNL-GEN kernel header */
/* To regenerate run: tools/ynl-gen.sh KSRC */

#ifndef _LINUX_CPR_GEN_H
#define _LINUX_CPR_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <uapi/linux/cpr.h>

int cpr_nl_pre_do(const struct genl_split_ops *ops, struct sk_buff *skb,
		  struct genl_info *info);
int cpr_nl_pre_dump(struct netlink_callback *cb);

int cpr_nl_region_get_doit(struct sk_buff *skb, struct genl_info *info);
int cpr_nl_region_format_doit(struct sk_buff *skb, struct genl_info *info);
int cpr_nl_vm_get_doit(struct sk_buff *skb, struct genl_info *info);
int cpr_nl_vm_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int cpr_nl_vm_pin_doit(struct sk_buff *skb, struct genl_info *info);
int cpr_nl_vm_save_doit(struct sk_buff *skb, struct genl_info *info);
int cpr_nl_vm_seal_doit(struct sk_buff *skb, struct genl_info *info);
int cpr_nl_vm_claim_doit(struct sk_buff *skb, struct genl_info *info);
int cpr_nl_vm_unclaim_doit(struct sk_buff *skb, struct genl_info *info);
int cpr_nl_vm_unpin_doit(struct sk_buff *skb, struct genl_info *info);
int cpr_nl_vm_snapshot_doit(struct sk_buff *skb, struct genl_info *info);
int cpr_nl_vm_release_doit(struct sk_buff *skb, struct genl_info *info);
int cpr_nl_vm_verify_doit(struct sk_buff *skb, struct genl_info *info);
int cpr_nl_device_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int cpr_nl_device_release_doit(struct sk_buff *skb, struct genl_info *info);
int cpr_nl_vm_room_doit(struct sk_buff *skb, struct genl_info *info);

enum {
	CPR_NLGRP_MONITOR,
};

extern struct genl_family cpr_nl_family;

#endif /* _LINUX_CPR_GEN_H */
