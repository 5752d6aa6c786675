// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <sched.h>

#include "host/link.h"

/**
 * struct answer - what the kernel answers of an interface
 * @master: index of its master; 0 if none
 * @vf: as of link_read_vf(), for @vf_index; NULL if that is not asked for
 */
struct answer {
	struct link link;
	char name[IF_NAMESIZE];
	int master;
	int vf_index;
	struct json_object *vf;
};

static void link_parse_tun(struct nlattr *data, struct link *link)
{
	struct nlattr *tun[IFLA_TUN_MAX + 1];

	if (!data || nla_parse_nested(tun, IFLA_TUN_MAX, data, NULL) < 0 || !tun[IFLA_TUN_TYPE])
		return;
	link->tap = nla_get_u8(tun[IFLA_TUN_TYPE]) == IFF_TAP;
	link->persistent = tun[IFLA_TUN_PERSIST] && nla_get_u8(tun[IFLA_TUN_PERSIST]);
	link->multi_queue = tun[IFLA_TUN_MULTI_QUEUE] && nla_get_u8(tun[IFLA_TUN_MULTI_QUEUE]);
	if (tun[IFLA_TUN_OWNER])
		link->owner = nla_get_u32(tun[IFLA_TUN_OWNER]);
}

static void link_parse_kind(struct nlattr *attr, struct link *link)
{
	struct nlattr *info[IFLA_INFO_MAX + 1];
	const char *kind;

	if (!attr || nla_parse_nested(info, IFLA_INFO_MAX, attr, NULL) < 0 || !info[IFLA_INFO_KIND])
		return;
	kind = nla_get_string(info[IFLA_INFO_KIND]);
	link->bridge = streq(kind, "bridge");
	if (streq(kind, "tun"))
		link_parse_tun(info[IFLA_INFO_DATA], link);
}

static void link_parse_vf_mac(struct nlattr *attr, struct json_object *vf)
{
	struct ifla_vf_mac *mac = nla_data(attr);

	jset_str(vf, "mac", fmt("%02x:%02x:%02x:%02x:%02x:%02x", mac->mac[0], mac->mac[1],
				mac->mac[2], mac->mac[3], mac->mac[4], mac->mac[5]));
}

static void link_parse_vf_vlan(struct nlattr *attr, struct json_object *vf)
{
	struct ifla_vf_vlan *vlan = nla_data(attr);

	jset_int(vf, "vlan", vlan->vlan);
	jset_int(vf, "qos", vlan->qos);
}

/* A driver that does not know the setting leaves -1 there. */
static void link_parse_vf_flag(struct nlattr *attr, const char *key, struct json_object *vf)
{
	struct ifla_vf_trust *flag = nla_data(attr);

	if (flag->setting != ~0u)
		jset_bool(vf, key, flag->setting);
}

void link_parse_vf(struct nlattr *list, int index, struct json_object *vf)
{
	static const struct nla_policy policy[IFLA_VF_MAX + 1] = {
		[IFLA_VF_MAC] = { .minlen = sizeof(struct ifla_vf_mac) },
		[IFLA_VF_VLAN] = { .minlen = sizeof(struct ifla_vf_vlan) },
		[IFLA_VF_SPOOFCHK] = { .minlen = sizeof(struct ifla_vf_spoofchk) },
		[IFLA_VF_TRUST] = { .minlen = sizeof(struct ifla_vf_trust) },
	};
	struct nlattr *entry, *tb[IFLA_VF_MAX + 1];
	int rest;

	nla_for_each_nested(entry, list, rest) {
		if (nla_parse_nested(tb, IFLA_VF_MAX, entry, policy) < 0 || !tb[IFLA_VF_MAC] ||
		    ((struct ifla_vf_mac *)nla_data(tb[IFLA_VF_MAC]))->vf != (uint32_t)index)
			continue;
		link_parse_vf_mac(tb[IFLA_VF_MAC], vf);
		if (tb[IFLA_VF_VLAN])
			link_parse_vf_vlan(tb[IFLA_VF_VLAN], vf);
		if (tb[IFLA_VF_SPOOFCHK])
			link_parse_vf_flag(tb[IFLA_VF_SPOOFCHK], "spoofchk", vf);
		if (tb[IFLA_VF_TRUST])
			link_parse_vf_flag(tb[IFLA_VF_TRUST], "trust", vf);
	}
}

static int link_parse(struct nl_msg *msg, void *arg)
{
	struct ifinfomsg *header = nlmsg_data(nlmsg_hdr(msg));
	struct nlattr *tb[IFLA_MAX + 1];
	struct answer *answer = arg;

	if (nlmsg_parse(nlmsg_hdr(msg), sizeof(*header), tb, IFLA_MAX, NULL) < 0)
		return NL_SKIP;
	answer->link.up = header->ifi_flags & IFF_UP;
	link_parse_kind(tb[IFLA_LINKINFO], &answer->link);
	if (tb[IFLA_MASTER])
		answer->master = nla_get_u32(tb[IFLA_MASTER]);
	if (tb[IFLA_IFNAME])
		nla_strlcpy(answer->name, tb[IFLA_IFNAME], sizeof(answer->name));
	if (answer->vf && tb[IFLA_VFINFO_LIST])
		link_parse_vf(tb[IFLA_VFINFO_LIST], answer->vf_index, answer->vf);
	return NL_OK;
}

/* @name: NULL to ask for the interface with @index. */
static int link_ask(struct nl_sock *sk, const char *name, int index, struct answer *answer)
{
	struct ifinfomsg header = { .ifi_index = index };
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETLINK, NLM_F_REQUEST);
	int r = msg ? nlmsg_append(msg, &header, sizeof(header), NLMSG_ALIGNTO) : -NLE_NOMEM;

	if (r == 0 && name)
		r = nla_put_string(msg, IFLA_IFNAME, name);
	if (r == 0 && answer->vf)
		r = nla_put_u32(msg, IFLA_EXT_MASK, RTEXT_FILTER_VF);
	if (r == 0)
		r = nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, link_parse, answer);
	if (r == 0)
		r = nl_send_auto(sk, msg);
	if (r >= 0)
		r = nl_recvmsgs_default(sk);
	nlmsg_free(msg);
	return r >= 0 ? 0 : r == -NLE_NODEV || r == -NLE_OBJ_NOTFOUND ? -ENODEV : -EIO;
}

/* A socket stays in the namespace in which it was made. */
static int link_connect(const char *netns, struct nl_sock *sk)
{
	_cleanup_close_ int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int there = open(netns, O_RDONLY | O_CLOEXEC);
	int r;

	if (home < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0)
		return -errno;
	r = nl_connect(sk, NETLINK_ROUTE) < 0 ? -EIO : 0;
	return setns(home, CLONE_NEWNET) < 0 ? -errno : r;
}

/* Ask about an interface, and for the name of its master. */
static int link_query(const char *netns, const char *name, struct answer *answer)
{
	struct nl_sock *sk = nl_socket_alloc();
	struct answer master = { 0 };
	int r = sk ? link_connect(netns, sk) : -ENOMEM;

	if (r == 0) {
		nl_socket_disable_auto_ack(sk);
		nl_socket_enable_msg_peek(sk);	/* it may have hundreds of functions */
		r = link_ask(sk, name, 0, answer);
	}
	if (r == 0 && answer->master && link_ask(sk, NULL, answer->master, &master) == 0)
		strcpy(answer->link.master, master.name);
	nl_socket_free(sk);
	return r;
}

int link_read(const char *netns, const char *name, struct link *link)
{
	struct answer answer = { .link.owner = -1 };
	int r = link_query(netns, name, &answer);

	*link = answer.link;
	return r;
}

int link_read_vf(const char *netns, const char *name, int index, struct json_object *vf)
{
	struct answer answer = { .vf = vf, .vf_index = index };

	return link_query(netns, name, &answer);
}
