// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <glob.h>

#include "host/pci.h"
#include "qemu/account.h"
#include "vm/nodes.h"

/* ---- what all guests share ---- */

static bool nodes_kvm(const struct qemuopt *opt)
{
	return streq(opt->name, "enable-kvm") || keyval_is(opt->kv, "accel", "kvm");
}

static bool nodes_iommufd(const struct qemuopt *opt)
{
	return opt->kind->id == QEMUOPT_OBJECT && keyval_is(opt->kv, "qom-type", "iommufd");
}

static bool nodes_container(const struct qemuopt *opt)
{
	return opt->kind->id == QEMUOPT_DEVICE && keyval_is(opt->kv, "driver", "vfio-pci") &&
	       !keyval(opt->kv, "iommufd");
}

static const struct {
	const char *path;
	bool (*uses)(const struct qemuopt *opt);
	const char *remedy;
} shared[] = {
	{ "/dev/kvm", nodes_kvm, "make the user a member of the node's group, which is 'kvm' as a "
	  "rule: 'usermod -aG kvm USER'" },
	{ "/dev/vfio/vfio", nodes_container, "open the node for the user, by a rule of udev" },
	{ "/dev/iommu", nodes_iommufd, "open the node for the user, by a rule of udev" },
};

static bool nodes_used(const struct qemuopts *opts, bool (*uses)(const struct qemuopt *opt))
{
	qemuopts_for_each(opt, opts)
		if (uses(opt))
			return true;
	return false;
}

/* QEMU itself says that one is missing. */
int nodes_check(struct json_object *user, const struct qemuopts *opts, struct err *err)
{
	for (size_t i = 0; user && i < ARRAY_SIZE(shared); i++) {
		_cleanup_free_ char *path = xasprintf("%s%s", pci_root, shared[i].path);

		if (!nodes_used(opts, shared[i].uses) ||
		    account_access(user, path, R_OK | W_OK) != -EACCES)
			continue;
		return fail(err, -EACCES, .exit = CPR_EXIT_REFUSED, .what = "device node",
			    .value = shared[i].path,
			    .why = fmt("QEMU needs it, and user '%s' cannot open it",
				       jstr(user, "name")), .remedy = shared[i].remedy);
	}
	return 0;
}

/* ---- what is one guest's ---- */

static int nodes_own(const char *path, uid_t uid, struct err *err)
{
	if (lchown(path, uid, -1) == 0 || errno == ENOENT)
		return 0;
	return fail(err, -errno, .what = "cannot change the owner of", .value = path,
		    .why = strerror(errno));
}

/* By its group, or, for an iommufd, by itself. */
static int nodes_own_device(const char *address, uid_t uid, struct err *err)
{
	_cleanup_free_ char *group = pci_group(address), *legacy = NULL, *pattern = NULL;
	glob_t found = { 0 };
	int r = 0;

	legacy = xasprintf("%s/dev/vfio/%s", pci_root, group ?: "-");
	pattern = xasprintf("%s/sys/bus/pci/devices/%s/vfio-dev/vfio*", pci_root, address);
	r = nodes_own(legacy, uid, err);
	if (r == 0 && glob(pattern, 0, NULL, &found) == 0) {
		const char *name = strrchr(found.gl_pathv[0], '/');
		_cleanup_free_ char *own = xasprintf("%s/dev/vfio/devices%s", pci_root, name);

		r = nodes_own(own, uid, err);
	}
	globfree(&found);
	return r;
}

static int nodes_own_all(const struct strv *addresses, uid_t uid, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < addresses->n; i++)
		r = nodes_own_device(addresses->v[i], uid, err);
	return r;
}

int nodes_give(struct json_object *user, const struct strv *addresses, struct err *err)
{
	return user ? nodes_own_all(addresses, jint(user, "uid", -1), err) : 0;
}

int nodes_take_back(struct json_object *user, const struct strv *addresses, struct err *err)
{
	return user ? nodes_own_all(addresses, geteuid(), err) : 0;
}
