// SPDX-License-Identifier: GPL-2.0-only
/* Commands that take NAME or --all. */
#define _GNU_SOURCE
#include <errno.h>

#include "base/crew.h"
#include "vm/cprfs.h"
#include "cmd/cmd.h"

static int each_run(const struct each *each, struct genl *genl, const struct args *args,
		    const char *name, struct json_object *result, struct err *err)
{
	_cleanup_vm_ struct vm vm = { .lock = -1, .qemu = QEMU_NONE };
	int r = vm_open(genl, name, &vm, err);

	jset_str(result, "name", name);
	if (r == 0)
		r = args->dry_run ? each->check(&vm, args, err) : each->one(&vm, args, result, err);
	if (r == 0 && args->dry_run)
		say("%s: %s, would be %s", name, cpr_state_name(vm.info.state), each->verb);
	else if (r == 0)
		each->print(name, result);
	jset_bool(result, "ok", r == 0);
	return r;
}

/* Each VM of --all has its own process, which must not share the parent's netlink socket. */
struct turn {
	const struct each *each;
	const struct args *args;
	const struct strv *names;
};

static int each_task(size_t i, void *arg, struct json_object *result, struct err *err)
{
	const struct turn *turn = arg;
	_cleanup_genl_ struct genl *genl = genl_open(err);

	if (!genl)
		return -ENOENT;
	return each_run(turn->each, genl, turn->args, turn->names->v[i], result, err);
}

static void each_add_result(struct json_object *results, const char *name, const struct crew_outcome *o)
{
	struct json_object *result = json_object_get(o->result);

	jset_str(result, "name", name);
	jset_bool(result, "ok", o->code >= 0);
	if (o->code < 0)
		jset(result, "error", err_json(&o->err));
	json_object_array_add(results, result);
}

static int each_run_all(const struct each *each, const struct args *args, const struct strv *names,
			struct json_object *results, struct err *err)
{
	struct turn turn = { .each = each, .args = args, .names = names };
	struct crew crew = {
		.names = names, .jobs = args->dry_run ? 1 : arg_jobs(args, err),
		.work = each_task, .arg = &turn,
	};
	_cleanup_free_ char *list = NULL;
	struct crew_outcome *outcomes = crew_run(&crew);
	bool some = false;

	for (size_t i = 0; i < names->n; i++) {
		each_add_result(results, names->v[i], &outcomes[i]);
		some |= outcomes[i].code >= 0;
	}
	list = crew_outcomes_failed(outcomes, names);
	crew_outcomes_free(outcomes, names->n);
	if (!*list)
		return 0;
	return fail(err, -EIO, .exit = some ? CPR_EXIT_PARTLY : CPR_EXIT_FAILED,
		    .what = "VMs", .value = list, .why = fmt("not %s", each->verb),
		    .remedy = "the reason of each VM is printed above");
}

static int each_all(const struct each *each, struct genl *genl, const struct args *args,
		    struct err *err)
{
	_cleanup_strv_ struct strv names = { 0 };
	struct json_object *out, *results;
	int r = vm_names(genl, each->want, &names, err);

	if (r < 0)
		return r;
	if (!names.n)
		return fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "--all",
			    .why = each->nothing);
	out = json_object_new_object();
	results = json_object_new_array();
	jset(out, "vms", results);
	r = each_run_all(each, args, &names, results, err);
	if (out_json && r < 0)
		jset(out, "error", err_json(err));
	if (out_json)
		out_object(out);
	else
		json_object_put(out);
	return r;
}

static int each_name(const struct each *each, struct genl *genl, const struct args *args,
		     struct err *err)
{
	struct json_object *result = json_object_new_object();
	int r = each_run(each, genl, args, args->argv[0], result, err);

	if (out_json && r == 0) {
		struct json_object *out = json_object_new_object();
		struct json_object *list = json_object_new_array();

		json_object_array_add(list, result);
		jset(out, "vms", list);
		out_object(out);
	} else {
		json_object_put(result);
	}
	return r;
}

int for_each_vm(const struct each *each, const struct args *args, struct err *err)
{
	bool all = arg(args, "all");
	_cleanup_genl_ struct genl *genl = NULL;

	if (all == (args->argc > 0))
		return usage(args, err, all ? "both NAME and --all" : "NAME or --all is missing");
	if (!all && vm_name_check(args->argv[0], err) < 0)
		return -EINVAL;
	if (arg_seconds(args, "timeout", 1, err) < 0 || arg_jobs(args, err) < 0)
		return -EINVAL;
	genl = genl_open(err);
	if (!genl)
		return -ENOENT;
	if (each->mount && !args->dry_run && !cprfs_mounted()) {
		int r = cprfs_mount(err);

		if (r < 0)
			return r;
	}
	return all ? each_all(each, genl, args, err) : each_name(each, genl, args, err);
}
