// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/similar.h"
#include "cmd/options.h"

/* Where the parser is: @next is the word after the current one. */
struct parser {
	const struct words *w;
	int next;
	struct err *err;
};

static const struct opt *find(const struct words *w, const char *name, size_t len, char letter,
			      const char ***value)
{
	for (size_t s = 0; s < OPTION_SETS; s++)
		for (size_t i = 0; w->sets[s].opts && w->sets[s].opts[i].name; i++) {
			const struct opt *o = &w->sets[s].opts[i];

			*value = &w->sets[s].values[i];
			if (letter ? o->letter == letter :
			    strlen(o->name) == len && strncmp(o->name, name, len) == 0)
				return o;
		}
	return NULL;
}

static int wrong(const struct parser *p, const char *option, const char *value, const char *why,
		 const char *remedy)
{
	const char *command = p->w->command;

	return fail(p->err, -EINVAL, .exit = CPR_EXIT_USAGE, .value = command ? value : option,
		    .what = command ? fmt("%s %s", command, option) : "option", .why = why,
		    .remedy = remedy ? remedy : command ?
		    fmt("'cpr-helper %s --help'", command) : "'cpr-helper --help'");
}

static int unknown(const struct parser *p, const char *option)
{
	const char *why = p->w->command ? "there is no such option" :
			  "there is no such option before the command", *meant;
	_cleanup_strv_ struct strv names = { 0 };

	for (size_t s = 0; s < OPTION_SETS; s++)
		for (size_t i = 0; p->w->sets[s].opts && p->w->sets[s].opts[i].name; i++)
			strv_push(&names, p->w->sets[s].opts[i].name);
	meant = startswith(option, "--") ? similar(option + 2, &names) : NULL;
	return wrong(p, option, NULL, why, meant ? fmt("did you mean --%s?", meant) : NULL);
}

/* The next word is the value, whatever it looks like. */
static int take_value(struct parser *p, const char *option, const char **value)
{
	if (p->next == p->w->argc)
		return wrong(p, option, NULL, "the option needs a value", NULL);
	*value = p->w->argv[p->next++];
	return 0;
}

static int parse_name(struct parser *p, const char *word)
{
	size_t len = strcspn(word, "=");
	const char *option = fmt("%.*s", (int)len, word), *equals = word[len] ? word + len + 1 : NULL;
	const char **value;
	const struct opt *o = find(p->w, word + 2, len - 2, '\0', &value);

	if (!o)
		return unknown(p, option);
	if (equals && !o->arg)
		return wrong(p, option, equals, "the option takes no value", NULL);
	if (o->arg && !equals)
		return take_value(p, option, value);
	*value = equals ? equals : "";
	return 0;
}

/* "-vj4" is "-v -j 4". */
static int parse_letters(struct parser *p, const char *word)
{
	for (const char *c = word + 1; *c; c++) {
		const char *option = fmt("-%c", *c), **value;
		const struct opt *o = find(p->w, NULL, 0, *c, &value);

		if (!o)
			return unknown(p, option);
		*value = c + 1;
		if (o->arg)
			return c[1] ? 0 : take_value(p, option, value);
		*value = "";
	}
	return 0;
}

int options_parse(struct words *w, struct err *err)
{
	struct parser p = { .w = w, .err = err };
	int n = 0, r = 0;

	while (r == 0 && p.next < w->argc) {
		char *word = w->argv[p.next++];

		if (streq(word, "--")) {
			break;
		} else if (word[0] != '-' || !word[1]) {
			if (w->first) {
				p.next--;
				break;
			}
			w->argv[n++] = word;
		} else {
			r = word[1] == '-' ? parse_name(&p, word) : parse_letters(&p, word);
		}
	}
	while (p.next < w->argc)
		w->argv[n++] = w->argv[p.next++];
	w->argc = n;
	return r;
}
