// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>

#include "base/paths.h"
#include "base/size.h"
#include "qemu/account.h"
#include "qemu/process.h"
#include "vm/cprfs.h"
#include "vm/lock.h"
#include "vm/manifest.h"
#include "vm/vm.h"

#define LIST_ATTACH_S 3

int vm_name_check(const char *name, struct err *err)
{
	static const char ok[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789._-";
	const char *why = NULL;

	if (!*name)
		why = "the name is empty";
	else if (strlen(name) > CPR_VM_NAME_MAX)
		why = "the name is longer than 64 bytes";
	else if (*name == '.' || *name == '-')
		why = "a name must not begin with a dot or a dash";
	else if (name[strspn(name, ok)])
		why = "a name is made of letters, digits, dot, underscore and dash";
	if (!why)
		return 0;
	return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = "VM name", .value = name,
		    .why = why, .remedy = "choose a name like web1");
}

int vm_open(struct genl *genl, const char *name, struct vm *vm, struct err *err)
{
	int r = vm_name_check(name, err);

	*vm = (struct vm){ .genl = genl, .lock = -1, .qemu = QEMU_NONE };
	if (r < 0)
		return r;
	vm->name = xstrdup(name);
	vm->dir = vm_path(name, NULL);
	r = genl_vm(genl, name, &vm->info, err);
	if (r < 0)
		return r;
	vm->lock = vm_lock(name, err);
	return vm->lock < 0 ? vm->lock : vm_refresh(vm, err);
}

void vm_close(struct vm *vm)
{
	qemu_release(&vm->qemu);
	json_object_put(vm->manifest);
	cpr_vm_free(&vm->info);
	if (vm->lock >= 0)
		close(vm->lock);
	free(vm->name);
	free(vm->dir);
	*vm = (struct vm){ .lock = -1, .qemu = QEMU_NONE };
}

int vm_refresh(struct vm *vm, struct err *err)
{
	struct cpr_vm now;
	int r = genl_vm(vm->genl, vm->name, &now, err);

	if (r < 0)
		return r;
	cpr_vm_free(&vm->info);
	vm->info = now;
	return 0;
}

int vm_region_ready(struct genl *genl, struct err *err)
{
	struct cpr_region region;
	int r = genl_region(genl, &region, err);

	if (r < 0)
		return r;
	if (!region.formatted)
		return fail(err, -ENODEV, .exit = CPR_EXIT_REFUSED, .what = "handover region",
			    .value = size_human(region.size), .why = "it is not formatted",
			    .remedy = "'cpr-helper format'");
	return cprfs_mounted() ? 0 : cprfs_mount(err);
}

int vm_do(struct vm *vm, int cmd, struct err *err)
{
	int r = genl_vm_do(vm->genl, cmd, vm->name, NULL, err);

	return r < 0 ? r : vm_refresh(vm, err);
}

int vm_attach(struct vm *vm, struct err *err)
{
	int r;

	if (vm->qemu.qmp)
		return 0;
	r = qemu_attach(vm->name, QEMU_ATTACH_S, &vm->qemu, err);
	if (r == -ESRCH)
		return fail(err, r, .what = "VM", .value = vm->name,
			    .why = "its QEMU has exited", .remedy =
			    fmt("see " CPRFS_ROOT "/%s/" LOG_FILE ", then 'cpr-helper delete %s'",
				vm->name, vm->name));
	return r;
}

int vm_manifest(struct vm *vm, struct err *err)
{
	return vm->manifest ? 0 : manifest_read(vm->dir, &vm->manifest, err);
}

int vm_manifest_save(struct vm *vm, struct err *err)
{
	return manifest_write(vm->dir, vm->manifest, err);
}

char *vm_state_path(const struct vm *vm)
{
	const char *elsewhere = jstr(jget(vm->manifest, "target"), "file");

	return elsewhere ? xstrdup(elsewhere) : vm_path(vm->name, STATE_FILE);
}

char *vm_part_path(const struct vm *vm)
{
	_cleanup_free_ char *state = vm_state_path(vm);

	return xasprintf("%s.part", state);
}

int vm_make_part(const struct vm *vm, const char *part, struct err *err)
{
	_cleanup_close_ int fd = open(part, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : account_give(jget(vm->manifest, "user"), fd);

	return r == 0 ? 0 : fail(err, r, .what = "cannot create", .value = part,
				 .why = strerror(-r));
}

bool vm_runstate_live(const char *runstate)
{
	return runstate && (streq(runstate, "running") || streq(runstate, "suspended"));
}

/* Whether a VM in this state has a QEMU process, or should have one. */
static bool state_has_qemu(enum cpr_vm_state state)
{
	return state != CPR_VM_STATE_SEALED && state != CPR_VM_STATE_HELD &&
	       state != CPR_VM_STATE_LOST;
}

static void vm_add_qemu(struct json_object *obj, const struct cpr_vm *info)
{
	_cleanup_free_ char *status = NULL, *elsewhere = NULL;
	struct json_object *live;
	struct qemu q;
	int r;

	if (!state_has_qemu(info->state))
		return;
	r = qemu_attach(info->name, LIST_ATTACH_S, &q, NULL);
	if (r == -ESRCH && info->state != CPR_VM_STATE_DEFINED) {
		jset_str(obj, "state", "dead");
		return;
	}
	if (r < 0)
		return;
	elsewhere = q.scope ? NULL : process_cgroup(q.pid);
	live = json_object_new_object();
	jset_int(live, "pid", q.pid);
	jset_str(live, "cgroup", q.scope ? q.scope : elsewhere);
	if (qmp_status(q.qmp, &status, NULL) == 0)
		jset_str(live, "status", status);
	jset(obj, "qemu", live);
	qemu_release(&q);
}

static struct json_object *vm_room_json(const struct cpr_room *room)
{
	struct json_object *obj = json_object_new_object();

	jset_int(obj, "bytes", room->bytes);
	jset_int(obj, "names", room->names);
	return obj;
}

struct json_object *vm_json(const struct cpr_vm *info)
{
	struct json_object *obj = json_object_new_object();

	jset_str(obj, "name", info->name);
	jset_str(obj, "state", cpr_state_name(info->state));
	jset_str(obj, "module_state", cpr_state_name(info->state));
	jset(obj, "qemu", NULL);
	jset_int(obj, "memory_bytes", info->memory);
	jset_int(obj, "bad_pages", info->bad_pages);
	jset_bool(obj, "mapped", info->mapped);
	jset(obj, "used", vm_room_json(&info->used));
	jset(obj, "room", info->room.names ? vm_room_json(&info->room) : NULL);
	jset_int(obj, "since", info->since);
	jset_str(obj, "kernel", *info->kernel ? info->kernel : NULL);
	vm_add_qemu(obj, info);
	return obj;
}

int vm_names(struct genl *genl, bool (*want)(const struct cpr_vm *vm), struct strv *names,
	     struct err *err)
{
	_cleanup_vms_ struct cpr_vms vms = { 0 };
	int r = genl_vms(genl, &vms, err);

	for (size_t i = 0; r == 0 && i < vms.n; i++)
		if (!want || want(&vms.v[i]))
			strv_push(names, vms.v[i].name);
	return r;
}

void vm_remove_files(const char *name)
{
	static const char *const files[] = {
		"manifest.json", "manifest.json.new", LOG_FILE, STATE_FILE, STATE_PART,
		"report.json", "report.json.new",
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_free_ char *path = vm_path(name, files[i]);

		unlink(path);
	}
}
