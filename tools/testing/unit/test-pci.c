// SPDX-License-Identifier: GPL-2.0-only
/* Passed-through devices: on a command line, and on a made-up sysfs. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ktap.h"
#include "lib/pci.h"

TEST(addresses)
{
	static const struct { const char *text, *want; } cases[] = {
		{ "41:00.0", "0000:41:00.0" }, { "0000:41:1f.7", "0000:41:1f.7" },
		{ "0001:0A:0b.1", "0001:0a:0b.1" }, { "10000:00:01.0", "10000:00:01.0" },
		{ "41:00", NULL }, { "41:20.0", NULL }, { "41:00.8", NULL }, { "", NULL },
		{ "41:00.0x", NULL }, { "x:41:00.0", NULL }, { " 41:00.0", NULL },
		{ "-1:00.0", NULL }, { "0000:41:00.0:", NULL }, { "141:00.0", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char address[PCI_ADDRESS_SIZE];
		bool ok = pci_address(cases[i].text, address);

		CHECK_MSG(ok == !!cases[i].want, "'%s'", cases[i].text);
		if (ok && cases[i].want)
			CHECK_STR(address, cases[i].want);
	}
}

static int devices(const char *line, struct strv *out, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(line);
	_cleanup_strv_ struct strv argv = { 0 };
	char *next = copy, *word;

	while ((word = strsep(&next, " ")))
		strv_push(&argv, word);
	return pci_devices(&argv, out, err);
}

TEST(command_lines)
{
	static const struct { const char *line, *want; } cases[] = {
		{ "-M q35 -device e1000e", "" },
		{ "-device vfio-pci,host=41:00.0", "0000:41:00.0" },
		{ "-device vfio-pci,host=0000:41:00.0,id=a -device "
		  "vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:42:00.1",
		  "0000:41:00.0 0000:42:00.1" },
		{ "-object iommufd,id=i -device {\"driver\":\"vfio-pci\",\"host\":\"5:0.0\"}",
		  "0000:05:00.0" },
		{ "-device vfio-pci", NULL },
		{ "-device vfio-pci,host=eth0", NULL },
		{ "-device vfio-pci,fd=5,host=41:00.0", NULL },
		{ "-object iommufd,id=i,fd=5", NULL },
		{ "-device vfio-pci,sysfsdev=/sys/bus/mdev/devices/"
		  "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", NULL },
		{ "-device vfio-pci,host=41:00.0 -device vfio-pci,host=0000:41:0.0", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strv_ struct strv out = { 0 };
		_cleanup_err_ struct err err = { 0 };
		int r = devices(cases[i].line, &out, &err);
		_cleanup_free_ char *text = strv_join(&out, " ");

		CHECK_MSG(r == (cases[i].want ? 0 : -EOPNOTSUPP), "%s", cases[i].line);
		if (cases[i].want)
			CHECK_STR(text ? text : "", cases[i].want);
		else
			CHECK(err.exit == CPR_EXIT_REFUSED && err.why && err.remedy);
	}
}

/* A tree of directories, files and links below a directory of its own. */
static char root[] = "/tmp/cpr-pci-XXXXXX";

static char *in_root(const char *path)
{
	char *full = xasprintf("%s/%s", root, path);

	for (char *at = full + sizeof(root); (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(full, 0700);
		*at = '/';
	}
	return full;
}

static void put(const char *path, const char *text)
{
	_cleanup_free_ char *full = in_root(path);
	_cleanup_close_ int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0 && write_all(fd, text, strlen(text)) == 0);
}

/* @to is within the tree; the link is absolute, which realpath() does not mind. */
static void put_link(const char *path, const char *to)
{
	_cleanup_free_ char *full = in_root(path), *target = in_root(to);

	unlink(full);
	CHECK(symlink(target, full) == 0);
}

#define DEV(bdf) "sys/devices/pci0000:00/" bdf

static void put_device(const char *address, const char *driver, const char *group)
{
	const char *dir = fmt("sys/devices/pci0000:00/%s", address);

	put(fmt("%s/vendor", dir), "0x8086\n");
	put(fmt("%s/device", dir), "0x10d3\n");
	put_link(fmt("sys/bus/pci/devices/%s", address), dir);
	if (driver)
		put_link(fmt("%s/driver", dir), fmt("sys/bus/pci/drivers/%s", driver));
	if (!group)
		return;
	put_link(fmt("%s/iommu_group", dir), fmt("sys/kernel/iommu_groups/%s", group));
	put_link(fmt("sys/kernel/iommu_groups/%s/devices/%s", group, address), dir);
}

TEST(a_tree)
{
	CHECK(mkdtemp(root));
	pci_root = root;
	put_device("0000:00:02.0", "e1000e", "1");
	put_device("0000:00:03.0", "e1000e", "2");
	put_device("0000:00:03.1", "snd", "2");
	put_device("0000:00:04.0", NULL, NULL);
	put_device("0000:00:05.0", "nvme", "5");
	put_device("0000:00:06.0", "nvme", "6");
	put_device("0000:00:07.0", "virtio-pci", "7");
	put_device("0000:00:08.0", "vfio-pci", "8");
	put(DEV("0000:00:02.0") "/net/eth0/flags", "0x1002\n");
	put_link("sys/class/net/eth0", DEV("0000:00:02.0") "/net/eth0");
	put(DEV("0000:00:07.0") "/virtio4/net/eth1/flags", "0x1003\n");
	put_link("sys/class/net/eth1", DEV("0000:00:07.0") "/virtio4/net/eth1");
	/* A partition below a mapping that is mounted. */
	put(DEV("0000:00:05.0") "/nvme/nvme0/nvme0n1/nvme0n1p2/partition", "2\n");
	put("sys/devices/virtual/block/dm-0/dev", "253:0\n");
	put_link("sys/devices/virtual/block/dm-0/slaves/nvme0n1p2",
		 DEV("0000:00:05.0") "/nvme/nvme0/nvme0n1/nvme0n1p2");
	put_link("sys/dev/block/253:0", "sys/devices/virtual/block/dm-0");
	/* NVMe multipath: the disk is below its subsystem. */
	put("sys/devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n1/nvme1n1p1/partition", "1\n");
	put(DEV("0000:00:06.0") "/nvme/nvme1/address", "x\n");
	put_link("sys/devices/virtual/nvme-subsystem/nvme-subsys1/nvme1",
		 DEV("0000:00:06.0") "/nvme/nvme1");
	put_link("sys/class/block/nvme1n1p1",
		 "sys/devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n1/nvme1n1p1");
	put("proc/self/mountinfo",
	    "22 1 0:20 / /proc rw - proc proc rw\n"
	    "30 1 253:0 / / rw,relatime shared:1 - ext4 /dev/mapper/root rw\n");
	put("proc/swaps", "Filename Type Size Used Priority\n"
	    "/dev/nvme1n1p1 partition 8 0 -2\n");
}

static const struct { const char *addresses; int r; enum cpr_exit exit; const char *word; } checks[] = {
	{ "0000:00:02.0", 0, 0, NULL },
	{ "0000:00:08.0", 0, 0, NULL },
	{ "0000:00:03.0 0000:00:03.1", 0, 0, NULL },
	{ "0000:00:03.0", -EOPNOTSUPP, CPR_EXIT_REFUSED, "0000:00:03.1" },
	{ "0000:00:04.0", -EOPNOTSUPP, CPR_EXIT_REFUSED, "no IOMMU group" },
	{ "0000:00:05.0", -EBUSY, CPR_EXIT_BUSY, "'/' is mounted" },
	{ "0000:00:06.0", -EBUSY, CPR_EXIT_BUSY, "swaps to" },
	{ "0000:00:02.0 0000:00:07.0", -EBUSY, CPR_EXIT_BUSY, "eth1" },
	{ "0000:00:09.0", -ENODEV, CPR_EXIT_NOTFOUND, "no such" },
};

TEST(who_uses_it)
{
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		_cleanup_free_ char *copy = xstrdup(checks[i].addresses);
		_cleanup_strv_ struct strv addresses = { 0 };
		_cleanup_err_ struct err err = { 0 };
		char *next = copy, *word;
		int r;

		while ((word = strsep(&next, " ")))
			strv_push(&addresses, word);
		r = pci_check(&addresses, &err);
		CHECK_MSG(r == checks[i].r, "%s: %d, %s", checks[i].addresses, r,
			  err.why ? err.why : "");
		if (!r || r != checks[i].r)
			continue;
		CHECK_EQ(err.exit, checks[i].exit);
		CHECK_MSG(strstr(err.why, checks[i].word), "%s", err.why);
		CHECK(err.remedy);
	}
}

TEST(facts)
{
	_cleanup_free_ char *driver = pci_driver("0000:00:05.0"), *group = pci_group("0000:00:05.0");
	_cleanup_free_ char *model = pci_model("0000:00:05.0"), *none = pci_driver("0000:00:04.0");

	CHECK_STR(driver, "nvme");
	CHECK_STR(group, "5");
	CHECK_STR(model, "8086:10d3");
	CHECK(!none);
}

/* Groups that VFIO makes without an IOMMU keep nothing apart. */
TEST(a_group_without_iommu)
{
	_cleanup_free_ char *group = NULL;

	put("sys/kernel/iommu_groups/8/name", "vfio-noiommu\n");
	group = pci_group("0000:00:08.0");
	CHECK(!group);
}

int main(void)
{
	return ktap_run();
}
