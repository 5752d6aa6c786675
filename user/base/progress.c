// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <stdio.h>
#include <unistd.h>

#include "base/progress.h"
#include "base/size.h"

#define QUIET_MS 1000
#define REDRAW_MS 250

struct progress progress_begin(const char *what, uint64_t total)
{
	deadline_t now = now_ms();

	return (struct progress){ what, total, now, now + QUIET_MS, false };
}

const char *progress_text(uint64_t done, uint64_t total, int64_t ms)
{
	double part = total ? (double)done / total : 1;
	const char *so_far = fmt("%s of %s, %d%%", size_human(done), size_human(total),
				 (int)(100 * part));

	if (done == 0 || ms <= 0)
		return so_far;
	return fmt("%s, %lld s left", so_far, (long long)(ms / part * (1 - part) / 1000 + 0.5));
}

void progress_show(struct progress *p, uint64_t done)
{
	deadline_t now = now_ms();

	if (now < p->next || !isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r%s: %s\033[K", p->what, progress_text(done, p->total, now - p->begin));
	fflush(stderr);
	p->next = now + REDRAW_MS;
	p->drawn = true;
}

void progress_end(struct progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", stderr);
	p->drawn = false;
}
