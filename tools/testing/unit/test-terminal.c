// SPDX-License-Identifier: GPL-2.0-only
/* Nothing that a guest says reaches a terminal as a control sequence. */
#include "base/error.h"
#include "base/out.h"
#include "base/terminal.h"
#include "ktap.h"

static bool becomes(char *(*safe)(const char *text), const char *text, const char *want)
{
	_cleanup_free_ char *got = safe(text);

	if (!streq(got, want))
		printf("# '%s', not '%s'\n", got, want);
	return streq(got, want);
}

TEST(plain_text_and_umlauts_stay)
{
	CHECK(becomes(terminal_safe, "a b\\c\td\n", "a b\\c\td\n"));
	CHECK(becomes(terminal_safe, "b\xc3\xb6hm \xe2\x82\xac \xf0\x9f\x90\xa7", "b\xc3\xb6hm \xe2\x82\xac \xf0\x9f\x90\xa7"));
	CHECK(becomes(terminal_safe, "", ""));
	CHECK(becomes(terminal_safe_line, "a\nb\tc", "a\\x0ab\\x09c"));
}

TEST(controls_are_shown)
{
	CHECK(becomes(terminal_safe, "\033]0;owned\a", "\\x1b]0;owned\\x07"));
	CHECK(becomes(terminal_safe, "a\rb\bc\x7f", "a\\x0db\\x08c\\x7f"));
	/* CSI as one character of C1, and as the byte of an 8-bit terminal. */
	CHECK(becomes(terminal_safe, "\xc2\x9b" "2J", "\\xc2\\x9b2J"));
	CHECK(becomes(terminal_safe, "\x9b" "2J", "\\x9b2J"));
	/* Right-to-left override. */
	CHECK(becomes(terminal_safe, "\xe2\x80\xae", "\\xe2\\x80\\xae"));
}

TEST(what_is_no_utf8_is_shown)
{
	CHECK(becomes(terminal_safe, "\xc3", "\\xc3"));
	CHECK(becomes(terminal_safe, "\xe2\x82", "\\xe2\\x82"));
	CHECK(becomes(terminal_safe, "\xc0\x9b", "\\xc0\\x9b"));
	CHECK(becomes(terminal_safe, "\xe0\x82\x9b", "\\xe0\\x82\\x9b"));
	CHECK(becomes(terminal_safe, "\xed\xa0\x80", "\\xed\\xa0\\x80"));
	CHECK(becomes(terminal_safe, "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"));
	CHECK(becomes(terminal_safe, "\xff", "\\xff"));
}

TEST(json_stays_json)
{
	CHECK(becomes(terminal_safe_json, "{\"a\":\"\x7f\xc2\x9b\xff\"}", "{\"a\":\"\\u007f\\u009b\\ufffd\"}"));
}

/* What @print prints on stderr. */
static char *printed(void (*print)(void))
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size), *was = stderr;

	stderr = to;
	print();
	stderr = was;
	fclose(to);
	return text;
}

static void print_an_error(void)
{
	_cleanup_err_ struct err err = { 0 };

	fail(&err, -1, .what = "guest agent \033[2J", .value = "a\033b",
	     .why = "no\ncpr-helper: all is well\033", .remedy = "\x9b");
	err_words(&err, "QEMU \033]0;x\a\nmore");
	err_print(&err, NULL);
}

TEST(errors_are_safe)
{
	_cleanup_free_ char *text = printed(print_an_error);

	CHECK(streq(text, "cpr-helper: guest agent \\x1b[2J 'a\\x1bb': no\n"
			  "  | cpr-helper: all is well\\x1b\n  | QEMU \\x1b]0;x\\x07\n  | more\n"
			  "  remedy: \\x9b\n"));
}

static void print_a_note(void)
{
	note("%s", "QEMU says \033c");
}

TEST(notes_are_safe)
{
	_cleanup_free_ char *text = printed(print_a_note);

	CHECK(streq(text, "cpr-helper: note: QEMU says \\x1bc\n"));
}

int main(void)
{
	return ktap_run();
}
