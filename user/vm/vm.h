/* SPDX-License-Identifier: GPL-2.0-only */
/* A VM as a command works on it: locked, its module state, manifest and QEMU. */
#ifndef CPR_VM_H
#define CPR_VM_H

#include "qemu/qemu.h"
#include "vm/genl.h"

/**
 * struct vm - one VM
 * @genl: the module; not owned
 * @name, @dir: owned
 * @lock: kept while this exists
 * @info: what the module says
 * @manifest: NULL if there is none, or it is damaged
 * @full: what its devices can reach is looked at page by page
 * @qemu: none unless vm_attach() found it or vm_launch() started it
 */
struct vm {
	struct genl *genl;
	char *name;
	char *dir;
	int lock;
	struct cpr_vm info;
	struct json_object *manifest;
	bool full;
	struct qemu qemu;
};

#define _cleanup_vm_ _cleanup_(vm_close)

/**
 * vm_name_check - whether a VM can have this name
 *
 * Returns: 0, or -EINVAL with exit status 2.
 */
int vm_name_check(const char *name, struct err *err);

/**
 * vm_open - lock a VM and learn its state
 *
 * Returns: 0; -EINVAL for an impossible name; -ENOENT (exit 3) if there is none;
 * -EBUSY (exit 5) if another cpr-helper has it. End with vm_close() in any case.
 */
int vm_open(struct genl *genl, const char *name, struct vm *vm, struct err *err);
void vm_close(struct vm *vm);

/* The region bears an image, and cprfs is mounted; mounts it if not. */
int region_ready(struct genl *genl, struct err *err);

/* Ask the module again. */
int vm_refresh(struct vm *vm, struct err *err);

/* Move it with genl_vm_do() and note the new state. */
int vm_do(struct vm *vm, int cmd, struct err *err);

/* Reach its QEMU. -ESRCH (exit 1, in @err) if that is gone. */
int vm_attach(struct vm *vm, struct err *err);

/* Read the manifest; an error if there is none. */
int vm_manifest(struct vm *vm, struct err *err);

/* Write vm->manifest. */
int vm_manifest_save(struct vm *vm, struct err *err);

/**
 * vm_state_path - where its saved state is, or is to be
 *
 * In its directory, unless the manifest names another file. The caller frees it.
 */
char *vm_state_path(const struct vm *vm);

/* The same while it is being written. */
char *vm_part_path(const struct vm *vm);

/* Whether the guest would run on if it were let: not paused by someone. */
bool runstate_live(const char *runstate);

/* {"name", "state", "qemu": {"pid", "status"} or null, ...}; the caller owns it. */
struct json_object *vm_json(const struct cpr_vm *info);

/**
 * vm_names - the VMs that a command with --all is about
 * @want: which; NULL for all
 *
 * Returns: 0 or -errno. The caller owns @names.
 */
int vm_names(struct genl *genl, bool (*want)(const struct cpr_vm *vm), struct strv *names,
	     struct err *err);

/* Remove what cpr-helper and QEMU put into a VM's directory, except the memory files. */
void vm_remove_files(const char *name);

#endif
