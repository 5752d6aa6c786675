// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "stream/statefile.h"
#include "stream/stream.h"

/* The content of a state file that the manifest predicts. */
struct statefile_expect {
	struct stream_expect expect;
	struct ram_file *files;
	struct digest digest;
};

static void expect_free(struct statefile_expect *known)
{
	free(known->files);
}

static void expect_memory(struct statefile_expect *known, struct json_object *memory)
{
	known->expect.nfiles = json_object_array_length(memory);
	known->expect.files = known->files = xcalloc(known->expect.nfiles, sizeof(*known->files));
	for (size_t i = 0; i < known->expect.nfiles; i++) {
		struct json_object *m = json_object_array_get_idx(memory, i);
		const char *id = jstr(m, "id");

		known->files[i] = (struct ram_file){
			.id = (char *)(id ? id : ""), .size = jint(m, "size", 0),
		};
	}
}

static void expect_digest(struct statefile_expect *known, struct json_object *saved)
{
	const char *text = jstr(saved, "digest");

	if (!text)
		return;
	snprintf(known->digest.text, sizeof(known->digest.text), "%s", text);
	known->digest.size = jint(saved, "size", 0);
	known->expect.digest = &known->digest;
}

static void expect_from_manifest(struct statefile_expect *known, struct json_object *manifest,
				 bool with_digest)
{
	if (!manifest)
		return;
	known->expect.machine = jstr(manifest, "machine");
	expect_memory(known, jget(manifest, "memory"));
	if (with_digest)
		expect_digest(known, jget(manifest, "saved"));
}

static struct json_object *fault_json(const struct source_fault *fault)
{
	struct json_object *obj = json_object_new_object();

	jset_int(obj, "offset", fault->offset);
	jset_str(obj, "section", fault->section);
	jset_str(obj, "expected", fault->expected);
	jset_str(obj, "found", fault->found);
	jset_str(obj, "meaning", fault->meaning);
	return obj;
}

static struct json_object *blocks_json(const struct stream_ram *ram)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < ram->n; i++) {
		struct json_object *block = json_object_new_object();

		jset_str(block, "name", ram->v[i].name);
		jset_int(block, "size", ram->v[i].size);
		jset_bool(block, "in_place", !ram->v[i].sent);
		json_object_array_add(array, block);
	}
	return array;
}

static struct json_object *ram_json(const struct stream_ram *ram)
{
	struct json_object *obj = json_object_new_object();
	uint64_t in_place = 0;

	for (size_t i = 0; i < ram->n; i++)
		in_place += ram->v[i].sent ? 0 : ram->v[i].size;
	jset_int(obj, "bytes", ram->bytes);
	jset_int(obj, "in_place", in_place);
	jset_int(obj, "in_file", ram->bytes - in_place);
	jset_int(obj, "pages", ram->pages);
	jset_int(obj, "zero_pages", ram->zero_pages);
	jset_int(obj, "sent_again", ram->again);
	jset(obj, "blocks", blocks_json(ram));
	return obj;
}

static struct json_object *capabilities_json(const struct stream_ram *ram)
{
	struct json_object *array = json_object_new_array();

	if (ram->shared)
		json_object_array_add(array, json_object_new_string("x-ignore-shared"));
	if (ram->mapped)
		json_object_array_add(array, json_object_new_string("mapped-ram"));
	return array;
}

static void statefile_describe(struct json_object *out, const struct stream *st)
{
	jset_str(out, "machine", st->machine);
	jset_str(out, "runstate", st->runstate);
	jset_int(out, "bytes", st->src.size);
	jset_int(out, "sections", st->nsections);
	jset_int(out, "devices", st->devices);
	jset_int(out, "cpus", st->cpus);
	jset(out, "capabilities", capabilities_json(&st->ram));
	jset(out, "ram", ram_json(&st->ram));
	jset_str(out, "digest", st->proven ? st->expect->digest->text : NULL);
}

static int statefile_faulty(const struct source_fault *fault, const char *path, struct err *err)
{
	static const char *const remedies[] = {
		[FAULT_UNPROVEN] = "cpr-helper cannot check whether the file is complete; save the "
				   "guest without this",
		[FAULT_FOREIGN] = "name a state file as QEMU wrote it, such as /run/cpr/NAME/state",
		[FAULT_DAMAGED] = "do not load the file; save the guest again, if it still runs",
		[FAULT_UNREAD] = "do not load the file; save the guest again, if it still runs",
	};
	/* Most likely not a state file at all. */
	bool unlike = fault->kind == FAULT_DAMAGED && !fault->offset;
	bool refused = fault->kind == FAULT_UNPROVEN || fault->kind == FAULT_FOREIGN;

	return fail(err, -EUCLEAN, .exit = refused ? CPR_EXIT_REFUSED : CPR_EXIT_FAILED,
		    .what = "state file", .value = path,
		    .why = fmt("at byte %llu, in %s: expected %s, found %s: %s",
			       (unsigned long long)fault->offset, fault->section, fault->expected,
			       fault->found, fault->meaning),
		    .remedy = unlike ? "name a state file of QEMU; if this was one, do not load it, "
		    "and save the guest again" : remedies[fault->kind]);
}

static int statefile_unreadable(const char *path, int code, struct err *err)
{
	return fail(err, code, .exit = code == -ENOENT ? CPR_EXIT_NOTFOUND : CPR_EXIT_FAILED,
		    .what = "cannot read", .value = path,
		    .why = code == -ENOTSUP ? "it is not a regular file" : strerror(-code),
		    .remedy = code == -EACCES ? "run it with sudo" : "name a QEMU state file, "
		    "such as /run/cpr/NAME/state");
}

int statefile_check(const char *path, struct json_object *manifest, bool with_digest,
		    struct digest *digest, struct json_object *result, struct err *err)
{
	/* O_NONBLOCK: opening a FIFO must not block. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_(expect_free) struct statefile_expect known = { 0 };
	_cleanup_(stream_free) struct stream st = { 0 };
	int r;

	if (fd < 0)
		return statefile_unreadable(path, -errno, err);
	expect_from_manifest(&known, manifest, with_digest);
	known.expect.measure = digest;
	r = stream_check(&st, fd, &known.expect);
	if (st.src.fault.kind && result)
		jset(result, "fault", fault_json(&st.src.fault));
	if (st.src.fault.kind)
		return statefile_faulty(&st.src.fault, path, err);
	if (r < 0)
		return statefile_unreadable(path, r, err);
	if (digest)
		*digest = st.digest;
	if (result)
		statefile_describe(result, &st);
	return 0;
}
