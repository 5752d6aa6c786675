// SPDX-License-Identifier: GPL-2.0-only
/* The options of a command, as the command reads them. */
#define _GNU_SOURCE
#include <errno.h>

#include "base/crew.h"
#include "base/size.h"
#include "cmd/cmd.h"

int usage(const struct args *args, struct err *err, const char *why)
{
	return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = args->cmd->name, .why = why,
		    .remedy = fmt("'cpr-helper %s --help'", args->cmd->name));
}

int usage_value(const struct args *args, struct err *err, const char *name, const char *why)
{
	return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .value = arg(args, name),
		    .what = fmt("%s --%s", args->cmd->name, name), .why = why,
		    .remedy = fmt("'cpr-helper %s --help'", args->cmd->name));
}

const char *arg(const struct args *args, const char *name)
{
	for (size_t i = 0; args->cmd->opts[i].name; i++)
		if (streq(args->cmd->opts[i].name, name))
			return args->values[i];
	return NULL;
}

int arg_vm(const struct args *args, struct genl **genl, struct cpr_vm *info, struct err *err)
{
	int r = vm_name_check(args->argv[0], err);

	if (r < 0)
		return r;
	*genl = genl_open(err);
	return *genl ? genl_vm(*genl, args->argv[0], info, err) : -ENOENT;
}

int arg_size(const struct args *args, const char *name, uint64_t *size, struct err *err)
{
	const char *text = arg(args, name);

	if (!text || (size_parse(text, MIB, size) == 0 && *size))
		return 0;
	return usage_value(args, err, name, "no size like 512M or 4G");
}

double arg_seconds(const struct args *args, const char *name, double otherwise, struct err *err)
{
	const char *s = arg(args, name);
	char *end;
	double v;

	if (!s)
		return otherwise;
	v = strtod(s, &end);
	if (end != s && !*end && v > 0 && v <= 86400)
		return v;
	return usage_value(args, err, name, "no number of seconds above 0, up to 86400");
}

int arg_jobs(const struct args *args, struct err *err)
{
	const char *s = arg(args, "jobs");
	char *end;
	long n;

	if (!s)
		return 0;
	n = strtol(s, &end, 10);
	if (end != s && !*end && n >= 1 && n <= CREW_JOBS_MAX)
		return n;
	return usage_value(args, err, "jobs", fmt("no number from 1 to %d", CREW_JOBS_MAX));
}
