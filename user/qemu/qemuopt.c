// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "qemu/qemuopt.h"

static const char *const flags[] = {
	"S", "async-teardown", "daemonize", "enable-fips", "enable-kvm",
	"enable-sync-profile", "full-screen", "h", "help", "jitdump", "mem-prealloc",
	"no-acpi", "no-fd-bootchk", "no-hpet", "no-reboot", "no-shutdown", "no-user-config",
	"nodefaults", "nographic", "nouserconfig", "one-insn-per-tb", "only-migratable",
	"perfmap", "preconfig", "s", "singlestep", "snapshot", "usb", "version", "win2k-hack",
	"xen-attach", "xen-domid-restrict",
};

static bool is_flag(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (streq(flags[i], name))
			return true;
	return false;
}

bool qemuopt_next(const struct strv *argv, size_t *pos, struct qemuopt *opt)
{
	const char *word;

	if (*pos >= argv->n)
		return false;
	word = argv->v[*pos];
	*opt = (struct qemuopt){ .name = "", .value = word, .at = *pos, .words = 1 };
	if (word[0] == '-' && word[1]) {
		opt->name = word + (word[1] == '-' ? 2 : 1);
		opt->value = NULL;
		if (!is_flag(opt->name) && *pos + 1 < argv->n) {
			opt->value = argv->v[*pos + 1];
			opt->words = 2;
		}
	}
	*pos += opt->words;
	return true;
}

/* Copies a value up to a single comma; returns what follows. */
static const char *take_value(const char *s, char *out)
{
	for (; *s; s++) {
		if (*s == ',' && s[1] != ',')
			return s + 1;
		if (*s == ',')
			s++;
		*out++ = *s;
	}
	return s;
}

static const char *take_part(const char *s, const char *implied, struct json_object *kv)
{
	size_t key_len = strcspn(s, "=,");
	_cleanup_free_ char *key = xstrndup(s, key_len);
	_cleanup_free_ char *value = xcalloc(1, strlen(s) + 1);

	if (s[key_len] == '=') {
		s = take_value(s + key_len + 1, value);
		jset_str(kv, key, value);
	} else {
		s = take_value(s, value);
		jset_str(kv, implied ? implied : value, implied ? value : "on");
	}
	return s;
}

struct json_object *keyval_parse(const char *s, const char *implied)
{
	struct json_object *kv;

	if (*s == '{') {
		kv = json_tokener_parse(s);
		if (kv && !json_object_is_type(kv, json_type_object)) {
			json_object_put(kv);
			kv = NULL;
		}
		return kv;
	}
	kv = json_object_new_object();
	while (*s) {
		s = take_part(s, implied, kv);
		implied = NULL;
	}
	return kv;
}

const char *keyval(struct json_object *kv, const char *key)
{
	struct json_object *m = jget(kv, key);

	return m ? json_object_get_string(m) : NULL;
}

bool keyval_on(struct json_object *kv, const char *key)
{
	static const char *const on[] = { "on", "yes", "true", "y" };
	const char *value = keyval(kv, key);

	for (size_t i = 0; value && i < ARRAY_SIZE(on); i++)
		if (streq(on[i], value))
			return true;
	return false;
}
