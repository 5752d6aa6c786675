/* SPDX-License-Identifier: GPL-2.0-only */
/* The module's generic netlink family; see <linux/cpr.h>. */
#ifndef CPR_GENL_H
#define CPR_GENL_H

#include <linux/cpr.h>

#include "error.h"

/**
 * struct cpr_region - the module's region
 * @have_start: the kernel told @start, which it tells the privileged only
 * @start: physical address, bytes
 * @size: bytes
 * @frame_size: bytes
 * @frames: data frames; and of these the free ones:
 * @clean: scrubbed
 * @dirty: waiting to be scrubbed
 * @busy: freed but pinned by someone
 * @version: major << 16 | minor of the image
 */
struct cpr_region {
	bool have_start;
	uint64_t start;
	uint64_t size;
	bool formatted;
	bool mounted;
	uint8_t uuid[16];
	char label[32];
	uint32_t version;
	uint64_t generation;
	uint32_t frame_size;
	uint32_t frames;
	uint32_t clean;
	uint32_t dirty;
	uint32_t busy;
};

/**
 * struct cpr_vm - what the module knows of a VM
 * @files: names of its memory files, owned
 * @memory: sum of their sizes, bytes
 * @mapped: some process maps one of them
 * @since: when the state was entered, seconds since the epoch
 * @kernel: release that ran then
 */
struct cpr_vm {
	char name[CPR_VM_NAME_MAX + 1];
	enum cpr_vm_state state;
	struct strv files;
	uint64_t memory;
	bool mapped;
	uint64_t since;
	char kernel[80];
};

struct cpr_vms {
	struct cpr_vm *v;
	size_t n;
};

void cpr_vm_free(struct cpr_vm *vm);
void cpr_vms_free(struct cpr_vms *vms);
#define _cleanup_vm_info_ _cleanup_(cpr_vm_free)
#define _cleanup_vms_ _cleanup_(cpr_vms_free)

const char *cpr_state_name(enum cpr_vm_state state);

struct genl;

/**
 * genl_open - reach the module
 *
 * Returns: the connection, or NULL with exit status 4 in @err if the module is
 * not loaded.
 */
struct genl *genl_open(struct err *err);
void genl_close(struct genl *genl);

static inline void cleanup_genl(struct genl **genl)
{
	genl_close(*genl);
}
#define _cleanup_genl_ _cleanup_(cleanup_genl)

int genl_region(struct genl *genl, struct cpr_region *region, struct err *err);
int genl_format(struct genl *genl, const struct cpr_region *region, const char *label, bool force,
		struct err *err);

/* -ENOENT with exit status 3 if there is no such VM. Free with cpr_vm_free(). */
int genl_vm(struct genl *genl, const char *name, struct cpr_vm *vm, struct err *err);

/* All VMs, in the order of their names. Free with cpr_vms_free(). */
int genl_vms(struct genl *genl, struct cpr_vms *vms, struct err *err);

/**
 * genl_vm_do - move a VM to another state
 * @cmd: CPR_CMD_VM_*
 * @files: names of memory files, for CPR_CMD_VM_PIN of a defined VM; or NULL
 *
 * Returns: 0 or the kernel's -errno, with its words in @err.
 */
int genl_vm_do(struct genl *genl, int cmd, const char *name, const struct strv *files,
	       struct err *err);

#endif
