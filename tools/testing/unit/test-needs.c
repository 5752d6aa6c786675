// SPDX-License-Identifier: GPL-2.0-only
/* What a guest needs of its host is read from its arguments, and missed by name. */
#define _GNU_SOURCE
#include <linux/if_link.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ktap.h"
#include "host/link.h"
#include "host/pci.h"
#include "vm/manifest.h"
#include "vm/needs.h"

/* The needs of a QEMU with these arguments, as text; valid until the next call. */
static const char *needs_of(const char *const *words)
{
	static char text[1024];
	_cleanup_json_ struct json_object *manifest = json_object_new_object(), *needs = NULL;
	_cleanup_strv_ struct strv argv = { 0 };

	for (; *words; words++)
		strv_push(&argv, *words);
	jset_str(manifest, "cwd", "/here");
	jset(manifest, "argv", manifest_strings(&argv));
	if (needs_read(manifest, NULL, &needs, NULL) < 0)
		return "error";
	snprintf(text, sizeof(text), "%s",
		 json_object_to_json_string_ext(needs, JSON_C_TO_STRING_NOSLASHESCAPE));
	return text;
}

#define NEEDS(...) needs_of((const char *const []){ __VA_ARGS__, NULL })
#define BRIDGE(name) "[{\"kind\":\"bridge\",\"name\":\"" name "\"}]"
#define SOCKET(path) "[{\"kind\":\"socket\",\"name\":\"" path "\"}]"

TEST(bridges)
{
	CHECK_STR(NEEDS("-netdev", "bridge,id=n,br=vms"), BRIDGE("vms"));
	CHECK_STR(NEEDS("-netdev", "{\"type\":\"bridge\",\"id\":\"n\",\"br\":\"vms\"}"),
		  BRIDGE("vms"));
	CHECK_STR(NEEDS("-nic", "bridge"), BRIDGE("br0"));
	CHECK_STR(NEEDS("-net", "nic", "-net", "tap,helper=/h,br=b"), BRIDGE("b"));
	CHECK_STR(NEEDS("-netdev", "user,id=n"), "[]");
}

/* Such a tap is QEMU's own matter, or is not there. */
TEST(no_taps)
{
	CHECK_STR(NEEDS("-netdev", "tap,id=n,ifname=no-such-tap"), "[]");
	CHECK_STR(NEEDS("-netdev", "tap,id=n,ifname=no-such-tap,script=no"), "[]");
	CHECK_STR(NEEDS("-netdev", "tap,id=n,script=no"), "[]");
}

TEST(sockets)
{
	CHECK_STR(NEEDS("-chardev", "socket,id=c,path=/s"), SOCKET("/s"));
	CHECK_STR(NEEDS("-chardev", "socket,id=c,path=s"), SOCKET("/here/s"));
	CHECK_STR(NEEDS("-chardev", "socket,id=c,path=/s,server=off,reconnect=0"), SOCKET("/s"));
	CHECK_STR(NEEDS("-chardev", "socket,id=c,path=/s,server=on"), "[]");
	CHECK_STR(NEEDS("-chardev", "socket,id=c,path=/s,server,nowait"), "[]");
	CHECK_STR(NEEDS("-chardev", "socket,id=c,path=/s,reconnect=1"), "[]");
	CHECK_STR(NEEDS("-chardev", "socket,id=c,path=s,abstract=on"), "[]");
	CHECK_STR(NEEDS("-chardev", "socket,id=c,host=h,port=1"), "[]");
	CHECK_STR(NEEDS("-chardev", "pty,id=c"), "[]");
}

static struct json_object *needs_socket(const char *path)
{
	struct json_object *needs = json_object_new_array(), *need = json_object_new_object();

	jset_str(need, "kind", "socket");
	jset_str(need, "name", path);
	json_object_array_add(needs, need);
	return needs;
}

/* Its server is not connected to: some end when their client does. */
TEST(served)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_json_ struct json_object *needs = NULL;
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	_cleanup_err_ struct err err = { 0 };

	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/test-needs.%d", (int)getpid());
	needs = needs_socket(address.sun_path);
	CHECK_EQ(needs_check(needs, NULL, NULL, &err), -ENOENT);
	CHECK_EQ(err.exit, CPR_EXIT_REFUSED);
	CHECK_STR(err.why, "it does not exist");
	CHECK_EQ(needs_check(needs, NULL, address.sun_path, NULL), 0);
	CHECK_EQ(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	CHECK_EQ(listen(fd, 1), 0);
	CHECK_EQ(needs_check(needs, NULL, NULL, NULL), 0);
	CHECK_EQ(accept(fd, NULL, NULL), -1);
	close(fd);
	fd = -1;
	err_clear(&err);
	CHECK_EQ(needs_check(needs, NULL, NULL, &err), -ENOENT);
	CHECK_STR(err.why, "no process listens there");
	unlink(address.sun_path);
}

TEST(missing_bridge)
{
	static const char text[] = "[{\"kind\":\"bridge\",\"name\":\"no-such-br\"},"
				   "{\"kind\":\"later\",\"name\":\"x\"}]";
	_cleanup_json_ struct json_object *needs = json_tokener_parse(text);
	_cleanup_json_ struct json_object *process =
		json_tokener_parse("{\"netns\":\"no-such-ns\"}");
	_cleanup_err_ struct err err = { 0 };

	CHECK_EQ(needs_check(needs, process, NULL, &err), -ENOENT);
	CHECK_STR(err.what, "bridge");
	CHECK_STR(err.remedy, "'ip -n no-such-ns link add no-such-br type bridge && "
			      "ip -n no-such-ns link set no-such-br up', by hand or by a hook; "
			      "or '--force no-such-br'");
	CHECK_EQ(needs_check(needs, process, "a,no-such-br", NULL), 0);
	CHECK_EQ(needs_check(NULL, process, NULL, NULL), 0);
}

/* ---- virtual functions ---- */

#define PF "0000:01:00.0"
#define VF "0000:01:10.2"

static void vf_put(struct nl_msg *msg, uint32_t index, uint8_t last, uint32_t trust)
{
	struct ifla_vf_mac mac = { .vf = index, .mac = { 2, 0, 0, 0, 0xa, last } };
	struct ifla_vf_vlan vlan = { .vf = index, .vlan = 100 + index, .qos = 3 };
	struct ifla_vf_spoofchk spoofchk = { .vf = index, .setting = 1 };
	struct ifla_vf_trust flag = { .vf = index, .setting = trust };
	struct nlattr *entry = nla_nest_start(msg, IFLA_VF_INFO);

	nla_put(msg, IFLA_VF_MAC, sizeof(mac), &mac);
	nla_put(msg, IFLA_VF_VLAN, sizeof(vlan), &vlan);
	nla_put(msg, IFLA_VF_SPOOFCHK, sizeof(spoofchk), &spoofchk);
	nla_put(msg, IFLA_VF_TRUST, sizeof(flag), &flag);
	nla_nest_end(msg, entry);
}

TEST(vf_settings)
{
	static const char *const want[] = {
		"{\"mac\":\"02:00:00:00:0a:0b\",\"vlan\":100,\"qos\":3,\"spoofchk\":true,"
		"\"trust\":false}",
		"{\"mac\":\"02:00:00:00:0a:0c\",\"vlan\":101,\"qos\":3,\"spoofchk\":true}",
		"{}",
	};
	struct nl_msg *msg = nlmsg_alloc();
	struct nlattr *list = nla_nest_start(msg, IFLA_VFINFO_LIST);

	vf_put(msg, 0, 0xb, 0);
	vf_put(msg, 1, 0xc, ~0u);	/* a driver that knows no trust */
	nla_nest_end(msg, list);
	for (int i = 0; i < (int)ARRAY_SIZE(want); i++) {
		_cleanup_json_ struct json_object *vf = json_object_new_object();

		link_parse_vf(list, i, vf);
		CHECK_STR(json_object_to_json_string_ext(vf, JSON_C_TO_STRING_PLAIN), want[i]);
	}
	nlmsg_free(msg);
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
}

/* A physical function with two others, the second of which the guest has. */
static void make_vfs(const char *root)
{
	static const char *const dirs[] = {
		"", "/sys", "/sys/bus", "/sys/bus/pci", "/sys/bus/pci/devices",
		"/sys/bus/pci/devices/" PF, "/sys/bus/pci/devices/" VF,
	};

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		mkdir(fmt("%s%s", root, dirs[i]), 0700);
	write_text(fmt("%s/sys/bus/pci/devices/" PF "/sriov_numvfs", root), "2\n");
	symlink("../0000:01:10.0", fmt("%s/sys/bus/pci/devices/" PF "/virtfn0", root));
	symlink("../" VF, fmt("%s/sys/bus/pci/devices/" PF "/virtfn1", root));
	symlink("../" PF, fmt("%s/sys/bus/pci/devices/" VF "/physfn", root));
}

TEST(vfs)
{
	static const char manifest[] = "{\"argv\":[],\"devices\":[{\"address\":\"" PF "\"},"
				       "{\"address\":\"" VF "\"}]}";
	_cleanup_json_ struct json_object *m = json_tokener_parse(manifest), *needs = NULL;
	_cleanup_free_ char *root = xasprintf("/tmp/test-needs.%d", (int)getpid());
	_cleanup_err_ struct err err = { 0 };
	struct json_object *need;

	make_vfs(root);
	pci_root = root;
	CHECK_EQ(needs_read(m, NULL, &needs, NULL), 0);
	CHECK_STR(json_object_to_json_string_ext(needs, JSON_C_TO_STRING_PLAIN),
		  "[{\"kind\":\"virtual function\",\"name\":\"" VF "\",\"pf\":\"" PF "\","
		  "\"index\":1,\"count\":2}]");
	CHECK_EQ(needs_check(needs, NULL, NULL, NULL), 0);

	need = json_object_array_get_idx(needs, 0);
	jset_int(need, "vlan", 100);
	jset_bool(need, "spoofchk", true);
	CHECK_EQ(needs_check(needs, NULL, NULL, &err), -ENOENT);
	CHECK_STR(err.why, "its vlan was 100, and is unknown");
	CHECK_STR(err.remedy, "'ip link set PF vf 1 vlan 100 spoofchk on', by hand or by a hook; "
			      "or '--force " VF "'");
	err_clear(&err);

	unlink(fmt("%s/sys/bus/pci/devices/" VF "/physfn", root));
	CHECK_EQ(needs_check(needs, NULL, NULL, &err), -ENOENT);
	CHECK_STR(err.why, "it does not exist, and was number 1 of " PF);
	CHECK_STR(err.remedy, "'echo 2 >/sys/bus/pci/devices/" PF "/sriov_numvfs', by hand or by a "
			      "hook; or '--force " VF "'");
	CHECK_EQ(needs_check(needs, NULL, VF, NULL), 0);
	pci_root = "";
	CHECK_EQ(system(fmt("rm -r %s", root)), 0);
}

int main(void)
{
	return ktap_run();
}
