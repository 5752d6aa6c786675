/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Compose the next kernel's command line. The firmware reports the region as RAM; only
 * memmap=SIZE!START keeps it from the kernel's page allocator. The option of the running
 * kernel must therefore reach the next kernel unchanged. These functions have no side
 * effects.
 */
#ifndef CPR_KCMDLINE_H
#define CPR_KCMDLINE_H

#include "base/error.h"

#define KCMDLINE_MAX 2047	/* COMMAND_LINE_SIZE of x86 without the NUL */

/**
 * struct memmap - one range of a memmap= option
 * @start: physical address, bytes
 * @size: bytes
 * @kind: '!' persistent, '$' reserved, '#' ACPI, '@' RAM, '%' change of type
 */
struct memmap {
	uint64_t start;
	uint64_t size;
	char kind;
};

/**
 * struct kcmdline_request - input for the next command line
 * @current: command line of the running kernel, from /proc/cmdline
 * @base: argument of --command-line, used instead of @current; NULL if not given
 * @append: argument of --append; NULL if not given
 * @start: physical address of the region, bytes
 * @size: size of the region, bytes
 * @firmware: the firmware reports the region as persistent memory (an NVDIMM), so that
 *	no memmap= option is needed
 */
struct kcmdline_request {
	const char *current;
	const char *base;
	const char *append;
	uint64_t start;
	uint64_t size;
	bool firmware;
};

/**
 * kcmdline_compose - compose the next command line
 * @line: the command line, owned by the caller
 * @warning: a warning for the user, owned by the caller; NULL if there is none
 *
 * Returns: 0; with exit status 4 -EINVAL if the next kernel would not reserve the region,
 * may not load the module, or could not read the region because only one of the two kernels
 * encrypts memory, and -E2BIG if the line is too long.
 */
int kcmdline_compose(const struct kcmdline_request *req, char **line, char **warning,
		     struct err *err);

/* Was a kernel with this command line asked for kexec handover (KHO)? */
bool kcmdline_wants_kho(const char *line);

/*
 * The word by which a kernel with this command line loads signed modules only; NULL if there
 * is none. @lockdown: whether the kernel knows lockdown=. Caller frees.
 */
char *kcmdline_signing(const char *line, bool lockdown);

/* Does a kernel with this command line encrypt memory, if the CPU can? */
bool kcmdline_encrypts_memory(const char *line);

/**
 * kcmdline_memmaps - parse all ranges of the memmap= options of a command line
 * @out: array of the ranges, owned by the caller
 *
 * Returns: the number of ranges.
 */
size_t kcmdline_memmaps(const char *line, struct memmap **out);

#endif
