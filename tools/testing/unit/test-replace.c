// SPDX-License-Identifier: GPL-2.0-only
/* A restore replaces the paths that it has to, no others, and never the guest's memory. */
#define _GNU_SOURCE
#include <errno.h>

#include "ktap.h"
#include "handover/replace.h"

static struct json_object *manifest(const char *argument)
{
	struct json_object *m = json_object_new_object(), *argv = json_object_new_array();
	struct json_object *saved = json_object_new_object(), *disks = json_object_new_array();
	struct json_object *disk = json_object_new_object();

	jset_str(m, "cwd", "/old");
	json_object_array_add(argv, json_object_new_string("-drive"));
	json_object_array_add(argv, json_object_new_string(argument));
	jset(m, "argv", argv);
	jset_str(disk, "path", "/old/disk");
	json_object_array_add(disks, disk);
	jset(saved, "disks", disks);
	jset(m, "saved", saved);
	return m;
}

static const char *argument(struct json_object *m)
{
	return json_object_get_string(json_object_array_get_idx(jget(m, "argv"), 1));
}

TEST(whole_paths)
{
	static const struct { const char *paths, *is, *becomes; } cases[] = {
		{ "/old=/new", "/old", "/new" },
		{ "/old=/new", "file=/old/disk,x=/old", "file=/new/disk,x=/new" },
		{ "/old=/new/old", "file=/old/old/disk", "file=/new/old/old/disk" },
		{ "/old=/new", "file=/older/disk", "file=/older/disk" },
		{ "/old=/new", "file=/very/old/disk", "file=/very/old/disk" },
		{ "/old=/new", "{\"filename\":\"/old/disk\"}", "{\"filename\":\"/new/disk\"}" },
		{ "/old/disk=/a,/old=/b", "file=/old/disk,log=/old/log", "file=/a,log=/b/log" },
		{ "/old=/new", "unix:/old/s,server=on", "unix:/new/s,server=on" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct replace replace = { .paths = cases[i].paths };
		struct vm vm = { .name = "a", .manifest = manifest(cases[i].is) };

		CHECK_EQ(replace_check(cases[i].paths, NULL), 0);
		CHECK_EQ(replace_apply(&vm, &replace, NULL), 0);
		CHECK(replace_changed(&replace));
		CHECK_STR(argument(vm.manifest), cases[i].becomes);
		replace_undo(&vm, &replace);
		CHECK_STR(argument(vm.manifest), cases[i].is);
		CHECK_STR(jstr(vm.manifest, "cwd"), "/old");
		CHECK(!replace_changed(&replace));
		json_object_put(vm.manifest);
	}
}

TEST(what_is_refused)
{
	static const char *const cases[] = {
		"", "/old", "old=/new", "/old=new", "/old=", "=/new", "/=/new", "/old=/", "/old/=/new",
		"/old=/new,", "/run=/new", "/old=/run/cpr/a", "/run/cpr=/new", "/old=/a b", "/old=/a//b",
		"/old=/../run", "/old=/a\"b",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK_MSG(replace_check(cases[i], NULL) == -EINVAL, "'%s'", cases[i]);
}

TEST(memory_and_what_is_not_there)
{
	static const struct { const char *is, *paths; int r; } cases[] = {
		{ "memory-backend-file,mem-path=/shm/ram,share=on", "/shm=/new", -EOPNOTSUPP },
		{ "file=/old/disk", "/nowhere=/new", -ENOENT },
		{ "file=/old/disk", "/old=/new,/nowhere=/new", -ENOENT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct replace replace = { .paths = cases[i].paths };
		struct vm vm = { .name = "a", .manifest = manifest(cases[i].is) };

		CHECK_EQ(replace_apply(&vm, &replace, NULL), cases[i].r);
		CHECK_STR(argument(vm.manifest), cases[i].is);
		json_object_put(vm.manifest);
	}
}

TEST(another_qemu)
{
	struct replace replace = { .qemu = "/bin/qemu" };
	struct vm vm = { .name = "a", .manifest = manifest("x") };

	CHECK_EQ(replace_apply(&vm, &replace, NULL), 0);
	CHECK_STR(jstr(jget(jget(vm.manifest, "saved"), "qemu"), "binary"), "/bin/qemu");
	replace_undo(&vm, &replace);
	CHECK(!jget(jget(vm.manifest, "saved"), "qemu"));
	json_object_put(vm.manifest);
}

int main(void)
{
	return ktap_run();
}
