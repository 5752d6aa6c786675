// SPDX-License-Identifier: GPL-2.0-only
/* A manifest is read as it was written, and a damaged one is refused. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "ktap.h"
#include "base/digest.h"
#include "vm/manifest.h"

static char dir[] = "/tmp/cpr-manifest-XXXXXX";

#define GOOD "{\"version\":1,\"name\":\"a\",\"binary\":\"/b\",\"machine\":\"m\",\"cwd\":\"/\"," \
	"\"argv\":[\"-M\",\"q35\"],\"memory\":[{\"file\":\"ram0\",\"id\":\"x\",\"size\":2097152}]}"

#define SAVED "\"digest\":\"x\",\"runstate\":\"running\",\"size\":1,"

/* The first: the others write there. */
TEST(a_directory)
{
	CHECK(mkdtemp(dir));
}

static void put(const char *name, const char *text, size_t len)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0 && write_all(fd, text, len) == 0);
}

TEST(written_and_read)
{
	_cleanup_json_ struct json_object *m = json_tokener_parse(GOOD), *back = NULL;
	_cleanup_strv_ struct strv argv = { 0 }, files = { 0 };
	_cleanup_err_ struct err err = { 0 };
	struct stat st;

	CHECK_EQ(manifest_write(dir, m, &err), 0);
	CHECK_EQ(manifest_read(dir, &back, &err), 0);
	CHECK(json_object_equal(m, back));
	manifest_argv(back, &argv);
	manifest_files(back, &files);
	CHECK(argv.n == 2 && streq(argv.v[1], "q35"));
	CHECK(files.n == 1 && streq(files.v[0], "ram0"));
	CHECK(stat(fmt("%s/manifest.json", dir), &st) == 0 && (st.st_mode & 0777) == 0600);
	CHECK(access(fmt("%s/manifest.json.new", dir), F_OK) < 0);
}

/* It says what root executes. */
TEST(one_that_others_can_change_is_refused)
{
	_cleanup_free_ char *file = xasprintf("%s/" MANIFEST_FILE, dir);
	const struct { const char *path; mode_t mode, private; } cases[] = {
		{ file, 0620, 0600 }, { file, 0602, 0600 }, { dir, 0730, 0700 }, { dir, 0703, 0700 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *m = NULL;
		_cleanup_err_ struct err err = { 0 };

		CHECK(!chmod(cases[i].path, cases[i].mode));
		CHECK_EQ(manifest_read(dir, &m, &err), -EPERM);
		CHECK_EQ(err.exit, CPR_EXIT_REFUSED);
		CHECK(!chmod(cases[i].path, cases[i].private));
		CHECK_EQ(manifest_read(dir, &m, NULL), 0);
	}
}

/* Who was in the directory before may have left it behind. */
TEST(a_file_that_is_in_the_way_is_not_written_to)
{
	_cleanup_free_ char *next = xasprintf("%s/" MANIFEST_FILE ".new", dir);
	_cleanup_free_ char *other = xasprintf("%s/other", dir);
	_cleanup_json_ struct json_object *m = NULL;
	struct stat st;

	CHECK_EQ(manifest_read(dir, &m, NULL), 0);
	put("other", "", 0);
	CHECK(!symlink(other, next));
	CHECK_EQ(manifest_write(dir, m, NULL), 0);
	CHECK(!stat(other, &st) && st.st_size == 0);
	CHECK(!unlink(other));
}

TEST(the_agent_is_found_from_any_directory)
{
	static const struct { const char *manifest, *path; } agents[] = {
		{ "{\"cwd\":\"/srv\",\"agent\":\"a.qga\"}", "/srv/a.qga" },
		{ "{\"cwd\":\"/srv\",\"agent\":\"../run/a.qga\"}", "/srv/../run/a.qga" },
		{ "{\"cwd\":\"/srv\",\"agent\":\"/run/a.qga\"}", "/run/a.qga" },
		{ "{\"cwd\":\"/srv\"}", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(agents); i++) {
		_cleanup_json_ struct json_object *m = json_tokener_parse(agents[i].manifest);
		_cleanup_free_ char *path = manifest_agent(m);

		CHECK(!path == !agents[i].path);
		if (path && agents[i].path)
			CHECK_STR(path, agents[i].path);
	}
}

/* Each takes a good manifest and breaks it in one place. */
static const struct { const char *from, *to; } damages[] = {
	{ "\"version\":1", "\"version\":2" },
	{ "\"version\":1,", "" },
	{ "\"name\":\"a\"", "\"name\":5" },
	{ "\"binary\":\"/b\",", "" },
	{ "\"machine\":\"m\"", "\"machine\":null" },
	{ "\"cwd\":\"/\",", "" },
	{ "[\"-M\",\"q35\"]", "\"-M q35\"" },
	{ "[\"-M\",\"q35\"]", "[\"-M\",5]" },
	{ "\"file\":\"ram0\"", "\"file\":\"../ram0\"" },
	{ "\"file\":\"ram0\"", "\"file\":\"..\"" },
	{ "\"file\":\"ram0\",", "" },
	{ "2097152", "-1" },
	{ "2097152", "\"2M\"" },
	{ "[{\"file\":\"ram0\",\"id\":\"x\",\"size\":2097152}]", "[]" },
	{ "}]}", "}],\"saved\":{}}" },
	{ "}]}", "}],\"saved\":{\"digest\":\"x\",\"runstate\":\"running\"}}" },
	{ "}]}", "}],\"saved\":{" SAVED "\"disks\":{}}}" },
	{ "}]}", "}],\"saved\":{" SAVED "\"disks\":[[]]}}" },
	{ "}]}", "}],\"saved\":{" SAVED "\"disks\":[{\"path\":\"/x\",\"kind\":\"file\"}]}}" },
	{ "}]}", "}],\"saved\":{" SAVED "\"disks\":[{\"name\":\"x\"}]}}" },
	{ "}]}", "}],\"saved\":{" SAVED "\"disks\":[{\"name\":\"x\",\"path\":\"x\",\"kind\":\"file\"}]}}" },
	{ "}]}", "}],\"saved\":{" SAVED "\"disks\":[{\"name\":\"x\",\"path\":\"/x\"}]}}" },
	{ "}]}", "}],\"saved\":{" SAVED "\"disks\":[{\"name\":\"x\",\"unchecked\":1}]}}" },
	{ "}]}", "}],\"disks\":{}}" },
	{ "}]}", "}],\"disks\":[5]}" },
	{ "}]}", "}],\"unchecked\":[\"x\"]}" },
	{ "}]}", "}],\"saved\":{\"digest\":\"x\",\"runstate\":\"running\",\"size\":1,\"qemu\":1}}" },
	{ "}]}", "}],\"ram_mode\":\"copy\"}" },
	{ "}]}", "}],\"target\":5}" },
	{ "}]}", "}],\"target\":{}}" },
	{ "}]}", "}],\"target\":{\"file\":\"state\"}}" },
	{ "}]}", "}],\"target\":{\"uri\":\"exec:x\"}}" },
	{ "}]}", "}],\"target\":{\"uri\":\"x\",\"restore_uri\":\"exec:y\"}}" },
	{ "}]}", "}],\"target\":{\"uri\":\"exec:x\",\"restore_uri\":\"\"}}" },
	{ "}]}", "}],\"target\":{\"file\":\"/x\"},\"saved\":{\"runstate\":\"running\"}}" },
	{ "}]}", "}],\"target\":{\"uri\":\"exec:x\",\"restore_uri\":\"exec:y\"},\"saved\":{}}" },
	{ "}]}", "}],\"devices\":{}}" },
	{ "}]}", "}],\"devices\":[{\"driver\":\"e1000e\"}]}" },
	{ "}]}", "}],\"devices\":[{\"address\":\"41:00.0\"}]}" },
	{ "}]}", "}],\"devices\":[{\"address\":\"0000:41:00.0\",\"driver\":\"../x\"}]}" },
	{ "}]}", "}]" },
	{ GOOD, "[]" },
	{ GOOD, "" },
	{ GOOD, "null" },
};

TEST(damaged)
{
	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		_cleanup_json_ struct json_object *m = NULL;
		_cleanup_err_ struct err err = { 0 };
		_cleanup_free_ char *text = NULL;
		const char *at = strstr(GOOD, damages[i].from);

		CHECK_MSG(at, "nothing to break: '%s'", damages[i].from);
		if (!at)
			continue;
		text = xasprintf("%.*s%s%s", (int)(at - GOOD), GOOD, damages[i].to,
				 at + strlen(damages[i].from));
		put("manifest.json", text, strlen(text));
		CHECK_MSG(manifest_read(dir, &m, &err) == -EINVAL && !m, "accepted: %s", text);
		CHECK(err.why);
	}
}

/* Without memory files, and without a digest of what a command took. */
TEST(copy_mode)
{
	_cleanup_json_ struct json_object *m = json_tokener_parse(GOOD);
	_cleanup_err_ struct err err = { 0 };

	jset_str(m, "ram_mode", RAM_MODE_COPY);
	jset(m, "memory", json_object_new_array());
	CHECK_EQ(manifest_check(m, &err), 0);
	jset(m, "target", json_tokener_parse("{\"uri\":\"exec:x\",\"restore_uri\":\"exec:y\"}"));
	jset(m, "saved", json_tokener_parse("{\"runstate\":\"running\"}"));
	CHECK_EQ(manifest_check(m, &err), 0);
}

TEST(missing)
{
	_cleanup_json_ struct json_object *m = NULL;
	_cleanup_err_ struct err err = { 0 };

	CHECK_EQ(manifest_read("/nonexistent", &m, &err), -ENOENT);
	CHECK(err.set);
}

/* A directory that cannot be written to keeps the manifest that it has. */
TEST(not_writable)
{
	_cleanup_json_ struct json_object *m = json_tokener_parse(GOOD), *back = NULL;
	_cleanup_err_ struct err err = { 0 };

	put("manifest.json", GOOD, strlen(GOOD));
	CHECK(mkdir(fmt("%s/manifest.json.new", dir), 0700) == 0);
	jset_str(m, "name", "b");
	CHECK(manifest_write(dir, m, &err) < 0);
	CHECK(err.set);
	CHECK_EQ(manifest_read(dir, &back, NULL), 0);
	CHECK_STR(jstr(back, "name"), "a");
	rmdir(fmt("%s/manifest.json.new", dir));
}

/* Values of the reference implementation (xxhsum -H2). */
TEST(digest)
{
	_cleanup_free_ char *path = xasprintf("%s/data", dir);
	_cleanup_free_ char *big = xcalloc(3, MIB);
	struct digest d, other;

	put("data", "", 0);
	CHECK_EQ(digest_file(path, &d, NULL), 0);
	CHECK_STR(d.text, "xxh3-128:99aa06d3014798d86001c324468d497f");
	CHECK_EQ(d.size, 0);
	put("data", "abc", 3);
	CHECK_EQ(digest_file(path, &d, NULL), 0);
	CHECK_STR(d.text, "xxh3-128:06b05ab6733a618578af5f94892f3950");
	CHECK_EQ(d.size, 3);
	put("data", big, 3 * MIB - 1);
	CHECK_EQ(digest_file(path, &d, NULL), 0);
	CHECK_EQ(d.size, 3 * MIB - 1);
	big[2 * MIB + 5] ^= 1;
	put("data", big, 3 * MIB - 1);
	CHECK_EQ(digest_file(path, &other, NULL), 0);
	CHECK(!streq(d.text, other.text));
	CHECK(digest_file("/nonexistent", &d, NULL) == -ENOENT);
}

TEST(nothing_is_left_behind)
{
	unlink(fmt("%s/data", dir));
	unlink(fmt("%s/manifest.json", dir));
	CHECK(rmdir(dir) == 0);
}

int main(void)
{
	return ktap_run();
}
