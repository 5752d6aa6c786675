// SPDX-License-Identifier: GPL-2.0-only
/*
 * A unit or a hook can call each step of a handover without the command line.
 *
 * fake.c takes the place of the module, and a thread that of a QEMU.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

#include "ktap.h"
#include "split.h"
#include "base/interrupt.h"
#include "handover/abort.h"
#include "handover/delete.h"
#include "handover/restore.h"
#include "handover/save.h"
#include "handover/start.h"
#include "handover/update.h"

/* No machine has a VM of this name. */
#define NAME "cpr-unit-test"

static char dir[] = "/tmp/cpr-handover.XXXXXX";

static void fake_file(const char *name, bool exists)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);

	if (exists)
		close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	else
		unlink(path);
}

/* A VM as vm_open() makes it, without its lock. */
static struct vm make_vm(enum cpr_vm_state state, const char *manifest)
{
	struct vm vm = {
		.name = xstrdup(NAME), .dir = xasprintf("%s/" NAME, dir), .lock = -1,
		.info = { .name = NAME, .state = state }, .qemu = QEMU_NONE,
		.manifest = manifest ? json_tokener_parse(manifest) : NULL,
	};

	CHECK(!manifest || vm.manifest);
	return vm;
}

/* ---- a QEMU that answers query-status ---- */

struct peer {
	int fd;
	const char *runstate;
	pthread_t thread;
};

static void *answer(void *data)
{
	struct peer *p = data;
	FILE *in = fdopen(p->fd, "r+");
	char *line = NULL;
	size_t size = 0;

	dprintf(p->fd, "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n");
	while (getline(&line, &size, in) > 0) {
		struct json_object *msg = json_tokener_parse(line);
		long long id = jint(msg, "id", 0);

		if (streq(jstr(msg, "execute"), "query-status"))
			dprintf(p->fd, "{\"return\": {\"status\": \"%s\"}, \"id\": %lld}\r\n",
				p->runstate, id);
		else
			dprintf(p->fd, "{\"return\": {}, \"id\": %lld}\r\n", id);
		json_object_put(msg);
	}
	free(line);
	fclose(in);
	return NULL;
}

static void attach(struct vm *vm, struct peer *p, const char *runstate)
{
	int fds[2], r;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	*p = (struct peer){ .fd = fds[1], .runstate = runstate };
	pthread_create(&p->thread, NULL, answer, p);
	vm->qemu.qmp = qmp_start(jsonsock_new(fds[0], "peer"), deadline_in(10), &r, NULL);
	CHECK_EQ(r, 0);
}

/* ---- save ---- */

#define MANIFEST(rest) "{\"machine\": \"pc-q35-10.0\"" rest "}"

static const struct {
	enum cpr_vm_state state;
	const char *manifest, *runstate;
	const char *why;
} not_saved[] = {
	{ CPR_VM_STATE_SAVED, NULL, NULL, "it is saved, not running" },
	{ CPR_VM_STATE_HELD, NULL, NULL, "it is held, not running" },
	{ CPR_VM_STATE_RUNNING, MANIFEST(""), "inmigrate",
	  "its guest is 'inmigrate', neither running nor paused" },
	{ CPR_VM_STATE_RUNNING, MANIFEST(""), "postmigrate", "an earlier save was interrupted" },
	{ CPR_VM_STATE_RUNNING, MANIFEST(", \"devices\": [{\"address\": \"0000:00:01.0\"}]"), "paused",
	  "it has devices passed through and must suspend, but it is 'paused'" },
};

TEST(a_vm_in_the_wrong_state_is_not_saved)
{
	struct save_opts opts = { .timeout = 1 };

	for (size_t i = 0; i < ARRAY_SIZE(not_saved); i++) {
		struct vm vm = make_vm(not_saved[i].state, not_saved[i].manifest);
		struct json_object *result = json_object_new_object();
		struct err err = { 0 };
		struct peer peer;

		if (not_saved[i].runstate)
			attach(&vm, &peer, not_saved[i].runstate);
		CHECK_EQ(save_vm(&vm, &opts, result, &err), -EBUSY);
		CHECK_EQ(err.exit, CPR_EXIT_BUSY);
		CHECK_STR(err.value, NAME);
		CHECK_STR(err.why, not_saved[i].why);
		CHECK_EQ(json_object_object_length(result), 0);
		vm_close(&vm);
		if (not_saved[i].runstate)
			pthread_join(peer.thread, NULL);
		json_object_put(result);
		err_clear(&err);
	}
}

/* ---- restore, abort, delete ---- */

static const struct {
	enum cpr_vm_state state;
	bool restore, abort;
	enum cpr_exit aborted;
} states[] = {
	{ CPR_VM_STATE_DEFINED, false, false, CPR_EXIT_NOTFOUND },
	{ CPR_VM_STATE_RUNNING, false, false, CPR_EXIT_NOTFOUND },
	{ CPR_VM_STATE_SAVED, false, true, 0 },
	{ CPR_VM_STATE_SEALED, true, true, 0 },
	{ CPR_VM_STATE_HELD, true, false, CPR_EXIT_BUSY },
	{ CPR_VM_STATE_RESTORING, true, true, 0 },
	{ CPR_VM_STATE_LOST, false, false, CPR_EXIT_NOTFOUND },
};

TEST(each_state_has_its_steps)
{
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		struct vm vm = make_vm(states[i].state, NULL);
		struct err err = { 0 };

		CHECK_EQ(restore_wanted(&vm.info), states[i].restore);
		CHECK_EQ(abort_wanted(&vm.info), states[i].abort);
		CHECK_EQ(abort_check(&vm, &err) == 0, states[i].abort);
		CHECK_EQ(err.exit, states[i].aborted);
		vm_close(&vm);
		err_clear(&err);
	}
}

TEST(a_vm_that_runs_is_not_restored)
{
	struct vm vm = make_vm(CPR_VM_STATE_RUNNING, NULL);
	struct err err = { 0 };

	CHECK_EQ(restore_check(&vm, &RESTORE_DEFAULT, &err), -EBUSY);
	CHECK_EQ(err.exit, CPR_EXIT_BUSY);
	CHECK_STR(err.why, "it is running, there is nothing to restore");
	vm_close(&vm);
	err_clear(&err);
}

TEST(a_saved_guest_is_not_deleted_unless_forced)
{
	struct vm vm = make_vm(CPR_VM_STATE_HELD, NULL);
	struct err err = { 0 };

	CHECK_EQ(delete_check(&vm, false, &err), -EBUSY);
	CHECK_STR(err.why, "it is held: its saved guest would be lost");
	err_clear(&err);
	CHECK_EQ(delete_check(&vm, true, &err), 0);
	CHECK(!err.set);
	vm_close(&vm);
}

/* ---- start ---- */

TEST(a_start_is_planned)
{
	static const uint64_t sizes[] = { 64 * MIB };
	struct json_object *result = json_object_new_object();
	struct strv argv = { 0 };
	struct start_opts opts = {
		.name = NAME, .sizes = sizes, .nsizes = 1, .qemu = "true", .argv = &argv,
		.dry_run = true,
	};
	struct err err = { 0 };

	split("-machine q35 -nodefaults", &argv);
	CHECK_MSG(start_vm(&opts, result, &err) == 0, "%s: %s", err.what, err.why);
	CHECK(strstr(jstr(result, "binary"), "/true"));
	CHECK_EQ(json_object_array_length(jget(result, "devices")), 0);
	CHECK_EQ(json_object_array_length(jget(result, "memory")), 1);
	CHECK_EQ(jint(json_object_array_get_idx(jget(result, "memory"), 0), "size", 0), 64 * MIB);
	CHECK(!jget(result, "manifest"));
	strv_free(&argv);
	json_object_put(result);
}

static const struct {
	const char *name, *qemu;
	int code;
	enum cpr_exit exit;
	const char *what;
} not_started[] = {
	{ "..", "sh", -EINVAL, CPR_EXIT_USAGE, "VM name" },
	{ NAME, "no-such-qemu", -ENOENT, CPR_EXIT_NOTFOUND, "QEMU binary" },
	{ NAME, "sh", -ENOENT, CPR_EXIT_REFUSED, "module" },
};

TEST(a_start_is_refused)
{
	struct strv argv = { 0 };

	split("-m 64", &argv);
	for (size_t i = 0; i < ARRAY_SIZE(not_started); i++) {
		struct start_opts opts = {
			.name = not_started[i].name, .qemu = not_started[i].qemu, .argv = &argv,
		};
		struct err err = { 0 };

		CHECK_EQ(start_vm(&opts, NULL, &err), not_started[i].code);
		CHECK_EQ(err.exit, not_started[i].exit);
		CHECK_STR(err.what, not_started[i].what);
		err_clear(&err);
	}
	strv_free(&argv);
}

/* ---- update ---- */

TEST(a_plan_needs_the_module_and_an_image)
{
	struct plan_opts opts = { .jobs = 1, .dry_run = true };
	struct plan plan = PLAN_NONE;
	struct err err = { 0 };

	CHECK_EQ(plan_make(&plan, &opts, &err), -ENOENT);
	CHECK_EQ(err.exit, CPR_EXIT_REFUSED);
	CHECK_STR(err.what, "module");
	plan_free(&plan);
	err_clear(&err);

	fake_file("loaded", true);
	fake_file("unformatted", true);
	plan = PLAN_NONE;
	CHECK(plan_make(&plan, &opts, &err) < 0);
	CHECK_EQ(err.exit, CPR_EXIT_REFUSED);
	CHECK_STR(err.why, geteuid() == 0 ? "it is not formatted" : "needs root");
	plan_free(&plan);
	err_clear(&err);
	fake_file("loaded", false);
	fake_file("unformatted", false);
}

TEST(a_saved_vm_stays_saved_for_the_qemu_it_was_saved_for)
{
	struct vm vm = make_vm(CPR_VM_STATE_SAVED, "{\"saved\": {\"qemu\": {\"binary\": \"/a\"}}}");
	struct plan_opts opts = { 0 };
	struct plan plan = { .opts = &opts };

	CHECK(plan_is_saved(&plan, &vm));
	opts.save.qemu = (char *)"/a";
	CHECK(plan_is_saved(&plan, &vm));
	opts.save.qemu = (char *)"/b";
	CHECK(!plan_is_saved(&plan, &vm));
	vm.info.state = CPR_VM_STATE_RUNNING;
	opts.save.qemu = NULL;
	CHECK(!plan_is_saved(&plan, &vm));
	vm_close(&vm);
}

static int steps;

static void count_step(enum update_step step, const char *vm, struct json_object *result)
{
	(void)step;
	(void)vm;
	(void)result;
	steps++;
}

/* Of one VM; returns what update_vms() does. */
static int update(enum cpr_vm_state state, struct json_object *result, struct err *err)
{
	struct plan_opts opts = { .jobs = 1, .dry_run = true, .save = { .timeout = 1 } };
	struct plan plan = PLAN_NONE;
	int r;

	plan.opts = &opts;
	plan.vms = xcalloc(1, sizeof(*plan.vms));
	plan.vms[0] = make_vm(state, NULL);
	strv_push(&plan.names, NAME);
	steps = 0;
	r = update_vms(&plan, count_step, result, err);
	plan_free(&plan);
	return r;
}

TEST(an_update_checks_its_vms)
{
	struct json_object *result = json_object_new_object(), *vm;
	struct err err = { 0 };

	CHECK_EQ(update(CPR_VM_STATE_SAVED, result, &err), 0);
	CHECK_EQ(json_object_object_length(result), 1);
	CHECK(json_object_is_type(jget(result, "expected_pause_ms"), json_type_object));

	CHECK(update(CPR_VM_STATE_RUNNING, result, &err) < 0);
	CHECK_EQ(err.exit, CPR_EXIT_REFUSED);
	CHECK_STR(err.value, NAME);
	CHECK_STR(err.why, "not ready to be saved");
	vm = json_object_array_get_idx(jget(result, "vms"), 0);
	CHECK_STR(jstr(vm, "name"), NAME);
	CHECK(!jbool(vm, "ok", true));
	CHECK_STR(jstr(jget(vm, "error"), "what"), "cannot read");
	CHECK_EQ(steps, 0);
	json_object_put(result);
	err_clear(&err);
}

int main(void)
{
	int r;

	if (!mkdtemp(dir))
		return 1;
	setenv("CPR_FAKE", dir, 1);
	interrupt_init();
	r = ktap_run();
	rmdir(dir);
	return r;
}
