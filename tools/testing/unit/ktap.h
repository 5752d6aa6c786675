/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The unit tests' runner: a table of functions, KTAP on stdout, exit status 0
 * only if all passed. A test that fails goes on to its end, so that all of what
 * is wrong is seen at once.
 */
#ifndef KTAP_H
#define KTAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct ktap_test {
	const char *name;
	void (*run)(void);
};

static bool ktap_failed;

#define CHECK_MSG(cond, format, ...)						\
	do {									\
		if (!(cond)) {							\
			printf("# %s:%d: " format "\n", __FILE__, __LINE__, ##__VA_ARGS__); \
			ktap_failed = true;					\
		}								\
	} while (0)

#define CHECK(cond) CHECK_MSG(cond, "%s", #cond)

#define CHECK_INT(got, want)							\
	do {									\
		long long got_ = (long long)(got), want_ = (long long)(want);	\
		CHECK_MSG(got_ == want_, "%s is %lld, not %lld", #got, got_, want_); \
	} while (0)

#define CHECK_STR(got, want)							\
	do {									\
		const char *got_ = (got), *want_ = (want);			\
		CHECK_MSG(got_ && want_ && strcmp(got_, want_) == 0,		\
			  "%s is\n#   '%s', not\n#   '%s'", #got,		\
			  got_ ? got_ : "(null)", want_ ? want_ : "(null)");	\
	} while (0)

static inline int ktap_run(const struct ktap_test *tests, size_t n)
{
	size_t bad = 0;

	printf("TAP version 13\n1..%zu\n", n);
	for (size_t i = 0; i < n; i++) {
		ktap_failed = false;
		tests[i].run();
		bad += ktap_failed;
		printf("%s %zu - %s\n", ktap_failed ? "not ok" : "ok", i + 1, tests[i].name);
		fflush(stdout);
	}
	return bad != 0;
}

#define KTAP_MAIN(...)								\
	int main(void)								\
	{									\
		static const struct ktap_test tests_[] = { __VA_ARGS__ };	\
										\
		setvbuf(stdout, NULL, _IOLBF, 0);				\
		return ktap_run(tests_, sizeof(tests_) / sizeof(tests_[0]));	\
	}

#endif
