// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include <libkmod.h>

#include "host/module.h"
#include "host/signing.h"

#define MODULE "cpr_handover"

static void cleanup_kmod(struct kmod_ctx **ctx)
{
	kmod_unref(*ctx);
}

static void cleanup_list(struct kmod_list **list)
{
	kmod_module_unref_list(*list);
}

static void cleanup_info(struct kmod_list **info)
{
	kmod_module_info_free_list(*info);
}

/**
 * struct module - the module in the directory of a kernel
 * @list: the module alone; NULL if the kernel does not have it
 * @info: what modinfo(8) prints of it
 */
struct module {
	struct kmod_ctx *ctx;
	struct kmod_list *list;
	struct kmod_module *mod;
	struct kmod_list *info;
};

static void module_close(struct module *m)
{
	cleanup_info(&m->info);
	if (m->mod)
		kmod_module_unref(m->mod);
	cleanup_list(&m->list);
	cleanup_kmod(&m->ctx);
}

static int module_open(const struct kernel *k, struct module *m, struct err *err)
{
	_cleanup_free_ char *dir = xasprintf("/lib/modules/%s", k->version);

	m->ctx = kmod_new(dir, NULL);
	if (m->ctx && kmod_module_new_from_lookup(m->ctx, MODULE, &m->list) >= 0 && m->list)
		m->mod = kmod_module_get_module(m->list);
	if (m->mod && kmod_module_get_path(m->mod)) {
		kmod_module_get_info(m->mod, &m->info);
		return 0;
	}
	return fail(err, -ENOENT, .exit = CPR_EXIT_REFUSED, .what = "module", .value = MODULE,
		    .why = fmt("%s does not have it: the next kernel could not find the guests",
			       dir),
		    .remedy = fmt("build and install the module for %s, and run depmod %s",
				  k->version, k->version));
}

static const char *module_info(const struct module *m, const char *key)
{
	const struct kmod_list *l;

	kmod_list_foreach(l, m->info)
		if (streq(kmod_module_info_get_key(l), key))
			return kmod_module_info_get_value(l);
	return NULL;
}

/* vermagic is like "7.3.4+deb13-amd64 SMP preempt mod_unload": release first. */
static int module_check_vermagic(const struct module *m, const char *version, struct err *err)
{
	const char *vermagic = module_info(m, "vermagic");
	size_t len = strlen(version);

	if (vermagic && strncmp(vermagic, version, len) == 0 &&
	    (!vermagic[len] || vermagic[len] == ' '))
		return 0;
	return fail(err, -ENOEXEC, .exit = CPR_EXIT_REFUSED, .what = "module",
		    .value = kmod_module_get_path(m->mod),
		    .why = fmt("it is built for '%s'", vermagic ? vermagic : "nothing"),
		    .remedy = fmt("build it for %s ('dkms autoinstall -k %s')", version, version));
}

/* What loads the module at boot obeys both: the initramfs, and systemd-modules-load(8). */
static int module_check_config(const struct module *m, struct err *err)
{
	_cleanup_(cleanup_list) struct kmod_list *left = NULL;
	const char *install = kmod_module_get_install_commands(m->mod);
	const char *word = install && *install ? "install " MODULE : NULL;

	if (!word && kmod_module_apply_filter(m->ctx, KMOD_FILTER_BLACKLIST, m->list, &left) >= 0 &&
	    !left)
		word = "blacklist " MODULE;
	return !word ? 0 :
	       fail(err, -EINVAL, .exit = CPR_EXIT_REFUSED, .what = "modprobe.d", .value = word,
		    .why = "it keeps the next kernel from loading the module, which has the guests",
		    .remedy = "remove it ('grep -r " MODULE " /etc/modprobe.d' finds it), and make "
		    "the initrd again");
}

static int module_refuse_signature(const struct module *m, const char *why, const char *remedy,
				   struct err *err)
{
	return fail(err, -ENOKEY, .exit = CPR_EXIT_REFUSED, .what = "module",
		    .value = kmod_module_get_path(m->mod), .why = why, .remedy = remedy);
}

static int module_check_signature(const struct module *m, const char *cause, bool untrusted,
				  struct err *err)
{
	const char *signer = module_info(m, "signer");

	if (!module_info(m, "sig_id"))
		return module_refuse_signature(m, fmt("it is not signed, and the next kernel loads "
			"signed modules only (%s)", cause), "have DKMS sign it (mok_signing_key in "
			"dkms(8)), and enroll the key with 'mokutil --import'", err);
	if (untrusted || (signer && signing_knows_key(signer)))
		return 0;
	return module_refuse_signature(m, fmt("it is signed by '%s', whose key the running kernel "
		"does not have, and the next kernel loads modules of trusted keys only (%s)",
		signer ? signer : "nobody", cause), "enroll the key ('mokutil --import', and a "
		"reboot); --force if the next kernel has the key built in", err);
}

int module_check(const struct kernel *k, const char *line, bool untrusted, struct err *err)
{
	_cleanup_(module_close) struct module m = { 0 };
	_cleanup_free_ char *cause = signing_demand(k->version, line);
	int r = module_open(k, &m, err);

	if (r == 0)
		r = module_check_vermagic(&m, k->version, err);
	if (r == 0)
		r = module_check_config(&m, err);
	return r < 0 || !cause ? r : module_check_signature(&m, cause, untrusted, err);
}
