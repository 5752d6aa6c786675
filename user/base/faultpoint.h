/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Points at which a test makes a step fail, kills the program or stops it. Only builds
 * for tests have them (CPR_FAULTS). Other builds compile them to nothing, and refuse to
 * run if the environment sets one.
 *
 *	CPR_FAULT=POINT:fail[:VM]	the step returns an error, once in each process
 *	CPR_FAULT=POINT:kill[:VM]	SIGKILL to the program, its workers included
 *	CPR_FAULT=POINT:hang[:VM]	SIGSTOP to the process at the point, until the test
 *					sends SIGCONT
 */
#ifndef CPR_FAULTPOINT_H
#define CPR_FAULTPOINT_H

#include "base/error.h"

#define FAULTPOINT_VARIABLE "CPR_FAULT"

/**
 * faultpoint_init - read the environment variable
 *
 * Call it once, before anything else. Returns: 0; -EINVAL with exit status 2 if the
 * variable is malformed, or set for a build without fault points.
 */
int faultpoint_init(struct err *err);

#ifdef CPR_FAULTS
/**
 * faultpoint - pass a point
 * @point: its name, from the table in faultpoint.c
 * @vm: name of the VM that the step is for; NULL if the step is for no single VM
 *
 * Returns: 0, or -EIO if the step has to fail.
 */
int faultpoint(const char *point, const char *vm, struct err *err);

/* Print all names on stdout, one a line, in the order in which an update passes them. */
void faultpoint_list(void);
#else
static inline int faultpoint(const char *point, const char *vm, struct err *err)
{
	(void)point;
	(void)vm;
	(void)err;
	return 0;
}
#endif

#endif
