// SPDX-License-Identifier: GPL-2.0-only
/* No process that could change what a QEMU's devices reach goes unnoticed. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ktap.h"
#include "host/pci.h"
#include "host/vfio.h"

static char root[] = "/tmp/cpr-vfio-XXXXXX";
static pid_t children[4];
static size_t nr_children;

static void make(const char *path)
{
	_cleanup_free_ char *full = xasprintf("%s%s", root, path);
	_cleanup_close_ int fd = open(full, O_WRONLY | O_CREAT, 0600);

	CHECK(fd >= 0);
}

static int open_file(const char *path)
{
	_cleanup_free_ char *full = xasprintf("%s%s", root, path);

	return open(full, O_RDWR | O_CLOEXEC);
}

/* A process with this open file, or, if @path is not NULL, with a file of its own. */
static pid_t child(int fd, const char *path)
{
	int ready[2];
	pid_t pid;
	char byte;

	CHECK(!pipe2(ready, O_CLOEXEC));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		if (path) {
			close(fd);
			fd = open_file(path);
		}
		if (fd >= 0)
			write(ready[1], "r", 1);
		pause();
	}
	close(ready[1]);
	children[nr_children++] = pid;
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void end(void)
{
	while (nr_children) {
		kill(children[--nr_children], SIGKILL);
		waitpid(children[nr_children], NULL, 0);
	}
}

static void each_file(void (*fn)(const char *path))
{
	static const char *const files[] = {
		"/dev/vfio/vfio", "/dev/vfio/7", "/dev/vfio/devices/vfio0", "/dev/iommu",
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		end();
		fn(files[i]);
	}
	end();
}

static void check_shared(const char *path)
{
	_cleanup_err_ struct err err = { 0 };
	int fd = open_file(path);
	pid_t qemu = child(fd, NULL), other = child(fd, NULL);

	close(fd);
	CHECK_EQ(vfio_check_shared(qemu, &err), -EBUSY);
	CHECK_EQ(err.exit, CPR_EXIT_BUSY);
	CHECK_MSG(strstr(err.why, fmt("process %d (test-vfio) has the same VFIO file", (int)other)),
		  "%s: %s", path, err.why);
	end();
}

TEST(a_file_that_another_process_has)
{
	each_file(check_shared);
}

/* Each QEMU has a container, and an iommufd, of its own. */
static void check_own(const char *path)
{
	int fd = open_file(path);
	pid_t qemu = child(fd, NULL);

	child(fd, path);
	close(fd);
	CHECK_EQ(vfio_check_shared(qemu, NULL), 0);
}

TEST(the_same_file_opened_by_another_process)
{
	each_file(check_own);
}

/* This process has duplicates, for the module. */
TEST(a_file_that_this_process_has)
{
	_cleanup_close_ int fd = open_file("/dev/vfio/7");

	CHECK_EQ(vfio_check_shared(child(fd, NULL), NULL), 0);
	end();
}

TEST(another_file_that_another_process_has)
{
	_cleanup_close_ int fd = open_file("/other");
	pid_t qemu = child(fd, NULL);

	child(fd, NULL);
	CHECK_EQ(vfio_check_shared(qemu, NULL), 0);
	end();
}

TEST(a_process_that_has_exited)
{
	_cleanup_close_ int fd = open_file("/dev/vfio/7");
	pid_t qemu = child(fd, NULL);

	end();
	CHECK_EQ(vfio_check_shared(qemu, NULL), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void make_root(void)
{
	static const char *const dirs[] = { "/dev", "/dev/vfio", "/dev/vfio/devices" };

	CHECK(mkdtemp(root));
	pci_root = root;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		_cleanup_free_ char *path = xasprintf("%s%s", root, dirs[i]);

		CHECK(!mkdir(path, 0700));
	}
	make("/dev/vfio/vfio");
	make("/dev/vfio/7");
	make("/dev/vfio/devices/vfio0");
	make("/dev/iommu");
	make("/other");
}

int main(void)
{
	int status;

	if (setjmp(ktap_out))
		return 1;
	make_root();
	status = ktap_run();
	end();
	nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return status;
}
