/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The next kernel's command line. The region is memory that the firmware calls
 * RAM; only memmap=SIZE!START keeps a kernel from giving it away, so the option
 * that the running kernel has must reach the next one unchanged. Pure.
 */
#ifndef CPR_CMDLINE_H
#define CPR_CMDLINE_H

#include "base/error.h"

#define CMDLINE_MAX 2047	/* COMMAND_LINE_SIZE of x86 less the NUL */

/**
 * struct memmap - one range of a memmap= option
 * @kind: '!' persistent, '$' reserved, '#' ACPI, '@' RAM, '%' change of type
 */
struct memmap {
	uint64_t start;
	uint64_t size;
	char kind;
};

/**
 * struct cmdline_request - what the next command line is made of
 * @current: the running kernel's, from /proc/cmdline
 * @base: --command-line, instead of @current; NULL without
 * @append: --append; NULL without
 * @start: of the region, bytes
 * @size: of the region, bytes
 * @firmware: the firmware itself calls the region persistent (an NVDIMM), so
 *	that no option is needed
 */
struct cmdline_request {
	const char *current;
	const char *base;
	const char *append;
	uint64_t start;
	uint64_t size;
	bool firmware;
};

/**
 * cmdline_compose - the next command line
 * @line: owned by the caller
 * @warning: something to tell the user, owned by the caller, or NULL
 *
 * Returns: 0, or -EINVAL with exit status 4 if the region would not survive.
 */
int cmdline_compose(const struct cmdline_request *req, char **line, char **warning,
		    struct err *err);

/**
 * cmdline_memmaps - all ranges of the memmap= options of a command line
 * @out: owned by the caller
 *
 * Returns: how many.
 */
size_t cmdline_memmaps(const char *line, struct memmap **out);

#endif
