/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The module's region and everything in it.
 *
 * The module has one region, and so one struct cpr. That variable is private to
 * main.c. Every function that needs it takes a struct cpr pointer. Three files are
 * called back by the kernel without one, and keep the pointer that their init
 * function was given: fs.c, hold.c and netlink.c.
 */
#ifndef CPR_INTERNAL_H
#define CPR_INTERNAL_H

#include <linux/atomic.h>
#include <linux/cleanup.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "bad.h"
#include "catalog.h"
#include "compat/compat.h"
#include "frames.h"
#include "region.h"

struct cpr_node;
struct super_block;

/**
 * struct cpr - the module's region and everything in it
 * @lock: protects all members below, but for those that say otherwise
 * @region: the claimed range; constant while the module is loaded
 * @formatted: the region has an image; the members below are valid only then
 * @geo: geometry of the image
 * @frames: state of the frames
 * @bad: pages that have memory errors; valid without an image as well. Changes take
 *	@lock and @bad_lock
 * @bad_lock: for readers of @bad that do not have @lock; innermost
 * @touching: held shared while frames that were checked for errors are zeroed or mapped, see
 *	poison.c; nests in @lock
 * @root: the root directory
 * @next_ino: next inode number
 * @catalog_used: bytes of the catalog that are reserved for nodes and VMs
 * @promised: frames that are promised and not used, see room.c
 * @stuck: room of each frame that left its file while it was pinned, see room.c
 * @generation: of the current catalog
 * @slot: that holds the current catalog
 * @writer: of commits; here, so that a commit needs no memory
 * @repeated: the other slot has the same content as the current catalog
 * @changes: number of changes so far; not protected by @lock
 * @committed: number of changes that the current catalog has; may be read without @lock
 * @commits: woken up after each commit
 * @next_turn: when users without privileges may force the next commit, ktime in ns; may
 *	be read without @lock
 * @sb: cprfs, while mounted
 * @inode_lock: protects what tree.c has of the inodes, see there; nests in @lock,
 *	but does not need it
 * @committer: commits some time after a change
 * @scrubber: scrubs frames, see scrub.c
 * @scrubbed: woken up after each scrubbed frame
 * @scrubs: number of frames that were scrubbed
 * @no_scrubbing: the scrubber must stop
 * @keeps_module: the scrubber holds a reference on the module
 * @listeners: notifier chain for events, see events.c; has a lock of its own
 *
 * Direct reclaim evicts inodes of cprfs and marks them dirty, and memory is
 * allocated under @lock. So neither of the two takes @lock: evicting an inode that
 * has a name takes @inode_lock, and cpr_dirty() no lock at all.
 */
struct cpr {
	struct mutex lock;	/* of the members below */
	struct cpr_region region;
	bool formatted;
	struct cpr_geometry geo;
	struct cpr_frames frames;
	struct cpr_bad bad;
	spinlock_t bad_lock;
	struct rw_semaphore touching;
	struct cpr_node *root;
	u64 next_ino;
	u64 catalog_used;
	u64 promised;
	struct xarray stuck;
	u64 generation;
	unsigned int slot;
	struct cpr_catalog_writer writer;
	bool repeated;
	atomic64_t changes;
	s64 committed;
	wait_queue_head_t commits;
	u64 next_turn;
	struct super_block *sb;
	spinlock_t inode_lock;	/* of what the tree has of the inodes */
	struct delayed_work committer;
	struct delayed_work scrubber;
	wait_queue_head_t scrubbed;
	u64 scrubs;
	bool no_scrubbing;
	bool keeps_module;
	struct blocking_notifier_head listeners;
};

DEFINE_LOCK_GUARD_1(cpr, struct cpr, mutex_lock(&_T->lock->lock),
		    mutex_unlock(&_T->lock->lock))

#define CPR_COMMIT_DELAY	HZ

/**
 * cpr_dirty - have a change committed soon
 * @c: the region
 *
 * Many changes make one commit: ten thousand new files do not write ten thousand
 * catalogs. Call this after the change.
 */
static inline void cpr_dirty(struct cpr *c)
{
	/* The commit that counts the change sees the change as well. */
	atomic64_inc_return_release(&c->changes);
	queue_delayed_work(system_dfl_wq, &c->committer, CPR_COMMIT_DELAY);
}

/**
 * cpr_dirty_now - have a change committed at once
 * @c: the region
 */
static inline void cpr_dirty_now(struct cpr *c)
{
	cpr_dirty(c);
	mod_delayed_work(system_dfl_wq, &c->committer, 0);
}

#endif /* CPR_INTERNAL_H */
