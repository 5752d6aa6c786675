/* SPDX-License-Identifier: GPL-2.0-only */
/* A VM that a command works on: its lock, state in the module, manifest and QEMU. */
#ifndef CPR_VM_H
#define CPR_VM_H

#include "qemu/qemu.h"
#include "vm/genl.h"

/**
 * struct vm - a VM
 * @genl: connection to the module, not owned
 * @name: name, owned
 * @dir: path of its cprfs directory, owned
 * @lock: descriptor of the lock, which vm_close() releases
 * @info: the VM as known to the module
 * @manifest: manifest, owned; NULL until vm_manifest() has read it
 * @full: scan every page of the memory that its devices can reach
 * @proven: every page was scanned before the guest stops, see dma_prove()
 * @hooked: the hooks before a save have run
 * @revoke: take its files from other users where they prevent a step
 * @qemu: its QEMU; QEMU_NONE until vm_attach() or qemu_start() has set it
 */
struct vm {
	struct genl *genl;
	char *name;
	char *dir;
	int lock;
	struct cpr_vm info;
	struct json_object *manifest;
	bool full;
	bool proven;
	bool hooked;
	bool revoke;
	struct qemu qemu;
};

#define _cleanup_vm_ _cleanup_(vm_close)

/**
 * vm_name_check - check whether a name is valid for a VM
 *
 * Returns: 0, or -EINVAL with exit status 2.
 */
int vm_name_check(const char *name, struct err *err);

/**
 * vm_open - lock a VM and get its state
 *
 * Returns: 0; -EINVAL with exit status 2 for an invalid name; -ENOENT with exit status 3 if
 * there is no such VM; -EBUSY with exit status 5 if another cpr-helper has locked it. Call
 * vm_close() in any case.
 */
int vm_open(struct genl *genl, const char *name, struct vm *vm, struct err *err);
void vm_close(struct vm *vm);

/*
 * Check that the region is formatted, and mount cprfs if it is not mounted. Returns: 0;
 * -ENODEV with exit status 4 if the region is not formatted; or another negative errno.
 */
int vm_region_ready(struct genl *genl, struct err *err);

/* Update vm->info from the module. Returns: 0 or -errno. */
int vm_refresh(struct vm *vm, struct err *err);

/* Move the VM to another state with genl_vm_do(), then update vm->info. */
int vm_do(struct vm *vm, int cmd, struct err *err);

/* Attach to the VM's QEMU, once. Returns: 0; -ESRCH with exit status 1 if it has exited. */
int vm_attach(struct vm *vm, struct err *err);

/* Read the manifest into vm->manifest, once. Returns: 0, or as manifest_read(). */
int vm_manifest(struct vm *vm, struct err *err);

/* Write vm->manifest. Returns: 0, or as manifest_write(). */
int vm_manifest_save(struct vm *vm, struct err *err);

/**
 * vm_state_path - path of the saved state
 *
 * In the VM's directory, unless the manifest names another file. Caller frees.
 */
char *vm_state_path(const struct vm *vm);

/* Path of the state while it is being written. Caller frees. */
char *vm_part_path(const struct vm *vm);

/*
 * Make the file that QEMU is to write the state to, as its user's: he cannot make it himself.
 * Returns: 0 or -errno.
 */
int vm_make_part(const struct vm *vm, const char *part, struct err *err);

/* Whether a guest with this run state runs or is suspended, rather than paused. */
bool vm_runstate_live(const char *runstate);

/* {"name", "state", "qemu": {"pid", "status"} or null, ...}; the caller owns the object. */
struct json_object *vm_json(const struct cpr_vm *info);

/**
 * vm_names - get the names of the module's VMs
 * @want: filter; NULL for all VMs
 * @names: the names are appended; owned by the caller
 *
 * Returns: 0 or -errno.
 */
int vm_names(struct genl *genl, bool (*want)(const struct cpr_vm *vm), struct strv *names,
	     struct err *err);

/* Remove the files of cpr-helper and QEMU in a VM's directory, except the memory files. */
void vm_remove_files(const char *name);

#endif
