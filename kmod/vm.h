/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_VM_H
#define CPR_VM_H

#include "cpr_internal.h"
#include "record.h"
#include "tree.h"

struct netlink_ext_ack;

/**
 * enum cpr_act - operation on a file of a VM
 * @CPR_ACT_WRITE: open for writing, change attributes, add a name
 * @CPR_ACT_REMOVE: remove or change the name
 * @CPR_ACT_RESIZE: change the size
 * @CPR_ACT_MAP: map the file
 */
enum cpr_act {
	CPR_ACT_WRITE,
	CPR_ACT_REMOVE,
	CPR_ACT_RESIZE,
	CPR_ACT_MAP,
};

/**
 * struct cpr_vm_step - a request to change the state of a VM
 * @cmd: CPR_CMD_VM_*
 * @name: of the VM
 * @files: names of its memory files
 * @nr_files: entries in @files
 * @digests: digests to record from now on
 * @revoke: take the files of the VM from their users first, see revoke.c
 */
struct cpr_vm_step {
	u8 cmd;
	const char *name;
	const char *const *files;
	unsigned int nr_files;
	struct cpr_digests digests;
	bool revoke;
};

int cpr_vm_may(struct cpr_node *node, enum cpr_act act);
enum cpr_vm_state cpr_vm_state(const struct cpr_node *dir);
bool cpr_vm_mapped(struct cpr *c, const struct cpr_node *dir);
struct cpr_node *cpr_vm_find(struct cpr *c, const char *name,
			     struct netlink_ext_ack *extack);
struct cpr_node *cpr_vm_in(struct cpr *c, const char *name, u32 states,
			   struct netlink_ext_ack *extack);
struct cpr_node *cpr_vm_for_step(struct cpr *c, const struct cpr_vm_step *ask,
				 struct netlink_ext_ack *extack);
int cpr_vm_step(struct cpr *c, const struct cpr_vm_step *step,
		struct netlink_ext_ack *extack);
int cpr_vm_set_room(struct cpr *c, const char *name, struct cpr_room_limit limit,
		    struct netlink_ext_ack *extack);
int cpr_vm_set_dma(struct cpr *c, struct cpr_node *dir, struct cpr_dma *dma,
		   struct netlink_ext_ack *extack);
void cpr_vm_set_verified(struct cpr *c, const char *name, const struct cpr_dma *dma,
			 u64 changes, bool equal);
void cpr_vm_mapping(struct cpr *c, struct cpr_node *node);

#endif /* CPR_VM_H */
