// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include "base/size.h"
#include "host/kcmdline.h"

/* KASLR avoids up to this many memmap= ranges; the kernel disables it if there are more. */
#define KASLR_MAX_MEMMAP 4

/* The length of the word at @s; spaces in double quotes belong to the word. */
static size_t word_len(const char *s)
{
	bool quoted = false;
	size_t n;

	for (n = 0; s[n] && (quoted || !strchr(" \t\n", s[n])); n++)
		if (s[n] == '"')
			quoted = !quoted;
	return n;
}

static const char *next_word(const char **s, size_t *len)
{
	const char *word = *s + strspn(*s, " \t\n");

	*len = word_len(word);
	*s = word + *len;
	return *len ? word : NULL;
}

static bool same_letter(char a, char b)
{
	return a == b || ((a == '-' || a == '_') && (b == '-' || b == '_'));
}

/*
 * The value of a word KEY=VALUE, without its quotes, as the kernel's next_arg() and parameq()
 * see it: quotes are around the word or around the value, and a dash is an underscore. NULL if
 * the word has another key. Caller frees.
 */
static char *word_value(const char *word, size_t len, const char *key)
{
	bool quoted = *word == '"';
	size_t n = strlen(key);

	word += quoted;
	len -= quoted;
	for (size_t i = 0; i < n; i++)
		if (i == len || !same_letter(word[i], key[i]))
			return NULL;
	if (n >= len || word[n] != '=')
		return NULL;
	word += n + 1;
	len -= n + 1;
	if (!quoted && len && *word == '"') {
		quoted = true;
		word++;
		len--;
	}
	return xstrndup(word, quoted && len && word[len - 1] == '"' ? len - 1 : len);
}

static bool word_is(const char *word, size_t len, const char *key)
{
	return len >= strlen(key) && strncmp(word, key, strlen(key)) == 0;
}

/* Parse "SIZE!START"; the other kinds have another character instead of '!'. */
static bool memmap_parse(const char *s, struct memmap *m)
{
	const char *end;

	m->size = memparse(s, &end);
	if (end == s || !*end || !strchr("!$#@%", *end))
		return false;
	m->kind = *end;
	s = end + 1;
	m->start = memparse(s, &end);
	return end != s;
}

static void memmap_add_ranges(char *list, struct memmap **out, size_t *n)
{
	char *next = list;

	while (next) {
		char *item = strsep(&next, ",");
		struct memmap m;

		if (!memmap_parse(item, &m))
			continue;
		*out = xrealloc(*out, *n + 1, sizeof(**out));
		(*out)[(*n)++] = m;
	}
}

size_t kcmdline_memmaps(const char *line, struct memmap **out)
{
	const char *word;
	size_t len, n = 0;

	*out = NULL;
	while ((word = next_word(&line, &len))) {
		_cleanup_free_ char *value = NULL;

		if (len == 2 && strncmp(word, "--", 2) == 0)
			break;		/* the rest is for init */
		value = word_value(word, len, "memmap");
		if (value)
			memmap_add_ranges(value, out, &n);
	}
	return n;
}

static bool memmap_equal(const struct memmap *a, const struct memmap *b)
{
	return a->start == b->start && a->size == b->size && a->kind == b->kind;
}

static bool memmap_covers(const struct memmap *m, uint64_t start, uint64_t size)
{
	return m->kind == '!' && m->start <= start && m->size >= size &&
	       start - m->start <= m->size - size;
}

static bool memmap_overlap(const struct memmap *a, const struct memmap *b)
{
	return a->start < b->start + b->size && b->start < a->start + a->size;
}

static const char *memmap_text(const struct memmap *m)
{
	return fmt("memmap=%s%c0x%llx", size_exact(m->size), m->kind,
		   (unsigned long long)m->start);
}

static int kcmdline_find_region(const struct kcmdline_request *req, struct memmap *region,
				struct err *err)
{
	_cleanup_free_ struct memmap *maps = NULL;
	size_t n = kcmdline_memmaps(req->current, &maps);
	const struct memmap want = { req->start, req->size, '!' };

	for (size_t i = 0; i < n; i++)
		if (memmap_covers(&maps[i], req->start, req->size)) {
			*region = maps[i];
			return 0;
		}
	return fail(err, -EINVAL, .exit = CPR_EXIT_REFUSED, .what = "kernel command line",
		    .value = memmap_text(&want),
		    .why = "no memmap= option of the running kernel covers the handover region",
		    .remedy = "find out how the region is kept from the page allocator; otherwise "
			      "the next kernel would use the guests' memory");
}

/* Copy the words, except those by which the boot loader described the last boot. */
static char *kcmdline_inherit(const char *current)
{
	char *out = xcalloc(1, strlen(current) + 2), *p = out;
	const char *word;
	size_t len;

	while ((word = next_word(&current, &len))) {
		if (word_is(word, len, "BOOT_IMAGE=") || word_is(word, len, "initrd="))
			continue;
		if (p != out)
			*p++ = ' ';
		p = mempcpy(p, word, len);
	}
	*p = '\0';
	return out;
}

/*
 * Insert @words before the "--" after which all words go to init, or else append them.
 */
static void kcmdline_add(char **line, const char *words)
{
	const char *s = *line, *word;
	size_t len, at = strlen(*line);
	char *longer;

	if (!words || !*words)
		return;
	while ((word = next_word(&s, &len)))
		if (len == 2 && strncmp(word, "--", 2) == 0) {
			at = word - *line;
			break;
		}
	while (at && (*line)[at - 1] == ' ')
		at--;
	longer = xasprintf("%.*s%s%s%s%s", (int)at, *line, at ? " " : "", words,
			   (*line)[at] && (*line)[at] != ' ' ? " " : "", *line + at);
	free(*line);
	*line = longer;
}

/* Look for exactly this range; refuse other ranges that overlap it. */
static int kcmdline_check_region(const char *line, const struct memmap *region, bool *found,
				 struct err *err)
{
	_cleanup_free_ struct memmap *maps = NULL;
	size_t n = kcmdline_memmaps(line, &maps);

	*found = false;
	for (size_t i = 0; i < n; i++) {
		if (memmap_equal(&maps[i], region)) {
			*found = true;
			continue;
		}
		if (memmap_overlap(&maps[i], region))
			return fail(err, -EINVAL, .exit = CPR_EXIT_REFUSED,
				    .what = "next command line", .value = memmap_text(&maps[i]),
				    .why = fmt("it contradicts the region's %s", memmap_text(region)),
				    .remedy = "remove it");
	}
	return 0;
}

/* As kstrtobool() of the kernel: the first letter counts, and of "on" the second. */
static bool is_true(const char *value)
{
	return (*value && strchr("yYtT1", *value)) ||
	       (*value && strchr("oO", *value) && value[1] && strchr("nN", value[1]));
}

bool kcmdline_wants_kho(const char *line)
{
	const char *word;
	bool on = false;
	size_t len;

	while ((word = next_word(&line, &len))) {
		_cleanup_free_ char *value = word_value(word, len, "kho");

		if (value)
			on = is_true(value);
	}
	return on;
}

/* None of these words takes back what an earlier one has demanded. */
static bool word_demands_signing(const char *word, size_t len, bool lockdown)
{
	_cleanup_free_ char *enforce = word_value(word, len, "module.sig_enforce");
	_cleanup_free_ char *lock = lockdown ? word_value(word, len, "lockdown") : NULL;
	static const char *const levels[] = { "integrity", "confidentiality" };

	return (len == strlen("module.sig_enforce") && word_is(word, len, "module.sig_enforce")) ||
	       (enforce && is_true(enforce)) || str_in(levels, lock);
}

char *kcmdline_signing(const char *line, bool lockdown)
{
	const char *word;
	size_t len;

	while ((word = next_word(&line, &len)) && !(len == 2 && strncmp(word, "--", 2) == 0))
		if (word_demands_signing(word, len, lockdown))
			return xstrndup(word, len);
	return NULL;
}

/* As the kernel parses the option: the last one counts, even if it is for init. */
bool kcmdline_encrypts_memory(const char *line)
{
	const char *word;
	bool on = false;
	size_t len;

	while ((word = next_word(&line, &len)))
		if (word_is(word, len, "mem_encrypt="))
			on = len == strlen("mem_encrypt=on") && word_is(word, len, "mem_encrypt=on");
	return on;
}

/* Two kernels read the same bytes only if both encrypt memory, or neither. */
static int kcmdline_check_encryption(const char *current, const char *next, struct err *err)
{
	bool on = kcmdline_encrypts_memory(next);

	if (on == kcmdline_encrypts_memory(current))
		return 0;
	return fail(err, -EINVAL, .exit = CPR_EXIT_REFUSED, .what = "next command line",
		    .value = on ? "mem_encrypt=on" : "without mem_encrypt=on",
		    .why = fmt("the running kernel was booted %s it: the next kernel could not read "
			       "the guests' memory", on ? "without" : "with"),
		    .remedy = on ? "remove it, or set mem_encrypt=off" : "add it");
}

static bool list_has_module(char *list)
{
	static const char module[] = "cpr_handover";

	for (char *next = list, *item; (item = strsep(&next, ",")); ) {
		size_t i = 0;

		while (module[i] && same_letter(item[i], module[i]))
			i++;
		if (!module[i] && !item[i])
			return true;
	}
	return false;
}

/* Of the kernel, of modprobe, and of what makes the initramfs; all of the line counts. */
static int kcmdline_check_blacklist(const char *line, struct err *err)
{
	static const char *const keys[] = {
		"module_blacklist", "modprobe.blacklist", "rd.driver.blacklist", "rd.blacklist",
		"rdblacklist", "blacklist",
	};
	const char *word;
	size_t len;

	while ((word = next_word(&line, &len)))
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			_cleanup_free_ char *list = word_value(word, len, keys[i]);

			if (list && list_has_module(list))
				return fail(err, -EINVAL, .exit = CPR_EXIT_REFUSED,
					    .what = "next command line",
					    .value = fmt("%.*s", (int)len, word),
					    .why = "it keeps the next kernel from loading "
						   "cpr_handover, which has the guests",
					    .remedy = "remove cpr_handover from it");
		}
	return 0;
}

/* The next kernel must see the region: a quote that is not closed would swallow it. */
static int kcmdline_check_result(const char *line, const struct memmap *region, struct err *err)
{
	bool found;
	int r = kcmdline_check_region(line, region, &found, err);

	if (r < 0 || found)
		return r;
	return fail(err, -EINVAL, .exit = CPR_EXIT_REFUSED, .what = "next command line",
		    .value = memmap_text(region),
		    .why = "the next kernel would not see it: a quote before it is not closed",
		    .remedy = "close the quote");
}

static void kcmdline_warn(const char *line, char **warning)
{
	_cleanup_free_ struct memmap *maps = NULL;
	size_t n = kcmdline_memmaps(line, &maps);

	if (n > KASLR_MAX_MEMMAP)
		*warning = xasprintf("with %zu memmap= ranges the kernel disables KASLR", n);
}

int kcmdline_compose(const struct kcmdline_request *req, char **line, char **warning,
		     struct err *err)
{
	_cleanup_free_ char *next = kcmdline_inherit(req->base ? req->base : req->current);
	struct memmap region = { req->start, req->size, '!' };
	bool found = false;
	int r = req->firmware ? 0 : kcmdline_find_region(req, &region, err);

	*line = *warning = NULL;
	kcmdline_add(&next, req->append);
	if (r == 0)
		r = kcmdline_check_region(next, &region, &found, err);
	if (r == 0)
		r = kcmdline_check_encryption(req->current, next, err);
	if (r == 0)
		r = kcmdline_check_blacklist(next, err);
	if (r < 0)
		return r;
	if (!found && !req->firmware)
		kcmdline_add(&next, memmap_text(&region));
	r = req->firmware ? 0 : kcmdline_check_result(next, &region, err);
	if (r < 0)
		return r;
	if (strlen(next) > KCMDLINE_MAX)
		return fail(err, -E2BIG, .exit = CPR_EXIT_REFUSED, .what = "next command line",
			    .why = fmt("%zu bytes, and the kernel accepts %d", strlen(next),
				       KCMDLINE_MAX), .remedy = "shorten it");
	kcmdline_warn(next, warning);
	*line = next;
	next = NULL;
	return 0;
}
