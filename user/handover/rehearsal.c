// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include "base/out.h"
#include "qemu/guestcpu.h"
#include "qemu/migration.h"
#include "vm/devices.h"
#include "vm/manifest.h"
#include "handover/rehearsal.h"

#define SETTLE_S 10

/* Then a private mapping of the guest's memory counts against the limit. */
static bool rehearsal_strict_overcommit(void)
{
	_cleanup_free_ char *mode = read_text("/proc/sys/vm/overcommit_memory", 16);

	return mode && streq(mode, "2");
}

/* How to start QEMU, or a note why a rehearsal is impossible. */
static void rehearsal_make_plan(struct vm *vm, struct rehearsal_plan *plan)
{
	_cleanup_qemuopts_ struct qemuopts opts = { 0 };
	_cleanup_strv_ struct strv argv = { 0 };
	_cleanup_err_ struct err err = { 0 };
	const char *mode = jstr(vm->manifest, "ram_mode");

	*plan = (struct rehearsal_plan){ 0 };
	if (vm_has_devices(vm))
		plan->note = xstrdup("it has devices passed through, which its QEMU still uses");
	else if (mode && streq(mode, "copy"))
		plan->note = xstrdup("its memory is in the state, and would be allocated twice");
	else if (rehearsal_strict_overcommit())
		plan->note = xstrdup("vm.overcommit_memory is 2: its memory would count twice");
	if (plan->note)
		return;
	manifest_argv(vm->manifest, &argv);
	if (qemuopts_parse(&argv, &opts, &err) == 0)
		rehearsal_plan(&opts, plan);
	else
		plan->note = xasprintf("%s %s: %s", err.what, err.value, err.why);
}

char *rehearsal_obstacle(struct vm *vm)
{
	_cleanup_rehearsal_plan_ struct rehearsal_plan plan = { 0 };
	char *note;

	rehearsal_make_plan(vm, &plan);
	note = plan.note;
	plan.note = NULL;
	return note;
}

/* Checks the disks that QEMU has open, which may differ from its command line. */
static int rehearsal_check_disks(struct qmp *qmp, char **note, struct err *err)
{
	_cleanup_json_ struct json_object *nodes = NULL;
	struct json_object *args = json_object_new_object();
	int r;

	jset_bool(args, "flat", true);
	r = qmp_run(qmp, "query-named-block-nodes", args, &nodes, err);
	for (size_t i = 0; r == 0 && !*note && i < json_object_array_length(nodes); i++) {
		const char *drv = jstr(json_object_array_get_idx(nodes, i), "drv");

		if (drv && !rehearsal_opens(drv))
			*note = xasprintf("what opening a disk by '%s' once more does is not known",
					  drv);
	}
	return r;
}

static deadline_t rehearsal_deadline(deadline_t deadline, double seconds)
{
	deadline_t soon = deadline_in(seconds);

	return soon < deadline ? soon : deadline;
}

static int rehearsal_start_qemu(struct vm *vm, const char *binary,
				const struct rehearsal_plan *plan, deadline_t deadline,
				struct qemu *q, struct err *err)
{
	_cleanup_free_ char *machine = xasprintf("type=%s", jstr(vm->manifest, "machine"));
	const char *extra[] = { "-machine", machine, "-incoming", "defer", NULL };
	struct qemu_command cmd = {
		.vm = vm->name, .user = jget(vm->manifest, "user"), .binary = binary,
		.cwd = jstr(vm->manifest, "cwd"), .argv = &plan->argv,
		.attributes = jget(vm->manifest, "process"), .extra = extra, .trial = true,
		.netless = plan->netless,
		.until = rehearsal_deadline(deadline, QEMU_START_S),
	};

	return qemu_start(&cmd, q, err);
}

/* QEMU does not even lock the disks as long as they are inactive. */
static int rehearsal_keep_disks_inactive(struct qmp *qmp, struct err *err)
{
	struct json_object *args = json_object_new_object(), *list = json_object_new_array();
	struct json_object *cap = json_object_new_object();

	jset_str(cap, "capability", "late-block-activate");
	jset_bool(cap, "state", true);
	json_object_array_add(list, cap);
	jset(args, "capabilities", list);
	return qmp_run(qmp, "migrate-set-capabilities", args, NULL, err);
}

/* A guest that ran is paused, because this QEMU was started stopped. */
static int rehearsal_load(struct qmp *qmp, const char *state, const char *runstate,
			  deadline_t deadline, struct err *err)
{
	_cleanup_json_ struct json_object *previous = NULL;
	int r = migration_setup(qmp, &migration_in_place, &previous, err);

	if (r == 0)
		r = rehearsal_keep_disks_inactive(qmp, err);
	if (r == 0)
		r = migration_load(qmp, state, err);
	if (r == 0)
		r = migration_wait(qmp, deadline, err);
	if (r < 0)
		return r;
	return migration_await_status(qmp, vm_runstate_live(runstate) ? "paused" : runstate,
				      rehearsal_deadline(deadline, SETTLE_S), err);
}

/* Memory that QEMU has allocated itself, without mappings of the guest's memory. */
static int64_t rehearsal_memory(pid_t pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/status", (int)pid);
	_cleanup_free_ char *text = read_text(path, 65536);
	const char *line = text ? strstr(text, "\nRssAnon:") : NULL;

	return line ? strtoll(line + strlen("\nRssAnon:"), NULL, 10) * 1024 : 0;
}

static int rehearsal_refuse(const char *binary, int code, const struct err *why, struct err *err)
{
	if (code == -EINTR)
		return fail(err, code, .what = "rehearsal", .value = binary, .why = "interrupted");
	fail(err, code, .exit = CPR_EXIT_REFUSED, .what = "rehearsal", .value = binary,
	     .why = fmt("this QEMU does not load the guest's state: %s: %s", why->what, why->why),
	     .remedy = "give a QEMU that does with --qemu; unplug devices that were plugged in "
	     "later");
	err_words(err, why->words);
	return code;
}

static void rehearsal_record(struct json_object *saved, int64_t ms, int64_t bytes)
{
	struct json_object *rehearsal = json_object_new_object();

	jset_int(rehearsal, "ms", ms);
	jset_int(rehearsal, "memory_bytes", bytes);
	jset(saved, "rehearsal", rehearsal);
	jset_bool(saved, "rehearsed", true);
}

int rehearsal_begin(struct vm *vm, const char *binary, deadline_t deadline,
		    struct rehearsal *rehearsal, struct err *err)
{
	struct rehearsal_plan *plan = &rehearsal->plan;
	struct qemu *q = &rehearsal->qemu;
	_cleanup_err_ struct err why = { 0 };
	int64_t begin = now_ms();
	int r;

	*rehearsal = (struct rehearsal){ .qemu = QEMU_NONE };
	rehearsal_make_plan(vm, plan);
	r = plan->note ? 0 : rehearsal_check_disks(vm->qemu.qmp, &plan->note, err);
	if (r < 0 || plan->note)
		return r;
	r = rehearsal_start_qemu(vm, binary, plan, deadline, q, &why);
	if (r == 0)
		r = guestcpu_check(jget(vm->manifest, "cpu"), q->qmp, vm->name, &why);
	rehearsal->ms = now_ms() - begin;
	return r < 0 ? rehearsal_refuse(binary, r, &why, err) : 0;
}

int rehearsal_perform(struct rehearsal *rehearsal, const char *binary, const char *state,
		      const char *runstate, deadline_t deadline, struct json_object *saved,
		      struct err *err)
{
	_cleanup_err_ struct err why = { 0 };
	struct qemu *q = &rehearsal->qemu;
	int64_t begin = now_ms(), bytes;
	int r;

	if (rehearsal->plan.note) {
		jset_str(saved, "rehearsal_note", rehearsal->plan.note);
		return 0;
	}
	r = rehearsal_load(q->qmp, state, runstate, deadline, &why);
	bytes = rehearsal_memory(q->pid);
	qemu_trial_log_tail(q, &why);
	qemu_kill(q);
	if (r < 0)
		return rehearsal_refuse(binary, r, &why, err);
	rehearsal_record(saved, rehearsal->ms + now_ms() - begin, bytes);
	return 0;
}

void rehearsal_end(struct rehearsal *rehearsal)
{
	if (rehearsal->qemu.qmp)
		qemu_kill(&rehearsal->qemu);
	rehearsal_plan_free(&rehearsal->plan);
	*rehearsal = (struct rehearsal){ .qemu = QEMU_NONE };
}
