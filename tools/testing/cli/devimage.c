// SPDX-License-Identifier: GPL-2.0-only
/*
 * devimage FILE [FAULT] - commit two VMs, one of them with devices, to an image
 * that was formatted for 5G. FAULT makes one record wrong, under right checksums.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "catalog.h"

#define FRAME	((u64)CPR_IMAGE_FRAME_SIZE)

static struct cpr_dma_extent reach[] = {
	{ 0, 0, 0xa0000, CPR_IMAGE_DMA_REGION },
	{ 0xc0000, 0xc0000, 2 * FRAME - 0xc0000, CPR_IMAGE_DMA_REGION },
	{ 4 * FRAME, 0x7fe00000, 0x3000, CPR_IMAGE_DMA_RAM },
	{ 0xfe000000, 0xfe000000, 0x4000, CPR_IMAGE_DMA_MMIO },
	/* More than a signed number can tell. */
	{ 1ull << 62, 1ull << 62, 1ull << 63, CPR_IMAGE_DMA_MMIO },
};

static struct cpr_dma_extent less = { 0, 0, 2 * FRAME, CPR_IMAGE_DMA_REGION };

static struct cpr_pci group[] = {
	{ 0, 0x41, 0 }, { 0, 0x41, 1 }, { 0, 0x41, 2 }, { 0, 0x41, 3 }, { 0x10000, 0x41, 0xff },
};

static struct cpr_catalog_device devices[] = {
	{ { 0, 0x41, 0 }, 0x8086, 0x10d3, 0x1af4, 0x1100, 0x02000003, true,
	  0x0123456789abcdef, 1, 2, NULL },
	{ { 0x10000, 0x41, 0xff }, 0x144d, 0xa80a, 0, 0, 0x01080200, false, 0, 0, 5, NULL },
};

static struct cpr_catalog_node node_of(u32 parent, u32 mode, u64 ino, const char *name)
{
	return (struct cpr_catalog_node){ .parent = parent, .mode = mode, .ino = ino,
					  .name = name, .name_len = strlen(name) };
}

static void put_nodes(struct cpr_catalog_writer *w, u32 frame)
{
	struct cpr_catalog_node n[] = {
		node_of(0, S_IFDIR | 0755, 1, ""), node_of(0, S_IFDIR | 0700, 2, "db"),
		node_of(0, S_IFDIR | 0700, 3, "web"), node_of(2, S_IFREG | 0600, 4, "ram0"),
	};

	n[3].size = 2 * FRAME;
	n[3].flags = CPR_IMAGE_NODE_MEMORY;
	for (int i = 0; i < 4; i++)
		cpr_catalog_put_node(w, &n[i]);
	cpr_catalog_put_frames(w, &(struct cpr_extent){ 0, frame, 2 });
}

/* Of the first VM. */
static struct cpr_digests digests = {
	CPR_IMAGE_VM_MANIFEST_DIGEST | CPR_IMAGE_VM_RAM_DIGEST,
	{ 0x01, 0x23, [15] = 0xef }, { 0xfe, [15] = 0x10 },
};

static void put_vm(struct cpr_catalog_writer *w, u32 node)
{
	cpr_catalog_put_vm(w, &(struct cpr_catalog_vm){
		.node = node, .state = CPR_IMAGE_VM_SEALED, .kernel = "6.12.0",
		.digests = node == 1 ? digests : (struct cpr_digests){ 0 } });
}

/* The copy of the superblock, and two pages of frame 8. */
static const struct cpr_bad bad = { 2, { { 16, 1 }, { 8 * CPR_PAGES_PER_FRAME + 4, 2 } } };

static int make_wrong(const char *fault)
{
	if (!strcmp(fault, "class"))
		reach[0].class = CPR_IMAGE_DMA_RAM;
	else if (!strcmp(fault, "order"))
		reach[1].iova = 0;
	else if (!strcmp(fault, "wrap"))
		reach[4].length = 3ull << 62;
	else if (!strcmp(fault, "dma"))
		devices[0].dma = 2;
	else if (!strcmp(fault, "group"))
		devices[1].members = 4;
	else if (!strcmp(fault, "twice"))
		devices[0] = devices[1];
	else if (!strcmp(fault, "flags"))
		digests.flags = 7;
	else if (!strcmp(fault, "digest"))
		digests.flags = CPR_IMAGE_VM_MANIFEST_DIGEST;
	else
		return -1;
	return 0;
}

static int commit(void *base, const struct cpr_geometry *geo)
{
	static const struct cpr_stamp stamp = { .time = 1700000000, .kernel = "7.3.4-test" };
	u64 ram = geo->start + ((u64)geo->first_frame << CPR_IMAGE_FRAME_SHIFT);
	struct cpr_catalog_writer w;

	less.phys += ram;
	reach[0].phys += ram;
	reach[1].phys += ram;
	cpr_catalog_begin(&w, base, geo, 0);
	put_nodes(&w, geo->first_frame);
	put_vm(&w, 1);
	put_vm(&w, 2);
	cpr_catalog_put_dma(&w, &less, 1);
	cpr_catalog_put_dma(&w, reach, 5);
	cpr_catalog_put_device(&w, &devices[0], group);
	cpr_catalog_put_device(&w, &devices[1], group);
	cpr_catalog_put_bad(&w, &bad);
	return cpr_catalog_commit(&w, 3, 5, &stamp);
}

int main(int argc, char **argv)
{
	struct cpr_geometry geo;
	struct cpr_reason why;
	struct stat st;
	void *base;
	int fd;

	if (argc < 2 || (argc > 2 && make_wrong(argv[2])))
		return 2;
	fd = open(argv[1], O_RDWR);
	if (fd < 0 || fstat(fd, &st))
		return 1;
	base = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED || cpr_image_load(base, st.st_size, &geo, &why))
		return 1;
	return commit(base, &geo) ? 1 : 0;
}
