// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "host/link.h"
#include "host/vf.h"
#include "qemu/attributes.h"
#include "qemu/qemuopt.h"
#include "vm/manifest.h"
#include "vm/needs.h"

#define BRIDGE "br0"	/* QEMU's default */

/* ---- what the arguments name ---- */

static struct json_object *needs_add(struct json_object *needs, const char *kind, const char *name)
{
	struct json_object *need = json_object_new_object();

	jset_str(need, "kind", kind);
	jset_str(need, "name", name);
	json_object_array_add(needs, need);
	return need;
}

/* Whether QEMU runs a script that puts the tap where it belongs. */
static bool tap_has_script(struct json_object *kv)
{
	const char *script = keyval(kv, "script");

	return !script || (*script && !streq(script, "no"));
}

/* As QEMU makes it, if there is none: nobody has set anything up. */
static bool tap_is_plain(const struct link *link)
{
	return !link->persistent && !link->up && !*link->master;
}

static void tap_read(struct json_object *kv, const char *netns, struct json_object *needs)
{
	const char *name = keyval(kv, "ifname");
	struct json_object *need;
	struct link link;

	if (!name || tap_has_script(kv) || link_read(netns, name, &link) < 0 || !link.tap ||
	    tap_is_plain(&link))
		return;
	need = needs_add(needs, "tap", name);
	jset_str(need, "bridge", *link.master ? link.master : NULL);
	jset_bool(need, "up", link.up);
	jset_bool(need, "persistent", link.persistent);
	jset_bool(need, "multi_queue", link.multi_queue);
	if (link.owner >= 0)
		jset_int(need, "owner", link.owner);
}

static void netdev_read(struct json_object *kv, const char *netns, struct json_object *needs)
{
	const char *bridge = keyval(kv, "br");
	bool tap = keyval_is(kv, "type", "tap");

	if (keyval_is(kv, "type", "bridge") || (tap && keyval(kv, "helper")))
		needs_add(needs, "bridge", bridge ? bridge : BRIDGE);
	else if (tap)
		tap_read(kv, netns, needs);
}

/* QEMU starts without a server if it may connect later. */
static bool chardev_must_connect(struct json_object *kv)
{
	static const char *const later[] = { "reconnect", "reconnect-ms" };

	for (size_t i = 0; i < ARRAY_SIZE(later); i++)
		if (keyval(kv, later[i]) && !keyval_is(kv, later[i], "0"))
			return false;
	return keyval_is(kv, "backend", "socket") && keyval(kv, "path") &&
	       !keyval_on(kv, "server") && !keyval_on(kv, "abstract");
}

static void chardev_read(struct json_object *kv, const char *cwd, struct json_object *needs)
{
	const char *path = keyval(kv, "path");

	if (chardev_must_connect(kv))
		needs_add(needs, "socket", *path == '/' ? path : fmt("%s/%s", cwd, path));
}

static void device_read(const char *address, struct json_object *needs)
{
	_cleanup_json_ struct json_object *vf = json_object_new_object();
	struct json_object *need;

	if (!vf_read(address, vf))
		return;
	need = needs_add(needs, "virtual function", address);
	json_object_object_foreach(vf, key, value)
		jset(need, key, json_object_get(value));
}

int needs_read(struct json_object *manifest, struct json_object *process,
	       struct json_object **needs, struct err *err)
{
	_cleanup_free_ char *netns = attributes_netns(process);
	_cleanup_qemuopts_ struct qemuopts opts = { 0 };
	_cleanup_strv_ struct strv argv = { 0 }, devices = { 0 };
	int r;

	manifest_argv(manifest, &argv);
	r = qemuopts_parse(&argv, &opts, err);
	if (r < 0)
		return r;
	*needs = json_object_new_array();
	qemuopts_for_each(opt, &opts) {
		if (opt->kind->id == QEMUOPT_NETDEV)
			netdev_read(opt->kv, netns, *needs);
		else if (opt->kind->id == QEMUOPT_CHARDEV)
			chardev_read(opt->kv, jstr(manifest, "cwd"), *needs);
	}
	manifest_devices(manifest, &devices);
	for (size_t i = 0; i < devices.n; i++)
		device_read(devices.v[i], *needs);
	return 0;
}

int needs_check_lasting(struct json_object *needs, struct err *err)
{
	for (size_t i = 0; needs && i < json_object_array_length(needs); i++) {
		struct json_object *need = json_object_array_get_idx(needs, i);

		if (!jbool(need, "persistent", true))
			return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "tap",
				    .value = jstr(need, "name"),
				    .why = "QEMU has made it, and it ends with QEMU",
				    .remedy = "have a hook make it before restore, see HOOKS in "
				    "cpr-helper(8)");
	}
	return 0;
}

void needs_names(struct json_object *needs, struct strv *names)
{
	for (size_t i = 0; needs && i < json_object_array_length(needs); i++)
		strv_push(names, jstr(json_object_array_get_idx(needs, i), "name"));
}

/* ---- what the host has ---- */

/**
 * struct host - where a need is looked for
 * @netns: path of QEMU's network namespace
 * @ip: the command that changes interfaces there
 */
struct host {
	const char *netns;
	const char *ip;
};

/*
 * Each check returns NULL if the host has what is needed. Otherwise it returns why not, and sets
 * @remedy to the command that makes it.
 */
typedef const char *need_check_fn(struct json_object *need, const struct host *host,
				  const char **remedy);

static const char *bridge_check(struct json_object *need, const struct host *host,
				const char **remedy)
{
	const char *name = jstr(need, "name");
	struct link link;

	if (link_read(host->netns, name, &link) == 0)
		return NULL;
	*remedy = fmt("'%s link add %s type bridge && %s link set %s up'", host->ip, name, host->ip,
		      name);
	return "it does not exist, and the guest's tap goes into it";
}

/* Open vSwitch has one master for the ports of all its bridges. */
static const char *tap_into_command(const char *name, const char *bridge, const struct host *host)
{
	return streq(bridge, "ovs-system") ? fmt("ovs-vsctl --may-exist add-port BRIDGE %s", name) :
	       fmt("%s link set %s master %s", host->ip, name, bridge);
}

static const char *tap_command(struct json_object *need, const struct host *host)
{
	const char *name = jstr(need, "name"), *bridge = jstr(need, "bridge");
	int64_t owner = jint(need, "owner", -1);

	return fmt("'%s tuntap add %s mode tap%s%s%s && %s link set %s up'", host->ip, name,
		   jbool(need, "multi_queue", false) ? " multi_queue" : "",
		   owner < 0 ? "" : fmt(" user %lld", (long long)owner),
		   bridge ? fmt(" && %s", tap_into_command(name, bridge, host)) : "", host->ip, name);
}

static const char *tap_check(struct json_object *need, const struct host *host,
			     const char **remedy)
{
	const char *name = jstr(need, "name"), *bridge = jstr(need, "bridge");
	const char *before = bridge ? fmt("'%s'", bridge) : "no bridge";
	struct link link;

	*remedy = tap_command(need, host);
	if (link_read(host->netns, name, &link) < 0)
		return fmt("it does not exist, and was in %s", before);
	if (!link.tap)
		return "an interface that is no tap has its name";
	if (bridge && !streq(link.master, bridge)) {
		*remedy = fmt("'%s'", tap_into_command(name, bridge, host));
		return fmt("it was in %s, and is in %s", before,
			   *link.master ? fmt("'%s'", link.master) : "no bridge");
	}
	*remedy = fmt("'%s link set %s up'", host->ip, name);
	return jbool(need, "up", false) && !link.up ? "it is down" : NULL;
}

/*
 * Whether a process listens: then a socket of another type gets another error. To connect in
 * earnest would make some servers end.
 */
static bool socket_is_served(const char *path)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(sa.sun_path))
		return false;
	strcpy(sa.sun_path, path);
	return connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 || errno == EPROTOTYPE;
}

static const char *socket_check(struct json_object *need, const struct host *host,
				const char **remedy)
{
	const char *path = jstr(need, "name");

	(void)host;
	*remedy = "start the process that serves the guest there";
	return socket_is_served(path) ? NULL : access(path, F_OK) < 0 ? "it does not exist" :
	       "no process listens there";
}

/* As ip(8) has them. */
static const char *const vf_settings[] = { "mac", "vlan", "qos", "spoofchk", "trust" };

static const char *vf_text(struct json_object *setting)
{
	if (json_object_is_type(setting, json_type_boolean))
		return json_object_get_boolean(setting) ? "on" : "off";
	return setting ? json_object_get_string(setting) : "unknown";
}

static const char *vf_command(struct json_object *need, struct json_object *is)
{
	_cleanup_strv_ struct strv words = { 0 };
	_cleanup_free_ char *settings = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(vf_settings); i++) {
		struct json_object *was = jget(need, vf_settings[i]);

		if (was)
			strv_pushf(&words, "%s %s", vf_settings[i], vf_text(was));
	}
	settings = strv_join(&words, " ");
	return fmt("'ip link set %s vf %d %s'", jstr(is, "link") ? jstr(is, "link") : "PF",
		   (int)jint(is, "index", 0), settings);
}

/* A guest that is trusted may have set its address itself. */
static bool vf_differs(struct json_object *need, struct json_object *is, const char *setting)
{
	struct json_object *was = jget(need, setting);

	if (streq(setting, "mac") && jbool(need, "trust", false))
		return false;
	return was && !json_object_equal(was, jget(is, setting));
}

static const char *vf_check(struct json_object *need, const struct host *host,
			    const char **remedy)
{
	_cleanup_json_ struct json_object *is = json_object_new_object();
	const char *pf = jstr(need, "pf");

	(void)host;
	*remedy = fmt("'echo %d >/sys/bus/pci/devices/%s/sriov_numvfs'", (int)jint(need, "count", 0),
		      pf);
	if (!vf_read(jstr(need, "name"), is))
		return fmt("it does not exist, and was number %d of %s", (int)jint(need, "index", 0),
			   pf);
	*remedy = vf_command(need, is);
	for (size_t i = 0; i < ARRAY_SIZE(vf_settings); i++)
		if (vf_differs(need, is, vf_settings[i]))
			return fmt("its %s was %s, and is %s", vf_settings[i],
				   vf_text(jget(need, vf_settings[i])),
				   vf_text(jget(is, vf_settings[i])));
	return NULL;
}

/* What a later cpr-helper has recorded is not checked. */
static const struct { const char *kind; need_check_fn *check; } kinds[] = {
	{ "tap", tap_check },
	{ "bridge", bridge_check },
	{ "socket", socket_check },
	{ "virtual function", vf_check },
};

static int need_check(struct json_object *need, const struct host *host, struct err *err)
{
	const char *kind = jstr(need, "kind"), *name = jstr(need, "name"), *why = NULL, *remedy;

	for (size_t i = 0; !why && i < ARRAY_SIZE(kinds); i++)
		if (streq(kinds[i].kind, kind))
			why = kinds[i].check(need, host, &remedy);
	if (!why)
		return 0;
	return fail(err, -ENOENT, .exit = CPR_EXIT_REFUSED, .what = kind, .value = name, .why = why,
		    .remedy = fmt("%s, by hand or by a hook; or '--force %s'", remedy, name));
}

int needs_check(struct json_object *needs, struct json_object *process, const char *forced,
		struct err *err)
{
	_cleanup_free_ char *netns = attributes_netns(process);
	const char *name = jstr(process, "netns");
	struct host host = { .netns = netns, .ip = name ? fmt("ip -n %s", name) : "ip" };
	int r = 0;

	for (size_t i = 0; r == 0 && needs && i < json_object_array_length(needs); i++) {
		struct json_object *need = json_object_array_get_idx(needs, i);

		if (!list_has_word(forced, jstr(need, "name")))
			r = need_check(need, &host, err);
	}
	return r;
}
