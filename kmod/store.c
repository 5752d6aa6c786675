// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Loading and saving
 *
 * The one place where the catalog meets the tree and the records of VMs. Loading
 * builds the tree from the current catalog; a commit saves it. For each kind of
 * record the two functions stand side by side.
 *
 * A commit saves the whole tree into the slot that is not current. Nodes are
 * numbered breadth-first, children in the order of their names: the image requires
 * that order. fsync, sync, unmounting, each step in the life of a VM, and the reboot
 * or kexec itself commit at once; other changes are committed after
 * CPR_COMMIT_DELAY.
 *
 * After some commits the guests depend on the image alone: when a VM is sealed, when the
 * kernel ends, when the module is unloaded. These commits are repeated, so that both
 * slots have the same content and one damaged slot does no harm. A commit allocates no
 * memory: nobody could act on a failure in the reboot notifier.
 *
 * A slot is used up to its first page that has a memory error. If the catalog does not fit
 * there, all commits overwrite the other slot in place.
 *
 * A frame that left its file stays FREED until a commit: before that, the current
 * catalog still gives it to the file, and a crash would bring the file back.
 *
 * RESTORING is saved as what it is, and loaded as HELD, because the guest has not
 * run. The digest of the VM's memory is dropped then: a QEMU has had the memory, and
 * KVM may have written its wall clock there.
 *
 * fsync and its kind need a commit that begins after the call, and whose commit that is
 * does not matter. So one commit does for all callers that wait for the lock, and none
 * is made if nothing has changed. Everybody who has a file can call fsync in a loop. So
 * the commits of callers without privileges, all together, take a limited part of the
 * time, and these callers wait for their turn.
 *
 * Locking: cpr->lock throughout.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/utsname.h>

#include "record.h"
#include "scrub.h"
#include "space.h"
#include "store.h"

#define STORE_REPETITIONS	3

/* After a commit without privileges, this many times as long passes before the next. */
#define STORE_PAUSES	9

static struct cpr_time store_save_time(struct timespec64 t)
{
	return (struct cpr_time){ .sec = t.tv_sec, .nsec = t.tv_nsec };
}

static struct timespec64 store_load_time(struct cpr_time t)
{
	return (struct timespec64){ .tv_sec = t.sec, .tv_nsec = t.nsec };
}

/* ---- nodes ---- */

static void store_save_frames(struct cpr_catalog_writer *w, struct cpr_node *node)
{
	unsigned long i;
	void *entry;

	xa_for_each(&node->frames, i, entry) {
		const struct cpr_extent e = {
			.file_frame = i,
			.frame = xa_to_value(entry),
			.count = 1,
		};

		cpr_catalog_put_frames(w, &e);
	}
}

static int store_load_frames(struct cpr *c, struct cpr_node *node,
			     const struct cpr_catalog_node *rec)
{
	for (u32 i = 0; i < rec->extents; i++) {
		struct cpr_extent e = cpr_catalog_extent(rec, i);

		for (u32 n = 0; n < e.count; n++) {
			int err = xa_err(xa_store(&node->frames, e.file_frame + n,
						  xa_mk_value(e.frame + n), GFP_KERNEL));

			if (err)
				return err;
		}
		cpr_frames_set(&c->frames, e.frame, e.count, CPR_FRAME_USED);
		node->nr_frames += e.count;
	}
	cpr_node_charge(c, node, node->nr_frames);
	node->tail_unknown = rec->extents;
	return 0;
}

static void store_save_limit(const struct cpr_node *node, struct cpr_catalog_node *rec)
{
	if (!cpr_node_has_room(node))
		return;
	rec->room_frames = node->room->limit.frames;
	rec->room_names = node->room->limit.names;
}

static void store_save_node(struct cpr *c, struct cpr_catalog_writer *w,
			    struct cpr_node *node)
{
	struct cpr_catalog_node rec;
	struct cpr_attr attr;

	cpr_node_attr(c, node, &attr);
	rec = (struct cpr_catalog_node){
		.ino = node->ino,
		.size = attr.size,
		.atime = store_save_time(attr.atime),
		.mtime = store_save_time(attr.mtime),
		.ctime = store_save_time(attr.ctime),
		.parent = node->parent->index,
		.mode = attr.mode,
		.uid = from_kuid(&init_user_ns, attr.uid),
		.gid = from_kgid(&init_user_ns, attr.gid),
		.flags = node->flags,
		.name_len = node->name_len,
		.name = node->name,
	};
	store_save_limit(node, &rec);
	node->index = w->nodes;
	cpr_catalog_put_node(w, &rec);
	store_save_frames(w, node);
}

static void store_load_limit(struct cpr *c, struct cpr_node *node,
			     const struct cpr_catalog_node *rec)
{
	if (cpr_node_has_room(node))
		cpr_room_limit(c, node->room, (struct cpr_room_limit){
			.frames = rec->room_frames,
			.names = rec->room_names,
		});
}

static void store_load_attr(struct cpr_node *node, const struct cpr_catalog_node *rec)
{
	node->attr = (struct cpr_attr){
		.mode = rec->mode,
		.uid = make_kuid(&init_user_ns, rec->uid),
		.gid = make_kgid(&init_user_ns, rec->gid),
		.size = rec->size,
		.atime = store_load_time(rec->atime),
		.mtime = store_load_time(rec->mtime),
		.ctime = store_load_time(rec->ctime),
	};
	node->flags = rec->flags;
}

/* Once the node is in the tree, an error leaves it there: the tree is freed as a whole. */
static struct cpr_node *store_load_node(struct cpr *c, struct cpr_node **nodes,
					const struct cpr_catalog_node *rec)
{
	struct cpr_node *node = cpr_node_alloc(rec->ino, rec->mode, rec->name, rec->name_len);
	int err;

	if (!node)
		return ERR_PTR(-ENOMEM);
	store_load_attr(node, rec);
	err = cpr_node_link(c, c->root ? nodes[rec->parent] : NULL, node);
	if (err) {
		cpr_node_free(node);
		return ERR_PTR(err);
	}
	if (!c->root)
		c->root = node;
	store_load_limit(c, node, rec);
	err = store_load_frames(c, node, rec);
	return err ? ERR_PTR(err) : node;
}

/* ---- snapshots ---- */

static void store_save_dma(struct cpr_catalog_writer *w, const struct cpr_dma *dma)
{
	for (u32 i = 0; i < dma->nr_tables; i++)
		cpr_catalog_put_dma(w, dma->tables[i].extents, dma->tables[i].nr);
	for (u32 i = 0; i < dma->nr_devices; i++)
		cpr_catalog_put_device(w, &dma->devices[i].id, dma->devices[i].members);
}

static int store_load_table(struct cpr_dma *dma, const struct cpr_catalog_dma *rec)
{
	struct cpr_dma_table *t = &dma->tables[dma->nr_tables++];
	int err = 0;

	for (u32 i = 0; i < rec->extents && !err; i++) {
		const struct cpr_dma_extent e = cpr_catalog_dma_extent(rec, i);

		err = cpr_dma_table_add(t, &e);
	}
	return err;
}

static int store_load_device(struct cpr_dma *dma, const struct cpr_catalog_device *rec)
{
	struct cpr_device *d = &dma->devices[dma->nr_devices++];

	d->id = *rec;
	d->members = kvcalloc(rec->members, sizeof(*d->members), GFP_KERNEL);
	if (!d->members)
		return -ENOMEM;
	for (u32 i = 0; i < rec->members; i++)
		d->members[i] = cpr_catalog_member(rec, i);
	return 0;
}

/* The records that follow a VM's record and belong to it. */
static bool store_next_of_vm(const struct cpr_catalog *cat, u64 *cursor,
			     struct cpr_catalog_entry *entry)
{
	if (!cpr_catalog_next(cat, cursor, entry))
		return false;
	return entry->type == CPR_IMAGE_REC_DMA || entry->type == CPR_IMAGE_REC_DEVICE;
}

static struct cpr_dma *store_new_dma(const struct cpr_catalog *cat, u64 cursor)
{
	struct cpr_catalog_entry entry;
	u32 tables = 0, devices = 0;

	while (store_next_of_vm(cat, &cursor, &entry)) {
		if (entry.type == CPR_IMAGE_REC_DMA)
			tables++;
		else
			devices++;
	}
	if (!devices)
		return NULL;
	return cpr_dma_new(tables, devices) ?: ERR_PTR(-ENOMEM);
}

/* The snapshot of the VM whose record ends at @cursor, or NULL. */
static struct cpr_dma *store_load_dma(const struct cpr_catalog *cat, u64 cursor)
{
	struct cpr_dma *dma = store_new_dma(cat, cursor);
	struct cpr_catalog_entry entry;
	int err = 0;

	if (IS_ERR_OR_NULL(dma))
		return dma;
	while (!err && store_next_of_vm(cat, &cursor, &entry)) {
		if (entry.type == CPR_IMAGE_REC_DMA)
			err = store_load_table(dma, &entry.dma);
		else
			err = store_load_device(dma, &entry.device);
	}
	if (!err)
		return dma;
	cpr_dma_put(dma);
	return ERR_PTR(err);
}

/* ---- VMs ---- */

static const u32 store_image_state[] = {
	[CPR_VM_STATE_RUNNING]		= CPR_IMAGE_VM_RUNNING,
	[CPR_VM_STATE_SAVED]		= CPR_IMAGE_VM_SAVED,
	[CPR_VM_STATE_SEALED]		= CPR_IMAGE_VM_SEALED,
	[CPR_VM_STATE_HELD]		= CPR_IMAGE_VM_SEALED,
	[CPR_VM_STATE_RESTORING]	= CPR_IMAGE_VM_RESTORING,
	/* A lost VM stays lost: saved as running, with no QEMU, it is loaded as lost. */
	[CPR_VM_STATE_LOST]		= CPR_IMAGE_VM_RUNNING,
};

static const enum cpr_vm_state store_vm_state[] = {
	[CPR_IMAGE_VM_RUNNING]		= CPR_VM_STATE_LOST,
	[CPR_IMAGE_VM_SAVED]		= CPR_VM_STATE_LOST,
	[CPR_IMAGE_VM_SEALED]		= CPR_VM_STATE_HELD,
	[CPR_IMAGE_VM_RESTORING]	= CPR_VM_STATE_HELD,
};

static void store_save_vm(struct cpr_catalog_writer *w, const struct cpr_node *dir)
{
	const struct cpr_vm *vm = dir->vm;
	const struct cpr_catalog_vm rec = {
		.node = dir->index,
		.state = store_image_state[vm->state],
		.since = store_save_time(vm->since),
		.kernel = vm->kernel,
		.digests = vm->digests,
	};

	cpr_catalog_put_vm(w, &rec);
	if (vm->dma)
		store_save_dma(w, vm->dma);
}

static void store_drop_ram_digest(const struct cpr_node *dir, struct cpr_digests *d)
{
	if (!(d->flags & CPR_IMAGE_VM_RAM_DIGEST))
		return;
	d->flags &= ~CPR_IMAGE_VM_RAM_DIGEST;
	memset(d->ram, 0, sizeof(d->ram));
	pr_notice("VM '%.*s' was being restored: dropping the digest of its memory, which may have changed\n",
		  dir->name_len, dir->name);
}

static int store_load_vm(struct cpr *c, struct cpr_node *dir, const struct cpr_catalog *cat,
			 u64 cursor, const struct cpr_catalog_vm *rec)
{
	struct cpr_dma *dma = store_load_dma(cat, cursor);
	struct cpr_vm *vm;

	if (IS_ERR(dma))
		return PTR_ERR(dma);
	vm = cpr_vm_new();
	if (!vm) {
		cpr_dma_put(dma);
		return -ENOMEM;
	}
	vm->state = store_vm_state[rec->state];
	vm->inherited = true;
	vm->since = store_load_time(rec->since);
	strscpy(vm->kernel, rec->kernel, sizeof(vm->kernel));
	vm->digests = rec->digests;
	vm->dma = dma;
	dir->vm = vm;
	c->catalog_used += cpr_vm_catalog_size(vm);

	if (rec->state == CPR_IMAGE_VM_RESTORING)
		store_drop_ram_digest(dir, &vm->digests);
	if (vm->state == CPR_VM_STATE_LOST)
		pr_warn("VM '%.*s' was %s when kernel %s ended: its memory is in the region, its state is lost\n",
			dir->name_len, dir->name,
			rec->state == CPR_IMAGE_VM_SAVED ? "saved but not sealed" : "running",
			vm->kernel);
	return 0;
}

/* ---- memory errors ---- */

static int store_load_bad(struct cpr *c, const struct cpr_catalog_bad *rec)
{
	int err = 0;

	for (u32 i = 0; i < rec->runs && !err; i++) {
		struct cpr_bad_run run = cpr_catalog_bad_run(rec, i);

		scoped_guard(spinlock, &c->bad_lock)
			err = cpr_bad_add(&c->bad, run.page, run.count);
	}
	return err;
}

/* ---- the whole tree ---- */

static void store_save_tree(struct cpr *c, struct cpr_catalog_writer *w)
{
	LIST_HEAD(dirs);
	struct cpr_node *dir, *node;

	store_save_node(c, w, c->root);
	list_add(&c->root->queue, &dirs);
	while ((dir = list_first_entry_or_null(&dirs, struct cpr_node, queue))) {
		list_del(&dir->queue);
		cpr_for_each_child(node, dir) {
			store_save_node(c, w, node);
			if (S_ISDIR(node->type))
				list_add_tail(&node->queue, &dirs);
		}
	}
	cpr_for_each_child(dir, c->root)
		if (dir->vm)
			store_save_vm(w, dir);
	cpr_catalog_put_bad(w, &c->bad);
}

/**
 * cpr_store_load - build the tree from a catalog
 * @c: the region; all of its frames are free
 * @cat: the current catalog, checked
 *
 * Return: 0; -ENOMEM, or -ENOSPC if there are more memory errors than can be on record;
 * then cpr_store_forget() frees what was built.
 */
int cpr_store_load(struct cpr *c, const struct cpr_catalog *cat)
{
	struct cpr_node **nodes __free(kvfree) =
		kvcalloc(cat->nodes, sizeof(struct cpr_node *), GFP_KERNEL);
	struct cpr_catalog_entry entry;
	u64 cursor = 0;
	u32 n = 0;
	int err = 0;

	lockdep_assert_held(&c->lock);

	if (!nodes)
		return -ENOMEM;
	c->next_ino = cat->next_ino;
	c->catalog_used = 0;
	c->promised = 0;
	while (!err && cpr_catalog_next(cat, &cursor, &entry)) {
		if (entry.type == CPR_IMAGE_REC_NODE) {
			nodes[n] = store_load_node(c, nodes, &entry.node);
			err = PTR_ERR_OR_ZERO(nodes[n++]);
		} else if (entry.type == CPR_IMAGE_REC_VM) {
			err = store_load_vm(c, nodes[entry.vm.node], cat, cursor, &entry.vm);
		} else if (entry.type == CPR_IMAGE_REC_BAD) {
			err = store_load_bad(c, &entry.bad);
		}
	}
	return err;
}

/**
 * cpr_store_load_empty - build the tree from a catalog that has the root only
 * @c: the region; all of its frames are free
 * @cat: the current catalog, checked
 * @root: from cpr_root_alloc()
 *
 * Nothing is allocated.
 */
void cpr_store_load_empty(struct cpr *c, const struct cpr_catalog *cat, struct cpr_node *root)
{
	struct cpr_catalog_entry entry;
	u64 cursor = 0;

	lockdep_assert_held(&c->lock);

	if (WARN_ON(!cpr_catalog_next(cat, &cursor, &entry)))
		return;
	store_load_attr(root, &entry.node);
	c->next_ino = cat->next_ino;
	c->catalog_used = 0;
	c->promised = 0;
	WARN_ON(cpr_node_link(c, NULL, root));
	c->root = root;
}

/**
 * cpr_store_forget - free the tree and the records of VMs
 * @c: the region; no inode is in memory
 */
void cpr_store_forget(struct cpr *c)
{
	struct cpr_node *dir;

	lockdep_assert_held(&c->lock);

	if (!c->root)
		return;
	cpr_for_each_child(dir, c->root)
		cpr_vm_free(dir->vm);
	cpr_tree_free(c);
}

/* ---- commits ---- */

/* The current catalog does not give these frames to a file any more. */
static void store_release_freed(struct cpr *c)
{
	for (u32 i = 0; cpr_frames_find(&c->frames, CPR_FRAME_FREED, &i); i++) {
		bool pinned = cpr_region_frame_pinned(&c->region, i);

		cpr_frames_set(&c->frames, i, 1, pinned ? CPR_FRAME_BUSY : CPR_FRAME_DIRTY);
		if (!pinned)
			cpr_room_release(c, i);
	}
	cpr_scrub_kick(c);
}

/* Bytes of a slot in front of the first page that has a memory error. */
static u64 store_slot_room(const struct cpr *c, unsigned int slot)
{
	u64 page = c->geo.slot_offset[slot] / CPR_IMAGE_BLOCK_SIZE, first;

	if (!cpr_bad_find(&c->bad, page, c->geo.slot_size / CPR_IMAGE_BLOCK_SIZE, &first))
		return c->geo.slot_size;
	return (first - page) * CPR_IMAGE_BLOCK_SIZE;
}

static int store_commit_to(struct cpr *c, unsigned int slot)
{
	const struct cpr_stamp stamp = {
		.time = ktime_get_real_seconds(),
		.kernel = init_utsname()->release,
	};
	u64 room = store_slot_room(c, slot);

	if (room <= CPR_IMAGE_BLOCK_SIZE)
		return -ENOSPC;
	cpr_catalog_begin(&c->writer, c->region.base, &c->geo, slot);
	cpr_catalog_limit(&c->writer, room);
	store_save_tree(c, &c->writer);
	return cpr_catalog_commit(&c->writer, c->generation + 1, c->next_ino, &stamp);
}

static void store_abandon(struct cpr *c, unsigned int slot)
{
	u64 page = c->geo.slot_offset[slot] / CPR_IMAGE_BLOCK_SIZE, bad;

	for (unsigned int block = 0; block < 2; block++) {
		if (cpr_bad_find(&c->bad, page + block, 1, &bad))
			continue;
		cpr_catalog_abandon(c->region.base, &c->geo, slot, block);
		break;
	}
}

/*
 * If memory errors leave too little of the slot that is not current, the current one is
 * overwritten; but only if nothing can fail then. The other slot is made invalid before that,
 * so that it is never taken for current.
 */
static int store_commit(struct cpr *c)
{
	unsigned int slot = !c->slot;
	int err = store_commit_to(c, slot);

	if (err == -ENOSPC && store_slot_room(c, slot) < c->geo.slot_size &&
	    store_slot_room(c, c->slot) == c->geo.slot_size) {
		pr_warn_once("slot %u of the catalog has memory errors: slot %u is overwritten in place, and a crash during the commit loses the catalog; move the VMs and format another region\n",
				    slot, c->slot);
		store_abandon(c, slot);
		slot = c->slot;
		err = store_commit_to(c, slot);
	}
	if (err) {
		pr_err("commit %llu failed: %pe; the catalog of commit %llu stays current\n",
		       c->generation + 1, ERR_PTR(err), c->generation);
		return err;
	}
	c->generation++;
	c->slot = slot;
	return 0;
}

/**
 * cpr_commit_locked - commit what is dirty
 * @c: the region
 *
 * Return: 0, or a negative errno; then the current catalog stays current.
 */
int cpr_commit_locked(struct cpr *c)
{
	/* Counted first: an attribute may change while the tree is saved. */
	s64 changes = atomic64_read_acquire(&c->changes);
	int err;

	lockdep_assert_held(&c->lock);

	if (!c->formatted || c->committed == changes)
		return 0;
	c->repeated = false;
	err = store_commit(c);
	if (err)
		return err;
	smp_store_release(&c->committed, changes);
	store_release_freed(c);
	wake_up_all(&c->commits);
	return 0;
}

/**
 * cpr_commit_twice_locked - commit what is dirty, so that both slots have it
 * @c: the region
 *
 * An attribute of a file may change between the two commits. Then another commit follows;
 * the attempts are few, because a file that is being written can change at any time.
 *
 * Return: as cpr_commit_locked(). Errors of the repetition are only logged: what was dirty
 * is committed.
 */
int cpr_commit_twice_locked(struct cpr *c)
{
	int err = cpr_commit_locked(c);

	if (err || !c->formatted)
		return err;
	for (int i = 0; i < STORE_REPETITIONS && !c->repeated; i++) {
		unsigned int slot = c->slot;

		/* In place, there is nothing to compare with. */
		if (store_commit(c) || c->slot == slot || !store_slot_room(c, slot))
			break;
		c->repeated = cpr_catalog_is_repeated(c->region.base, &c->geo);
	}
	return 0;
}

/**
 * cpr_commit - commit what is dirty
 * @c: the region
 *
 * Return: 0, or a negative errno; then the current catalog stays current.
 */
int cpr_commit(struct cpr *c)
{
	guard(cpr)(c);

	return cpr_commit_locked(c);
}

/**
 * cpr_commit_twice - commit what is dirty, so that both slots have it
 * @c: the region
 *
 * Return: as cpr_commit_locked().
 */
int cpr_commit_twice(struct cpr *c)
{
	guard(cpr)(c);

	return cpr_commit_twice_locked(c);
}

/**
 * cpr_committer - commit some time after a change
 * @work: cpr->committer
 */
void cpr_committer(struct work_struct *work)
{
	cpr_commit(container_of(to_delayed_work(work), struct cpr, committer));
}

/* ---- commits for files ---- */

static bool store_is_committed(const struct cpr *c, s64 changes)
{
	return smp_load_acquire(&c->committed) >= changes;
}

/* Return: 0; -EAGAIN if a caller without privileges must wait; the error of a commit. */
static int store_commit_for(struct cpr *c, s64 changes, bool privileged)
{
	u64 begin, end;
	int err;

	guard(cpr)(c);

	begin = ktime_get_ns();
	if (store_is_committed(c, changes))
		return 0;
	if (privileged)
		return cpr_commit_locked(c);
	if (begin < c->next_turn)
		return -EAGAIN;
	err = cpr_commit_locked(c);
	end = ktime_get_ns();
	WRITE_ONCE(c->next_turn, end + STORE_PAUSES * (end - begin));
	return err;
}

/* Not for longer than CPR_COMMIT_DELAY: then the committer commits. */
static void store_wait_turn(struct cpr *c, s64 changes)
{
	u64 now = ktime_get_ns(), turn = READ_ONCE(c->next_turn);

	if (now < turn)
		wait_event_hrtimeout(c->commits, store_is_committed(c, changes),
				     ns_to_ktime(turn - now));
}

/**
 * cpr_store_sync - have all changes so far committed
 * @c: the region
 *
 * Return: 0 or a negative errno.
 */
int cpr_store_sync(struct cpr *c)
{
	s64 changes = atomic64_read_acquire(&c->changes);
	bool privileged = ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN);

	while (!store_is_committed(c, changes)) {
		int err = store_commit_for(c, changes, privileged);

		if (err != -EAGAIN)
			return err;
		store_wait_turn(c, changes);
	}
	return 0;
}

/**
 * cpr_store_fill - fill a file's holes
 * @c: the region
 * @node: of the file
 * @first: first frame of the range in the file
 * @count: number of frames
 *
 * Frames that were freed recently become free by a commit, so commit when the
 * others are too few.
 *
 * Return: 0, -EDQUOT, -ENOSPC, -ENOMEM; on an error the file has not changed.
 */
int cpr_store_fill(struct cpr *c, struct cpr_node *node, u32 first, u32 count)
{
	int err;

	while ((err = cpr_space_fill(c, node, first, count)) == -EAGAIN) {
		err = cpr_store_sync(c);
		if (err)
			break;
	}
	return err;
}

/**
 * cpr_store_fsync - have all changes committed; ->fsync of every file of cprfs
 * @file: the file
 * @start: unused, data needs no writeback
 * @end: unused
 * @datasync: unused
 *
 * Return: 0 or a negative errno.
 */
int cpr_store_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	return cpr_store_sync(inode_cpr(file_inode(file)));
}
