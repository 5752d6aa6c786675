// SPDX-License-Identifier: GPL-2.0-only
/* A mistyped word is answered with the word that was meant, and never with any other. */
#include "base/similar.h"
#include "ktap.h"

/* Whether @word is answered with @want, which is NULL for no answer. */
static bool answers(const char *word, const char *want)
{
	static const char *const words[] = {
		"format", "inspect", "run", "adopt", "list", "show", "save", "abort", "update",
		"restore", "delete", "validate", "rehearse", "no-rehearse", "to", "uri",
	};
	_cleanup_strv_ struct strv list = { 0 };
	const char *got;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		strv_push(&list, words[i]);
	got = similar(word, &list);
	return want ? got && streq(got, want) : !got;
}

TEST(a_typing_error_is_seen_through)
{
	CHECK(answers("rum", "run"));
	CHECK(answers("updatee", "update"));
	CHECK(answers("restroe", "restore"));
	CHECK(answers("abrot", "abort"));
	CHECK(answers("validates", "validate"));
	CHECK(answers("no-rehears", "no-rehearse"));
}

TEST(an_abbreviation_is_completed_if_it_is_unique)
{
	CHECK(answers("res", "restore"));
	CHECK(answers("v", "validate"));
	CHECK(answers("s", NULL));
	CHECK(answers("re", NULL));
}

TEST(what_is_unlike_all_is_not_answered)
{
	CHECK(answers("", NULL));
	CHECK(answers("x", NULL));
	CHECK(answers("kexec", NULL));
	CHECK(answers("everything", NULL));
	CHECK(answers("an-option-that-is-longer-than-all-others", NULL));
}

int main(void)
{
	return ktap_run();
}
