/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_ROOM_H
#define CPR_ROOM_H

#include <linux/refcount.h>

#include "cpr_internal.h"

struct netlink_ext_ack;

/**
 * struct cpr_room_use - what is used of a room
 * @frames: of files, and those that left a file while they were pinned
 * @names: of files and directories
 * @bytes: of these names in the catalog
 */
struct cpr_room_use {
	s64 frames;
	s64 names;
	s64 bytes;
};

/**
 * struct cpr_room_limit - what a directory is promised, and may not exceed
 * @frames: of its files
 * @names: below it; 0 means neither promise nor limit
 */
struct cpr_room_limit {
	u32 frames;
	u16 names;
};

/**
 * struct cpr_room - the room of a directory of the root, or of the root
 * @users: nodes and stuck frames that refer to the room
 * @use: what is used
 * @limit: what may be used; the root has no limit
 */
struct cpr_room {
	refcount_t users;
	struct cpr_room_use use;
	struct cpr_room_limit limit;
};

/**
 * struct cpr_room_change - a change of what is used of a room
 * @room: the room
 * @by: what is added; negative if something is returned
 */
struct cpr_room_change {
	struct cpr_room *room;
	struct cpr_room_use by;
};

struct cpr_room *cpr_room_new(void);
struct cpr_room *cpr_room_get(struct cpr_room *room);
void cpr_room_put(struct cpr_room *room);

void cpr_room_add(struct cpr *c, struct cpr_room *room, struct cpr_room_use by);
int cpr_room_change(struct cpr *c, const struct cpr_room_change *changes, unsigned int nr);
bool cpr_room_has(const struct cpr_room *room, u32 frames);
u32 cpr_room_kept(const struct cpr *c, const struct cpr_room *room);

void cpr_room_limit(struct cpr *c, struct cpr_room *room, struct cpr_room_limit limit);
int cpr_room_promise(struct cpr *c, struct cpr_room *room, struct cpr_room_limit limit,
		     struct netlink_ext_ack *extack);

void cpr_room_stick(struct cpr *c, struct cpr_room *room, u32 frame);
void cpr_room_release(struct cpr *c, u32 frame);
void cpr_room_forget(struct cpr *c);

u64 cpr_room_names_free(const struct cpr *c);
int cpr_room_reserve(struct cpr *c, u64 bytes);
void cpr_room_unreserve(struct cpr *c, u64 bytes);

#endif /* CPR_ROOM_H */
