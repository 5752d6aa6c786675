// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that the host uses, or that cannot be handed over, is not given to a guest.
 *
 * Devices in a command line, and in a /sys that the test makes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "ktap.h"
#include "host/pci.h"
#include "host/vfio.h"
#include "qemu/pciargs.h"
#include "split.h"

#define NIC "0000:00:02.0"
#define DISK "0000:01:00.0"
#define OTHER "0000:01:00.1"
#define DEVICES "sys/bus/pci/devices/"
#define DRIVERS "sys/bus/pci/drivers/"

static char root[] = "/tmp/cpr-pci-XXXXXX";

static const struct { const char *text, *address; } addresses[] = {
	{ "0000:41:00.0", "0000:41:00.0" },
	{ "41:00.0", "0000:41:00.0" },
	{ "41:1F.7", "0000:41:1f.7" },
	{ "10000:e1:00.0", "10000:e1:00.0" },
	{ "0:2.0", "0000:00:02.0" },
	{ "41:20.0", NULL },
	{ "41:00.8", NULL },
	{ "41:00", NULL },
	{ "41:00.0x", NULL },
	{ "x:41:00.0", NULL },
	{ "141:00.0", NULL },
	{ "0000:41:00.0:", NULL },
	{ "0x41:00.0", NULL },
	{ " 41:00.0", NULL },
	{ "-1:00.0", NULL },
	{ "41:00.0 ", NULL },
	{ "1000000:41:00.0", NULL },
	{ "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", NULL },
	{ "", NULL },
};

TEST(addresses)
{
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		char address[PCI_ADDRESS_SIZE];
		bool ok = pci_address(addresses[i].text, address);

		CHECK_MSG(ok == !!addresses[i].address, "'%s'", addresses[i].text);
		if (ok)
			CHECK_STR(address, addresses[i].address);
	}
}

static int devices_of(const char *line, struct strv *found, struct err *err)
{
	_cleanup_qemuopts_ struct qemuopts opts = { 0 };
	_cleanup_strv_ struct strv argv = { 0 };

	parse(line, &argv, &opts);
	return pciargs_devices(&opts, found, err);
}

static const struct { const char *line, *found; } good[] = {
	{ "-M q35", "" },
	{ "-device vfio-pci,host=41:00.0", "0000:41:00.0" },
	{ "-device vfio-pci,id=x,host=0000:41:00.0,bus=rp0", "0000:41:00.0" },
	{ "--device driver=vfio-pci,host=00:02.0 -device vfio-pci,host=01:00.0",
	  "0000:00:02.0 0000:01:00.0" },
	{ "-device vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:01:00.0", "0000:01:00.0" },
	{ "-device vfio-pci,sysfsdev=/sys/devices/pci0000:00/0000:00:02.0", "0000:00:02.0" },
	{ "-device {\"driver\":\"vfio-pci\",\"host\":\"01:00.0\"}", "0000:01:00.0" },
	{ "-object iommufd,id=i -device vfio-pci,host=01:00.0,iommufd=i", "0000:01:00.0" },
	{ "-device e1000e,host=01:00.0 -append vfio-pci,host=02:00.0", "" },
};

TEST(command_lines)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		_cleanup_strv_ struct strv found = { 0 };
		_cleanup_err_ struct err err = { 0 };
		_cleanup_free_ char *text = NULL;
		int r = devices_of(good[i].line, &found, &err);

		CHECK_MSG(r == 0, "'%s': %s", good[i].line, err.why);
		text = strv_join(&found, " ");
		CHECK_STR(text, good[i].found);
	}
}

static const struct { const char *line, *words; } bad[] = {
	{ "-device vfio-pci", "names no PCI device" },
	{ "-device vfio-pci,host=pci0", "names no PCI device" },
	{ "-device vfio-pci,sysfsdev=/sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
	  "names no PCI device" },
	{ "-device vfio-pci,sysfsdev=/tmp/0000:01:00.0", "names no PCI device" },
	{ "-device vfio-pci,host=01:00.0,sysfsdev=/sys/x", "names no PCI device" },
	{ "-device vfio-pci,host=01:00.0 -device vfio-pci,host=0000:01:00.0", "already" },
};

TEST(command_lines_that_are_refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_strv_ struct strv found = { 0 };
		_cleanup_err_ struct err err = { 0 };

		CHECK_MSG(devices_of(bad[i].line, &found, &err) == -EOPNOTSUPP, "'%s'", bad[i].line);
		CHECK_EQ(err.exit, CPR_EXIT_REFUSED);
		CHECK_MSG(strstr(err.why, bad[i].words), "'%s': %s", bad[i].line, err.why);
		CHECK(err.remedy);
	}
}

TEST(iommufd_objects)
{
	static const struct { const char *line, *shared; } cases[] = {
		{ "-object iommufd,id=i -device vfio-pci,host=01:00.0,iommufd=i", NULL },
		{ "-device vfio-pci,host=01:00.0,iommufd=i -device vfio-pci,host=02:00.0,iommufd=i",
		  "i" },
		{ "-device vfio-pci,host=01:00.0,iommufd=i -device vfio-pci,host=02:00.0,iommufd=j",
		  NULL },
		{ "-device vfio-pci,host=01:00.0 -device vfio-pci,host=02:00.0", NULL },
		{ "-device {\"driver\":\"vfio-pci\",\"iommufd\":\"i\"} -device vfio-pci,iommufd=i", "i" },
		{ "-device e1000e,iommufd=i -device vfio-pci,iommufd=i", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_qemuopts_ struct qemuopts opts = { 0 };
		_cleanup_strv_ struct strv argv = { 0 };
		const char *shared;

		parse(cases[i].line, &argv, &opts);
		shared = pciargs_shared_iommufd(&opts);
		CHECK_STR(shared ?: "none", cases[i].shared ?: "none");
	}
}

TEST(an_iommu_of_the_guest)
{
	static const struct { const char *line; bool has; } cases[] = {
		{ "-device vfio-pci,host=01:00.0", false },
		{ "-device intel-iommu,intremap=on -device vfio-pci,host=01:00.0", true },
		{ "-device {\"driver\":\"virtio-iommu-pci\"}", true },
		{ "-device amd-iommu", true },
		{ "-object iommufd,id=i -device vfio-pci,host=01:00.0,iommufd=i", false },
		{ "-drive file=intel-iommu,if=none", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_qemuopts_ struct qemuopts opts = { 0 };
		_cleanup_strv_ struct strv argv = { 0 };

		parse(cases[i].line, &argv, &opts);
		CHECK_MSG(pciargs_has_viommu(&opts) == cases[i].has, "%s", cases[i].line);
	}
}

/* ---- a machine of files ---- */

static void make_parents(const char *path)
{
	_cleanup_free_ char *copy = xstrdup(path);

	for (char *p = copy + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		CHECK(mkdir(copy, 0700) == 0 || errno == EEXIST);
		*p = '/';
	}
}

static void put(const char *path, const char *text)
{
	_cleanup_free_ char *full = xasprintf("%s/%s", root, path);
	_cleanup_close_ int fd = -1;

	make_parents(full);
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0 && write_all(fd, text, strlen(text)) == 0);
}

static void put_link(const char *path, const char *to)
{
	_cleanup_free_ char *full = xasprintf("%s/%s", root, path);
	_cleanup_free_ char *target = xasprintf("%s/%s", root, to);

	make_parents(full);
	unlink(full);
	CHECK(symlink(target, full) == 0);
}

static void drop(const char *path)
{
	_cleanup_free_ char *full = xasprintf("%s/%s", root, path);

	unlink(full);
}

static void put_device(const char *address, const char *group, const char *driver)
{
	put(fmt(DEVICES "%s/vendor", address), "0x8086\n");
	put(fmt(DEVICES "%s/device", address), "0x10d3\n");
	put(fmt(DEVICES "%s/class", address), "0x020000\n");
	put(fmt(DEVICES "%s/driver_override", address), "\n");
	if (driver)
		put(fmt(DEVICES "%s/native", address), driver);
	if (driver)
		put_link(fmt(DEVICES "%s/driver", address), fmt(DRIVERS "%s", driver));
	if (group)
		put_link(fmt(DEVICES "%s/iommu_group", address),
			 fmt("sys/kernel/iommu_groups/%s", group));
	if (group)
		put_link(fmt("sys/kernel/iommu_groups/%s/devices/%s", group, address),
			 fmt(DEVICES "%s", address));
}

/* The first of those that look at it: a NIC and a disk, alone in their groups. */
TEST(a_machine)
{
	static const char *const drivers[] = { "e1000e", "nvme", "vfio-pci", "pcieport" };

	CHECK(mkdtemp(root));
	pci_root = root;
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		put(fmt(DRIVERS "%s/uevent", drivers[i]), "");
	put("proc/self/mountinfo", "22 1 0:21 / /proc rw - proc proc rw\n"
	    "23 1 0:22 / /big\\040one rw shared:1 - tmpfs tmpfs rw\n");
	put("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n");
	put_device(NIC, "1", "e1000e");
	put_device(DISK, "2", "nvme");
}

static void check_refused(const char *address, enum cpr_exit status, const char *words)
{
	_cleanup_strv_ struct strv devices = { 0 };
	_cleanup_err_ struct err err = { 0 };

	strv_push(&devices, address);
	CHECK_MSG(pci_check(&devices, &err) < 0, "'%s' is not refused: %s", address, words);
	CHECK_MSG(strstr(err.why, words), "'%s' lacks '%s'", err.why, words);
	CHECK_EQ(err.exit, status);
	CHECK(err.remedy);
	CHECK_STR(err.value, address);
}

static void check_accepted(const char *address)
{
	_cleanup_strv_ struct strv devices = { 0 };
	_cleanup_err_ struct err err = { 0 };

	strv_push(&devices, address);
	CHECK_MSG(pci_check(&devices, &err) == 0, "%s: %s", address, err.why);
}

TEST(facts)
{
	_cleanup_free_ char *driver = pci_driver(NIC), *group = pci_group(DISK);
	_cleanup_free_ char *model = pci_model(NIC), *nothing = pci_driver(OTHER);

	CHECK_STR(driver, "e1000e");
	CHECK_STR(group, "2");
	CHECK_STR(model, "8086:10d3");
	CHECK(!nothing);
	check_accepted(NIC);
	check_accepted(DISK);
}

TEST(what_cannot_be_given)
{
	check_refused(OTHER, CPR_EXIT_NOTFOUND, "no such PCI device");
	put(DEVICES NIC "/class", "0x060400\n");
	check_refused(NIC, CPR_EXIT_REFUSED, "a bridge");
	put(DEVICES NIC "/class", "0x020000\n");
	put(DEVICES NIC "/sriov_numvfs", "2\n");
	check_refused(NIC, CPR_EXIT_REFUSED, "2 virtual functions");
	put(DEVICES NIC "/sriov_numvfs", "0\n");
	check_accepted(NIC);
	put("sys/kernel/iommu_groups/1/name", "vfio-noiommu\n");
	check_refused(NIC, CPR_EXIT_REFUSED, "no IOMMU group");
	drop("sys/kernel/iommu_groups/1/name");
	drop(DEVICES NIC "/iommu_group");
	check_refused(NIC, CPR_EXIT_REFUSED, "no IOMMU group");
	put_device(NIC, "1", "e1000e");
}

TEST(groups)
{
	_cleanup_strv_ struct strv both = { 0 };

	put_device(OTHER, "2", "e1000e");
	check_refused(DISK, CPR_EXIT_REFUSED, OTHER " is in the same IOMMU group, and bound to the host's "
		      "driver e1000e");
	strv_push(&both, DISK);
	strv_push(&both, OTHER);
	CHECK_EQ(pci_check(&both, NULL), 0);
	put_link(DEVICES OTHER "/driver", DRIVERS "pcieport");
	check_accepted(DISK);
	drop(DEVICES OTHER "/driver");
	check_accepted(DISK);
	drop("sys/kernel/iommu_groups/2/devices/" OTHER);
}

#define BLOCK DEVICES DISK "/nvme/nvme0/nvme0n1"

/* "259:1" is a partition of the disk, "253:0" a volume on it, "253:1" one elsewhere. */
static void put_disks(void)
{
	put(BLOCK "/dev", "259:0\n");
	put(BLOCK "/nvme0n1p1/partition", "1\n");
	put_link("sys/class/block/nvme0n1", BLOCK);
	put_link("sys/class/block/nvme0n1p1", BLOCK "/nvme0n1p1");
	put_link("sys/dev/block/259:1", BLOCK "/nvme0n1p1");
	put("sys/devices/virtual/block/dm-0/dev", "253:0\n");
	put_link("sys/devices/virtual/block/dm-0/slaves/nvme0n1p1", BLOCK "/nvme0n1p1");
	put_link("sys/dev/block/253:0", "sys/devices/virtual/block/dm-0");
	put_link("sys/class/block/dm-0", "sys/devices/virtual/block/dm-0");
	put("sys/devices/virtual/block/dm-1/dev", "253:1\n");
	put_link("sys/dev/block/253:1", "sys/devices/virtual/block/dm-1");
	put_link("sys/class/block/dm-1", "sys/devices/virtual/block/dm-1");
}

static void put_mount(const char *number, const char *source)
{
	put("proc/self/mountinfo", fmt("22 1 0:21 / /proc rw - proc proc rw\n"
				       "23 1 %s / /srv/data rw shared:1 - ext4 %s rw\n",
				       number, source));
}

TEST(disks_of_the_host)
{
	static const char mounted[] = "the host uses it: '/srv/data' is mounted from it";

	put_disks();
	check_accepted(DISK);
	put_mount("259:1", "/dev/root");
	check_refused(DISK, CPR_EXIT_BUSY, mounted);
	check_accepted(NIC);
	put_mount("253:0", "/dev/mapper/x");
	check_refused(DISK, CPR_EXIT_BUSY, mounted);
	put_mount("253:1", "/dev/mapper/x");
	check_accepted(DISK);
	/* btrfs shows a number that is no device's */
	put_mount("0:45", "/dev/nvme0n1p1");
	check_refused(DISK, CPR_EXIT_BUSY, mounted);
	put_mount("0:45", "tmpfs");
	put("proc/swaps", "Filename\tType\tSize\n/dev/dm-1 partition 1\n/dev/dm-0 partition 1\n");
	check_refused(DISK, CPR_EXIT_BUSY, "it swaps to /dev/dm-0");
	put("proc/swaps", "Filename\tType\tSize\n");
	check_accepted(DISK);
}

/* The disk is below no device then, and the subsystem has its controllers as links. */
TEST(disks_by_several_paths)
{
	static const char head[] = "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1";

	put(fmt("%s/dev", head), "259:9\n");
	put_link("sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0", DEVICES DISK "/nvme/nvme0");
	put_link("sys/dev/block/259:9", head);
	put_mount("259:9", "/dev/root");
	check_refused(DISK, CPR_EXIT_BUSY, "'/srv/data' is mounted");
	check_accepted(NIC);
	drop("sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0");
	check_accepted(DISK);
}

TEST(mounts_that_cannot_be_read)
{
	drop("proc/self/mountinfo");
	check_refused(DISK, CPR_EXIT_BUSY, "cannot be checked");
	put_mount("0:45", "tmpfs");
}

TEST(network_of_the_host)
{
	put(DEVICES NIC "/net/eth7/flags", "0x1003\n");
	put_link("sys/class/net/eth7", DEVICES NIC "/net/eth7");
	check_refused(NIC, CPR_EXIT_BUSY, "its network interface eth7 is up");
	check_accepted(DISK);
	put(DEVICES NIC "/net/eth7/flags", "0x1002\n");
	check_accepted(NIC);
}

/* ---- drivers ---- */

static void check_driver(const char *address, const char *want)
{
	_cleanup_free_ char *driver = pci_driver(address);
	_cleanup_free_ char *override = pci_text(address, "driver_override");

	CHECK_STR(driver ? driver : "none", want);
	CHECK_STR(override, streq(want, "vfio-pci") ? want : "");
}

TEST(given_to_vfio_and_back)
{
	CHECK_EQ(pci_bind_vfio(NIC, NULL), 0);
	check_driver(NIC, "vfio-pci");
	CHECK_EQ(pci_bind_vfio(NIC, NULL), 0);
	CHECK_EQ(pci_unbind_vfio(NIC, true, NULL), 0);
	check_driver(NIC, "e1000e");
	CHECK_EQ(pci_unbind_vfio(NIC, true, NULL), 0);
	check_driver(NIC, "e1000e");
}

TEST(a_device_without_driver)
{
	drop(DEVICES NIC "/driver");
	CHECK_EQ(pci_bind_vfio(NIC, NULL), 0);
	check_driver(NIC, "vfio-pci");
	CHECK_EQ(pci_unbind_vfio(NIC, false, NULL), 0);
	check_driver(NIC, "none");
	put_device(NIC, "1", "e1000e");
}

TEST(vfio_does_not_take_it)
{
	_cleanup_err_ struct err err = { 0 }, none = { 0 };

	put(DRIVERS "vfio-pci/refuses", NIC);
	CHECK_EQ(pci_bind_vfio(NIC, &err), -ENXIO);
	CHECK_STR(err.why, "the driver rejects the device");
	check_driver(NIC, "e1000e");
	drop(DEVICES NIC "/driver");
	CHECK_EQ(pci_bind_vfio(NIC, &none), -ENXIO);
	check_driver(NIC, "none");
	put_device(NIC, "1", "e1000e");
	drop(DRIVERS "vfio-pci/refuses");
}

TEST(a_device_that_is_gone)
{
	_cleanup_err_ struct err err = { 0 };

	CHECK_EQ(pci_unbind_vfio("0000:09:00.0", true, NULL), 0);
	CHECK_EQ(pci_bind_vfio("0000:09:00.0", &err), -ENOENT);
	CHECK(err.set);
}

/* ---- files of a process: this one ---- */

static int open_file(const char *path)
{
	_cleanup_free_ char *full = xasprintf("%s/%s", root, path);
	int fd;

	put(path, "");
	fd = open(full, O_RDONLY);
	CHECK(fd >= 0);
	return fd;
}

TEST(files_of_vfio)
{
	int container = open_file("dev/vfio/vfio"), group = open_file("dev/vfio/12");
	int device = open_file("dev/vfio/devices/vfio0"), other = open_file("dev/null");
	_cleanup_vfio_ struct vfio_files files = { 0 };
	struct stat one, two;

	if (vfio_files(getpid(), &files, NULL) == -ENOSYS)
		SKIP("no pidfd_getfd");
	CHECK_EQ(files.n, 2);
	CHECK_EQ(files.devices, 1);
	CHECK(fstat(group, &one) == 0 && fstat(files.v[0], &two) == 0);
	CHECK_EQ(two.st_ino, one.st_ino);
	CHECK(files.v[0] != group && files.v[1] != device);
	close(container);
	close(group);
	close(device);
	close(other);
}

TEST(files_of_no_process)
{
	struct vfio_files files;
	_cleanup_err_ struct err err = { 0 };

	CHECK_EQ(vfio_files(0x3fffffff, &files, &err), -ESRCH);
	CHECK(err.set && !files.n);
}

static int drop_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

TEST(nothing_is_left_behind)
{
	CHECK(nftw(root, drop_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

int main(void)
{
	return ktap_run();
}
