// SPDX-License-Identifier: GPL-2.0-only
/*
 * ctl format [force] | status | wait-clean | devices | STEP VM [FILE...] - the
 * netlink family for scripts. STEP: pin save claim unclaim unpin release state,
 * and "seal VM [MANIFEST [RAM]]" with the XXH3-128 of these files as digests: of a
 * manifest it is what cpr-helper seals. "digests VM" prints both, or "-". "room VM"
 * prints the room of a VM, "room VM MIBM NAMES" sets it.
 * devices: lines of VM ADDRESS HOLD EXTENTS BYTES REASON, and " @ADDRESS" if it was found
 * elsewhere. "give-up [ADDRESS]" gives a quarantined device to the host. "crowd N" seals N
 * VMs crowd-0, crowd-1 and so on, with no memory.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cpr.h"

static const struct {
	const char *name;
	int cmd;
} steps[] = {
	{ "pin", CPR_CMD_VM_PIN },
	{ "save", CPR_CMD_VM_SAVE },
	{ "claim", CPR_CMD_VM_CLAIM },
	{ "unclaim", CPR_CMD_VM_UNCLAIM },
	{ "unpin", CPR_CMD_VM_UNPIN },
	{ "release", CPR_CMD_VM_RELEASE },
};

static int report(int err)
{
	if (err)
		printf("%s: %s\n", strerror(-err), nl_said());
	return !!err;
}

static int format(int force)
{
	struct region r;
	int err = nl_region(&r);

	return report(err ? err : nl_format(r.start, r.size, "test", force));
}

static int status(void)
{
	struct region r;
	int err = nl_region(&r);

	if (err)
		return report(err);
	printf("formatted=%d mounted=%d label=%s frames=%u clean=%u dirty=%u busy=%u bad=%u bad-pages=%llu generation=%llu\n",
	       r.formatted, r.mounted, r.label, r.frames, r.clean, r.dirty, r.busy, r.bad,
	       (unsigned long long)r.bad_pages, (unsigned long long)r.generation);
	return 0;
}

/* NULL if there is no @file; the program ends if it cannot be read. */
static const void *digest_of(const char *file, XXH128_canonical_t *digest)
{
	static char text[8 << 20];
	FILE *f;

	if (!file)
		return NULL;
	f = fopen(file, "r");
	if (!f)
		err(1, "%s", file);
	XXH128_canonicalFromHash(digest, XXH3_128bits(text, fread(text, 1, sizeof(text), f)));
	fclose(f);
	return digest->digest;
}

static int seal(const char *vm, const char *manifest, const char *ram)
{
	XXH128_canonical_t m, r;

	return report(nl_step_with(CPR_CMD_VM_SEAL, vm, digest_of(manifest, &m),
				   digest_of(ram, &r), sizeof(m)));
}

static void print_digest(int has, const unsigned char *digest)
{
	for (int i = 0; has && i < CPR_DIGEST_LEN; i++)
		printf("%02x", digest[i]);
	printf(has ? "\n" : "-\n");
}

static int digests(const char *vm)
{
	struct digests d;
	int error = nl_digests(vm, 0, &d);

	if (error)
		return report(error);
	print_digest(d.has_manifest, d.manifest);
	print_digest(d.has_ram, d.ram);
	return 0;
}

static int room(const char *vm, const char *mib, const char *names)
{
	struct room r;
	int error;

	if (mib && names)
		return report(nl_room(vm, strtoull(mib, NULL, 10) << 20, atoi(names)));
	error = nl_room_of(vm, &r);
	if (error)
		return report(error);
	printf("%llu frames and %u names, %llu and %u used\n", (unsigned long long)(r.bytes / FRAME),
	       r.names, (unsigned long long)(r.used_bytes / FRAME), r.used_names);
	return 0;
}

static void print_device(const struct device *d)
{
	static const char *const holds[] = {
		"none", "held", "missing", "changed", "quarantined", "busy", "failed",
		"released",
	};

	printf("%s %s %s %u %llu %s%s%s\n", d->vm, d->address, holds[d->hold], d->extents,
	       (unsigned long long)d->bytes, d->reason, d->found ? " @" : "",
	       d->found ? d->found : "");
}

static int crowd(int n)
{
	static const int cmds[] = { CPR_CMD_VM_PIN, CPR_CMD_VM_SAVE, CPR_CMD_VM_SEAL };
	char dir[64];
	int error = 0;

	for (int i = 0; i < n && !error; i++) {
		snprintf(dir, sizeof(dir), "/run/cpr/crowd-%d", i);
		if (mkdir(dir, 0700))
			err(1, "%s", dir);
		for (size_t k = 0; k < sizeof(cmds) / sizeof(*cmds) && !error; k++)
			error = nl_step(cmds[k], strrchr(dir, '/') + 1, NULL);
	}
	return report(error);
}

int main(int argc, char **argv)
{
	static const char *const states[] = {
		"defined", "running", "saved", "sealed", "held", "restoring", "lost",
	};
	int state;

	if (argc > 1 && !strcmp(argv[1], "format"))
		return format(argc > 2);
	if (argc > 1 && !strcmp(argv[1], "status"))
		return status();
	if (argc > 1 && !strcmp(argv[1], "wait-clean")) {
		wait_clean();
		return 0;
	}
	if (argc > 1 && !strcmp(argv[1], "devices"))
		return report(nl_devices(print_device));
	if (argc > 1 && !strcmp(argv[1], "give-up"))
		return report(nl_device_release(argv[2]));
	if (argc > 2 && !strcmp(argv[1], "crowd"))
		return crowd(atoi(argv[2]));
	if (argc > 2 && !strcmp(argv[1], "seal"))
		return seal(argv[2], argv[3], argc > 4 ? argv[4] : NULL);
	if (argc > 2 && !strcmp(argv[1], "room"))
		return room(argv[2], argv[3], argc > 4 ? argv[4] : NULL);
	if (argc > 2 && !strcmp(argv[1], "digests"))
		return digests(argv[2]);
	if (argc > 2 && !strcmp(argv[1], "state")) {
		state = nl_state(argv[2], NULL, NULL);
		if (state < 0)
			return report(state);
		printf("%s\n", states[state]);
		return 0;
	}
	for (size_t i = 0; argc > 2 && i < sizeof(steps) / sizeof(*steps); i++)
		if (!strcmp(argv[1], steps[i].name))
			return report(nl_step(steps[i].cmd, argv[2],
					      (const char *const *)argv + 3));
	fprintf(stderr, "usage: see the source\n");
	return 2;
}
