/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a guest's RAM is put on cprfs: a command line for QEMU becomes another
 * one, with a memory-backend-file for all of its RAM. In copy mode it is left
 * where QEMU has it. Pure: nothing here looks
 * at the machine.
 */
#ifndef CPR_LAUNCH_H
#define CPR_LAUNCH_H

#include "base/error.h"
#include "base/ram_file.h"

/**
 * struct ram_request - what the user asked for
 * @dir: the VM's directory; NULL in copy mode
 * @sizes: of --ram, in bytes; one in all, or one for each NUMA node
 * @nsizes: how many; 0 without --ram
 * @agent: path of a socket to add a guest agent's channel on, or NULL
 * @agent_optional: not if @argv has a channel already, which is an error otherwise
 * @argv: QEMU's arguments without the program's name
 */
struct ram_request {
	const char *dir;
	const uint64_t *sizes;
	size_t nsizes;
	const char *agent;
	bool agent_optional;
	const struct strv *argv;
};

/**
 * struct ram_plan - what to do
 * @argv: arguments to start QEMU with
 * @files: to be created before that
 * @nfiles: how many
 * @base: bytes of the machine's RAM; @files may hold more (an NVDIMM, say); 0 in
 *	copy mode if it is not given: QEMU knows
 * @agent: socket of the guest agent's channel, or NULL
 * @paused: the user gave -S, which is not in @argv
 *
 * Free with ram_plan_free().
 */
struct ram_plan {
	struct strv argv;
	struct ram_file *files;
	size_t nfiles;
	uint64_t base;
	char *agent;
	bool paused;
};

/**
 * ram_plan - compose the command line
 *
 * Returns: 0; -EOPNOTSUPP with exit status 4 for what cannot survive a kexec;
 * -EINVAL with exit status 2 for sizes that do not fit together.
 */
int ram_plan(const struct ram_request *req, struct ram_plan *plan, struct err *err);

void ram_plan_free(struct ram_plan *plan);
#define _cleanup_plan_ _cleanup_(ram_plan_free)

/* Sum of the sizes of all files, in bytes. */
uint64_t ram_plan_bytes(const struct ram_plan *plan);

#endif
