// SPDX-License-Identifier: GPL-2.0-only
/*
 * Only root of the host can use the netlink family, and only a file's owner a file.
 *
 * An unprivileged user, a user namespace, a network namespace and a container's set of
 * capabilities each try every operation.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpr.h"
#include "ktap.h"

#define NOBODY	65534

static const char *const memory[] = { "ram0", NULL };

/* ---- who ---- */

static int nobody(void)
{
	return setgid(NOBODY) || setuid(NOBODY);
}

/* Root, with all capabilities, but in a user namespace. */
static int user_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static int network_namespace(void)
{
	return unshare(CLONE_NEWNET);
}

static int both_namespaces(void)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWNET);
}

/* Root of the host with one capability. */
static int with_only(int cap)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { 0 };

	data[cap / 32].effective = data[cap / 32].permitted = 1u << cap % 32;
	return syscall(SYS_capset, &header, data);
}

static int net_admin(void)
{
	return with_only(CAP_NET_ADMIN);
}

static int sys_admin(void)
{
	return with_only(CAP_SYS_ADMIN);
}

/* Let a child become @who and call @fn. Returns what @fn returned, as a positive errno. */
static int as_with_our_socket(int (*who)(void), int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(who() ? 99 : -fn());
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* As above, but the child opens a socket of its own. */
static int as(int (*who)(void), int (*fn)(void))
{
	nl_reset();
	return as_with_our_socket(who, fn);
}

/* The debug kernel has no user namespaces. */
static void needs(int (*who)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(who() ? errno : 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == EINVAL)
		SKIP("this kernel has no such namespace");
	CHECK_EQ(status, 0);
}

/* ---- what ---- */

static int ask_region(void)
{
	struct region r;

	return nl_region(&r);
}

static int ask_vm(void)
{
	int state = nl_state("vm", NULL, NULL);

	return state < 0 ? state : 0;
}

static int ask_vms(void)
{
	int n = nl_count();

	return n < 0 ? n : 0;
}

static void ignore(const struct device *d)
{
	(void)d;
}

static int ask_devices(void)
{
	return nl_devices(ignore);
}

/* The kernel would refuse this to anybody. */
static int format(void)
{
	return nl_format(0, 0, NULL, 0);
}

static int listen_to_events(void)
{
	return nl_listen() ? -EPERM : 0;
}

static int (*const asking[])(void) = {
	ask_region, ask_vm, ask_vms, ask_devices, listen_to_events,
};

static const int steps[] = {
	CPR_CMD_VM_PIN, CPR_CMD_VM_SAVE, CPR_CMD_VM_SEAL, CPR_CMD_VM_CLAIM,
	CPR_CMD_VM_UNCLAIM, CPR_CMD_VM_UNPIN, CPR_CMD_VM_RELEASE,
};

static int take_all_steps(void)
{
	const int none[2] = { -1, -1 };
	const char *const devices[] = { "0000:00:02.0", NULL };
	struct reach r;

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		if (nl_step(steps[i], "vm", steps[i] == CPR_CMD_VM_PIN ? memory : NULL) != -EPERM)
			return 0;
	if (nl_snapshot("vm", devices, none, 0, &r) != -EPERM || nl_room("vm", FRAME, 9) != -EPERM)
		return 0;
	if (nl_device_release(devices[0]) != -EPERM)
		return 0;
	return nl_verify("vm", none, 0, &r);
}

static int pin(void)
{
	return nl_step(CPR_CMD_VM_PIN, "vm", memory);
}

static void make_vm(void)
{
	CHECK(!mkdir(MNT "/vm", 0700));
	close(make_memory("vm/ram0", FRAME));
}

static void delete_vm(void)
{
	CHECK_EQ(nl_step(CPR_CMD_VM_UNPIN, "vm", NULL), 0);
	CHECK(!unlink(MNT "/vm/ram0") && !rmdir(MNT "/vm"));
}

static void refused_to(int (*who)(void))
{
	make_vm();
	for (size_t i = 0; i < sizeof(asking) / sizeof(*asking); i++)
		CHECK_EQ(as(who, asking[i]), EPERM);
	CHECK_EQ(as(who, format), EPERM);
	CHECK_EQ(as(who, take_all_steps), EPERM);
	delete_vm();
}

TEST(an_unprivileged_user_is_refused)
{
	refused_to(nobody);
}

TEST(root_of_a_user_namespace_is_refused)
{
	needs(user_namespace);
	refused_to(user_namespace);
}

/* What containers for networks have. */
TEST(net_admin_is_refused)
{
	refused_to(net_admin);
}

TEST(sys_admin_is_enough)
{
	make_vm();
	for (size_t i = 0; i < sizeof(asking) / sizeof(*asking); i++)
		CHECK_EQ(as(sys_admin, asking[i]), 0);
	CHECK_EQ(as(sys_admin, pin), 0);
	CHECK_EQ(nl_state("vm", NULL, NULL), CPR_VM_STATE_RUNNING);
	delete_vm();
}

TEST(a_socket_that_was_passed_on_is_refused)
{
	CHECK_EQ(ask_region(), 0);
	CHECK_EQ(as_with_our_socket(nobody, ask_region), EPERM);
	CHECK_EQ(as_with_our_socket(nobody, ask_vms), EPERM);
}

TEST(the_reason_is_given)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		nobody();
		ask_region();
		_exit(!strstr(nl_said(), "CAP_SYS_ADMIN"));
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

/* nl_region() cannot connect if there is no family. */
TEST(another_network_namespace_has_no_family)
{
	needs(network_namespace);
	CHECK_EQ(as(network_namespace, ask_region), ENOTCONN);
	needs(both_namespaces);
	CHECK_EQ(as(both_namespaces, ask_region), ENOTCONN);
}

static int list_root(void)
{
	return open(MNT, O_RDONLY | O_DIRECTORY) < 0 ? -errno : 0;
}

static int use_own_file(void)
{
	int fd = open(MNT "/vm/ram0", O_RDWR);

	return fd < 0 || pwrite(fd, "x", 1, 0) != 1 || fsync(fd) ? -errno : 0;
}

TEST(the_root_is_searched_but_not_listed)
{
	struct stat st;

	CHECK(!stat(MNT, &st));
	CHECK_EQ(st.st_mode, S_IFDIR | 0711);
	CHECK_EQ(as(nobody, list_root), EACCES);
	make_vm();
	CHECK_EQ(as(nobody, use_own_file), EACCES);
	CHECK(!chown(MNT "/vm", NOBODY, NOBODY) && !chown(MNT "/vm/ram0", NOBODY, NOBODY));
	CHECK_EQ(as(nobody, use_own_file), 0);
	delete_vm();
}

static int mount_and_user_namespaces(void)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWNS);
}

static int mount_cprfs(void)
{
	return mount("none", "/mnt", "cprfs", 0, NULL) ? -errno : 0;
}

static int remount(void)
{
	return mount(NULL, MNT, NULL, MS_REMOUNT | MS_RDONLY, NULL) ? -errno : 0;
}

static int freeze(void)
{
	int fd = open(MNT, O_RDONLY | O_DIRECTORY);

	return fd < 0 || ioctl(fd, FIFREEZE, 0) ? -errno : 0;
}

static int detach(void)
{
	return umount2(MNT, MNT_DETACH) ? -errno : 0;
}

/* A container's root sees the mount of the host, at most. */
TEST(root_of_a_mount_namespace_cannot_change_the_mount)
{
	needs(mount_and_user_namespaces);
	CHECK_EQ(as(mount_and_user_namespaces, mount_cprfs), EPERM);
	CHECK_EQ(as(mount_and_user_namespaces, remount), EPERM);
	CHECK_EQ(as(mount_and_user_namespaces, freeze), EPERM);
	/* Locked together with the mounts that it covers. */
	CHECK_EQ(as(mount_and_user_namespaces, detach), EINVAL);
}

TEST(the_parameters_are_for_root)
{
	static const char *const names[] = { "region", "hold" };
	char path[100];
	struct stat st;

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/sys/module/cpr_handover/parameters/%s", names[i]);
		CHECK(!stat(path, &st));
		CHECK_EQ(st.st_mode, S_IFREG | 0400);
	}
}

int main(void)
{
	return ktap_run();
}
