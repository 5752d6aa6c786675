/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the tests of the module: where cprfs is, and the netlink family.
 */
#ifndef CPR_TEST_H
#define CPR_TEST_H

#include <linux/cpr.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MNT	"/run/cpr"
#define FRAME	(2ul << 20)
#define PAGE	4096ul

/* Fill with, or compare to, a pattern that no other seed gives. */
void pattern_fill(void *buf, size_t len, unsigned int seed);
int pattern_is(const void *buf, size_t len, unsigned int seed);
int all_zero(const void *buf, size_t len);

/*
 * Pin memory as registered buffers of io_uring (FOLL_LONGTERM), like VFIO does,
 * until the descriptor that is returned is closed; or -errno.
 */
int pin_longterm(void *at, size_t len);

/* A file below MNT, created and open for reading and writing. */
int make_file(const char *name, off_t size);

/* A memory file as QEMU's prealloc=on makes it: one without holes. */
int make_memory(const char *name, off_t size);

struct region {
	uint64_t start, size, generation;
	uint32_t frames, clean, dirty, busy, bad, version;
	uint64_t bad_pages;
	int formatted, mounted;
	char label[64];
};

/* Have the next request open a new socket. */
void nl_reset(void);

/* Ask; 0 or -errno. */
int nl_region(struct region *r);
int nl_format(uint64_t start, uint64_t size, const char *label, int force);
/* A step of a VM: CPR_CMD_VM_*; files may be NULL. */
int nl_step(int cmd, const char *vm, const char *const *files);
int nl_pin_unterminated(const char *vm, const char *file);

/* CPR_CMD_VM_SEAL, _UNCLAIM or _UNPIN that takes the files from their users. */
int nl_revoke(int cmd, const char *vm);

/* CPR_CMD_VM_SEAL or _UNCLAIM with digests of @len bytes each; NULL for none. */
int nl_step_with(int cmd, const char *vm, const void *manifest, const void *ram, int len);

struct digests {
	int has_manifest, has_ram;
	unsigned char manifest[CPR_DIGEST_LEN], ram[CPR_DIGEST_LEN];
};

/* Those that a VM has, as vm-get (or else a dump) tells. */
int nl_digests(const char *vm, int dump, struct digests *d);
/* State of a VM, or -errno; @bytes of its memory and whether @mapped if wanted. */
int nl_state(const char *vm, uint64_t *bytes, int *mapped);
/* Pages of a VM's files that have memory errors, or -errno. */
int nl_bad_pages(const char *vm);
/* Set the room of a VM; 0 names: none. */
int nl_room(const char *vm, uint64_t bytes, uint32_t names);
int nl_room_bytes_only(const char *vm, uint64_t bytes);

struct room {
	uint64_t bytes, used_bytes;
	uint32_t names, used_names;
};

int nl_room_of(const char *vm, struct room *r);
/* How many VMs a dump names. */
int nl_count(void);

/* What a snapshot or a check of what devices reach came to. */
struct reach {
	uint32_t devices, extents, differences, shown;
	uint64_t bytes, next;
	struct difference {
		uint32_t kind;
		uint64_t iova, length;
	} first[8];
};

/* @devices ends with NULL; @files are two, -1 for none. */
int nl_snapshot(const char *vm, const char *const *devices, const int *files, int full,
		struct reach *r);
int nl_verify(const char *vm, const int *files, int full, struct reach *r);
/* Every page of @length bytes from @start; @r->next is where the next part starts, or 0. */
int nl_verify_part(const char *vm, const int *files, uint64_t start, uint64_t length,
		   struct reach *r);

struct device {
	const char *vm, *address, *reason;
	const char *found;	/* NULL: at its address */
	enum cpr_device_hold hold;
	uint32_t extents;
	uint64_t bytes;
};

/* Call @fn for each device of a VM. */
int nl_devices(void (*fn)(const struct device *d));
int nl_device_release(const char *address);

/* Join the events; nl_event() returns the next one's command, or -EAGAIN. */
int nl_listen(void);
int nl_event(void);
/* The kernel's words about the last refusal, or "". */
const char *nl_said(void);

/*
 * Call @holds until it returns true, or for @seconds of a fast machine: $CPR_SCALE is how
 * much slower this one is. Returns whether @holds did.
 */
bool wait_until(unsigned int seconds, bool (*holds)(void));

/* Wait until no frame is dirty; ends the program if that takes too long. */
void wait_clean(void);

#endif /* CPR_TEST_H */
