// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "qemu/qemuopt.h"
#include "qemu/rehearsalargs.h"

#define NOTE_MAX 120

/* Beyond those that anybody would choose. */
#define HUB_FIRST 770000

/* What an option is turned into; false if that cannot be told. */
typedef bool (*turn_fn)(struct rehearsal_plan *plan, const struct qemuopt *opt,
			struct json_object *kv);

void rehearsal_plan_free(struct rehearsal_plan *plan)
{
	strv_free(&plan->argv);
	free(plan->note);
	*plan = (struct rehearsal_plan){ 0 };
}

static bool in(const char *const *list, size_t n, const char *s)
{
	for (size_t i = 0; s && i < n; i++)
		if (streq(list[i], s))
			return true;
	return false;
}

static bool begins_in(const char *const *list, size_t n, const char *s)
{
	for (size_t i = 0; s && i < n; i++)
		if (startswith(s, list[i]))
			return true;
	return false;
}

/*
 * With BDRV_O_INACTIVE, as all nodes are before the state is loaded, none of these
 * writes, or locks out anybody; and none of them needs a network.
 */
bool rehearsal_opens(const char *block_driver)
{
	static const char *const drivers[] = {
		"file", "host_device", "raw", "qcow2", "luks", "null-co", "null-aio", "throttle",
		"copy-on-read",
	};

	return in(drivers, ARRAY_SIZE(drivers), block_driver);
}

static bool _printf_(3, 4) put(struct rehearsal_plan *plan, const struct qemuopt *opt,
			       const char *format, ...)
{
	_cleanup_free_ char *value = NULL;
	va_list ap;

	va_start(ap, format);
	value = xvasprintf(format, ap);
	va_end(ap);
	strv_pushf(&plan->argv, "-%s", opt->name);
	strv_push(&plan->argv, value);
	return true;
}

static bool keep(struct rehearsal_plan *plan, const struct qemuopt *opt, struct json_object *kv)
{
	(void)kv;
	if (!*opt->name)
		strv_push(&plan->argv, opt->value);
	else
		strv_pushf(&plan->argv, "-%s", opt->name);
	if (*opt->name && opt->value)
		strv_push(&plan->argv, opt->value);
	return true;
}

/* The end of "key=value" or "value" that begins at @s. */
static size_t part_len(const char *s)
{
	size_t n = 0;

	while (s[n] && (s[n] != ',' || s[n + 1] == ','))
		n += s[n] == ',' ? 2 : 1;
	return n;
}

/* "a,b=c,d=e" without the parts whose key is in @keys; the first is that of @implied. */
static char *without(const char *s, const char *implied, const char *const *keys, size_t n)
{
	char *out = xcalloc(1, strlen(s) + 1), *p = out;

	for (size_t len; *s; s += len + (s[len] == ','), implied = NULL) {
		_cleanup_free_ char *key = NULL;

		len = part_len(s);
		key = xstrndup(s, strcspn(s, "=,"));
		if (in(keys, n, s[strlen(key)] != '=' && implied ? implied : key))
			continue;
		if (p != out)
			*p++ = ',';
		p = mempcpy(p, s, len);
	}
	return out;
}

static char *json_text(struct json_object *kv)
{
	return xstrdup(json_object_to_json_string_ext(kv, JSON_C_TO_STRING_PLAIN |
						      JSON_C_TO_STRING_NOSLASHESCAPE));
}

/* The memory that QEMU has now, as this one finds it, and nothing comes back to it. */
static bool turn_memory(struct rehearsal_plan *plan, const struct qemuopt *opt,
			struct json_object *kv)
{
	static const struct { const char *key; bool on; } set[] = {
		{ "share", false }, { "readonly", true }, { "prealloc", false }, { "reserve", false },
	};
	_cleanup_free_ char *text = NULL;

	if (*opt->value != '{')
		return put(plan, opt,
			   "%s,share=off,readonly=on,rom=off,prealloc=off,reserve=off", opt->value);
	for (size_t i = 0; i < ARRAY_SIZE(set); i++)
		jset_bool(kv, set[i].key, set[i].on);
	jset_str(kv, "rom", "off");
	text = json_text(kv);
	return put(plan, opt, "%s", text);
}

static bool turn_object(struct rehearsal_plan *plan, const struct qemuopt *opt,
			struct json_object *kv)
{
	static const char *const harmless[] = {
		"iothread", "main-loop", "thread-context", "throttle-group", "secret",
		"secret_keyring", "rng-random", "rng-builtin", "rng-egd",
		"cryptodev-backend-builtin", "can-bus", "acpi-generic-initiator",
		"acpi-generic-port", "authz-list", "authz-list-file", "authz-simple",
		"tls-cipher-suites", "tls-creds-anon", "tls-creds-psk", "tls-creds-x509",
	};
	const char *type = keyval(kv, "qom-type");

	if (type && streq(type, "memory-backend-file"))
		return turn_memory(plan, opt, kv);
	return in(harmless, ARRAY_SIZE(harmless), type) && keep(plan, opt, kv);
}

/* Devices that are of the host, or speak with somebody whom a second one would disturb. */
static bool turn_device(struct rehearsal_plan *plan, const struct qemuopt *opt,
			struct json_object *kv)
{
	static const char *const outside[] = {
		"vfio-", "vhost-", "x-vfio-", "x-remote", "xen-", "tpm-", "usb-host", "usb-redir",
		"usb-mtp", "usb-braille", "u2f-", "ccid-card-", "ivshmem-doorbell",
		"virtio-input-host", "virtio-gpu-gl", "virtio-vga-gl", "virtio-gpu-rutabaga",
		"virtio-vga-rutabaga", "virtio-mem", "scsi-generic", "scsi-block",
		"ipmi-bmc-extern", "qxl",
	};
	const char *driver = keyval(kv, "driver");

	return driver && !begins_in(outside, ARRAY_SIZE(outside), driver) && keep(plan, opt, kv);
}

static bool turn_chardev(struct rehearsal_plan *plan, const struct qemuopt *opt,
			 struct json_object *kv)
{
	const char *id = keyval(kv, "id");

	if (!id || !keyval(kv, "backend"))
		return false;
	return put(plan, opt, "null,id=%s%s", id, keyval_on(kv, "mux") ? ",mux=on" : "");
}

/* The short way to have a chardev and what uses it. */
static bool turn_serial(struct rehearsal_plan *plan, const struct qemuopt *opt,
			struct json_object *kv)
{
	(void)kv;
	if (streq(opt->value, "none") || startswith(opt->value, "chardev:"))
		return put(plan, opt, "%s", opt->value);
	return put(plan, opt, "null");
}

static bool turn_none(struct rehearsal_plan *plan, const struct qemuopt *opt,
		      struct json_object *kv)
{
	(void)kv;
	return put(plan, opt, "none");
}

static bool turn_audiodev(struct rehearsal_plan *plan, const struct qemuopt *opt,
			  struct json_object *kv)
{
	const char *id = keyval(kv, "id"), *model = keyval(kv, "model");

	return keyval(kv, "driver") &&
	       put(plan, opt, "none%s%s%s%s", id ? ",id=" : "", id ? id : "",
			      model ? ",model=" : "", model ? model : "");
}

/* What a network's backend does outside, by the members that tell it to. */
static const char *const tap_outside[] = {
	"type", "ifname", "script", "downscript", "helper", "br", "fd", "fds", "vhostfd",
	"vhostfds",
};
static const char *const user_outside[] = { "type", "hostfwd", "smb", "smbserver" };

static bool put_backend(struct rehearsal_plan *plan, const struct qemuopt *opt,
			struct json_object *kv, const char *type, const char *const *outside,
			size_t n)
{
	_cleanup_free_ char *text = NULL, *rest = NULL;

	if (*opt->value == '{') {
		for (size_t i = 0; i < n; i++)
			json_object_object_del(kv, outside[i]);
		jset_str(kv, "type", type);
		if (streq(type, "tap")) {
			jset_str(kv, "script", "no");
			jset_str(kv, "downscript", "no");
		}
		text = json_text(kv);
		return put(plan, opt, "%s", text);
	}
	rest = without(opt->value, "type", outside, n);
	return put(plan, opt, "%s%s%s%s", type, *rest ? "," : "", rest,
		   streq(type, "tap") ? ",script=no,downscript=no" : "");
}

/*
 * A tap device stays one, for virtio-net looks at what its peer can do and does not
 * load what was saved with one that could do more. It is made where nobody sees it.
 */
static bool turn_tap(struct rehearsal_plan *plan, const struct qemuopt *opt,
		     struct json_object *kv)
{
	plan->netless = true;
	return put_backend(plan, opt, kv, "tap", tap_outside, ARRAY_SIZE(tap_outside));
}

/* Its connections are in the state, and one that a guestfwd has made is looked for. */
static bool turn_user(struct rehearsal_plan *plan, const struct qemuopt *opt,
		      struct json_object *kv)
{
	return !jget(kv, "guestfwd") &&
	       put_backend(plan, opt, kv, "user", user_outside, ARRAY_SIZE(user_outside));
}

/* Peers that can do nothing special: as good as one that leads nowhere. */
static bool turn_wire(struct rehearsal_plan *plan, const struct qemuopt *opt,
		      struct json_object *kv)
{
	const char *id = keyval(kv, "id");

	/* Others than -netdev make a device as well. */
	return id && streq(opt->name, "netdev") &&
	       put(plan, opt, "hubport,id=%s,hubid=%zu", id, HUB_FIRST + opt->at);
}

static const struct { const char *type; turn_fn turn; } backends[] = {
	{ "none", keep }, { "nic", keep }, { "hubport", keep }, { "user", turn_user },
	{ "tap", turn_tap }, { "bridge", turn_tap }, { "socket", turn_wire },
	{ "stream", turn_wire }, { "dgram", turn_wire }, { "l2tpv3", turn_wire },
	{ "vde", turn_wire },
};

static bool turn_net(struct rehearsal_plan *plan, const struct qemuopt *opt,
		     struct json_object *kv)
{
	const char *type = keyval(kv, "type");

	for (size_t i = 0; type && i < ARRAY_SIZE(backends); i++)
		if (streq(backends[i].type, type))
			return backends[i].turn(plan, opt, kv);
	return false;
}

static bool turn_fs(struct rehearsal_plan *plan, const struct qemuopt *opt,
		    struct json_object *kv)
{
	static const char *const harmless[] = { "local", "synth" };

	return in(harmless, ARRAY_SIZE(harmless), keyval(kv, "fsdriver")) && keep(plan, opt, kv);
}

static bool turn_usbdevice(struct rehearsal_plan *plan, const struct qemuopt *opt,
			   struct json_object *kv)
{
	static const char *const harmless[] = { "tablet", "mouse", "keyboard", "wacom-tablet" };

	return in(harmless, ARRAY_SIZE(harmless), opt->value) && keep(plan, opt, kv);
}

static bool turn_vga(struct rehearsal_plan *plan, const struct qemuopt *opt,
		     struct json_object *kv)
{
	return !streq(opt->value, "qxl") && keep(plan, opt, kv);
}

static bool turn_icount(struct rehearsal_plan *plan, const struct qemuopt *opt,
			struct json_object *kv)
{
	return !keyval(kv, "rr") && keep(plan, opt, kv);
}

/* Of the other groups it would undo what is done here. */
static bool turn_set(struct rehearsal_plan *plan, const struct qemuopt *opt,
		     struct json_object *kv)
{
	return startswith(opt->value, "device.") && keep(plan, opt, kv);
}

/* They only listen, write, show or take memory. */
static const char *const dropped[] = {
	"qmp", "qmp-pretty", "mon", "gdb", "s", "pidfile", "D", "d", "dfilter", "trace", "vnc",
	"spice", "full-screen", "perfmap", "jitdump", "mem-prealloc", "overcommit", "run-with",
	"async-teardown", "echr",
};

/* They make the machine; files that they name are read. "": a word that is no option. */
static const char *const kept[] = {
	"", "accel", "acpitable", "action", "append", "bios", "blockdev", "boot", "cdrom",
	"compat", "cpu", "drive", "dtb", "enable-kvm", "fda", "fdb", "fw_cfg", "g", "global",
	"hda", "hdb", "hdc", "hdd", "initrd", "k", "kernel", "L", "m", "M", "machine", "msg",
	"mtdblock", "name", "no-acpi", "no-fd-bootchk", "no-hpet", "no-reboot", "no-shutdown",
	"no-user-config", "nodefaults", "nographic", "numa", "one-insn-per-tb",
	"only-migratable", "option-rom", "pflash", "rtc", "sandbox", "sd", "seed", "shim",
	"singlestep", "smbios", "smp", "snapshot", "usb", "uuid", "watchdog-action",
	"win2k-hack",
};

/**
 * struct rule - what else becomes of an option
 * @implied: key of its first part; NULL if @turn does not look at parts
 */
static const struct rule {
	const char *name;
	const char *implied;
	turn_fn turn;
} rules[] = {
	{ "object", "qom-type", turn_object },
	{ "device", "driver", turn_device },
	{ "chardev", "backend", turn_chardev },
	{ "serial", NULL, turn_serial },
	{ "parallel", NULL, turn_serial },
	{ "debugcon", NULL, turn_serial },
	{ "monitor", NULL, turn_none },
	{ "display", NULL, turn_none },
	{ "audiodev", "driver", turn_audiodev },
	{ "audio", "driver", turn_audiodev },
	{ "netdev", "type", turn_net },
	{ "nic", "type", turn_net },
	{ "net", "type", turn_net },
	{ "fsdev", "fsdriver", turn_fs },
	{ "virtfs", "fsdriver", turn_fs },
	{ "usbdevice", NULL, turn_usbdevice },
	{ "vga", NULL, turn_vga },
	{ "icount", "shift", turn_icount },
	{ "set", NULL, turn_set },
};

static bool turn_by(const struct rule *rule, struct rehearsal_plan *plan,
		    const struct qemuopt *opt)
{
	_cleanup_json_ struct json_object *kv = NULL;

	if (!opt->value)
		return false;
	if (!rule->implied)
		return rule->turn(plan, opt, NULL);
	kv = keyval_parse(opt->value, rule->implied);
	return kv && rule->turn(plan, opt, kv);
}

static bool turn(struct rehearsal_plan *plan, const struct qemuopt *opt)
{
	if (in(dropped, ARRAY_SIZE(dropped), opt->name))
		return true;
	if (in(kept, ARRAY_SIZE(kept), opt->name))
		return keep(plan, opt, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (streq(rules[i].name, opt->name))
			return turn_by(&rules[i], plan, opt);
	return false;
}

void rehearsal_plan(const struct strv *argv, struct rehearsal_plan *plan)
{
	struct qemuopt opt;
	size_t pos = 0;

	*plan = (struct rehearsal_plan){ 0 };
	while (qemuopt_next(argv, &pos, &opt)) {
		if (turn(plan, &opt))
			continue;
		plan->note = xasprintf("what -%s%s%.*s does outside of QEMU is not known", opt.name,
				       opt.value ? " " : "", NOTE_MAX, opt.value ? opt.value : "");
		return;
	}
	/* Without it QEMU may open a window, or listen for VNC. */
	strv_push(&plan->argv, "-display");
	strv_push(&plan->argv, "none");
}
