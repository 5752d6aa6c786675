// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Commits
 *
 * What changes in the tree is marked dirty and committed a moment later, many
 * changes at once, so that ten thousand files do not write ten thousand
 * catalogs. fsync, sync, unmounting, every step in the life of a VM, and the
 * reboot or kexec itself commit at once.
 *
 * A commit writes the whole tree into the slot that is not in force. Nodes are
 * numbered breadth-first, children in order of their names, which is the order
 * that the image asks for.
 *
 * Locking: cpr->lock throughout.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/timekeeping.h>
#include <linux/utsname.h>

#include "cpr_internal.h"

#define COMMIT_DELAY	HZ

static struct cpr_time to_time(struct timespec64 t)
{
	return (struct cpr_time){ .sec = t.tv_sec, .nsec = t.tv_nsec };
}

static void put_frames(struct cpr_catalog_writer *w, struct cpr_node *node)
{
	unsigned long i;
	void *entry;

	xa_for_each(&node->frames, i, entry) {
		struct cpr_extent e = {
			.file_frame = i,
			.frame = xa_to_value(entry),
			.count = 1,
		};

		cpr_catalog_put_frames(w, &e);
	}
}

static void put_node(struct cpr_catalog_writer *w, struct cpr_node *node)
{
	struct cpr_catalog_node rec;

	cpr_node_pull(node);
	rec = (struct cpr_catalog_node){
		.ino = node->ino,
		.size = node->size,
		.atime = to_time(node->atime),
		.mtime = to_time(node->mtime),
		.ctime = to_time(node->ctime),
		.parent = node->parent->index,
		.mode = node->mode,
		.uid = from_kuid(&init_user_ns, node->uid),
		.gid = from_kgid(&init_user_ns, node->gid),
		.flags = node->flags,
		.name_len = node->name_len,
		.name = node->name,
	};
	node->index = w->nodes;
	cpr_catalog_put_node(w, &rec);
	put_frames(w, node);
}

static void put_tree(struct cpr_catalog_writer *w, struct cpr_node *root)
{
	LIST_HEAD(dirs);
	struct cpr_node *dir;

	put_node(w, root);
	list_add(&root->queue, &dirs);
	while ((dir = list_first_entry_or_null(&dirs, struct cpr_node, queue))) {
		list_del(&dir->queue);
		for (struct rb_node *rb = rb_first(&dir->children); rb; rb = rb_next(rb)) {
			struct cpr_node *node = rb_entry(rb, struct cpr_node, rb);

			put_node(w, node);
			if (S_ISDIR(node->mode))
				list_add_tail(&node->queue, &dirs);
		}
	}
}

static void put_dma(struct cpr_catalog_writer *w, const struct cpr_dma *dma)
{
	for (u32 i = 0; i < dma->nr_tables; i++)
		cpr_catalog_put_dma(w, dma->tables[i].extents, dma->tables[i].nr);
	for (u32 i = 0; i < dma->nr_devices; i++)
		cpr_catalog_put_device(w, &dma->devices[i].id, dma->devices[i].members);
}

static void put_vms(struct cpr_catalog_writer *w, struct cpr_node *root)
{
	for (struct rb_node *rb = rb_first(&root->children); rb; rb = rb_next(rb)) {
		struct cpr_node *dir = rb_entry(rb, struct cpr_node, rb);
		struct cpr_catalog_vm rec;

		if (!dir->vm)
			continue;
		rec = (struct cpr_catalog_vm){
			.node = dir->index,
			.state = cpr_vm_record_state(dir->vm),
			.since = to_time(dir->vm->since),
			.kernel = dir->vm->kernel,
			.digests = dir->vm->digests,
		};
		cpr_catalog_put_vm(w, &rec);
		if (dir->vm->dma)
			put_dma(w, dir->vm->dma);
	}
}

/* The catalog in force says no more that these frames are somebody's. */
static void release_freed(struct cpr *c)
{
	for (u32 i = 0; cpr_frames_find(&c->frames, CPR_FRAME_FREED, &i); i++)
		cpr_frames_set(&c->frames, i, 1,
			       cpr_region_frame_pinned(c, i) ? CPR_FRAME_BUSY :
							       CPR_FRAME_DIRTY);
	cpr_scrub_kick(c);
}

/**
 * cpr_commit_locked - commit what is dirty
 * @c: the region
 *
 * Return: 0, or a negative errno; then the last catalog stays in force.
 */
int cpr_commit_locked(struct cpr *c)
{
	const struct cpr_stamp stamp = {
		.time = ktime_get_real_seconds(),
		.kernel = init_utsname()->release,
	};
	unsigned int slot = !c->slot;
	struct cpr_catalog_writer w;
	int err;

	lockdep_assert_held(&c->lock);

	if (!c->dirty)
		return 0;
	cpr_catalog_begin(&w, c->region.base, &c->geo, slot);
	put_tree(&w, c->root);
	put_vms(&w, c->root);
	err = cpr_catalog_commit(&w, c->generation + 1, c->next_ino, &stamp);
	if (err) {
		pr_err("commit %llu failed: %pe; the catalog of commit %llu stays in force\n",
		       c->generation + 1, ERR_PTR(err), c->generation);
		return err;
	}
	c->generation++;
	c->slot = slot;
	c->dirty = false;
	release_freed(c);
	return 0;
}

/**
 * cpr_commit - commit what is dirty
 * @c: the region
 *
 * Return: 0, or a negative errno; then the last catalog stays in force.
 */
int cpr_commit(struct cpr *c)
{
	guard(cpr)(c);

	return cpr_commit_locked(c);
}

/**
 * cpr_dirty - something is to be committed, soon
 * @c: the region
 */
void cpr_dirty(struct cpr *c)
{
	lockdep_assert_held(&c->lock);

	c->dirty = true;
	queue_delayed_work(system_dfl_wq, &c->committer, COMMIT_DELAY);
}

/**
 * cpr_committer - commit what has become dirty
 * @work: cpr->committer
 */
void cpr_committer(struct work_struct *work)
{
	struct cpr *c = container_of(to_delayed_work(work), struct cpr, committer);

	cpr_commit(c);
}
