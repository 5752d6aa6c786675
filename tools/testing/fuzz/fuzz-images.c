// SPDX-License-Identifier: GPL-2.0-only
/*
 * Damaged images with right checksums, loaded by the module itself.
 *
 * fuzz-images DEVICE TABLES MODULE PARAMETERS SEED COUNT - TABLES are the first bytes of a
 * region whose image is sound. COUNT times, its superblocks or its current catalog are
 * damaged as fuzz-catalog.c does, mostly by small numbers in place of others; checksums are
 * put right; and the result is written to the region by way of DEVICE, which nd_pmem offers.
 * Then the module is loaded. If it takes the image, every file is read, some are written,
 * mapped and removed, and the VMs are listed and unpinned.
 *
 * It prints KTAP. That nothing of this harms the kernel is looked at by images.sh.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../../kmod/catalog.h"
#include "fs/random.h"
#include "selftests/cpr/cpr.h"

#define DRIVER	"/sys/bus/nd/drivers/nd_pmem/"

static uint64_t rng;
static unsigned char *tables, *image;
static size_t tables_len;
static unsigned int accepted, refused, files;
static const char *device, *module, *parameters;

static uint64_t below(uint64_t n)
{
	return random_below(&rng, n);
}

static void give_up(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(2);
}

/* ---- damage ---- */

static struct cpr_image_super *super(int i)
{
	return (void *)(image + i * CPR_IMAGE_SUPER_COPY);
}

static struct cpr_image_slot *slot(int i)
{
	return (void *)(image + le64_to_cpu(((struct cpr_image_super *)tables)->slot_offset[i]));
}

static uint32_t crc(const void *p, size_t len)
{
	return cpu_to_le32(cpr_port_crc32c(p, len));
}

static struct cpr_image_slot *current(void)
{
	return slot(le64_to_cpu(slot(1)->generation) > le64_to_cpu(slot(0)->generation));
}

/* A number of 4 bytes becomes small, one more or less, or anything. */
static void change_word(unsigned char *at, size_t words)
{
	uint32_t word;

	at += below(words) * 4;
	memcpy(&word, at, 4);
	switch (below(4)) {
	case 0:
		word = below(32);
		break;
	case 1:
		word += below(3) - 1;
		break;
	case 2:
		word ^= 1u << below(32);
		break;
	default:
		word = random_next(&rng);
	}
	memcpy(at, &word, 4);
}

/* The fields in front of what is reserved, but for the magic. */
static void damage_supers(void)
{
	const size_t first = offsetof(struct cpr_image_super, major) / 4;
	const size_t last = offsetof(struct cpr_image_super, reserved) / 4;

	for (uint64_t n = 1 + below(2); n; n--)
		change_word((unsigned char *)super(0) + first * 4, last - first);
	super(0)->crc = crc(super(0), offsetof(struct cpr_image_super, crc));
	if (below(2))
		*super(1) = *super(0);
}

static void sign_slot(struct cpr_image_slot *s)
{
	size_t room = tables_len - ((unsigned char *)(s + 1) - image);
	size_t len = le64_to_cpu(s->length);

	s->records_crc = crc(s + 1, len < room ? len : room);
	s->crc = crc(s, offsetof(struct cpr_image_slot, crc));
}

static void damage_header(void)
{
	const size_t first = offsetof(struct cpr_image_slot, length) / 4;
	const size_t last = offsetof(struct cpr_image_slot, kernel) / 4;

	change_word((unsigned char *)current() + first * 4, last - first);
	sign_slot(current());
}

static void damage_records(void)
{
	struct cpr_image_slot *s = current();
	size_t words = le64_to_cpu(s->length) / 4;

	for (uint64_t n = 1 + below(3); n; n--)
		change_word((unsigned char *)(s + 1), words);
	sign_slot(s);
}

/* A piece of the records is where another one was. */
static void damage_places(void)
{
	struct cpr_image_slot *s = current();
	size_t eights = le64_to_cpu(s->length) / 8, len = 1 + below(16);
	unsigned char *records = (unsigned char *)(s + 1);

	memmove(records + below(eights - len) * 8, records + below(eights - len) * 8, len * 8);
	sign_slot(s);
}

static void damage(void)
{
	static void (*const how[])(void) = {
		damage_records, damage_records, damage_records, damage_records, damage_places,
		damage_header, damage_supers,
	};

	memcpy(image, tables, tables_len);
	how[below(sizeof(how) / sizeof(*how))]();
}

/* ---- the region, by nd_pmem and by the module ---- */

static void tell_driver(const char *what)
{
	int fd = open(what, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "namespace0.0", 12) != 12)
		give_up(what);
	close(fd);
}

static void write_image(void)
{
	int fd;

	tell_driver(DRIVER "bind");
	fd = open(device, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || pwrite(fd, image, tables_len, 0) != (ssize_t)tables_len || fsync(fd))
		give_up(device);
	close(fd);
	tell_driver(DRIVER "unbind");
}

static int load(void)
{
	int fd = open(module, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		give_up(module);
	err = syscall(SYS_finit_module, fd, parameters, 0) ? -errno : 0;
	close(fd);
	return err;
}

static bool is_unloaded(void)
{
	return !syscall(SYS_delete_module, "cpr_handover", O_NONBLOCK);
}

/* ---- what is done with an image that is taken ---- */

static sigjmp_buf after_sigbus;

static void on_sigbus(int sig)
{
	(void)sig;
	siglongjmp(after_sigbus, 1);
}

static void touch(int fd, off_t size)
{
	off_t at = below(size ? size : 1) / PAGE * PAGE;
	volatile char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);

	if (p == MAP_FAILED)
		return;
	if (!sigsetjmp(after_sigbus, 1))
		p[0] = p[PAGE - 1];
	munmap((void *)p, PAGE);
}

static void use_file(const char *path)
{
	static char buf[2 * PAGE];
	struct stat st;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	files++;
	if (fd < 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return;
	(void)!pread(fd, buf, sizeof(buf), 0);
	(void)!pread(fd, buf, sizeof(buf), st.st_size - PAGE);
	(void)!lseek(fd, 0, SEEK_HOLE);
	touch(fd, st.st_size);
	(void)!pwrite(fd, buf, PAGE, below(4 * FRAME));
	(void)!ftruncate(fd, below(4 * FRAME));
	close(fd);
}

static void use_tree(const char *dir, int depth)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[4096];

	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (e->d_type == DT_DIR && depth)
			use_tree(path, depth - 1);
		else if (e->d_type == DT_REG)
			use_file(path);
		if (!below(4))
			remove(path);
	}
	if (d)
		closedir(d);
}

static void ignore_device(const struct device *d)
{
	(void)d;
}

static void unpin_all(void)
{
	DIR *d = opendir(MNT);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			nl_step(below(2) ? CPR_CMD_VM_UNPIN : CPR_CMD_VM_CLAIM, e->d_name, NULL);
	if (d)
		closedir(d);
}

static void use_region(void)
{
	struct region r;

	nl_reset();
	nl_region(&r);
	nl_count();
	nl_devices(ignore_device);
	if (mount("cprfs", MNT, "cprfs", 0, NULL))
		return;
	use_tree(MNT, 8);
	unpin_all();
	use_tree(MNT, 8);
	mkdir(MNT "/new", 0700);
	nl_count();
	if (umount(MNT))
		give_up("umount");
}

static void try_image(void)
{
	int err;

	damage();
	write_image();
	err = load();
	if (err) {
		refused++;
		return;
	}
	accepted++;
	use_region();
	if (!wait_until(30, is_unloaded))
		give_up("the module cannot be unloaded");
}

static void read_tables(const char *file)
{
	struct stat st;
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st))
		give_up(file);
	tables_len = st.st_size;
	tables = malloc(tables_len);
	image = malloc(tables_len);
	if (!tables || !image || read(fd, tables, tables_len) != (ssize_t)tables_len)
		give_up(file);
	close(fd);
}

int main(int argc, char **argv)
{
	const struct sigaction sigbus = { .sa_handler = on_sigbus };
	unsigned long count;

	if (argc != 7)
		return 2;
	device = argv[1];
	module = argv[3];
	parameters = argv[4];
	rng = strtoull(argv[5], NULL, 0);
	count = strtoul(argv[6], NULL, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("# seed %llu\n", (unsigned long long)rng);
	sigaction(SIGBUS, &sigbus, NULL);
	read_tables(argv[2]);
	for (unsigned long i = 0; i < count; i++)
		try_image();
	printf("# %lu images, %u refused, %u taken, with %u files used\n", count, refused, accepted,
	       files);
	printf("%sok 1 - some damaged images are refused, and some are taken\n1..1\n",
	       accepted && refused ? "" : "not ");
	return !accepted || !refused;
}
