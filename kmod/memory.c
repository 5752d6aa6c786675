// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: The memory of a VM
 *
 * A list of the frames of all memory files of a VM, made at one moment. What devices
 * can reach is compared with the list, without the lock. While a VM is pinned, its
 * files keep their frames.
 *
 * Locking: the list is made under cpr->lock. Afterwards it belongs to the caller.
 */
#include <linux/slab.h>

#include "memory.h"

static int memory_add_file(struct cpr *c, struct cpr_node *node, u32 file,
			   struct cpr_memory *m)
{
	unsigned long i;
	void *entry;

	xa_for_each(&node->frames, i, entry) {
		u32 frame = xa_to_value(entry);
		const struct cpr_dma_extent e = {
			.iova = (u64)i << CPR_IMAGE_FRAME_SHIFT,
			.phys = PFN_PHYS(cpr_region_pfn(&c->region, frame)),
			.length = CPR_IMAGE_FRAME_SIZE,
			.class = file,
		};
		int err = cpr_dma_table_add(&m->runs, &e);

		if (err)
			return err;
		__set_bit(frame, m->frames);
		m->owner.bytes += CPR_IMAGE_FRAME_SIZE;
	}
	return 0;
}

/**
 * cpr_memory_get - list the memory of a VM
 * @c: the region
 * @dir: directory of the VM
 * @m: filled in; the caller frees it with cpr_memory_free()
 *
 * Return: 0, -ENOMEM or -E2BIG.
 */
int cpr_memory_get(struct cpr *c, const struct cpr_node *dir, struct cpr_memory *m)
{
	struct cpr_node *node;
	u32 file = 0;
	int err = 0;

	lockdep_assert_held(&c->lock);

	memset(m, 0, sizeof(*m));
	m->geo = c->geo;
	m->owner.geo = &m->geo;
	m->frames = kvcalloc(BITS_TO_LONGS(c->geo.frames), sizeof(long), GFP_KERNEL);
	if (!m->frames)
		return -ENOMEM;
	m->owner.frames = m->frames;
	m->bytes = cpr_node_memory_bytes(c, dir);
	cpr_for_each_child(node, dir) {
		if (node->flags & CPR_IMAGE_NODE_MEMORY)
			err = memory_add_file(c, node, file, m);
		if (err) {
			cpr_memory_free(m);
			return err;
		}
		file++;
	}
	return 0;
}

/**
 * cpr_memory_free - undo cpr_memory_get()
 * @m: the list
 */
void cpr_memory_free(struct cpr_memory *m)
{
	cpr_dma_table_free(&m->runs);
	kvfree(m->frames);
	m->frames = NULL;
}
