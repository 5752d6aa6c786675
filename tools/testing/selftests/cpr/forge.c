// SPDX-License-Identifier: GPL-2.0-only
/*
 * forge FILE WHAT... - change an image in ways that format never would, and put
 * the checksums right so that only the change itself can be found.
 *
 *	major N | incompat N | start N		the superblocks
 *	super N					spoil superblock copy N (0 or 1)
 *	slot N					spoil catalog slot N
 *	current					spoil the current catalog slot
 *	spoil-both				spoil both slots
 *	flip OFFSET BIT				flip a bit, and put no checksum right
 *	advance					commit another catalog, with the same files
 *	format START SIZE			write an empty image
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../../../kmod/catalog.h"

static unsigned char *image;

static struct cpr_image_super *super(int i)
{
	return (void *)(image + (i ? CPR_IMAGE_SUPER_COPY : 0));
}

static void sign(struct cpr_image_super *sb)
{
	sb->crc = cpu_to_le32(cpr_port_crc32c(sb, offsetof(struct cpr_image_super, crc)));
}

static void spoil_slot(int i)
{
	image[le64_to_cpu(super(0)->slot_offset[i]) + CPR_IMAGE_BLOCK_SIZE + 9] ^= 1;
}

static struct cpr_image_slot *slot(int i)
{
	return (void *)(image + le64_to_cpu(super(0)->slot_offset[i]));
}

static int current(void)
{
	return le64_to_cpu(slot(1)->generation) > le64_to_cpu(slot(0)->generation);
}

static void advance(void)
{
	struct cpr_image_slot *from = slot(current()), *to = slot(!current());

	memcpy(to, from, sizeof(*to) + le64_to_cpu(from->length));
	to->generation = cpu_to_le64(le64_to_cpu(from->generation) + 1);
	to->inverse = ~to->generation;
	to->next_ino = cpu_to_le64(le64_to_cpu(from->next_ino) + 1);
	to->crc = cpu_to_le32(cpr_port_crc32c(to, offsetof(struct cpr_image_slot, crc)));
}

static void format(unsigned long long start, unsigned long long size)
{
	static struct cpr_catalog_writer writer;
	struct cpr_stamp stamp = { .time = 1000000000, .kernel = "forged" };
	struct cpr_geometry geo;
	struct cpr_reason why;

	if (cpr_image_layout(&geo, start, size, &why))
		errx(1, "%s", why.text);
	cpr_image_format(&writer, image, &geo, &stamp);
}

int main(int argc, char **argv)
{
	unsigned long long n = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;
	off_t len;
	int fd;

	if (argc < 3)
		errx(2, "usage: forge FILE WHAT [N...]");
	fd = open(argv[1], O_RDWR);
	len = lseek(fd, 0, SEEK_END);
	image = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (image == MAP_FAILED)
		err(1, "%s", argv[1]);
	for (int i = 0; i < 2; i++) {
		if (!strcmp(argv[2], "major"))
			super(i)->major = cpu_to_le16(n);
		else if (!strcmp(argv[2], "incompat"))
			super(i)->incompat = cpu_to_le64(n);
		else if (!strcmp(argv[2], "start"))
			super(i)->region_start = cpu_to_le64(n);
		else
			continue;
		sign(super(i));
	}
	if (!strcmp(argv[2], "super"))
		super(n)->format_time ^= 1;
	else if (!strcmp(argv[2], "slot"))
		spoil_slot(n);
	else if (!strcmp(argv[2], "current"))
		spoil_slot(current());
	else if (!strcmp(argv[2], "advance"))
		advance();
	else if (!strcmp(argv[2], "flip"))
		image[n] ^= 1 << strtoul(argv[4], NULL, 0);
	else if (!strcmp(argv[2], "spoil-both"))
		spoil_slot(0), spoil_slot(1);
	else if (!strcmp(argv[2], "format"))
		format(n, strtoull(argv[4], NULL, 0));
	return msync(image, len, MS_SYNC) || fsync(fd);
}
