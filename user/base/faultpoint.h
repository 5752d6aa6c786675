/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Places at which a test can have a step fail, or the program end or halt. Only
 * builds for tests have them (CPR_FAULTS); in others they are nothing, and the
 * program refuses to run where the environment asks for one.
 *
 *	CPR_FAULT=POINT:fail[:VM]	the step returns an error, once in a process
 *	CPR_FAULT=POINT:kill[:VM]	SIGKILL to the program, its workers included
 *	CPR_FAULT=POINT:hang[:VM]	SIGSTOP to the process that is there; it goes
 *					on when a test has it go on
 */
#ifndef CPR_FAULT_H
#define CPR_FAULT_H

#include "base/error.h"

#define FAULT_VARIABLE "CPR_FAULT"

/* Call once, first: -EINVAL with exit status 2 if the variable cannot be obeyed. */
int fault_init(struct err *err);

#ifdef CPR_FAULTS
/**
 * fault_point - a step has been taken
 * @point: which; one of the table in fault.c
 * @vm: at work on this one; NULL if on none in particular
 *
 * Returns: 0, or -EIO if it is to fail.
 */
int fault_point(const char *point, const char *vm, struct err *err);

/* All of them on stdout, a line each, in the order in which an update comes by. */
void fault_list(void);
#else
static inline int fault_point(const char *point, const char *vm, struct err *err)
{
	(void)point;
	(void)vm;
	(void)err;
	return 0;
}
#endif

#endif
