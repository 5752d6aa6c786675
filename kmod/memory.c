// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Where a VM's memory is
 *
 * The frames of all memory files of a VM, taken down at one moment: what devices
 * reach is looked at without the lock, and against this. The files of a VM that
 * is pinned keep their frames.
 *
 * Locking: taken down under cpr->lock; then it belongs to who has it.
 */
#include <linux/slab.h>

#include "cpr_internal.h"

/**
 * cpr_memory_get - where a VM's memory is
 * @c: the region
 * @dir: directory of the VM
 * @m: filled in; free it with cpr_memory_free()
 *
 * Return: 0, -ENOMEM or -E2BIG.
 */
int cpr_memory_get(struct cpr *c, struct cpr_node *dir, struct cpr_memory *m)
{
	u32 file = 0;

	lockdep_assert_held(&c->lock);

	memset(m, 0, sizeof(*m));
	m->owner.geo = &c->geo;
	m->frames = kvzalloc(BITS_TO_LONGS(c->geo.frames) * sizeof(long), GFP_KERNEL);
	if (!m->frames)
		return -ENOMEM;
	m->owner.frames = m->frames;
	m->bytes = cpr_vm_memory_bytes(dir);
	for (struct rb_node *rb = rb_first(&dir->children); rb; rb = rb_next(rb), file++) {
		struct cpr_node *node = rb_entry(rb, struct cpr_node, rb);
		unsigned long i;
		void *entry;

		if (!(node->flags & CPR_IMAGE_NODE_MEMORY))
			continue;
		xa_for_each(&node->frames, i, entry) {
			const struct cpr_dma_extent e = {
				.iova = (u64)i << CPR_IMAGE_FRAME_SHIFT,
				.phys = PFN_PHYS(cpr_frame_pfn(c, xa_to_value(entry))),
				.length = CPR_IMAGE_FRAME_SIZE,
				.class = file,
			};
			int err = cpr_dma_table_add(&m->runs, &e);

			if (err) {
				cpr_memory_free(m);
				return err;
			}
			__set_bit(xa_to_value(entry), m->frames);
			m->owner.bytes += CPR_IMAGE_FRAME_SIZE;
		}
	}
	return 0;
}

/**
 * cpr_memory_free - free what cpr_memory_get() filled in
 * @m: it
 */
void cpr_memory_free(struct cpr_memory *m)
{
	cpr_dma_table_free(&m->runs);
	kvfree(m->frames);
	m->frames = NULL;
}
