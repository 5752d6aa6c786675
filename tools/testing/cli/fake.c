// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module as cpr-helper sees it, without the module: takes the place of
 * vm/genl.c, vm/cprfs.c and host/kexec.c in the program that run.sh tests with a
 * real QEMU. It keeps the rules of the states, not the memory: /run/cpr is a
 * tmpfs, and a "kexec" only turns sealed VMs into held ones.
 *
 *	$CPR_FAKE/loaded	exists: the module is loaded
 *	$CPR_FAKE/unformatted	exists: the region bears no image
 *	$CPR_FAKE/fail-CMD	exists: the operation is refused, with its text
 *	$CPR_FAKE/vm.NAME	"STATE file file ..."; absent: defined
 *	$CPR_FAKE/sealed.NAME	exists: it was sealed when it was claimed
 *	$CPR_FAKE/kexec		what kexec_load() was given
 *	$CPR_FAKE/leaving	exists: the host goes down
 *	$CPR_FAKE/log		what the module was asked to do, a line each
 *	$CPR_FAKE/devices.NAME	the addresses in a VM's snapshot
 *	$CPR_FAKE/digests.NAME	"MANIFEST RAM": 32 hexadecimal digits each, or "-"; absent:
 *				neither
 *	$CPR_FAKE/room.NAME	"BYTES NAMES": its room; absent: none
 *	$CPR_FAKE/bad.NAME	pages of the VM with memory errors
 *	$CPR_FAKE/unreadable	where a read of ram0 fails, in bytes
 *	$CPR_FAKE/hold		"HOLD REASON" of all devices
 *	$CPR_FAKE/found		where all devices are
 *	$CPR_FAKE/differences	"ADDRESS KIND IOVA LENGTH EXPECTED FOUND", a line each
 *	$CPR_FAKE/root		/sys, /proc and /dev, as far as they are about devices
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/paths.h"
#include "vm/cprfs.h"
#include "vm/genl.h"
#include "host/kexec.h"
#include "host/pci.h"

struct genl {
	int unused;
};

#define BIT(state) (1u << CPR_VM_STATE_##state)

static const struct {
	const char *name;
	unsigned int from;
	enum cpr_vm_state to;
	bool unmapped;
} moves[CPR_CMD_MAX + 1] = {
	[CPR_CMD_VM_PIN] = { "pin", BIT(DEFINED) | BIT(SAVED) | BIT(RESTORING),
			     CPR_VM_STATE_RUNNING, false },
	[CPR_CMD_VM_SAVE] = { "save", BIT(RUNNING), CPR_VM_STATE_SAVED, false },
	[CPR_CMD_VM_SEAL] = { "seal", BIT(SAVED), CPR_VM_STATE_SEALED, true },
	[CPR_CMD_VM_CLAIM] = { "claim", BIT(SEALED) | BIT(HELD), CPR_VM_STATE_RESTORING, false },
	[CPR_CMD_VM_UNCLAIM] = { "unclaim", BIT(RESTORING), CPR_VM_STATE_HELD, true },
	[CPR_CMD_VM_RELEASE] = { "release", BIT(RESTORING), CPR_VM_STATE_RESTORING, false },
	[CPR_CMD_VM_UNPIN] = { "unpin", ~0u, CPR_VM_STATE_DEFINED, true },
};

static char *fake_path(const char *a, const char *b)
{
	return xasprintf("%s/%s%s", getenv("CPR_FAKE") ?: "/nonexistent", a, b);
}

__attribute__((constructor)) static void replace_root(void)
{
	if (getenv("CPR_FAKE"))
		pci_root = fake_path("root", "");
}

static void _printf_(1, 2) log_line(const char *format, ...)
{
	_cleanup_free_ char *path = fake_path("log", "");
	FILE *f = fopen(path, "ae");
	va_list ap;

	if (!f)
		return;
	va_start(ap, format);
	vfprintf(f, format, ap);
	va_end(ap);
	fputc('\n', f);
	fclose(f);
}

/* In the place of libc's: a read ends before the page with an error, as the module has it. */
ssize_t pread(int fd, void *buf, size_t n, off_t at)
{
	_cleanup_free_ char *path = fake_path("unreadable", ""), *text = read_text(path, 32);
	_cleanup_free_ char *link = xasprintf("/proc/self/fd/%d", fd);
	off_t bad = text ? strtoll(text, NULL, 10) : -1;
	char to[4096];
	ssize_t len = text ? readlink(link, to, sizeof(to)) : -1;

	if (len > 5 && !memcmp(to + len - 5, "/ram0", 5) && at <= bad && at + (off_t)n > bad) {
		n = bad - at;
		errno = EIO;
		if (!n)
			return -1;
	}
	return syscall(SYS_pread64, fd, buf, n, at);
}

static bool exists(const char *name)
{
	_cleanup_free_ char *path = fake_path(name, "");

	return access(path, F_OK) == 0;
}

struct genl *genl_open(struct err *err)
{
	if (exists("loaded"))
		return xcalloc(1, sizeof(struct genl));
	fail(err, -ENOENT, .exit = CPR_EXIT_REFUSED, .what = "module", .value = "cpr_handover",
	     .why = "not loaded", .remedy = "modprobe cpr_handover");
	return NULL;
}

void genl_close(struct genl *genl)
{
	free(genl);
}

int genl_region(struct genl *genl, struct cpr_region *region, struct err *err)
{
	(void)genl;
	(void)err;
	*region = (struct cpr_region){
		.start = UINT64_C(4) << 30, .size = 1 << 30,
		.formatted = !exists("unformatted"), .mounted = true, .version = 1 << 16,
		.frame_size = 2 << 20, .frames = 500, .clean = 500,
	};
	return 0;
}

int genl_format(struct genl *genl, const struct cpr_region *region, const char *label, bool force,
		struct err *err)
{
	_cleanup_free_ char *path = fake_path("unformatted", "");

	(void)genl;
	(void)region;
	(void)label;
	(void)force;
	(void)err;
	unlink(path);
	return 0;
}

/* Whether some process maps a file of the directory. */
static bool mapped_by(const char *pid, const char *dir)
{
	_cleanup_free_ char *path = xasprintf("/proc/%s/maps", pid);
	FILE *f = fopen(path, "re");
	char line[4096];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, dir) != NULL;
	if (f)
		fclose(f);
	return found;
}

/* A process that maps a file of the VM, which is its QEMU; or 0. */
static pid_t mapper_of(const char *name)
{
	_cleanup_free_ char *dir = xasprintf(CPRFS_ROOT "/%s/", name);
	DIR *d = opendir("/proc");
	struct dirent *e;
	pid_t found = 0;

	while (d && !found && (e = readdir(d)))
		if (*e->d_name >= '0' && *e->d_name <= '9' && mapped_by(e->d_name, dir))
			found = atoi(e->d_name);
	if (d)
		closedir(d);
	return found;
}

static bool is_frozen_thread(pid_t pid, const char *tid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/task/%s/stat", (int)pid, tid);
	_cleanup_free_ char *text = read_text(path, 4096);
	const char *state = text ? strrchr(text, ')') : NULL;

	return state && state[2] == 't';
}

/* Whether no thread of the VM's QEMU runs. */
static bool is_frozen(const char *name)
{
	pid_t pid = mapper_of(name);
	_cleanup_free_ char *path = xasprintf("/proc/%d/task", (int)pid);
	DIR *d = pid ? opendir(path) : NULL;
	struct dirent *e;
	bool frozen = d;

	while (d && (e = readdir(d)))
		frozen &= *e->d_name == '.' || is_frozen_thread(pid, e->d_name);
	if (d)
		closedir(d);
	return frozen;
}

static void read_state(struct cpr_vm *vm)
{
	_cleanup_free_ char *path = fake_path("vm.", vm->name);
	_cleanup_free_ char *text = read_text(path, 4096);
	char *next = text, *word;
	bool first = true;

	while ((word = strsep(&next, " "))) {
		for (int i = 0; first && i <= CPR_VM_STATE_LOST; i++)
			if (streq(cpr_state_name(i), word))
				vm->state = i;
		if (!first && *word)
			strv_push(&vm->files, word);
		first = false;
	}
}

static size_t snapshot_of(const char *name, struct strv *devices)
{
	_cleanup_free_ char *path = fake_path("devices.", name);
	_cleanup_free_ char *text = read_text(path, 4096);
	char *next = text, *word;

	while ((word = strsep(&next, " ")))
		strv_push(devices, word);
	return devices->n;
}

static void read_snapshot(struct cpr_vm *vm)
{
	_cleanup_strv_ struct strv devices = { 0 };
	uint32_t n = snapshot_of(vm->name, &devices);

	vm->dma = (struct cpr_dma){ n, n, n * FRAME_SIZE };
}

static bool read_digest(const char *hex, uint8_t *digest)
{
	for (size_t i = 0; i < CPR_DIGEST_LEN; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &digest[i]) != 1)
			return false;
	return true;
}

static void read_digests(struct cpr_vm *vm)
{
	_cleanup_free_ char *path = fake_path("digests.", vm->name);
	_cleanup_free_ char *text = read_text(path, 256);
	char manifest[40] = "-", ram[40] = "-";

	if (text)
		sscanf(text, "%39s %39s", manifest, ram);
	vm->digests.has_manifest = read_digest(manifest, vm->digests.manifest);
	vm->digests.has_ram = read_digest(ram, vm->digests.ram);
}

static void read_room(struct cpr_vm *vm)
{
	_cleanup_free_ char *path = fake_path("room.", vm->name), *text = read_text(path, 64);
	unsigned long long bytes = 0;

	vm->used = (struct cpr_room){ .bytes = vm->memory, .names = vm->files.n };
	if (text)
		sscanf(text, "%llu %u", &bytes, &vm->room.names);
	vm->room.bytes = bytes;
}

static void print_digest(FILE *f, bool has, const uint8_t *digest)
{
	for (size_t i = 0; has && i < CPR_DIGEST_LEN; i++)
		fprintf(f, "%02x", digest[i]);
	fputs(has ? " " : "- ", f);
}

/* All of it or nothing, as the module does: tests kill programs that are at it. */
static int write_digests(const struct cpr_vm *vm)
{
	_cleanup_free_ char *path = fake_path("digests.", vm->name);
	_cleanup_free_ char *next = fake_path("next-digests.", vm->name);
	FILE *f;

	if (!vm->digests.has_manifest && !vm->digests.has_ram)
		return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
	f = fopen(next, "we");
	if (!f)
		return -errno;
	print_digest(f, vm->digests.has_manifest, vm->digests.manifest);
	print_digest(f, vm->digests.has_ram, vm->digests.ram);
	fclose(f);
	return rename(next, path) < 0 ? -errno : 0;
}

static int write_state(const struct cpr_vm *vm)
{
	_cleanup_free_ char *path = fake_path("vm.", vm->name), *next = fake_path("next.", vm->name);
	FILE *f;

	if (vm->state == CPR_VM_STATE_DEFINED)
		return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
	f = fopen(next, "we");
	if (!f)
		return -errno;
	fputs(cpr_state_name(vm->state), f);
	for (size_t i = 0; i < vm->files.n; i++)
		fprintf(f, " %s", vm->files.v[i]);
	fclose(f);
	return rename(next, path) < 0 ? -errno : 0;
}

int genl_vm(struct genl *genl, const char *name, struct cpr_vm *vm, struct err *err)
{
	_cleanup_free_ char *dir = vm_path(name, NULL), *bad = NULL, *text = NULL;

	(void)genl;
	*vm = (struct cpr_vm){ .since = time(NULL) };
	snprintf(vm->name, sizeof(vm->name), "%s", name);
	if (access(dir, F_OK) < 0)
		return fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "VM", .value = name,
			    .why = "kernel: there is no such VM",
			    .remedy = "'cpr-helper list' lists the VMs");
	read_state(vm);
	for (size_t i = 0; i < vm->files.n; i++) {
		_cleanup_free_ char *path = vm_path(name, vm->files.v[i]);
		struct stat st;

		if (stat(path, &st) == 0)
			vm->memory += st.st_size;
	}
	vm->mapped = mapper_of(name);
	read_snapshot(vm);
	read_digests(vm);
	read_room(vm);
	bad = fake_path("bad.", name);
	text = read_text(bad, 32);
	vm->bad_pages = text ? strtoull(text, NULL, 10) : 0;
	return 0;
}

int genl_vms(struct genl *genl, struct cpr_vms *vms, struct err *err)
{
	struct dirent **list;
	int n = scandir(CPRFS_ROOT, &list, NULL, alphasort);

	*vms = (struct cpr_vms){ 0 };
	for (int i = 0; i < n; i++) {
		if (*list[i]->d_name != '.') {
			vms->v = xrealloc(vms->v, vms->n + 1, sizeof(*vms->v));
			genl_vm(genl, list[i]->d_name, &vms->v[vms->n++], err);
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return 0;
}

static int refused(const char *cmd, const char *name, struct err *err)
{
	_cleanup_free_ char *path = fake_path("fail-", cmd);
	_cleanup_free_ char *text = read_text(path, 256);

	if (!text)
		return 0;
	return fail(err, -EIO, .what = "VM", .value = name, .why = fmt("kernel: %s", text));
}

static void forget_devices(const char *name)
{
	_cleanup_free_ char *path = fake_path("devices.", name);

	unlink(path);
}

/* A VM that was sealed under this kernel is so again after an unclaim. */
static void note_origin(const struct cpr_vm *vm)
{
	_cleanup_free_ char *path = fake_path("sealed.", vm->name);

	if (vm->state == CPR_VM_STATE_SEALED)
		close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	else
		unlink(path);
}

static enum cpr_vm_state origin(const char *name)
{
	_cleanup_free_ char *path = fake_path("sealed.", name);

	return access(path, F_OK) == 0 ? CPR_VM_STATE_SEALED : CPR_VM_STATE_HELD;
}

/* The VM after the step, which is not yet written down. */
static int take_step(struct genl *genl, int cmd, const char *name, bool revoke, struct cpr_vm *vm,
		     struct err *err)
{
	int r = refused(moves[cmd].name, name, err);

	if (r == 0)
		r = genl_vm(genl, name, vm, err);
	if (r < 0)
		return r;
	if (!(moves[cmd].from & 1u << vm->state))
		return fail(err, -EINVAL, .what = "VM", .value = name,
			    .why = fmt("kernel: cannot %s a VM that is %s", moves[cmd].name,
				       cpr_state_name(vm->state)));
	if (moves[cmd].unmapped && vm->mapped && !revoke)
		return fail(err, -EBUSY, .exit = CPR_EXIT_BUSY, .what = "VM", .value = name,
			    .why = "kernel: its memory is mapped");
	if (cmd == CPR_CMD_VM_CLAIM)
		note_origin(vm);
	vm->state = cmd == CPR_CMD_VM_UNCLAIM ? origin(name) : moves[cmd].to;
	if (vm->state == CPR_VM_STATE_DEFINED || vm->state == CPR_VM_STATE_RUNNING)
		vm->digests = (struct vm_digests){ 0 };
	log_line("%s %s%s", moves[cmd].name, name, revoke ? " revoke" : "");
	return 0;
}

static int write_vm(const struct cpr_vm *vm)
{
	int r = write_digests(vm);

	return r < 0 ? r : write_state(vm);
}

int genl_vm_do(struct genl *genl, int cmd, const char *name, const struct strv *files,
	       struct err *err)
{
	_cleanup_vm_info_ struct cpr_vm vm = { 0 };
	int r = take_step(genl, cmd, name, false, &vm, err);

	if (r < 0)
		return r;
	if (vm.state == CPR_VM_STATE_DEFINED ||
	    (vm.state == CPR_VM_STATE_RUNNING && cmd == CPR_CMD_VM_PIN))
		forget_devices(name);
	for (size_t i = 0; files && i < files->n; i++)
		strv_push(&vm.files, files->v[i]);
	return write_vm(&vm);
}

int genl_vm_room(struct genl *genl, const char *name, const struct cpr_room *room,
		 struct err *err)
{
	_cleanup_free_ char *path = fake_path("room.", name);
	_cleanup_vm_info_ struct cpr_vm vm = { 0 };
	int r = refused("room", name, err);
	FILE *f;

	if (r == 0)
		r = genl_vm(genl, name, &vm, err);
	if (r < 0)
		return r;
	if (!room->names)
		return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
	f = fopen(path, "we");
	if (!f)
		return -errno;
	fprintf(f, "%llu %u", (unsigned long long)room->bytes, room->names);
	fclose(f);
	return 0;
}

int genl_vm_unpin(struct genl *genl, const char *name, bool revoke, struct err *err)
{
	_cleanup_vm_info_ struct cpr_vm vm = { 0 };
	int r = take_step(genl, CPR_CMD_VM_UNPIN, name, revoke, &vm, err);

	if (r < 0)
		return r;
	forget_devices(name);
	return write_vm(&vm);
}

int genl_vm_seal(struct genl *genl, int cmd, const char *name, const struct vm_digests *digests,
		 bool revoke, struct err *err)
{
	_cleanup_vm_info_ struct cpr_vm vm = { 0 };
	int r = take_step(genl, cmd, name, revoke, &vm, err);

	if (r < 0)
		return r;
	if (digests->has_manifest)
		memcpy(vm.digests.manifest, digests->manifest, CPR_DIGEST_LEN);
	if (digests->has_ram)
		memcpy(vm.digests.ram, digests->ram, CPR_DIGEST_LEN);
	vm.digests.has_manifest |= digests->has_manifest;
	vm.digests.has_ram |= digests->has_ram;
	return write_vm(&vm);
}

/* One mapping for each device; what is not told of them a test does not need. */
int genl_snapshot(struct genl *genl, const char *name, const struct strv *devices,
		  const struct cpr_scan *scan, struct cpr_dma *dma, struct err *err)
{
	_cleanup_free_ char *path = fake_path("devices.", name);
	_cleanup_free_ char *list = strv_join(devices, " ");
	int r = refused("snapshot", name, err);
	FILE *f;

	(void)genl;
	log_line("snapshot %s %s files %zu%s%s", name, list, scan->nfds, scan->full ? " full" : "",
		 is_frozen(name) ? " frozen" : "");
	if (exists("halt-snapshot"))
		raise(SIGSTOP);
	if (r < 0)
		return r;
	f = fopen(path, "we");
	if (!f)
		return -errno;
	fputs(list, f);
	fclose(f);
	*dma = (struct cpr_dma){ devices->n, devices->n, devices->n * FRAME_SIZE };
	return 0;
}

static void add_difference(struct cpr_verdict *verdict, const char *line)
{
	struct cpr_difference d = { .led = true };

	if (sscanf(line, "%15s %u %li %li %li %li", d.device, &d.kind, &d.iova, &d.length,
		   &d.expected, &d.found) < 5)
		return;
	d.leads = d.found;
	verdict->v = xrealloc(verdict->v, verdict->n + 1, sizeof(*verdict->v));
	verdict->v[verdict->n++] = d;
	verdict->differences++;
}

int genl_verify(struct genl *genl, const char *name, const struct cpr_scan *scan,
		struct cpr_verdict *verdict, struct err *err)
{
	_cleanup_free_ char *path = fake_path("differences", "");
	_cleanup_free_ char *text = read_text(path, 4096);
	_cleanup_strv_ struct strv devices = { 0 };
	size_t n = snapshot_of(name, &devices);
	char *next = text, *line;

	(void)genl;
	log_line("verify%s %s files %zu%s%s", scan->length ? "-part" : "", name, scan->nfds,
		 scan->full ? " full" : "", is_frozen(name) ? " frozen" : "");
	/* Two parts; the second one begins where it is asked to. */
	if (scan->length) {
		*verdict = (struct cpr_verdict){ .next = scan->start ? 0 : scan->length };
		verdict->differences = exists("differing-part");
		return refused("verify-part", name, err);
	}
	if (exists("halt-verify"))
		raise(SIGSTOP);
	*verdict = (struct cpr_verdict){ .dma = { n, n, n * FRAME_SIZE } };
	while ((line = strsep(&next, "\n")))
		add_difference(verdict, line);
	return refused("verify", name, err);
}

/* Held under the next kernel, unless $CPR_FAKE/hold says otherwise: "HOLD REASON". */
static void read_hold(struct cpr_device *device, enum cpr_vm_state state)
{
	_cleanup_free_ char *path = fake_path("hold", "");
	_cleanup_free_ char *text = read_text(path, 256);
	char *space = text ? strchr(text, ' ') : NULL;

	if (state == CPR_VM_STATE_HELD)
		device->hold = CPR_DEVICE_HOLD_HELD;
	if (!space)
		return;
	*space = '\0';
	snprintf(device->reason, sizeof(device->reason), "%s", space + 1);
	for (int i = 0; i <= CPR_DEVICE_HOLD_RELEASED; i++)
		if (streq(cpr_hold_name(i), text))
			device->hold = i;
}

static void read_found(struct cpr_device *device)
{
	_cleanup_free_ char *path = fake_path("found", "");
	_cleanup_free_ char *text = read_text(path, 32);

	if (text)
		snprintf(device->found, sizeof(device->found), "%s", text);
}

static void add_devices(const struct cpr_vm *vm, struct cpr_devices *out)
{
	_cleanup_strv_ struct strv addresses = { 0 };
	size_t n = snapshot_of(vm->name, &addresses);

	if (!n)
		return;
	out->v = xrealloc(out->v, out->n + n, sizeof(*out->v));
	for (size_t i = 0; i < n; i++) {
		struct cpr_device *device = &out->v[out->n++];

		*device = (struct cpr_device){ .vendor = 0x10d38086, .extents = 1,
					       .bytes = FRAME_SIZE };
		snprintf(device->vm, sizeof(device->vm), "%s", vm->name);
		snprintf(device->address, sizeof(device->address), "%s", addresses.v[i]);
		strv_push(&device->group, addresses.v[i]);
		read_hold(device, vm->state);
		read_found(device);
	}
}

int genl_devices(struct genl *genl, const char *vm, struct cpr_devices *devices, struct err *err)
{
	_cleanup_vms_ struct cpr_vms vms = { 0 };
	int r = genl_vms(genl, &vms, err);

	*devices = (struct cpr_devices){ 0 };
	for (size_t i = 0; r == 0 && i < vms.n; i++)
		if (!vm || streq(vm, vms.v[i].name))
			add_devices(&vms.v[i], devices);
	return r;
}

int genl_device_release(struct genl *genl, const char *address, struct err *err)
{
	_cleanup_free_ char *path = fake_path("hold", "");
	int r = refused("device-release", address, err);
	FILE *f;

	(void)genl;
	log_line("device-release %s", address);
	if (r < 0)
		return r;
	f = fopen(path, "we");
	if (!f)
		return -errno;
	fputs("released an operator has given it to the host", f);
	fclose(f);
	return 0;
}

bool cprfs_mounted(void)
{
	return true;
}

int cprfs_mount(struct err *err)
{
	(void)err;
	return 0;
}

int kexec_allowed(struct err *err)
{
	(void)err;
	return 0;
}

int kexec_load(const struct kernel *k, const char *cmdline, struct err *err)
{
	_cleanup_free_ char *path = fake_path("kexec", "");
	FILE *f = fopen(path, "we");

	if (!f)
		return fail(err, -errno, .what = "cannot load kernel", .value = k->image);
	fprintf(f, "%s %s %s\n", k->image, k->initrd, cmdline);
	fclose(f);
	return 0;
}

void kexec_unload(void)
{
	_cleanup_free_ char *path = fake_path("kexec", "");

	unlink(path);
}

bool kexec_left(void)
{
	return exists("kexec");
}

bool kexec_under_way(void)
{
	return exists("leaving");
}

/* The next kernel: what was sealed is held, what ran is lost. */
int kexec_jump(struct err *err)
{
	_cleanup_vms_ struct cpr_vms vms = { 0 };
	int r = refused("jump", NULL, err);

	if (r < 0)
		return r;
	genl_vms(NULL, &vms, NULL);
	for (size_t i = 0; i < vms.n; i++) {
		struct cpr_vm *vm = &vms.v[i];

		if (vm->state == CPR_VM_STATE_SEALED)
			vm->state = CPR_VM_STATE_HELD;
		else if (vm->state != CPR_VM_STATE_DEFINED && vm->state != CPR_VM_STATE_HELD)
			vm->state = CPR_VM_STATE_LOST;
		write_state(vm);
	}
	return 0;
}
