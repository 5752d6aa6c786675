/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a process of QEMU has beside binary, directory and arguments, and what its threads have:
 * as an operator has set it for this guest, by taskset, chrt, prlimit or a network namespace.
 * The next QEMU gets the same.
 *
 * As JSON, each member absent if it is what every process has:
 *
 *	environment	["NAME=VALUE"]
 *	umask		as a number
 *	limits		[{"name", "soft", "hard"}], by the names of prlimit(1); -1 is no limit
 *	netns		name of a network namespace in /run/netns
 *	threads		[{"role", "cpus", "policy", "priority", "nice"}]: of the process as a whole
 *			("main"), each vCPU ("vcpu N") and each I/O thread ("iothread ID"). "cpus"
 *			is a list as of taskset -c; "policy" is "fifo", "rr", "batch" or "idle"
 */
#ifndef CPR_ATTRIBUTES_H
#define CPR_ATTRIBUTES_H

#include "qemu/qemu.h"

/**
 * attributes_read - record the attributes of a QEMU
 * @attributes: owned by the caller
 *
 * Returns: 0; -EOPNOTSUPP with exit status 4 if it is in a network namespace that has no
 * name; or the error of QMP. @attributes is untouched then.
 */
int attributes_read(struct qemu *q, struct json_object **attributes, struct err *err);

/**
 * attributes_check - check that a process can get the attributes
 * @attributes: may be NULL
 *
 * Returns: 0, or -ENOENT with exit status 4 if the network namespace is missing.
 */
int attributes_check(struct json_object *attributes, struct err *err);

/*
 * Path of the network namespace that QEMU was in: the host's own if it has no name, whatever the
 * caller's is. Caller frees.
 */
char *attributes_netns(struct json_object *attributes);

/**
 * attributes_enter - give this process the attributes, before it executes QEMU
 * @attributes: may be NULL
 * @fd: what this host refuses is told there, and left out
 *
 * Returns: 0, or -errno if the network namespace cannot be entered.
 */
int attributes_enter(struct json_object *attributes, int fd);

/* The environment for execve(2), NULL-terminated; NULL if none is recorded. Caller frees. */
char **attributes_environment(struct json_object *attributes);

/* Give a QEMU's threads the attributes; note what this host refuses. */
void attributes_apply(struct json_object *attributes, struct qemu *q, const char *vm);

#endif
