// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "qemu/rehearsalargs.h"

#define NOTE_MAX 120

/* Hubs of the user's own have smaller numbers. */
#define HUB_FIRST 770000

void rehearsal_plan_free(struct rehearsal_plan *plan)
{
	strv_free(&plan->argv);
	free(plan->note);
	*plan = (struct rehearsal_plan){ 0 };
}

/*
 * All nodes have BDRV_O_INACTIVE until the state is loaded. With it none of these drivers
 * writes or takes a lock; and none needs a network.
 */
bool rehearsal_opens(const char *block_driver)
{
	static const char *const drivers[] = {
		"file", "host_device", "raw", "qcow2", "luks", "null-co", "null-aio", "throttle",
		"copy-on-read",
	};

	return str_in(drivers, block_driver);
}

static bool _printf_(3, 4) rehearsal_put(struct rehearsal_plan *plan, const struct qemuopt *opt,
					 const char *format, ...)
{
	_cleanup_free_ char *value = NULL;
	va_list ap;

	va_start(ap, format);
	value = xvasprintf(format, ap);
	va_end(ap);
	qemuopt_push(&plan->argv, opt, value);
	return true;
}

static bool rehearsal_put_json(struct rehearsal_plan *plan, const struct qemuopt *opt,
			       struct json_object *kv)
{
	qemuopt_push(&plan->argv, opt,
		     json_object_to_json_string_ext(kv, JSON_C_TO_STRING_PLAIN |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
	return true;
}

bool rehearsal_keep(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	qemuopt_push(&plan->argv, opt, opt->value);
	return true;
}

bool rehearsal_drop(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	(void)plan;
	(void)opt;
	return true;
}

/* A copy of the members of a JSON argument, to be changed; NULL if it is not JSON. */
static struct json_object *rehearsal_json(const struct qemuopt *opt)
{
	struct json_object *kv = NULL;

	if (opt->kind->arg == QEMUOPT_JSON && opt->value[0] == '{')
		json_object_deep_copy(opt->kv, &kv, NULL);
	return kv;
}

/* The memory of the running QEMU, mapped private: the rehearsal's writes stay its own. */
static bool rehearsal_memory(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	_cleanup_json_ struct json_object *kv = rehearsal_json(opt);

	if (!kv)
		return rehearsal_put(plan, opt, "%s,share=off,readonly=on,rom=off,prealloc=off,"
				     "reserve=off", opt->value);
	jset_bool(kv, "share", false);
	jset_bool(kv, "readonly", true);
	jset_bool(kv, "prealloc", false);
	jset_bool(kv, "reserve", false);
	jset_str(kv, "rom", "off");
	return rehearsal_put_json(plan, opt, kv);
}

bool rehearsal_object(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	static const char *const harmless[] = {
		"iothread", "main-loop", "thread-context", "throttle-group", "secret",
		"secret_keyring", "rng-random", "rng-builtin", "rng-egd",
		"cryptodev-backend-builtin", "can-bus", "acpi-generic-initiator",
		"acpi-generic-port", "authz-list", "authz-list-file", "authz-simple",
		"tls-cipher-suites", "tls-creds-anon", "tls-creds-psk", "tls-creds-x509",
	};

	if (keyval_is(opt->kv, "qom-type", "memory-backend-file"))
		return rehearsal_memory(plan, opt);
	return str_in(harmless, keyval(opt->kv, "qom-type")) && rehearsal_keep(plan, opt);
}

bool rehearsal_device(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	/* Devices of the host, or connected to a process that a second QEMU would disturb. */
	static const char *const outside[] = {
		"vfio-", "vhost-", "x-vfio-", "x-remote", "xen-", "tpm-", "usb-host", "usb-redir",
		"usb-mtp", "usb-braille", "u2f-", "ccid-card-", "ivshmem-doorbell",
		"virtio-input-host", "virtio-gpu-gl", "virtio-vga-gl", "virtio-gpu-rutabaga",
		"virtio-vga-rutabaga", "virtio-mem", "scsi-generic", "scsi-block",
		"ipmi-bmc-extern", "qxl",
	};
	const char *driver = keyval(opt->kv, "driver");

	for (size_t i = 0; driver && i < ARRAY_SIZE(outside); i++)
		if (startswith(driver, outside[i]))
			return false;
	return driver && rehearsal_keep(plan, opt);
}

bool rehearsal_chardev(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	const char *id = keyval(opt->kv, "id");

	return id && keyval(opt->kv, "backend") &&
	       rehearsal_put(plan, opt, "null,id=%s%s", id,
			     keyval_on(opt->kv, "mux") ? ",mux=on" : "");
}

/* The argument is a chardev, unless it refers to one: then -chardev makes that inert. */
bool rehearsal_serial(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	bool inert = streq(opt->value, "none") || startswith(opt->value, "chardev:");

	return rehearsal_put(plan, opt, "%s", inert ? opt->value : "null");
}

bool rehearsal_none(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	return rehearsal_put(plan, opt, "none");
}

bool rehearsal_audiodev(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	const char *id = keyval(opt->kv, "id"), *model = keyval(opt->kv, "model");

	return keyval(opt->kv, "driver") &&
	       rehearsal_put(plan, opt, "none%s%s%s%s", id ? ",id=" : "", id ? id : "",
			     model ? ",model=" : "", model ? model : "");
}

/* The end of the "key=value" or "value" that begins at @s. */
static size_t rehearsal_part_len(const char *s)
{
	size_t n = 0;

	while (s[n] && (s[n] != ',' || s[n + 1] == ','))
		n += s[n] == ',' ? 2 : 1;
	return n;
}

/* "a,b=c,d=e" without the parts whose key is in @keys; the first key may be @implied. */
static char *rehearsal_without(const char *s, const char *implied, const char *const *keys,
			       size_t n)
{
	char *out = xcalloc(1, strlen(s) + 1), *p = out;

	for (size_t len; *s; s += len + (s[len] == ','), implied = NULL) {
		_cleanup_free_ char *key = xstrndup(s, strcspn(s, "=,"));

		len = rehearsal_part_len(s);
		if (str_in_list(keys, n, s[strlen(key)] != '=' && implied ? implied : key))
			continue;
		if (p != out)
			*p++ = ',';
		p = mempcpy(p, s, len);
	}
	return out;
}

/* A network backend of @type, without the members @outside that act outside of QEMU. */
static bool rehearsal_backend(struct rehearsal_plan *plan, const struct qemuopt *opt,
			      const char *type, const char *const *outside, size_t n)
{
	_cleanup_json_ struct json_object *kv = rehearsal_json(opt);
	_cleanup_free_ char *rest = NULL;
	bool tap = streq(type, "tap");

	if (!kv) {
		rest = rehearsal_without(opt->value, "type", outside, n);
		return rehearsal_put(plan, opt, "%s%s%s%s", type, *rest ? "," : "", rest,
				     tap ? ",script=no,downscript=no" : "");
	}
	for (size_t i = 0; i < n; i++)
		json_object_object_del(kv, outside[i]);
	jset_str(kv, "type", type);
	if (tap) {
		jset_str(kv, "script", "no");
		jset_str(kv, "downscript", "no");
	}
	return rehearsal_put_json(plan, opt, kv);
}

/*
 * A tap device stays one: virtio-net asks its peer for offloads, and does not load a state
 * that was saved with a peer that has more of them. @plan->netless hides the device.
 */
static bool rehearsal_tap(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	static const char *const outside[] = {
		"type", "ifname", "script", "downscript", "helper", "br", "fd", "fds", "vhostfd",
		"vhostfds",
	};

	plan->netless = true;
	return rehearsal_backend(plan, opt, "tap", outside, ARRAY_SIZE(outside));
}

/* The state has the connections, and loading it looks for those that guestfwd= made. */
static bool rehearsal_user(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	static const char *const outside[] = { "type", "hostfwd", "smb", "smbserver" };

	return !jget(opt->kv, "guestfwd") &&
	       rehearsal_backend(plan, opt, "user", outside, ARRAY_SIZE(outside));
}

bool rehearsal_net(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	static const struct { const char *type; qemuopt_rehearse_fn *turn; } backends[] = {
		{ "none", rehearsal_keep }, { "nic", rehearsal_keep }, { "hubport", rehearsal_keep },
		{ "user", rehearsal_user }, { "tap", rehearsal_tap }, { "bridge", rehearsal_tap },
	};

	for (size_t i = 0; i < ARRAY_SIZE(backends); i++)
		if (keyval_is(opt->kv, "type", backends[i].type))
			return backends[i].turn(plan, opt);
	return false;
}

/* -net and -nic also make a device; for -netdev a hub can replace backends without offloads. */
bool rehearsal_netdev(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	static const char *const wires[] = { "socket", "stream", "dgram", "l2tpv3", "vde" };
	const char *id = keyval(opt->kv, "id");

	if (!str_in(wires, keyval(opt->kv, "type")))
		return rehearsal_net(plan, opt);
	return id && rehearsal_put(plan, opt, "hubport,id=%s,hubid=%zu", id,
				   HUB_FIRST + plan->argv.n);
}

bool rehearsal_fs(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	static const char *const harmless[] = { "local", "synth" };

	return str_in(harmless, keyval(opt->kv, "fsdriver")) && rehearsal_keep(plan, opt);
}

bool rehearsal_usbdevice(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	static const char *const harmless[] = { "tablet", "mouse", "keyboard", "wacom-tablet" };

	return str_in(harmless, opt->value) && rehearsal_keep(plan, opt);
}

bool rehearsal_vga(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	return !streq(opt->value, "qxl") && rehearsal_keep(plan, opt);
}

bool rehearsal_icount(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	return !keyval(opt->kv, "rr") && rehearsal_keep(plan, opt);
}

/* In other groups it could undo what the rehearsal changes. */
bool rehearsal_set(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	return startswith(opt->value, "device.") && rehearsal_keep(plan, opt);
}

static bool rehearsal_turn(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	bool malformed = opt->kind->arg == QEMUOPT_JSON && !opt->kv;

	return opt->kind->rehearse && !malformed && opt->kind->rehearse(plan, opt);
}

void rehearsal_plan(const struct qemuopts *opts, struct rehearsal_plan *plan)
{
	*plan = (struct rehearsal_plan){ 0 };
	qemuopts_for_each(opt, opts) {
		if (rehearsal_turn(plan, opt))
			continue;
		plan->note = xasprintf("the effect of -%s%s%.*s outside of QEMU is not known",
				       opt->name, opt->value ? " " : "", NOTE_MAX,
				       opt->value ? opt->value : "");
		return;
	}
	/* Without it QEMU may open a window, or listen for VNC. */
	strv_push(&plan->argv, "-display");
	strv_push(&plan->argv, "none");
}
