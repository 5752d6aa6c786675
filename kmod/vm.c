// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: The life of a VM
 *
 * A directory of the root becomes a handover unit when it is pinned, and then
 * goes through the states of enum cpr_vm_state. What a step needs and where it
 * leads is a table; what a state lets others do to the files is another.
 *
 *	defined -> running -> saved -> sealed -> [kexec] -> held -> restoring -> running
 *
 * While QEMU may use the memory files, their sizes and names are frozen, and
 * the rest of the directory is free: QEMU's log grows, its state is written.
 * Once sealed, everything is frozen until a QEMU claims it. A VM that was
 * running or saved when a kernel came up is lost: its memory may have changed
 * after its state was written. It is frozen, too, until it is given up.
 *
 * RESTORING survives a kexec as what it was before, for the guest has not run.
 *
 * Who seals a VM may say by which digests its manifest and its memory are known;
 * they are committed with the step, and answered until the guest runs. The
 * module computes none. The memory's does not survive a kexec while RESTORING: a
 * QEMU had the memory, and KVM may have written its wall clock there.
 *
 * Locking: cpr->lock. Opening for writing raises the write count before it asks
 * here, and sealing looks at the count, so one of the two sees the other.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/netlink.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/utsname.h>

#include "cpr_internal.h"
#include "vm_state.h"

/* A message that tells all of a VM must fit into one buffer. */
#define NAMES_MAX	2048

#define IN(_state)	BIT(CPR_VM_STATE_##_state)
#define IN_ALL		(BIT(CPR_VM_STATE_LOST + 1) - 1)

/* ---- what others may do ---- */

static const u32 all_frozen = IN(SEALED) | IN(HELD) | IN(LOST);
static const u32 memory_frozen = IN(RUNNING) | IN(SAVED) | IN(RESTORING);

/**
 * cpr_vm_may - may somebody do this to a file or directory?
 * @node: a node that has a name, or had one
 * @act: what
 *
 * Return: 0, or -EBUSY if the VM that it belongs to forbids it.
 */
int cpr_vm_may(struct cpr_node *node, enum cpr_act act)
{
	struct cpr_node *dir = node->parent ? cpr_node_vm_dir(node) : NULL;
	u32 in = dir ? BIT(cpr_vm_state(dir)) : IN(DEFINED);

	if (in & all_frozen)
		return -EBUSY;
	if (!(in & memory_frozen) || act == CPR_ACT_WRITE)
		return 0;
	/* The directory itself must keep its name as well. */
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

/* The node after @node in the tree below @dir. Trees may be deep: no recursion. */
static struct cpr_node *next_below(const struct cpr_node *dir,
				   const struct cpr_node *node)
{
	struct rb_node *rb = rb_first(&node->children);

	while (!rb && node != dir) {
		rb = rb_next(&node->rb);
		node = node->parent;
	}
	return rb ? rb_entry(rb, struct cpr_node, rb) : NULL;
}

/* Does @fn hold for a file below @dir? */
static bool any_file(struct cpr *c, const struct cpr_node *dir,
		     bool (*fn)(struct cpr *c, struct cpr_node *node))
{
	const struct cpr_node *at = dir;
	struct cpr_node *node;

	for (; (node = next_below(dir, at)); at = node)
		if (S_ISREG(node->mode) && fn(c, node))
			return true;
	return false;
}

static bool is_mapped(struct cpr *c, struct cpr_node *node)
{
	return cpr_mapping_mapped(node);
}

static bool is_open_for_writing(struct cpr *c, struct cpr_node *node)
{
	return node->inode && inode_is_open_for_write(node->inode);
}

/* By something that could write to it although nothing maps it: GUP, VFIO. */
static bool is_pinned(struct cpr *c, struct cpr_node *node)
{
	unsigned long i;
	void *entry;

	xa_for_each(&node->frames, i, entry)
		if (cpr_region_frame_pinned(c, xa_to_value(entry)))
			return true;
	return false;
}

/**
 * cpr_vm_mapped - does anything map a file of a VM?
 * @c: the region
 * @dir: its directory
 */
bool cpr_vm_mapped(struct cpr *c, const struct cpr_node *dir)
{
	return any_file(c, dir, is_mapped);
}

/**
 * cpr_vm_memory_bytes - sizes of a VM's memory files, added up
 * @dir: its directory
 */
u64 cpr_vm_memory_bytes(const struct cpr_node *dir)
{
	u64 bytes = 0;

	for (struct rb_node *rb = rb_first(&dir->children); rb; rb = rb_next(rb)) {
		struct cpr_node *node = rb_entry(rb, struct cpr_node, rb);

		cpr_node_pull(node);
		if (node->flags & CPR_IMAGE_NODE_MEMORY)
			bytes += node->size;
	}
	return bytes;
}

/**
 * cpr_vm_find - find a VM
 * @c: the region
 * @name: of its directory
 *
 * Return: the directory or NULL.
 */
struct cpr_node *cpr_vm_find(struct cpr *c, const char *name)
{
	struct cpr_node *dir;

	lockdep_assert_held(&c->lock);

	if (!c->formatted)
		return NULL;
	dir = cpr_node_find(c->root, name, strlen(name));
	return dir && S_ISDIR(dir->mode) ? dir : NULL;
}

/**
 * cpr_vm_in - find a VM that is in one of some states
 * @c: the region
 * @name: of its directory
 * @states: as bits
 * @extack: reason of a refusal
 *
 * Return: the directory, which has a VM; or ERR_PTR of -ENOENT or -EBUSY.
 */
struct cpr_node *cpr_vm_in(struct cpr *c, const char *name, u32 states,
			   struct netlink_ext_ack *extack)
{
	struct cpr_node *dir = cpr_vm_find(c, name);

	if (!dir) {
		NL_SET_ERR_MSG_FMT(extack, "no VM '%.40s' in the region", name);
		return ERR_PTR(-ENOENT);
	}
	if (dir->vm && states & BIT(dir->vm->state))
		return dir;
	NL_SET_ERR_MSG_FMT(extack, "the VM is %s, so this cannot be done",
			   cpr_vm_state_names[cpr_vm_state(dir)]);
	return ERR_PTR(-EBUSY);
}

/**
 * cpr_vm_free - forget a VM
 * @vm: the VM, or NULL; its devices are let go of
 */
void cpr_vm_free(struct cpr_vm *vm)
{
	if (!vm)
		return;
	cpr_hold_drop(vm->dma);
	cpr_dma_put(vm->dma);
	kfree(vm);
}

/* ---- from and to the image ---- */

static void forget_ram_digest(const struct cpr_node *dir, struct cpr_digests *d)
{
	if (!(d->flags & CPR_IMAGE_VM_RAM_DIGEST))
		return;
	d->flags &= ~CPR_IMAGE_VM_RAM_DIGEST;
	memset(d->ram, 0, sizeof(d->ram));
	pr_notice("VM '%.*s' was being restored: the digest of its memory is of no use any more\n",
		  dir->name_len, dir->name);
}

/**
 * cpr_vm_load - a VM that an earlier kernel left, or an earlier load
 * @dir: its directory
 * @rec: its record
 * @vm: filled in, and taken over
 */
void cpr_vm_load(struct cpr_node *dir, const struct cpr_catalog_vm *rec,
		 struct cpr_vm *vm)
{
	bool whole = rec->state == CPR_IMAGE_VM_SEALED ||
		     rec->state == CPR_IMAGE_VM_RESTORING;

	vm->state = whole ? CPR_VM_STATE_HELD : CPR_VM_STATE_LOST;
	vm->inherited = true;
	vm->since.tv_sec = rec->since.sec;
	vm->since.tv_nsec = rec->since.nsec;
	strscpy(vm->kernel, rec->kernel, sizeof(vm->kernel));
	vm->digests = rec->digests;
	if (rec->state == CPR_IMAGE_VM_RESTORING)
		forget_ram_digest(dir, &vm->digests);
	dir->vm = vm;
	if (!whole)
		pr_warn("VM '%.*s' was %s when kernel %s ended: its memory is here, its state is lost\n",
			dir->name_len, dir->name,
			rec->state == CPR_IMAGE_VM_SAVED ? "saved but not sealed" : "running",
			vm->kernel);
}

/**
 * cpr_vm_record_state - the state that the image records for a VM
 * @vm: the VM
 *
 * Return: enum cpr_image_vm_state.
 */
u32 cpr_vm_record_state(const struct cpr_vm *vm)
{
	static const u32 record[] = {
		[CPR_VM_STATE_RUNNING]		= CPR_IMAGE_VM_RUNNING,
		[CPR_VM_STATE_SAVED]		= CPR_IMAGE_VM_SAVED,
		[CPR_VM_STATE_SEALED]		= CPR_IMAGE_VM_SEALED,
		[CPR_VM_STATE_HELD]		= CPR_IMAGE_VM_SEALED,
		[CPR_VM_STATE_RESTORING]	= CPR_IMAGE_VM_RESTORING,
		/* Lost stays lost: a running VM that nobody runs. */
		[CPR_VM_STATE_LOST]		= CPR_IMAGE_VM_RUNNING,
	};

	return record[vm->state];
}

/* ---- steps ---- */

static int check_unmapped(struct cpr *c, const struct cpr_node *dir,
			  struct netlink_ext_ack *extack)
{
	if (!cpr_vm_mapped(c, dir))
		return 0;
	NL_SET_ERR_MSG(extack, "a file of the VM is still mapped; its QEMU must quit first");
	return -EBUSY;
}

/* Everything that could change a byte of the VM has let go of it. */
static int check_quiet(struct cpr *c, const struct cpr_node *dir,
		       struct netlink_ext_ack *extack)
{
	int err = check_unmapped(c, dir, extack);

	if (err)
		return err;
	if (any_file(c, dir, is_open_for_writing)) {
		NL_SET_ERR_MSG(extack, "a file of the VM is still open for writing; whoever has it must close it first");
		return -EBUSY;
	}
	if (any_file(c, dir, is_pinned)) {
		NL_SET_ERR_MSG(extack, "pages of the VM are still pinned by a process or a device; stop it first");
		return -EBUSY;
	}
	return 0;
}

/**
 * struct step - one step in the life of a VM
 * @verb: what it is called in a refusal
 * @from: states from which it leads, as bits
 * @to: the state it leads to; from an inherited VM, SEALED is HELD
 * @check: what must hold besides
 */
struct step {
	const char *verb;
	u32 from;
	enum cpr_vm_state to;
	int (*check)(struct cpr *c, const struct cpr_node *dir,
		     struct netlink_ext_ack *extack);
};

static const struct step steps[] = {
	[CPR_CMD_VM_PIN] = {
		.verb = "pinned",
		.from = IN(DEFINED) | IN(SAVED) | IN(RESTORING),
		.to = CPR_VM_STATE_RUNNING,
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
		.check = check_quiet,
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
		.check = check_quiet,
	},
	[CPR_CMD_VM_UNPIN] = {
		.verb = "unpinned",
		.from = IN_ALL,
		.to = CPR_VM_STATE_DEFINED,
		.check = check_unmapped,
	},
};

static void unmark_memory(struct cpr_node *dir)
{
	for (struct rb_node *rb = rb_first(&dir->children); rb; rb = rb_next(rb))
		rb_entry(rb, struct cpr_node, rb)->flags &= ~CPR_IMAGE_NODE_MEMORY;
}

static void mark_memory(struct cpr_node *dir, const struct cpr_vm_step *ask)
{
	unmark_memory(dir);
	for (unsigned int i = 0; i < ask->nr_files; i++) {
		const char *name = ask->files[i];

		cpr_node_find(dir, name, strlen(name))->flags |= CPR_IMAGE_NODE_MEMORY;
	}
}

/* There may be none: a guest whose RAM is not here leaves only its state here. */
static int check_memory_files(struct cpr_node *dir, const struct cpr_vm_step *ask,
			      struct netlink_ext_ack *extack)
{
	size_t bytes = 0;

	for (unsigned int i = 0; i < ask->nr_files; i++) {
		const char *name = ask->files[i];
		struct cpr_node *node = cpr_node_find(dir, name, strlen(name));

		bytes += strlen(name) + NLA_HDRLEN + NLA_ALIGNTO;
		if (bytes > NAMES_MAX) {
			NL_SET_ERR_MSG(extack, "the names of the memory files are too long together; use fewer or shorter ones");
			return -E2BIG;
		}
		if (!node || !S_ISREG(node->mode)) {
			NL_SET_ERR_MSG_FMT(extack, "'%.30s' is not a file of the VM's directory",
					   name);
			return -ENOENT;
		}
	}
	return 0;
}

static int make_vm(struct cpr *c, struct cpr_node *dir,
		   const struct cpr_vm_step *ask, struct netlink_ext_ack *extack)
{
	int err = check_memory_files(dir, ask, extack);

	if (err)
		return err;
	err = cpr_tree_reserve(c, sizeof(struct cpr_image_vm));
	if (err) {
		NL_SET_ERR_MSG(extack, "the catalog is full; delete files or VMs");
		return err;
	}
	dir->vm = kzalloc(sizeof(*dir->vm), GFP_KERNEL);
	if (!dir->vm) {
		NL_SET_ERR_MSG(extack, "no memory");
		cpr_tree_unreserve(c, sizeof(struct cpr_image_vm));
		return -ENOMEM;
	}
	mark_memory(dir, ask);
	return 0;
}

static void unmake_vm(struct cpr *c, struct cpr_vm *vm)
{
	cpr_tree_unreserve(c, sizeof(struct cpr_image_vm) + cpr_dma_catalog_size(vm->dma));
	cpr_vm_free(vm);
}

/* A digest that is not told stays what it was. */
static void take_digests(struct cpr_digests *to, const struct cpr_digests *told)
{
	if (told->flags & CPR_IMAGE_VM_MANIFEST_DIGEST)
		memcpy(to->manifest, told->manifest, sizeof(to->manifest));
	if (told->flags & CPR_IMAGE_VM_RAM_DIGEST)
		memcpy(to->ram, told->ram, sizeof(to->ram));
	to->flags |= told->flags;
}

static void enter(struct cpr_vm *vm, enum cpr_vm_state state)
{
	if (state == CPR_VM_STATE_SEALED && vm->inherited)
		state = CPR_VM_STATE_HELD;
	if (state == CPR_VM_STATE_RUNNING) {
		vm->inherited = false;
		memset(&vm->digests, 0, sizeof(vm->digests));
	}
	vm->state = state;
	ktime_get_real_ts64(&vm->since);
	strscpy(vm->kernel, init_utsname()->release, sizeof(vm->kernel));
}

static int check_step(struct cpr *c, struct cpr_node *dir, const struct step *step,
		      struct netlink_ext_ack *extack)
{
	enum cpr_vm_state state = cpr_vm_state(dir);

	if (!(step->from & BIT(state))) {
		NL_SET_ERR_MSG_FMT(extack, "the VM is %s, so it cannot be %s",
				   cpr_vm_state_names[state], step->verb);
		return -EBUSY;
	}
	return step->check ? step->check(c, dir, extack) : 0;
}

static int commit_step(struct cpr *c, struct netlink_ext_ack *extack)
{
	int err;

	cpr_dirty(c);
	err = cpr_commit_locked(c);
	if (err)
		NL_SET_ERR_MSG(extack, "the catalog could not be committed, see the kernel log");
	return err;
}

/* A snapshot that the catalog in force does not have any more. */
static void forget_dma(struct cpr *c, struct cpr_dma *dma)
{
	cpr_tree_unreserve(c, cpr_dma_catalog_size(dma));
	cpr_hold_drop(dma);
	cpr_dma_put(dma);
}

/* The three below: if the step is not committed, it was not taken. */
static int begin_life(struct cpr *c, struct cpr_node *dir, const struct cpr_vm_step *ask,
		      struct netlink_ext_ack *extack)
{
	int err = make_vm(c, dir, ask, extack);

	if (err)
		return err;
	enter(dir->vm, CPR_VM_STATE_RUNNING);
	err = commit_step(c, extack);
	if (err) {
		unmake_vm(c, dir->vm);
		dir->vm = NULL;
	}
	return err;
}

static int end_life(struct cpr *c, struct cpr_node *dir, struct netlink_ext_ack *extack)
{
	struct cpr_vm *vm = dir->vm;
	int err;

	dir->vm = NULL;
	err = commit_step(c, extack);
	if (err) {
		dir->vm = vm;
	} else if (vm) {
		unmake_vm(c, vm);
		unmark_memory(dir);
		cpr_dirty(c);
	}
	return err;
}

static int go_on(struct cpr *c, struct cpr_node *dir, enum cpr_vm_state to,
		 const struct cpr_vm_step *ask, struct netlink_ext_ack *extack)
{
	struct cpr_vm before = *dir->vm;
	int err;

	enter(dir->vm, to);
	take_digests(&dir->vm->digests, &ask->digests);
	/* What devices reach may change when the guest runs. */
	if (to == CPR_VM_STATE_RUNNING)
		dir->vm->dma = NULL;
	err = commit_step(c, extack);
	if (err) {
		*dir->vm = before;
		return err;
	}
	if (to == CPR_VM_STATE_RUNNING)
		forget_dma(c, before.dma);
	cpr_hold_vm(c, dir);
	return 0;
}

/**
 * cpr_vm_set_dma - give a VM another snapshot
 * @c: the region
 * @dir: directory of the VM
 * @dma: the snapshot; a reference is taken
 * @extack: reason of a refusal
 *
 * It is committed when this returns.
 *
 * Return: 0, -ENOSPC, -ENOMEM; then the VM has the one it had.
 */
int cpr_vm_set_dma(struct cpr *c, struct cpr_node *dir, struct cpr_dma *dma,
		   struct netlink_ext_ack *extack)
{
	struct cpr_dma *before = dir->vm->dma;
	u64 size = cpr_dma_catalog_size(dma);
	int err;

	lockdep_assert_held(&c->lock);

	err = cpr_tree_reserve(c, size);
	if (err) {
		NL_SET_ERR_MSG(extack, "the catalog is full; delete files or VMs");
		return err;
	}
	dir->vm->dma = dma;
	err = commit_step(c, extack);
	if (err) {
		dir->vm->dma = before;
		cpr_tree_unreserve(c, size);
		return err;
	}
	refcount_inc(&dma->refs);
	forget_dma(c, before);
	return 0;
}

static int take_step(struct cpr *c, struct cpr_node *dir, const struct step *step,
		     const struct cpr_vm_step *ask, struct netlink_ext_ack *extack)
{
	if (step->to == CPR_VM_STATE_DEFINED)
		return end_life(c, dir, extack);
	if (!dir->vm)
		return begin_life(c, dir, ask, extack);
	return go_on(c, dir, step->to, ask, extack);
}

/**
 * cpr_vm_step - take a step in the life of a VM
 * @c: the region
 * @ask: which step of which VM
 * @extack: reason of a refusal
 *
 * What was done is committed when this returns.
 *
 * Return: 0, -ENOENT if there is no such VM or memory file, -EBUSY if its state
 * or somebody who uses it forbids the step, -EINVAL, -E2BIG, -ENOSPC, -ENOMEM.
 */
int cpr_vm_step(struct cpr *c, const struct cpr_vm_step *ask,
		struct netlink_ext_ack *extack)
{
	const struct step *step = &steps[ask->cmd];
	struct cpr_node *dir;
	int err;

	guard(cpr)(c);

	dir = cpr_vm_find(c, ask->name);
	if (!dir) {
		NL_SET_ERR_MSG_FMT(extack, "no VM '%.40s' in the region", ask->name);
		return -ENOENT;
	}
	err = check_step(c, dir, step, extack);
	if (!err)
		err = take_step(c, dir, step, ask, extack);
	if (!err)
		cpr_netlink_notify_vm(c, dir);
	return err;
}
