// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: The life of a VM
 *
 * A directory of the root becomes a handover unit when it is pinned, and then goes
 * through the states of enum cpr_vm_state. One table lists the steps: from which
 * states a step is allowed, and to which state it leads. The masks above
 * cpr_vm_may() list what each state allows others to do to the files.
 *
 *	defined -> running -> saved -> sealed -> [kexec] -> held -> restoring -> running
 *
 * While QEMU may use the memory files, their sizes and names are frozen. The rest
 * of the directory is free: QEMU writes its log and its state there. In a sealed VM
 * everything is frozen until a QEMU claims it. A VM that was running or saved when
 * the kernel ended is lost, because its memory may have changed after its state was
 * written; everything in it is frozen until it is unpinned.
 *
 * The request to seal a VM may carry the digests of its manifest and its memory. The
 * digests are committed with the step and reported until the guest runs. The module
 * computes none.
 *
 * No step takes a VM with a snapshot to RUNNING before its devices were found to reach
 * exactly what the snapshot has, see dma.c. That result counts until the next step, the
 * next snapshot, or the next mapping of the VM's memory: another QEMU may have made it.
 *
 * A step that cannot be committed is not taken. A step to SEALED is committed twice,
 * because from then on the guest depends on the image alone.
 *
 * Locking: cpr->lock. A file is opened for writing, and counted, in the section that
 * asks cpr_vm_may(); sealing looks at that count in the section that changes the state.
 * So one of the two sees the other.
 */
#include <linux/netlink.h>
#include <linux/timekeeping.h>
#include <linux/utsname.h>

#include "events.h"
#include "space.h"
#include "store.h"
#include "vm.h"
#include "vm_state.h"

/* The message that reports a VM must fit into one buffer. */
static_assert(NLA_HDRLEN + NLA_ALIGNTO <= CPR_IMAGE_MEMORY_NAME_EXTRA);

#define IN(_state)	BIT(CPR_VM_STATE_##_state)
#define IN_ALL		(BIT(CPR_VM_STATE_LOST + 1) - 1)

/* ---- what a state allows ---- */

static const u32 vm_all_frozen = IN(SEALED) | IN(HELD) | IN(LOST);
static const u32 vm_memory_frozen = IN(RUNNING) | IN(SAVED) | IN(RESTORING);

/**
 * cpr_vm_may - does the state of the VM allow an operation on a file or directory?
 * @node: a node that has, or had, a name
 * @act: the operation
 *
 * Return: 0, or -EBUSY if the VM of @node forbids the operation.
 */
int cpr_vm_may(struct cpr_node *node, enum cpr_act act)
{
	struct cpr_node *dir = node->parent ? cpr_node_vm_dir(node) : NULL;
	u32 in = dir ? BIT(cpr_vm_state(dir)) : IN(DEFINED);
	bool closing = dir && dir->closing;

	/* Files of a frozen VM may be mapped: nobody has them open for writing. */
	if (closing || (in & vm_all_frozen && act != CPR_ACT_MAP))
		return -EBUSY;
	if (act == CPR_ACT_MAP)
		return 0;
	if (!(in & vm_memory_frozen) || act == CPR_ACT_WRITE)
		return 0;
	/* The directory of the VM must keep its name as well. */
	return node == dir || node->flags & CPR_IMAGE_NODE_MEMORY ? -EBUSY : 0;
}

/* ---- facts about a VM ---- */

/**
 * cpr_vm_state - the state of a directory of the root
 * @dir: the directory
 */
enum cpr_vm_state cpr_vm_state(const struct cpr_node *dir)
{
	return dir->vm ? dir->vm->state : CPR_VM_STATE_DEFINED;
}

/* Does @fn hold for any file below @dir? */
static bool vm_any_file(struct cpr *c, const struct cpr_node *dir,
			bool (*fn)(struct cpr *c, struct cpr_node *node))
{
	const struct cpr_node *at = dir;
	struct cpr_node *node;

	for (; (node = cpr_node_next_below(dir, at)); at = node)
		if (S_ISREG(node->type) && fn(c, node))
			return true;
	return false;
}

/**
 * cpr_vm_mapped - is any file of a VM mapped?
 * @c: the region
 * @dir: directory of the VM
 */
bool cpr_vm_mapped(struct cpr *c, const struct cpr_node *dir)
{
	lockdep_assert_held(&c->lock);

	return vm_any_file(c, dir, cpr_node_mapped);
}

/**
 * cpr_vm_find - find a VM
 * @c: the region
 * @name: of its directory
 * @extack: reason of a refusal
 *
 * Return: the directory, or ERR_PTR of -ENOENT.
 */
struct cpr_node *cpr_vm_find(struct cpr *c, const char *name,
			     struct netlink_ext_ack *extack)
{
	struct cpr_node *dir = NULL;

	lockdep_assert_held(&c->lock);

	if (c->formatted)
		dir = cpr_node_find(c->root, name, strlen(name));
	if (dir && S_ISDIR(dir->type))
		return dir;
	NL_SET_ERR_MSG_FMT(extack, "no VM '%.40s' in the region", name);
	return ERR_PTR(-ENOENT);
}

/**
 * cpr_vm_in - find a VM that is in one of some states
 * @c: the region
 * @name: of its directory
 * @states: mask of states; not CPR_VM_STATE_DEFINED
 * @extack: reason of a refusal
 *
 * Return: the directory, which has a record; or ERR_PTR of -ENOENT or -EBUSY.
 */
struct cpr_node *cpr_vm_in(struct cpr *c, const char *name, u32 states,
			   struct netlink_ext_ack *extack)
{
	struct cpr_node *dir = cpr_vm_find(c, name, extack);

	if (IS_ERR(dir) || states & BIT(cpr_vm_state(dir)))
		return dir;
	NL_SET_ERR_MSG_FMT(extack, "the VM is %s, so this cannot be done",
			   cpr_vm_state_names[cpr_vm_state(dir)]);
	return ERR_PTR(-EBUSY);
}

/* ---- the table of steps ---- */

static int vm_check_unmapped(struct cpr *c, const struct cpr_node *dir,
			     struct netlink_ext_ack *extack)
{
	if (!cpr_vm_mapped(c, dir))
		return 0;
	NL_SET_ERR_MSG(extack, "a file of the VM is still mapped; its QEMU must quit first");
	return -EBUSY;
}

/* Nothing is left that could change a byte of the VM. */
static int vm_check_quiet(struct cpr *c, const struct cpr_node *dir,
			  struct netlink_ext_ack *extack)
{
	int err = vm_check_unmapped(c, dir, extack);

	if (err)
		return err;
	if (vm_any_file(c, dir, cpr_node_open_for_write)) {
		NL_SET_ERR_MSG(extack, "a file of the VM is still open for writing; the process that opened it must close it first");
		return -EBUSY;
	}
	if (vm_any_file(c, dir, cpr_node_pinned)) {
		NL_SET_ERR_MSG(extack, "pages of the VM are still pinned by a process or a device; stop it first");
		return -EBUSY;
	}
	return 0;
}

/* A VM that is only defined has no snapshot. */
static int vm_check_verified(struct cpr *c, const struct cpr_node *dir,
			     struct netlink_ext_ack *extack)
{
	const struct cpr_vm *vm = dir->vm;

	if (!vm || !vm->dma || vm->verified == vm->changes)
		return 0;
	NL_SET_ERR_MSG(extack, "its devices were not found to reach the same memory as before; verify that first");
	return -EBUSY;
}

/**
 * struct vm_step - a step in the life of a VM
 * @verb: used in the message of a refusal
 * @from: mask of the states from which the step is allowed
 * @to: state after the step; SEALED means HELD for an inherited VM
 * @check: further condition, or NULL
 */
struct vm_step {
	const char *verb;
	u32 from;
	enum cpr_vm_state to;
	int (*check)(struct cpr *c, const struct cpr_node *dir,
		     struct netlink_ext_ack *extack);
};

static const struct vm_step vm_steps[] = {
	[CPR_CMD_VM_PIN] = {
		.verb = "pinned",
		.from = IN(DEFINED) | IN(SAVED) | IN(RESTORING),
		.to = CPR_VM_STATE_RUNNING,
		.check = vm_check_verified,
	},
	[CPR_CMD_VM_SAVE] = {
		.verb = "marked as saved",
		.from = IN(RUNNING),
		.to = CPR_VM_STATE_SAVED,
	},
	[CPR_CMD_VM_SEAL] = {
		.verb = "sealed",
		.from = IN(SAVED),
		.to = CPR_VM_STATE_SEALED,
		.check = vm_check_quiet,
	},
	[CPR_CMD_VM_CLAIM] = {
		.verb = "claimed",
		.from = IN(SEALED) | IN(HELD),
		.to = CPR_VM_STATE_RESTORING,
	},
	[CPR_CMD_VM_UNCLAIM] = {
		.verb = "unclaimed",
		.from = IN(RESTORING),
		.to = CPR_VM_STATE_SEALED,
		.check = vm_check_quiet,
	},
	[CPR_CMD_VM_UNPIN] = {
		.verb = "unpinned",
		.from = IN_ALL,
		.to = CPR_VM_STATE_DEFINED,
		.check = vm_check_unmapped,
	},
};

/* ---- taking a step ---- */

static void vm_unmark_memory(struct cpr_node *dir)
{
	struct cpr_node *node;

	cpr_for_each_child(node, dir)
		node->flags &= ~CPR_IMAGE_NODE_MEMORY;
}

static void vm_mark_memory(struct cpr_node *dir, const struct cpr_vm_step *ask)
{
	vm_unmark_memory(dir);
	for (unsigned int i = 0; i < ask->nr_files; i++) {
		const char *name = ask->files[i];

		cpr_node_find(dir, name, strlen(name))->flags |= CPR_IMAGE_NODE_MEMORY;
	}
}

/*
 * The guest runs on what the file has now. A hole would be filled by a page fault, and if
 * the region is full by then, the fault would kill QEMU.
 */
static int vm_check_whole(struct cpr *c, struct cpr_node *node,
			  struct netlink_ext_ack *extack)
{
	struct cpr_attr attr;
	u32 holes;

	cpr_node_attr(c, node, &attr);
	holes = cpr_space_holes(node, 0, DIV_ROUND_UP(attr.size, CPR_IMAGE_FRAME_SIZE));
	if (!holes)
		return 0;
	NL_SET_ERR_MSG_FMT(extack, "'%.*s' lacks %u frames of 2 MiB; fill it: fallocate -l SIZE FILE",
			   min_t(int, node->name_len, 12), node->name, holes);
	return -EINVAL;
}

/* No file at all is fine: then only the guest's state is in the region, not its RAM. */
static int vm_check_memory_files(struct cpr *c, struct cpr_node *dir,
				 const struct cpr_vm_step *ask,
				 struct netlink_ext_ack *extack)
{
	size_t bytes = 0;
	int err;

	for (unsigned int i = 0; i < ask->nr_files; i++) {
		const char *name = ask->files[i];
		struct cpr_node *node = cpr_node_find(dir, name, strlen(name));

		bytes += cpr_catalog_memory_name_size(strlen(name));
		if (bytes > CPR_IMAGE_MEMORY_NAMES_MAX) {
			NL_SET_ERR_MSG(extack, "the names of the memory files are too long together; use fewer or shorter names");
			return -E2BIG;
		}
		if (!node || !S_ISREG(node->type)) {
			NL_SET_ERR_MSG_FMT(extack, "'%.30s' is not a file of the VM's directory",
					   name);
			return -ENOENT;
		}
		err = vm_check_whole(c, node, extack);
		if (err)
			return err;
	}
	return 0;
}

/* Digests that are not in the request stay what they were. */
static void vm_take_digests(struct cpr_digests *to, const struct cpr_digests *from)
{
	if (from->flags & CPR_IMAGE_VM_MANIFEST_DIGEST)
		memcpy(to->manifest, from->manifest, sizeof(to->manifest));
	if (from->flags & CPR_IMAGE_VM_RAM_DIGEST)
		memcpy(to->ram, from->ram, sizeof(to->ram));
	to->flags |= from->flags;
}

static void vm_enter(struct cpr_vm *vm, enum cpr_vm_state state)
{
	if (state == CPR_VM_STATE_SEALED && vm->inherited)
		state = CPR_VM_STATE_HELD;
	if (state == CPR_VM_STATE_RUNNING) {
		vm->inherited = false;
		memset(&vm->digests, 0, sizeof(vm->digests));
		/* What the devices can reach may change while the guest runs. */
		vm->dma = NULL;
	}
	vm->state = state;
	vm->changes++;
	ktime_get_real_ts64(&vm->since);
	strscpy(vm->kernel, init_utsname()->release, sizeof(vm->kernel));
}

static int vm_commit(struct cpr *c, enum cpr_vm_state to, struct netlink_ext_ack *extack)
{
	int err;

	cpr_dirty(c);
	err = to == CPR_VM_STATE_SEALED ? cpr_commit_twice_locked(c) : cpr_commit_locked(c);
	if (err)
		NL_SET_ERR_MSG(extack, "the catalog could not be committed, see the kernel log");
	return err;
}

/* Free a snapshot that the current catalog does not have any more. */
static void vm_drop_dma(struct cpr *c, struct cpr_dma *dma)
{
	cpr_room_unreserve(c, cpr_dma_catalog_size(dma));
	cpr_dma_put(dma);
}

static int vm_begin(struct cpr *c, struct cpr_node *dir, const struct cpr_vm_step *ask,
		    struct netlink_ext_ack *extack)
{
	int err = vm_check_memory_files(c, dir, ask, extack);
	struct cpr_vm *vm;

	if (err)
		return err;
	vm = cpr_vm_new();
	if (!vm) {
		NL_SET_ERR_MSG(extack, "no memory");
		return -ENOMEM;
	}
	err = cpr_room_reserve(c, cpr_vm_catalog_size(vm));
	if (err) {
		NL_SET_ERR_MSG(extack, "the catalog is full; delete files or VMs");
		goto err_free;
	}
	vm_mark_memory(dir, ask);
	vm_enter(vm, CPR_VM_STATE_RUNNING);
	dir->vm = vm;
	err = vm_commit(c, vm->state, extack);
	if (!err)
		return 0;

	dir->vm = NULL;
	cpr_room_unreserve(c, cpr_vm_catalog_size(vm));
	vm_unmark_memory(dir);
err_free:
	cpr_vm_free(vm);
	return err;
}

static int vm_advance(struct cpr *c, struct cpr_node *dir, enum cpr_vm_state to,
		      const struct cpr_vm_step *ask, struct netlink_ext_ack *extack)
{
	const struct cpr_vm before = *dir->vm;
	int err;

	vm_enter(dir->vm, to);
	vm_take_digests(&dir->vm->digests, &ask->digests);
	err = vm_commit(c, to, extack);
	if (err)
		*dir->vm = before;
	else if (dir->vm->dma != before.dma)
		vm_drop_dma(c, before.dma);
	return err;
}

static int vm_end(struct cpr *c, struct cpr_node *dir, struct netlink_ext_ack *extack)
{
	struct cpr_vm *vm = dir->vm;
	int err;

	dir->vm = NULL;
	err = vm_commit(c, CPR_VM_STATE_DEFINED, extack);
	if (err) {
		dir->vm = vm;
		return err;
	}
	if (vm) {
		cpr_room_unreserve(c, cpr_vm_catalog_size(vm));
		cpr_vm_free(vm);
		vm_unmark_memory(dir);
		cpr_dirty(c);
	}
	return 0;
}

/**
 * cpr_vm_for_step - find the VM of a step
 * @c: the region
 * @ask: the step and the VM
 * @extack: reason of a refusal
 *
 * Return: the directory; or ERR_PTR of -ENOENT if there is no such VM, of -EBUSY if its
 * state forbids the step.
 */
struct cpr_node *cpr_vm_for_step(struct cpr *c, const struct cpr_vm_step *ask,
				 struct netlink_ext_ack *extack)
{
	struct cpr_node *dir = cpr_vm_find(c, ask->name, extack);
	const struct vm_step *step = &vm_steps[ask->cmd];
	enum cpr_vm_state state;

	if (IS_ERR(dir))
		return dir;
	state = cpr_vm_state(dir);
	if (step->from & BIT(state))
		return dir;
	NL_SET_ERR_MSG_FMT(extack, "the VM is %s, so it cannot be %s",
			   cpr_vm_state_names[state], step->verb);
	return ERR_PTR(-EBUSY);
}

/**
 * cpr_vm_step - take a step in the life of a VM
 * @c: the region
 * @ask: the step and the VM
 * @extack: reason of a refusal
 *
 * The step is committed when this returns. Devices are neither held nor released here;
 * the caller has hold.c do that afterwards.
 *
 * Return: 0; -ENOENT if there is no such VM or memory file; -EBUSY if the state of
 * the VM or a user of its files forbids the step; -EINVAL, -E2BIG, -ENOSPC, -ENOMEM.
 */
int cpr_vm_step(struct cpr *c, const struct cpr_vm_step *ask,
		struct netlink_ext_ack *extack)
{
	const struct vm_step *step = &vm_steps[ask->cmd];
	struct cpr_node *dir;
	int err = 0;

	guard(cpr)(c);

	dir = cpr_vm_for_step(c, ask, extack);
	if (IS_ERR(dir))
		return PTR_ERR(dir);
	if (step->check)
		err = step->check(c, dir, extack);
	if (err)
		return err;

	if (step->to == CPR_VM_STATE_DEFINED)
		err = vm_end(c, dir, extack);
	else if (!dir->vm)
		err = vm_begin(c, dir, ask, extack);
	else
		err = vm_advance(c, dir, step->to, ask, extack);
	if (!err)
		cpr_event_vm(c, dir);
	return err;
}

/**
 * cpr_vm_set_room - set the room of a VM
 * @c: the region
 * @name: of the VM
 * @limit: what it may use, and is promised; no names: neither
 * @extack: reason of a refusal
 *
 * The room is committed when this returns.
 *
 * Return: 0; -ENOENT; -EDQUOT if the VM uses more; -ENOSPC if there is not as much.
 */
int cpr_vm_set_room(struct cpr *c, const char *name, struct cpr_room_limit limit,
		    struct netlink_ext_ack *extack)
{
	struct cpr_room_limit before;
	struct cpr_node *dir;
	int err;

	guard(cpr)(c);

	dir = cpr_vm_find(c, name, extack);
	if (IS_ERR(dir))
		return PTR_ERR(dir);
	before = dir->room->limit;
	err = cpr_room_promise(c, dir->room, limit, extack);
	if (err)
		return err;
	err = vm_commit(c, cpr_vm_state(dir), extack);
	if (err)
		cpr_room_limit(c, dir->room, before);
	else
		cpr_event_vm(c, dir);
	return err;
}

/**
 * cpr_vm_set_dma - replace the snapshot of a VM
 * @c: the region
 * @dir: directory of the VM
 * @dma: the new snapshot; the VM takes a reference
 * @extack: reason of a refusal
 *
 * The snapshot is committed when this returns.
 *
 * Return: 0, -ENOSPC, -ENOMEM; on an error the VM keeps its old snapshot.
 */
int cpr_vm_set_dma(struct cpr *c, struct cpr_node *dir, struct cpr_dma *dma,
		   struct netlink_ext_ack *extack)
{
	struct cpr_dma *before = dir->vm->dma;
	u64 size = cpr_dma_catalog_size(dma);
	int err;

	lockdep_assert_held(&c->lock);

	err = cpr_room_reserve(c, size);
	if (err) {
		NL_SET_ERR_MSG(extack, "the catalog is full; delete files or VMs");
		return err;
	}
	dir->vm->dma = cpr_dma_get(dma);
	err = vm_commit(c, dir->vm->state, extack);
	if (err) {
		dir->vm->dma = before;
		cpr_dma_put(dma);
		cpr_room_unreserve(c, size);
		return err;
	}
	dir->vm->changes++;
	vm_drop_dma(c, before);
	return 0;
}

/**
 * cpr_vm_set_verified - record whether the devices of a VM reach what its snapshot has
 * @c: the region
 * @name: of the VM
 * @dma: the snapshot
 * @changes: of the VM before its devices were looked at
 * @equal: they do
 *
 * Does nothing if the VM has changed meanwhile.
 */
void cpr_vm_set_verified(struct cpr *c, const char *name, const struct cpr_dma *dma,
			 u64 changes, bool equal)
{
	struct cpr_node *dir;

	guard(cpr)(c);

	dir = cpr_vm_find(c, name, NULL);
	/* Another VM of the same name has another snapshot. */
	if (!IS_ERR(dir) && dir->vm && dir->vm->dma == dma && dir->vm->changes == changes)
		dir->vm->verified = equal ? changes : 0;
}

/**
 * cpr_vm_mapping - a file is being mapped
 * @c: the region
 * @node: the file, which has, or had, a name
 */
void cpr_vm_mapping(struct cpr *c, struct cpr_node *node)
{
	struct cpr_node *dir;

	guard(cpr)(c);

	dir = node->parent ? cpr_node_vm_dir(node) : NULL;
	if (dir && dir->vm && node->flags & CPR_IMAGE_NODE_MEMORY)
		dir->vm->changes++;
}
