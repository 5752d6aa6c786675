/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The scope of a VM: the cgroup that its QEMU and all that this QEMU starts are in, and nothing
 * else is. A service, a session or a script that has called cpr-helper does not end the guest
 * when it ends itself, and nothing is left of a QEMU that has ended.
 *
 * With systemd it is the transient unit cpr-NAME.scope in machine.slice, which takes drop-ins as
 * any unit does. Without, it is the cgroup cpr-NAME beside the host's other ones. Where neither
 * can be made, QEMU is in the caller's cgroup, and has a session of its own only.
 */
#ifndef CPR_SCOPE_H
#define CPR_SCOPE_H

#include <sys/types.h>

/*
 * scope_begin - move a process into a new scope of the VM, before it executes QEMU
 *
 * What is left in an earlier scope of the VM is killed. A guest that runs in the caller's cgroup
 * is better than one that does not run: if systemd refuses, this is noted, and no error.
 */
void scope_begin(const char *vm, pid_t pid);

/* Path of the VM's scope, as in /proc/PID/cgroup; NULL if @pid is in none. Caller frees. */
char *scope_of(const char *vm, pid_t pid);

/* Kill all that is in a scope of scope_of(), which may be NULL. */
void scope_end(const char *scope);

/* Kill all that is left in the scope of a VM without a QEMU, and remove it. */
void scope_clear(const char *vm);

#endif
