// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "cmd/saveopts.h"

static int save_options_check(const struct args *args, struct err *err)
{
	static const struct { const char *one, *other, *why; } not_both[] = {
		{ "rehearse", "no-rehearse", "both --rehearse and --no-rehearse" },
		{ "to", "uri", "both --to and --uri: the state goes to one of them" },
		{ "all", "to", "--to is for one VM, not for --all" },
		{ "all", "uri", "--uri is for one VM, not for --all" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(not_both); i++)
		if (arg(args, not_both[i].one) && arg(args, not_both[i].other))
			return usage(args, err, not_both[i].why);
	if (!arg(args, "uri") != !arg(args, "restore-uri"))
		return usage(args, err, "--uri and --restore-uri belong together");
	return 0;
}

int save_options(const struct args *args, struct save_opts *opts, struct err *err)
{
	const char *qemu = arg(args, "qemu");
	int r = save_options_check(args, err);

	*opts = (struct save_opts){
		.timeout = arg_seconds(args, "timeout", SAVE_TIMEOUT_S, err),
		.max_pause = arg_seconds(args, "max-pause", 0, err),
		.no_rehearse = arg(args, "no-rehearse"), .rehearse = arg(args, "rehearse"),
		.digest_ram = arg(args, "digest-ram"), .full = arg(args, "full"),
		.no_kexec = arg(args, "no-kexec"),
		.copy = { arg(args, "to"), arg(args, "uri"), arg(args, "restore-uri") },
	};
	if (r < 0 || opts->timeout < 0 || opts->max_pause < 0)
		return -EINVAL;
	opts->qemu = qemu ? qemu_find_binary(qemu) : NULL;
	return !qemu || opts->qemu ? 0 :
	       fail(err, -ENOENT, .exit = CPR_EXIT_NOTFOUND, .what = "QEMU binary", .value = qemu,
		    .why = "there is no such program",
		    .remedy = "give the path of one that is installed");
}

void save_options_free(struct save_opts *opts)
{
	free(opts->qemu);
}
