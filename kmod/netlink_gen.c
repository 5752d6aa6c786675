// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/cpr.yaml */
/* YNL-GEN kernel source */
/* To regenerate run: tools/ynl-gen.sh KSRC */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "netlink_gen.h"

#include <uapi/linux/cpr.h>

/* Integer value ranges */
static const struct netlink_range_validation cpr_a_vm_room_names_range = {
	.min	= 1ULL,
	.max	= 65535ULL,
};

/* CPR_CMD_REGION_FORMAT - do */
static const struct nla_policy cpr_region_format_nl_policy[CPR_A_REGION_FORCE + 1] = {
	[CPR_A_REGION_START] = { .type = NLA_U64, },
	[CPR_A_REGION_SIZE] = { .type = NLA_U64, },
	[CPR_A_REGION_LABEL] = { .type = NLA_NUL_STRING, .len = 31, },
	[CPR_A_REGION_FORCE] = { .type = NLA_FLAG, },
};

/* CPR_CMD_VM_GET - do */
static const struct nla_policy cpr_vm_get_nl_policy[CPR_A_VM_NAME + 1] = {
	[CPR_A_VM_NAME] = { .type = NLA_NUL_STRING, .len = CPR_VM_NAME_MAX, },
};

/* CPR_CMD_VM_PIN - do */
static const struct nla_policy cpr_vm_pin_nl_policy[CPR_A_VM_MEMORY_FILE + 1] = {
	[CPR_A_VM_NAME] = { .type = NLA_NUL_STRING, .len = CPR_VM_NAME_MAX, },
	[CPR_A_VM_MEMORY_FILE] = { .type = NLA_STRING, .len = 255, },
};

/* CPR_CMD_VM_SAVE - do */
static const struct nla_policy cpr_vm_save_nl_policy[CPR_A_VM_NAME + 1] = {
	[CPR_A_VM_NAME] = { .type = NLA_NUL_STRING, .len = CPR_VM_NAME_MAX, },
};

/* CPR_CMD_VM_SEAL - do */
static const struct nla_policy cpr_vm_seal_nl_policy[CPR_A_VM_REVOKE + 1] = {
	[CPR_A_VM_NAME] = { .type = NLA_NUL_STRING, .len = CPR_VM_NAME_MAX, },
	[CPR_A_VM_MANIFEST_DIGEST] = NLA_POLICY_EXACT_LEN(CPR_DIGEST_LEN),
	[CPR_A_VM_RAM_DIGEST] = NLA_POLICY_EXACT_LEN(CPR_DIGEST_LEN),
	[CPR_A_VM_REVOKE] = { .type = NLA_FLAG, },
};

/* CPR_CMD_VM_CLAIM - do */
static const struct nla_policy cpr_vm_claim_nl_policy[CPR_A_VM_NAME + 1] = {
	[CPR_A_VM_NAME] = { .type = NLA_NUL_STRING, .len = CPR_VM_NAME_MAX, },
};

/* CPR_CMD_VM_UNCLAIM - do */
static const struct nla_policy cpr_vm_unclaim_nl_policy[CPR_A_VM_REVOKE + 1] = {
	[CPR_A_VM_NAME] = { .type = NLA_NUL_STRING, .len = CPR_VM_NAME_MAX, },
	[CPR_A_VM_MANIFEST_DIGEST] = NLA_POLICY_EXACT_LEN(CPR_DIGEST_LEN),
	[CPR_A_VM_RAM_DIGEST] = NLA_POLICY_EXACT_LEN(CPR_DIGEST_LEN),
	[CPR_A_VM_REVOKE] = { .type = NLA_FLAG, },
};

/* CPR_CMD_VM_UNPIN - do */
static const struct nla_policy cpr_vm_unpin_nl_policy[CPR_A_VM_REVOKE + 1] = {
	[CPR_A_VM_NAME] = { .type = NLA_NUL_STRING, .len = CPR_VM_NAME_MAX, },
	[CPR_A_VM_REVOKE] = { .type = NLA_FLAG, },
};

/* CPR_CMD_VM_SNAPSHOT - do */
static const struct nla_policy cpr_vm_snapshot_nl_policy[CPR_A_VM_FULL + 1] = {
	[CPR_A_VM_NAME] = { .type = NLA_NUL_STRING, .len = CPR_VM_NAME_MAX, },
	[CPR_A_VM_DEVICE] = { .type = NLA_STRING, .len = CPR_DEVICE_ADDRESS_MAX, },
	[CPR_A_VM_FILE] = { .type = NLA_U32, },
	[CPR_A_VM_FULL] = { .type = NLA_FLAG, },
};

/* CPR_CMD_VM_RELEASE - do */
static const struct nla_policy cpr_vm_release_nl_policy[CPR_A_VM_NAME + 1] = {
	[CPR_A_VM_NAME] = { .type = NLA_NUL_STRING, .len = CPR_VM_NAME_MAX, },
};

/* CPR_CMD_VM_VERIFY - do */
static const struct nla_policy cpr_vm_verify_nl_policy[CPR_A_VM_WINDOW_LENGTH + 1] = {
	[CPR_A_VM_NAME] = { .type = NLA_NUL_STRING, .len = CPR_VM_NAME_MAX, },
	[CPR_A_VM_FILE] = { .type = NLA_U32, },
	[CPR_A_VM_FULL] = { .type = NLA_FLAG, },
	[CPR_A_VM_WINDOW_START] = { .type = NLA_U64, },
	[CPR_A_VM_WINDOW_LENGTH] = { .type = NLA_U64, },
};

/* CPR_CMD_DEVICE_RELEASE - do */
static const struct nla_policy cpr_device_release_nl_policy[CPR_A_DEVICE_ADDRESS + 1] = {
	[CPR_A_DEVICE_ADDRESS] = { .type = NLA_NUL_STRING, .len = CPR_DEVICE_ADDRESS_MAX, },
};

/* CPR_CMD_VM_ROOM - do */
static const struct nla_policy cpr_vm_room_nl_policy[CPR_A_VM_ROOM_NAMES + 1] = {
	[CPR_A_VM_NAME] = { .type = NLA_NUL_STRING, .len = CPR_VM_NAME_MAX, },
	[CPR_A_VM_ROOM_BYTES] = { .type = NLA_U64, },
	[CPR_A_VM_ROOM_NAMES] = NLA_POLICY_FULL_RANGE(NLA_U32, &cpr_a_vm_room_names_range),
};

/* Ops table for cpr */
static const struct genl_split_ops cpr_nl_ops[] = {
	{
		.cmd		= CPR_CMD_REGION_GET,
		.pre_doit	= cpr_nl_pre_do,
		.doit		= cpr_nl_region_get_doit,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= CPR_CMD_REGION_FORMAT,
		.pre_doit	= cpr_nl_pre_do,
		.doit		= cpr_nl_region_format_doit,
		.policy		= cpr_region_format_nl_policy,
		.maxattr	= CPR_A_REGION_FORCE,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= CPR_CMD_VM_GET,
		.pre_doit	= cpr_nl_pre_do,
		.doit		= cpr_nl_vm_get_doit,
		.policy		= cpr_vm_get_nl_policy,
		.maxattr	= CPR_A_VM_NAME,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= CPR_CMD_VM_GET,
		.start	= cpr_nl_pre_dump,
		.dumpit	= cpr_nl_vm_get_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= CPR_CMD_VM_PIN,
		.pre_doit	= cpr_nl_pre_do,
		.doit		= cpr_nl_vm_pin_doit,
		.policy		= cpr_vm_pin_nl_policy,
		.maxattr	= CPR_A_VM_MEMORY_FILE,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= CPR_CMD_VM_SAVE,
		.pre_doit	= cpr_nl_pre_do,
		.doit		= cpr_nl_vm_save_doit,
		.policy		= cpr_vm_save_nl_policy,
		.maxattr	= CPR_A_VM_NAME,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= CPR_CMD_VM_SEAL,
		.pre_doit	= cpr_nl_pre_do,
		.doit		= cpr_nl_vm_seal_doit,
		.policy		= cpr_vm_seal_nl_policy,
		.maxattr	= CPR_A_VM_REVOKE,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= CPR_CMD_VM_CLAIM,
		.pre_doit	= cpr_nl_pre_do,
		.doit		= cpr_nl_vm_claim_doit,
		.policy		= cpr_vm_claim_nl_policy,
		.maxattr	= CPR_A_VM_NAME,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= CPR_CMD_VM_UNCLAIM,
		.pre_doit	= cpr_nl_pre_do,
		.doit		= cpr_nl_vm_unclaim_doit,
		.policy		= cpr_vm_unclaim_nl_policy,
		.maxattr	= CPR_A_VM_REVOKE,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= CPR_CMD_VM_UNPIN,
		.pre_doit	= cpr_nl_pre_do,
		.doit		= cpr_nl_vm_unpin_doit,
		.policy		= cpr_vm_unpin_nl_policy,
		.maxattr	= CPR_A_VM_REVOKE,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= CPR_CMD_VM_SNAPSHOT,
		.pre_doit	= cpr_nl_pre_do,
		.doit		= cpr_nl_vm_snapshot_doit,
		.policy		= cpr_vm_snapshot_nl_policy,
		.maxattr	= CPR_A_VM_FULL,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= CPR_CMD_VM_RELEASE,
		.pre_doit	= cpr_nl_pre_do,
		.doit		= cpr_nl_vm_release_doit,
		.policy		= cpr_vm_release_nl_policy,
		.maxattr	= CPR_A_VM_NAME,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= CPR_CMD_VM_VERIFY,
		.pre_doit	= cpr_nl_pre_do,
		.doit		= cpr_nl_vm_verify_doit,
		.policy		= cpr_vm_verify_nl_policy,
		.maxattr	= CPR_A_VM_WINDOW_LENGTH,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= CPR_CMD_DEVICE_GET,
		.start	= cpr_nl_pre_dump,
		.dumpit	= cpr_nl_device_get_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= CPR_CMD_DEVICE_RELEASE,
		.pre_doit	= cpr_nl_pre_do,
		.doit		= cpr_nl_device_release_doit,
		.policy		= cpr_device_release_nl_policy,
		.maxattr	= CPR_A_DEVICE_ADDRESS,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= CPR_CMD_VM_ROOM,
		.pre_doit	= cpr_nl_pre_do,
		.doit		= cpr_nl_vm_room_doit,
		.policy		= cpr_vm_room_nl_policy,
		.maxattr	= CPR_A_VM_ROOM_NAMES,
		.flags		= GENL_CMD_CAP_DO,
	},
};

static const struct genl_multicast_group cpr_nl_mcgrps[] = {
	[CPR_NLGRP_MONITOR] = { "monitor", },
};

struct genl_family cpr_nl_family __ro_after_init = {
	.name		= CPR_FAMILY_NAME,
	.version	= CPR_FAMILY_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.split_ops	= cpr_nl_ops,
	.n_split_ops	= ARRAY_SIZE(cpr_nl_ops),
	.mcgrps		= cpr_nl_mcgrps,
	.n_mcgrps	= ARRAY_SIZE(cpr_nl_mcgrps),
};
