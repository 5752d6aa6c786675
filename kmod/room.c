// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Room
 *
 * Who may have how many frames and names. A directory of the root belongs to one VM, and
 * its owner may be hostile. So the operator can set a room for it: a number of frames and
 * of names. The room is a limit, and it is a promise: nobody else gets what is left of it.
 * So a VM can always be saved, whatever the owners of other directories do. Directories
 * without a room share what is not promised.
 *
 * A room counts what its directory costs the region, not what can be seen there:
 *
 *  - a file that has no name any more, but is open, counts until its frames are free;
 *  - a frame that leaves a file while it is pinned is stuck: it counts until it is unpinned,
 *    because nobody else can get it before that;
 *  - the names of a room count in the catalog with the most that they can take. So a room
 *    never has too little for a name, however long, and what it has for names is not
 *    given to others and taken back.
 *
 * Names, and promises of names, leave a part of the catalog to the records of VMs. So no
 * user without privileges can fill the catalog so that a VM cannot be pinned, or the
 * devices of a VM cannot be recorded.
 *
 * Memory errors can take frames that are promised. Then the promise is not kept: a room may
 * find no frame although its limit is not reached.
 *
 * Locking: cpr->lock, but for @users of a room.
 */
#include <linux/netlink.h>
#include <linux/slab.h>

#include "room.h"

/* Names get the capacity of the catalog but for one part in so many. */
#define ROOM_RECORDS_PART	4

/**
 * cpr_room_new - allocate a room without a limit
 *
 * Return: the room, with one reference; NULL without memory.
 */
struct cpr_room *cpr_room_new(void)
{
	struct cpr_room *room = kzalloc(sizeof(*room), GFP_KERNEL);

	if (room)
		refcount_set(&room->users, 1);
	return room;
}

/**
 * cpr_room_get - get a reference
 * @room: the room
 *
 * Return: @room.
 */
struct cpr_room *cpr_room_get(struct cpr_room *room)
{
	refcount_inc(&room->users);
	return room;
}

/**
 * cpr_room_put - drop a reference
 * @room: the room, or NULL; it has no limit any more if this is the last reference
 */
void cpr_room_put(struct cpr_room *room)
{
	if (room && refcount_dec_and_test(&room->users))
		kfree(room);
}

/* ---- sums of all rooms ---- */

/* What one name may take of the catalog, at most. */
static u64 room_name_bytes(void)
{
	return cpr_catalog_node_size(CPR_IMAGE_NAME_MAX);
}

static u64 room_names_capacity(const struct cpr *c)
{
	u64 all = cpr_catalog_capacity(&c->geo);

	return all - all / ROOM_RECORDS_PART;
}

/* Frames that are free, or will be without anybody's doing. */
static u32 room_frames_free(const struct cpr *c)
{
	return cpr_frames_free(&c->frames) + c->frames.count[CPR_FRAME_FREED] +
	       c->frames.count[CPR_FRAME_SCRUBBING];
}

/* Frames that a room is promised and does not use. */
static s64 room_promised(const struct cpr_room *room)
{
	return room->limit.names ? max_t(s64, room->limit.frames - room->use.frames, 0) : 0;
}

/* What a room takes of the catalog. */
static u64 room_catalog(const struct cpr_room *room)
{
	return max_t(u64, room->use.bytes, room->limit.names * room_name_bytes());
}

static void room_count(struct cpr *c, const struct cpr_room *room)
{
	c->promised += room_promised(room);
	c->catalog_used += room_catalog(room);
}

static void room_discount(struct cpr *c, const struct cpr_room *room)
{
	c->promised -= room_promised(room);
	c->catalog_used -= room_catalog(room);
}

/* ---- what is used ---- */

/**
 * cpr_room_add - something is used, or returned, and this cannot be refused
 * @c: the region
 * @room: the room
 * @by: what is added; negative if it is returned
 */
void cpr_room_add(struct cpr *c, struct cpr_room *room, struct cpr_room_use by)
{
	lockdep_assert_held(&c->lock);

	room_discount(c, room);
	room->use.frames += by.frames;
	room->use.names += by.names;
	room->use.bytes += by.bytes;
	room_count(c, room);
}

static struct cpr_room_use room_negative(struct cpr_room_use use)
{
	return (struct cpr_room_use){ -use.frames, -use.names, -use.bytes };
}

static bool room_exceeded(const struct cpr_room_change *change)
{
	const struct cpr_room *room = change->room;

	if (!room->limit.names)
		return false;
	return (change->by.names > 0 && room->use.names > room->limit.names) ||
	       (change->by.frames > 0 && room->use.frames > room->limit.frames);
}

/**
 * cpr_room_change - change what is used, all or nothing
 * @c: the region
 * @changes: of rooms; a room may be in several
 * @nr: number of changes
 *
 * What is returned is never a reason to refuse.
 *
 * Return: 0; -EDQUOT if a room would have more than its limit; -ENOSPC if the catalog would
 * be too small, or a promise could not be kept.
 */
int cpr_room_change(struct cpr *c, const struct cpr_room_change *changes, unsigned int nr)
{
	u64 catalog_before = c->catalog_used, promised_before = c->promised;
	int err = 0;

	lockdep_assert_held(&c->lock);

	for (unsigned int i = 0; i < nr; i++)
		cpr_room_add(c, changes[i].room, changes[i].by);
	for (unsigned int i = 0; i < nr; i++)
		if (room_exceeded(&changes[i]))
			err = -EDQUOT;
	/* An image from another writer may use more than the capacity. */
	if (!err && c->catalog_used > max(catalog_before, room_names_capacity(c)))
		err = -ENOSPC;
	if (!err && c->promised > max_t(u64, promised_before, room_frames_free(c)))
		err = -ENOSPC;
	for (unsigned int i = 0; err && i < nr; i++)
		cpr_room_add(c, changes[i].room, room_negative(changes[i].by));
	return err;
}

/**
 * cpr_room_has - does a room have so many frames left?
 * @room: the room
 * @frames: number of frames
 */
bool cpr_room_has(const struct cpr_room *room, u32 frames)
{
	return !room->limit.names || !frames || room->use.frames + frames <= room->limit.frames;
}

/**
 * cpr_room_kept - number of free frames that are kept for others
 * @c: the region
 * @room: the room
 */
u32 cpr_room_kept(const struct cpr *c, const struct cpr_room *room)
{
	return room->limit.names ? 0 : min_t(u64, c->promised, U32_MAX / 2);
}

/* ---- limits ---- */

/**
 * cpr_room_limit - set the limit of a room, whatever is used
 * @c: the region
 * @room: the room
 * @limit: the new limit
 */
void cpr_room_limit(struct cpr *c, struct cpr_room *room, struct cpr_room_limit limit)
{
	lockdep_assert_held(&c->lock);

	room_discount(c, room);
	room->limit = limit;
	room_count(c, room);
}

static int room_check_limit(const struct cpr_room *room, struct cpr_room_limit limit,
			    struct netlink_ext_ack *extack)
{
	if (!limit.names ||
	    (limit.names >= room->use.names && limit.frames >= room->use.frames))
		return 0;
	NL_SET_ERR_MSG_FMT(extack, "it uses %u frames of 2 MiB and %u names; give it no less",
			   (u32)room->use.frames, (u32)room->use.names);
	return -EDQUOT;
}

/**
 * cpr_room_promise - set the limit of a room if it can be promised
 * @c: the region
 * @room: the room
 * @limit: the new limit
 * @extack: reason of a refusal
 *
 * Return: 0; -EDQUOT if the directory has more than that already; -ENOSPC.
 */
int cpr_room_promise(struct cpr *c, struct cpr_room *room, struct cpr_room_limit limit,
		     struct netlink_ext_ack *extack)
{
	const struct cpr_room_limit before = room->limit;
	u64 catalog_before = c->catalog_used, promised_before = c->promised;
	u64 capacity = max(catalog_before, room_names_capacity(c)), others;
	u32 frames = room_frames_free(c);
	int err = room_check_limit(room, limit, extack);

	if (err)
		return err;
	cpr_room_limit(c, room, limit);
	if (c->promised > max_t(u64, promised_before, frames)) {
		others = c->promised - room_promised(room);
		NL_SET_ERR_MSG_FMT(extack, "%u frames of 2 MiB are free, and %u promised to others",
				   frames, (u32)others);
		err = -ENOSPC;
	} else if (c->catalog_used > capacity) {
		others = c->catalog_used - room_catalog(room);
		NL_SET_ERR_MSG_FMT(extack, "the catalog has room for %u names of it; delete files or VMs",
				   (u32)((capacity - others) / room_name_bytes()));
		err = -ENOSPC;
	}
	if (err)
		cpr_room_limit(c, room, before);
	return err;
}

/* ---- frames that are stuck ---- */

/**
 * cpr_room_stick - a frame has left its file, and is still pinned
 * @c: the region
 * @room: in which the frame counts until cpr_room_release()
 * @frame: the frame
 */
void cpr_room_stick(struct cpr *c, struct cpr_room *room, u32 frame)
{
	lockdep_assert_held(&c->lock);

	/* A file that is being removed cannot keep the frame. */
	xa_store(&c->stuck, frame, cpr_room_get(room), GFP_KERNEL | __GFP_NOFAIL);
}

/**
 * cpr_room_release - a frame that belongs to no file is not pinned
 * @c: the region
 * @frame: the frame
 */
void cpr_room_release(struct cpr *c, u32 frame)
{
	struct cpr_room *room = xa_erase(&c->stuck, frame);

	lockdep_assert_held(&c->lock);

	if (!room)
		return;
	cpr_room_add(c, room, (struct cpr_room_use){ .frames = -1 });
	cpr_room_put(room);
}

/**
 * cpr_room_forget - forget all frames that are stuck
 * @c: the region; its image is being closed
 */
void cpr_room_forget(struct cpr *c)
{
	unsigned long frame;
	struct cpr_room *room;

	lockdep_assert_held(&c->lock);

	xa_for_each(&c->stuck, frame, room)
		cpr_room_release(c, frame);
}

/* ---- records of VMs ---- */

/**
 * cpr_room_names_free - number of names that can be added to directories without a room
 * @c: the region
 */
u64 cpr_room_names_free(const struct cpr *c)
{
	u64 capacity = room_names_capacity(c);

	return capacity > c->catalog_used ? (capacity - c->catalog_used) / room_name_bytes() : 0;
}

/**
 * cpr_room_reserve - reserve room in the catalog for records of a VM
 * @c: the region
 * @bytes: of records
 *
 * Return: 0 or -ENOSPC.
 */
int cpr_room_reserve(struct cpr *c, u64 bytes)
{
	u64 room = cpr_catalog_capacity(&c->geo);

	lockdep_assert_held(&c->lock);

	/* An image from another writer may use more than the capacity. */
	if (c->catalog_used > room || bytes > room - c->catalog_used)
		return -ENOSPC;
	c->catalog_used += bytes;
	return 0;
}

/**
 * cpr_room_unreserve - undo cpr_room_reserve()
 * @c: the region
 * @bytes: of records
 */
void cpr_room_unreserve(struct cpr *c, u64 bytes)
{
	lockdep_assert_held(&c->lock);

	c->catalog_used -= bytes;
}
