// SPDX-License-Identifier: GPL-2.0-only
/* Load the next kernel and switch to it; see kexec.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/kexec.h>
#include <linux/reboot.h>

#include "base/paths.h"
#include "base/size.h"
#include "host/kcmdline.h"
#include "host/kernel.h"
#include "host/kexec.h"

/* Marker file: cpr-helper has loaded a kernel. Removed with /run by the next boot. */
#define MARK RUNTIME_DIR "/.kexec"

bool kexec_limit_allows(const char *limit)
{
	int n = limit ? atoi(limit) : -1;

	return n < 0 || n >= 2;
}

int kexec_allowed(struct err *err)
{
	_cleanup_free_ char *disabled = read_text("/proc/sys/kernel/kexec_load_disabled", 16);
	_cleanup_free_ char *limit = read_text("/proc/sys/kernel/kexec_load_limit_reboot", 16);

	if (geteuid() != 0)
		return fail(err, -EPERM, .what = "kexec", .why = "needs root",
			    .remedy = "run it with sudo");
	if (!disabled)
		return fail(err, -ENOSYS, .exit = CPR_EXIT_REFUSED, .what = "kexec",
			    .why = "this kernel has no kexec (no /proc/sys/kernel/"
			    "kexec_load_disabled)",
			    .remedy = "boot a kernel with CONFIG_KEXEC_FILE");
	if (!streq(disabled, "0"))
		return fail(err, -EPERM, .exit = CPR_EXIT_REFUSED, .what = "kexec",
			    .value = "kernel.kexec_load_disabled",
			    .why = "it is set, and cannot be unset until the next boot",
			    .remedy = "find what sets it (sysctl.d) and boot without that setting");
	if (!kexec_limit_allows(limit))
		return fail(err, -EPERM, .exit = CPR_EXIT_REFUSED, .what = "kexec",
			    .value = "kernel.kexec_load_limit_reboot",
			    .why = fmt("it is %s, and an update may need two: to load the kernel, and "
				       "to unload it if a step fails", limit),
			    .remedy = "it cannot be raised until the next boot: find what sets it "
				      "(sysctl.d) and boot without that setting");
	return 0;
}

static const struct { int code; const char *why, *remedy; } reasons[] = {
	{ EPERM, "the running kernel forbids it: it is locked down (Secure Boot) and does not trust the "
	  "image's signature, or has another rule against kexec", "sign the image with a key that the "
	  "running kernel has; 'dmesg' and /sys/kernel/security/lockdown may say more" },
	{ EACCES, "a security policy of the running kernel forbids it (IMA appraisal, an LSM, Secure "
	  "Boot)", "sign the image, or allow it in that policy; 'dmesg' may name it" },
	{ EKEYREJECTED, "the running kernel rejects its signature",
	  "use a kernel signed by a trusted key" },
	{ ENOKEY, "the running kernel does not have the key of its signature",
	  "use a kernel signed by a trusted key" },
	{ ENODATA, "it is not signed", "use a kernel signed by a trusted key" },
	{ ENOEXEC, "it is not a kernel image", "name a bzImage with --image" },
	{ EADDRNOTAVAIL, "no memory is free to hold it", "give the host more memory outside the "
	  "region" },
};

/* debugfs tells it of a kernel that needs no option, but may not be mounted. */
static bool kexec_has_kho(void)
{
	_cleanup_free_ char *line = read_text("/proc/cmdline", 4096);

	return access("/sys/kernel/debug/kho/out", F_OK) == 0 || (line && kcmdline_wants_kho(line));
}

/* What a bzImage takes when it unpacks itself: init_size of its header, or 0. */
static uint64_t kexec_unpacked_size(const struct kernel *k)
{
	_cleanup_close_ int image = open(k->image, O_RDONLY | O_CLOEXEC);
	uint32_t size = 0;

	return pread(image, &size, sizeof(size), 0x260) == sizeof(size) ? size : 0;
}

/* With KHO, the kernel puts all that it loads into memory that it reserved for that at boot. */
static int kexec_no_scratch(const struct kernel *k, struct err *err)
{
	struct stat st = { 0 };

	stat(k->initrd, &st);
	return fail(err, -EADDRNOTAVAIL, .what = "cannot load kernel", .value = k->image,
		    .why = fmt("it takes %s unpacked, and with kexec handover (kho=on) it must fit "
			       "into the kernel's scratch areas, and so must its initrd of %s",
			       size_human(kexec_unpacked_size(k)), size_human(st.st_size)),
		    .remedy = "boot this kernel with larger areas, such as kho_scratch=1G,1G,0, or "
		    "without kho=on: the guests do not need it");
}

static int kexec_load_failed(const struct kernel *k, int code, struct err *err)
{
	if (code == EADDRNOTAVAIL && kexec_has_kho())
		return kexec_no_scratch(k, err);
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].code == code)
			return fail(err, -code, .what = "cannot load kernel", .value = k->image,
				    .why = reasons[i].why, .remedy = reasons[i].remedy);
	return fail(err, -code, .what = "cannot load kernel", .value = k->image,
		    .why = strerror(code));
}

/* Create the marker before loading: a kill in between must not leave an unmarked kernel. */
static int kexec_mark(struct err *err)
{
	_cleanup_close_ int fd = -1;
	int r = runtime_dir(err);

	if (r < 0)
		return r;
	fd = open(MARK, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd >= 0 ? 0 : fail(err, -errno, .what = "cannot create", .value = MARK);
}

int kexec_load(const struct kernel *k, const char *cmdline, struct err *err)
{
	_cleanup_close_ int image = open(k->image, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int initrd = open(k->initrd, O_RDONLY | O_CLOEXEC);

	if (image < 0 || initrd < 0)
		return fail(err, -errno, .what = "cannot open",
			    .value = image < 0 ? k->image : k->initrd, .why = strerror(errno));
	if (kexec_mark(err) < 0)
		return -EIO;
	if (syscall(SYS_kexec_file_load, image, initrd, strlen(cmdline) + 1, cmdline, 0UL) < 0)
		return kexec_load_failed(k, errno, err);
	return 0;
}

void kexec_unload(void)
{
	syscall(SYS_kexec_file_load, -1, -1, 0UL, NULL, (unsigned long)KEXEC_FILE_UNLOAD);
	unlink(MARK);
}

bool kexec_left(void)
{
	_cleanup_free_ char *loaded = read_text("/sys/kernel/kexec_loaded", 16);

	return access(MARK, F_OK) == 0 && loaded && !streq(loaded, "0");
}

/* With systemd the kexec happens at the end of the shutdown, after the command has exited. */
bool kexec_under_way(void)
{
	char state[32] = "";
	FILE *f;

	if (access("/run/systemd/system", F_OK) < 0)
		return false;
	f = popen("systemctl is-system-running 2>/dev/null", "re");
	if (!f)
		return false;
	if (!fgets(state, sizeof(state), f))
		*state = '\0';
	pclose(f);
	return startswith(state, "stopping");
}

static int systemctl_kexec(struct err *err)
{
	static char *const argv[] = { "systemctl", "kexec", NULL };
	int status = 0;
	pid_t pid;
	int r = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);

	if (r == 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	    WEXITSTATUS(status) == 0)
		return 0;
	return fail(err, -EIO, .what = "cannot jump", .value = "systemctl kexec",
		    .why = r ? strerror(r) : fmt("it exited with status %d", WEXITSTATUS(status)));
}

int kexec_jump(struct err *err)
{
	sync();
	if (access("/run/systemd/system", F_OK) == 0)
		return systemctl_kexec(err);
	reboot(LINUX_REBOOT_CMD_KEXEC);
	return fail(err, -errno, .what = "cannot jump", .value = "reboot(KEXEC)",
		    .why = strerror(errno));
}
