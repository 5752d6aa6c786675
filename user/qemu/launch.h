/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The command line that cpr-helper starts a new guest with: the user's, with a
 * memory-backend-file on cprfs for all of its RAM. In copy mode the RAM stays where the
 * user's command line has it.
 */
#ifndef CPR_LAUNCH_H
#define CPR_LAUNCH_H

#include "base/ram_file.h"
#include "qemu/qemuopt.h"

/**
 * struct launch_request - what the user asked for
 * @dir: the VM's directory; NULL in copy mode
 * @sizes: of --ram, in bytes; one in all, or one for each NUMA node
 * @nsizes: how many; 0 without --ram
 * @agent: path of a socket for an added channel of a guest agent, or NULL
 * @agent_optional: add no channel if @opts has one already, which is an error otherwise
 * @opts: QEMU's options, which refuse_options() or foreign_check() has accepted
 */
struct launch_request {
	const char *dir;
	const uint64_t *sizes;
	size_t nsizes;
	const char *agent;
	bool agent_optional;
	const struct qemuopts *opts;
};

/**
 * struct launch_plan - what to do
 * @argv: arguments to start QEMU with
 * @files: to be created before QEMU starts
 * @nfiles: how many
 * @base: bytes of the machine's RAM, while @files may hold more memory (of an NVDIMM, say);
 *	0 in copy mode if no size is given: QEMU knows its default
 * @agent: socket of the guest agent's channel, or NULL
 * @paused: the user gave -S, which is not in @argv
 *
 * Starts as all zeros. Free with launch_plan_free() in any case.
 */
struct launch_plan {
	struct strv argv;
	struct ram_file *files;
	size_t nfiles;
	uint64_t base;
	char *agent;
	bool paused;
};

/**
 * launch_plan - compose the command line
 *
 * Returns: 0; -EOPNOTSUPP with exit status 4 for what cannot survive a kexec;
 * -EINVAL with exit status 2 for sizes that do not fit together.
 */
int launch_plan(const struct launch_request *req, struct launch_plan *plan, struct err *err);

void launch_plan_free(struct launch_plan *plan);
#define _cleanup_launch_plan_ _cleanup_(launch_plan_free)

/*
 * The argument of -chardev for the agent's channel, as launch_plan() adds it, and for the same
 * channel by a socket that QEMU is given. Caller frees.
 */
char *launch_chardev(const char *path);
char *launch_chardev_fd(int fd);

/* Sum of the sizes of all files, in bytes. */
uint64_t launch_plan_bytes(const struct launch_plan *plan);

#endif
