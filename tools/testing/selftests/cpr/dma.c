// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory that a device can reach is recorded, and a later difference is found.
 *
 * dma ADDRESS type1|iommufd - the device is one that vfio-pci has; there is no guest: the test
 * maps the memory itself, as QEMU does and as QEMU never does.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpr.h"
#include "iommu.h"
#include "ktap.h"
#include "qemu/freeze.h"

#define FRAMES	6
#define RAM	(FRAMES * FRAME)
#define HIGH	(4ul << 30)

static const char *const memory[] = { "ram0", NULL };

static const char *address;
static const char *devices[] = { NULL, NULL };
static int (*open_iommu)(struct iommu *m, const char *address);
static struct iommu iommu;
static char *ram;
static bool attached;
static struct reach reach;

static void map(uint64_t iova, uint64_t offset, size_t len)
{
	CHECK_EQ(iommu_map(&iommu, iova, ram + offset, len), 0);
}

static void step(int cmd)
{
	CHECK_EQ(nl_step(cmd, "dma", cmd == CPR_CMD_VM_PIN ? memory : NULL), 0);
}

static char *map_file(const char *name, size_t len)
{
	char path[64], *at;
	int fd;

	snprintf(path, sizeof(path), MNT "/%s", name);
	fd = open(path, O_RDWR);
	CHECK(fd >= 0);
	at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(at != MAP_FAILED);
	close(fd);
	return at;
}

static void attach(void)
{
	int err = open_iommu(&iommu, address);

	if (err == -EOPNOTSUPP)
		SKIP("this kernel has no such way");
	CHECK_EQ(err, 0);
	attached = true;
	ram = map_file("dma/ram0", RAM);
}

static void detach(void)
{
	attached = false;
	munmap(ram, RAM);
	iommu_close(&iommu);
}

/* What an earlier test left, if it failed. */
static void clear(void)
{
	if (attached)
		detach();
	nl_step(CPR_CMD_VM_UNCLAIM, "dma", NULL);
	nl_step(CPR_CMD_VM_UNPIN, "dma", NULL);
	unlink(MNT "/dma/ram0");
	rmdir(MNT "/dma");
}

static void begin(void)
{
	int fd;

	clear();
	CHECK(!mkdir(MNT "/dma", 0700));
	fd = make_file("dma/ram0", RAM);
	/* At once, so that the frames continue each other. */
	CHECK(!posix_fallocate(fd, 0, RAM));
	close(fd);
	attach();
	step(CPR_CMD_VM_PIN);
}

static void end(void)
{
	detach();
	clear();
}

static int snapshot(int full)
{
	return nl_snapshot("dma", devices, iommu.fds, full, &reach);
}

static void recorded(uint32_t extents, uint64_t bytes)
{
	CHECK_MSG(snapshot(0) == 0, "the snapshot is refused: %s", nl_said());
	CHECK_EQ(reach.devices, 1);
	CHECK_EQ(reach.extents, extents);
	CHECK_EQ(reach.bytes, bytes);
}

static void refused(int full, int err, const char *why)
{
	CHECK_EQ(snapshot(full), err);
	CHECK_MSG(strstr(nl_said(), why), "it said '%s', without '%s'", nl_said(), why);
}

/* As a guest comes through a kexec: QEMU goes, another maps its memory. */
static void hand_over(void)
{
	step(CPR_CMD_VM_SAVE);
	detach();
	step(CPR_CMD_VM_SEAL);
	step(CPR_CMD_VM_CLAIM);
	attach();
}

static void verify(int full, uint32_t differences)
{
	CHECK_MSG(nl_verify("dma", iommu.fds, full, &reach) == 0, "refused: %s", nl_said());
	CHECK_EQ(reach.differences, differences);
	CHECK_EQ(reach.shown, differences < 8 ? differences : 8);
}

static void differs(int i, int kind, uint64_t iova, uint64_t length)
{
	CHECK_EQ(reach.first[i].kind, kind);
	CHECK_EQ(reach.first[i].iova, iova);
	CHECK_EQ(reach.first[i].length, length);
}

/* ---- a process that changes what is read ---- */

/* A hostile QEMU: it maps memory at HIGH and unmaps it, as fast as it can. */
static void change_mappings(unsigned long *turns)
{
	for (;;) {
		if (iommu_map(&iommu, HIGH, ram, RAM) || iommu_unmap(&iommu, HIGH, RAM))
			_exit(1);
		__atomic_add_fetch(turns, 1, __ATOMIC_SEQ_CST);
	}
}

static unsigned long *turns, seen;

static bool it_turns(void)
{
	return __atomic_load_n(turns, __ATOMIC_SEQ_CST) > seen;
}

/* The kernel frees page tables when it unmaps: whoever reads them meanwhile reads anything. */
TEST(who_maps_and_unmaps_in_a_loop_is_frozen)
{
	struct frozen frozen = { 0 };
	int status;
	pid_t pid;

	begin();
	map(0, 0, RAM);
	turns = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(turns != MAP_FAILED);
	pid = fork();
	if (!pid)
		change_mappings(turns);
	for (int i = 0; i < 30; i++) {
		seen = __atomic_load_n(turns, __ATOMIC_SEQ_CST);
		CHECK(wait_until(30, it_turns));
		CHECK_EQ(freeze_begin(pid, &frozen, NULL), 0);
		seen = __atomic_load_n(turns, __ATOMIC_SEQ_CST);
		CHECK_MSG(snapshot(i % 2) == 0, "the snapshot is refused: %s", nl_said());
		/* What was mapped when it was frozen: the spare range, or not. */
		CHECK(reach.bytes == RAM || reach.bytes == 2 * RAM);
		CHECK_EQ(nl_verify("dma", iommu.fds, 1, &reach), 0);
		CHECK_EQ(reach.differences, 0);
		CHECK(!it_turns());
		freeze_end(&frozen);
	}
	CHECK(!kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	munmap(turns, PAGE);
	end();
}

/* ---- snapshot ---- */

TEST(memory_in_one_piece)
{
	begin();
	map(0, 0, RAM);
	recorded(1, RAM);
	recorded(1, RAM);
	end();
}

TEST(memory_in_pieces)
{
	begin();
	map(0, 2 * FRAME, FRAME);
	map(FRAME, 3 * FRAME, FRAME);
	map(HIGH, 0, 2 * FRAME);
	map(HIGH + 3 * FRAME, 4 * FRAME, 2 * FRAME);
	recorded(3, RAM);
	end();
}

TEST(memory_that_is_reached_twice)
{
	begin();
	map(0, 0, RAM);
	map(HIGH, 2 * FRAME, FRAME);
	recorded(2, RAM + FRAME);
	end();
}

TEST(memory_of_amd_above_a_tebibyte)
{
	begin();
	map(0, 0, FRAME);
	map(1ul << 40, FRAME, RAM - FRAME);
	recorded(2, RAM);
	end();
}

TEST(a_pc_with_its_hole)
{
	begin();
	map(0, 0, 640 << 10);
	map(1 << 20, 1 << 20, RAM - (1 << 20));
	recorded(2, RAM - (384 << 10));
	end();
}

TEST(memory_that_is_missed)
{
	begin();
	refused(0, -ENXIO, "does not reach 12288 KiB at 0x0 of ram0");
	map(0, 0, 2 * FRAME);
	map(3 * FRAME, 3 * FRAME, RAM - 3 * FRAME);
	refused(0, -ENXIO, "does not reach 2048 KiB at 0x400000 of ram0");
	map(2 * FRAME, 2 * FRAME, FRAME - PAGE);
	refused(0, -ENXIO, "does not reach 4 KiB at 0x5ff000 of ram0");
	map(HIGH, 3 * FRAME - PAGE, PAGE);
	recorded(3, RAM);
	end();
}

TEST(a_hole_that_is_not_the_pcs)
{
	begin();
	map(0, 0, 636 << 10);
	map(1 << 20, 1 << 20, RAM - (1 << 20));
	refused(0, -ENXIO, "does not reach 388 KiB at 0x9f000 of ram0");
	end();
}

/* The ends of each 2 MiB do not show that the page is missing. */
static void map_all_but_a_page(void)
{
	map(0, 0, 3 * FRAME);
	map(3 * FRAME, 3 * FRAME, 4 * PAGE);
	map(3 * FRAME + 5 * PAGE, 3 * FRAME + 5 * PAGE, RAM - 3 * FRAME - 5 * PAGE);
}

/* What is seen only by looking at every page. */
TEST(a_page_that_is_missed)
{
	begin();
	map_all_but_a_page();
	CHECK_EQ(snapshot(0), 0);
	refused(1, -ENXIO, "does not reach 4 KiB at 0x604000 of ram0");
	end();
}

TEST(memory_of_somebody_else)
{
	char *other;

	begin();
	close(make_file("other", FRAME));
	other = map_file("other", FRAME);
	map(0, 0, RAM);
	CHECK_EQ(iommu_map(&iommu, HIGH + FRAME, other, FRAME), 0);
	refused(0, -EPERM, "reaches memory that is not the VM's, at iova 0x100200000");
	CHECK_EQ(iommu_unmap(&iommu, HIGH + FRAME, FRAME), 0);
	munmap(other, FRAME);
	CHECK(!unlink(MNT "/other"));
	end();
}

/* Ordinary memory is no business of ours. */
TEST(memory_of_the_host)
{
	char *own;

	begin();
	own = mmap(NULL, FRAME, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(own != MAP_FAILED);
	map(0, 0, RAM);
	CHECK_EQ(iommu_map(&iommu, HIGH, own, FRAME), 0);
	recorded(1, RAM);
	munmap(own, FRAME);
	end();
}

static const char *const *only(const char *device)
{
	static const char *list[2];

	list[0] = device;
	return list;
}

TEST(who_may_ask)
{
	const int none[] = { -1, -1 };
	int null[] = { open("/dev/null", O_RDWR), -1 };
	int closed[] = { 999, -1 };
	const char *twice[] = { address, address, NULL };

	begin();
	map(0, 0, RAM);
	CHECK_EQ(nl_snapshot("dma", devices, none, 0, &reach), -EPERM);
	CHECK(strstr(nl_said(), "none of the given files is a VFIO file of "));
	CHECK_EQ(nl_snapshot("dma", devices, null, 0, &reach), -EPERM);
	CHECK_EQ(nl_snapshot("dma", devices, closed, 0, &reach), -EBADF);
	CHECK_EQ(nl_snapshot("dma", only("0000:00:1f.0"), iommu.fds, 0, &reach),
		 -EPERM);
	CHECK(strstr(nl_said(), "0000:00:1f.0 is not bound to a driver of VFIO"));
	CHECK_EQ(nl_snapshot("dma", only("0000:77:00.0"), iommu.fds, 0, &reach),
		 -ENODEV);
	CHECK(strstr(nl_said(), "there is no PCI device 0000:77:00.0"));
	CHECK_EQ(nl_snapshot("dma", only("nonsense"), iommu.fds, 0, &reach),
		 -ENODEV);
	CHECK_EQ(nl_snapshot("dma", NULL, iommu.fds, 0, &reach), -EINVAL);
	CHECK(strstr(nl_said(), "no device is named"));
	CHECK_EQ(nl_snapshot("dma", twice, iommu.fds, 0, &reach), -EINVAL);
	CHECK(strstr(nl_said(), " is named twice"));
	CHECK_EQ(nl_snapshot("nobody", devices, iommu.fds, 0, &reach), -ENOENT);
	close(null[0]);
	end();
}

TEST(when_it_may_be_asked)
{
	begin();
	map(0, 0, RAM);
	CHECK_EQ(nl_verify("dma", iommu.fds, 0, &reach), -ENODATA);
	recorded(1, RAM);
	verify(0, 0);
	step(CPR_CMD_VM_SAVE);
	recorded(1, RAM);
	verify(0, 0);
	detach();
	step(CPR_CMD_VM_SEAL);
	CHECK_EQ(open_iommu(&iommu, address), 0);
	CHECK_EQ(snapshot(0), -EBUSY);
	CHECK_EQ(nl_verify("dma", iommu.fds, 0, &reach), -EBUSY);
	step(CPR_CMD_VM_CLAIM);
	CHECK_EQ(snapshot(0), -EBUSY);
	iommu_close(&iommu);
	clear();
}

/* ---- verify ---- */

TEST(all_as_it_was)
{
	begin();
	map(0, 0, 2 * FRAME);
	map(HIGH, 2 * FRAME, RAM - 2 * FRAME);
	recorded(2, RAM);
	hand_over();
	/* In other calls than before. */
	map(HIGH + 3 * FRAME, 5 * FRAME, FRAME);
	map(HIGH, 2 * FRAME, 3 * FRAME);
	map(0, 0, 2 * FRAME);
	verify(0, 0);
	verify(1, 0);
	CHECK_EQ(reach.devices, 1);
	CHECK_EQ(reach.extents, 2);
	CHECK_EQ(reach.bytes, RAM);
	end();
}

TEST(frames_that_moved)
{
	begin();
	map(0, 0, RAM);
	recorded(1, RAM);
	hand_over();
	map(0, 0, FRAME);
	map(FRAME, 2 * FRAME, FRAME);
	map(2 * FRAME, FRAME, FRAME);
	map(3 * FRAME, 3 * FRAME, RAM - 3 * FRAME);
	verify(0, 2);
	differs(0, CPR_DIFFERENCE_KIND_MOVED, FRAME, FRAME);
	differs(1, CPR_DIFFERENCE_KIND_MOVED, 2 * FRAME, FRAME);
	end();
}

TEST(a_page_that_moved)
{
	begin();
	map(0, 0, RAM);
	recorded(1, RAM);
	hand_over();
	map(0, 0, 2 * FRAME - PAGE);
	map(2 * FRAME - PAGE, 0, PAGE);
	map(2 * FRAME, 2 * FRAME, RAM - 2 * FRAME);
	verify(0, 1);
	differs(0, CPR_DIFFERENCE_KIND_MOVED, 2 * FRAME - PAGE, PAGE);
	end();
}

TEST(memory_that_is_missing)
{
	begin();
	map(0, 0, RAM);
	recorded(1, RAM);
	hand_over();
	map(0, 0, 2 * FRAME);
	map(2 * FRAME + PAGE, 2 * FRAME + PAGE, RAM - 2 * FRAME - PAGE);
	verify(0, 1);
	differs(0, CPR_DIFFERENCE_KIND_MISSING, 2 * FRAME, PAGE);
	end();
}

TEST(memory_that_was_not_reached_there)
{
	begin();
	map(0, 0, RAM);
	recorded(1, RAM);
	hand_over();
	map(0, 0, RAM);
	map(HIGH, FRAME, FRAME);
	verify(0, 1);
	differs(0, CPR_DIFFERENCE_KIND_EXTRA, HIGH, FRAME);
	end();
}

TEST(memory_of_another_vm)
{
	char *other;

	begin();
	map(0, 0, RAM);
	recorded(1, RAM);
	hand_over();
	close(make_file("other", FRAME));
	other = map_file("other", FRAME);
	map(0, 0, 2 * FRAME);
	CHECK_EQ(iommu_map(&iommu, 2 * FRAME, other, FRAME), 0);
	map(3 * FRAME, 3 * FRAME, RAM - 3 * FRAME);
	CHECK_EQ(iommu_map(&iommu, HIGH, other, FRAME), 0);
	verify(0, 2);
	differs(0, CPR_DIFFERENCE_KIND_FOREIGN, 2 * FRAME, FRAME);
	differs(1, CPR_DIFFERENCE_KIND_FOREIGN, HIGH, FRAME);
	munmap(other, FRAME);
	CHECK(!unlink(MNT "/other"));
	end();
}

/* All are counted, the first are told. */
TEST(many_differences)
{
	begin();
	map(0, 0, RAM);
	recorded(1, RAM);
	hand_over();
	map(0, 0, RAM);
	for (int i = 0; i < 20; i++)
		map(HIGH + 2 * i * FRAME, 0, FRAME);
	verify(0, 20);
	for (int i = 0; i < 8; i++)
		differs(i, CPR_DIFFERENCE_KIND_EXTRA, HIGH + 2 * i * FRAME, FRAME);
	end();
}

TEST(a_vm_without_a_snapshot)
{
	begin();
	step(CPR_CMD_VM_SAVE);
	detach();
	step(CPR_CMD_VM_SEAL);
	step(CPR_CMD_VM_CLAIM);
	attach();
	map(0, 0, RAM);
	CHECK_EQ(nl_verify("dma", iommu.fds, 0, &reach), -ENODATA);
	CHECK(strstr(nl_said(), "no snapshot to compare with"));
	end();
}

/* What was recorded of a guest that ran on tells nothing any more. */
TEST(a_snapshot_that_is_too_old)
{
	begin();
	map(0, 0, RAM);
	step(CPR_CMD_VM_SAVE);
	recorded(1, RAM);
	verify(0, 0);
	step(CPR_CMD_VM_PIN);
	step(CPR_CMD_VM_SAVE);
	detach();
	step(CPR_CMD_VM_SEAL);
	step(CPR_CMD_VM_CLAIM);
	attach();
	map(0, 0, RAM);
	CHECK_EQ(nl_verify("dma", iommu.fds, 0, &reach), -ENODATA);
	end();
}

/* ---- verify in parts ---- */

/* Verify everything, @length by @length; returns the differences. */
static uint32_t verify_parts(uint64_t length)
{
	uint32_t differences = 0;
	uint64_t start = 0;

	do {
		CHECK_MSG(nl_verify_part("dma", iommu.fds, start, length, &reach) == 0,
			  "refused: %s", nl_said());
		CHECK(!reach.next || reach.next > start);
		differences += reach.differences;
		start = reach.next;
	} while (start);
	return differences;
}

TEST(all_parts_are_as_they_were)
{
	begin();
	map(0, 0, 2 * FRAME);
	map(HIGH, 2 * FRAME, RAM - 2 * FRAME);
	recorded(2, RAM);
	CHECK_EQ(verify_parts(1ul << 30), 0);
	CHECK_EQ(verify_parts(~0ul), 0);
	/* A part is made of whole frames. */
	CHECK_EQ(nl_verify_part("dma", iommu.fds, HIGH + PAGE, PAGE, &reach), 0);
	CHECK_EQ(reach.next, HIGH + FRAME);
	CHECK_EQ(nl_verify_part("dma", iommu.fds, ~0ul, PAGE, &reach), 0);
	CHECK_EQ(reach.next, 0);
	end();
}

TEST(parts_above_a_tebibyte)
{
	begin();
	map(0, 0, FRAME);
	map(1ul << 40, FRAME, RAM - FRAME);
	recorded(2, RAM);
	CHECK_EQ(verify_parts(1ul << 30), 0);
	CHECK_EQ(iommu_unmap(&iommu, 1ul << 40, RAM - FRAME), 0);
	CHECK_EQ(verify_parts(1ul << 30), 1);
	end();
}

/* What the ends of 2 MiB do not show. */
TEST(a_page_that_is_missing_in_a_part)
{
	begin();
	map_all_but_a_page();
	recorded(1, RAM);
	verify(0, 0);
	CHECK_EQ(nl_verify_part("dma", iommu.fds, 0, 3 * FRAME, &reach), 0);
	CHECK_EQ(reach.differences, 0);
	CHECK_EQ(reach.next, 3 * FRAME);
	CHECK_EQ(nl_verify_part("dma", iommu.fds, 3 * FRAME, FRAME, &reach), 0);
	CHECK_EQ(reach.differences, 1);
	differs(0, CPR_DIFFERENCE_KIND_MISSING, 3 * FRAME + 4 * PAGE, PAGE);
	CHECK_EQ(nl_verify_part("dma", iommu.fds, 4 * FRAME, FRAME, &reach), 0);
	CHECK_EQ(reach.differences, 0);
	end();
}

/* ---- a VM with a snapshot runs only after a verify without differences ---- */

static void may_not_run(void)
{
	CHECK_EQ(nl_step(CPR_CMD_VM_PIN, "dma", NULL), -EBUSY);
	CHECK_MSG(strstr(nl_said(), "verify that first"), "the refusal is '%s'", nl_said());
}

TEST(a_restored_vm_runs_after_a_verify)
{
	begin();
	map(0, 0, RAM);
	recorded(1, RAM);
	hand_over();
	may_not_run();
	map(0, 0, RAM);
	may_not_run();
	verify(0, 0);
	step(CPR_CMD_VM_PIN);
	end();
}

TEST(a_saved_vm_runs_after_a_verify)
{
	begin();
	map(0, 0, RAM);
	recorded(1, RAM);
	step(CPR_CMD_VM_SAVE);
	may_not_run();
	verify(0, 0);
	step(CPR_CMD_VM_PIN);
	/* Without a snapshot again. */
	step(CPR_CMD_VM_SAVE);
	step(CPR_CMD_VM_PIN);
	end();
}

TEST(a_difference_keeps_a_vm_from_running)
{
	begin();
	map(0, 0, RAM);
	recorded(1, RAM);
	hand_over();
	map(0, 0, RAM);
	verify(0, 0);
	/* What was verified before does not count any more. */
	map(HIGH, FRAME, FRAME);
	verify(0, 1);
	may_not_run();
	CHECK_EQ(iommu_unmap(&iommu, HIGH, FRAME), 0);
	may_not_run();
	verify(0, 0);
	step(CPR_CMD_VM_PIN);
	end();
}

TEST(a_refused_verify_keeps_a_vm_from_running)
{
	const int none[] = { -1, -1 };

	begin();
	map(0, 0, RAM);
	recorded(1, RAM);
	hand_over();
	map(0, 0, RAM);
	verify(0, 0);
	CHECK_EQ(nl_verify("dma", none, 0, &reach), -EPERM);
	may_not_run();
	end();
}

TEST(a_part_is_not_enough)
{
	begin();
	map(0, 0, RAM);
	recorded(1, RAM);
	hand_over();
	map(0, 0, RAM);
	CHECK_EQ(verify_parts(~0ul), 0);
	may_not_run();
	verify(0, 0);
	CHECK_EQ(verify_parts(~0ul), 0);
	step(CPR_CMD_VM_PIN);
	end();
}

TEST(a_verify_counts_for_one_restore)
{
	begin();
	map(0, 0, RAM);
	recorded(1, RAM);
	hand_over();
	map(0, 0, RAM);
	verify(0, 0);
	detach();
	step(CPR_CMD_VM_UNCLAIM);
	step(CPR_CMD_VM_CLAIM);
	attach();
	map(0, 0, RAM);
	may_not_run();
	end();
}

TEST(a_verify_counts_for_one_snapshot)
{
	begin();
	map(0, 0, RAM);
	recorded(1, RAM);
	step(CPR_CMD_VM_SAVE);
	verify(0, 0);
	recorded(1, RAM);
	may_not_run();
	verify(0, 0);
	step(CPR_CMD_VM_PIN);
	end();
}

/* As another QEMU does after the one that was verified was killed. */
TEST(a_verify_counts_until_the_memory_is_mapped_again)
{
	char *again;

	begin();
	map(0, 0, RAM);
	recorded(1, RAM);
	hand_over();
	map(0, 0, RAM);
	verify(0, 0);
	again = map_file("dma/ram0", RAM);
	may_not_run();
	verify(0, 0);
	step(CPR_CMD_VM_PIN);
	munmap(again, RAM);
	end();
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: dma ADDRESS type1|iommufd\n");
		return 2;
	}
	address = argv[1];
	devices[0] = address;
	wait_clean();
	open_iommu = strcmp(argv[2], "iommufd") ? iommu_open_type1 : iommu_open_iommufd;
	return ktap_run();
}
