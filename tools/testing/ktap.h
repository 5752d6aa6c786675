/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tests that say in KTAP what they found.
 *
 *	TEST(name) { ... CHECK(condition); CHECK_EQ(got, want); ... }
 *	int main(void) { return ktap_run(); }
 *
 * A check that does not hold ends its test. SKIP(why) ends it without a verdict.
 */
#ifndef KTAP_H
#define KTAP_H

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ktap_test {
	const char *name;
	void (*fn)(void);
	struct ktap_test *next;
};

static struct ktap_test *ktap_first, **ktap_last = &ktap_first;
static jmp_buf ktap_out;
enum { KTAP_PASS, KTAP_FAIL, KTAP_SKIP };

#define TEST(_name)							\
	static void test_##_name(void);					\
	static struct ktap_test ktap_##_name = { #_name, test_##_name, NULL }; \
	__attribute__((constructor)) static void ktap_add_##_name(void)	\
	{								\
		*ktap_last = &ktap_##_name;				\
		ktap_last = &ktap_##_name.next;				\
	}								\
	static void test_##_name(void)

#define CHECK_MSG(_cond, _format, ...)					\
	do {								\
		if (_cond)						\
			break;						\
		printf("# %s:%d: " _format "\n", __FILE__, __LINE__, ##__VA_ARGS__); \
		longjmp(ktap_out, KTAP_FAIL);				\
	} while (0)

#define CHECK(_cond)							\
	CHECK_MSG(_cond, "%s does not hold (errno: %s)", #_cond, strerror(errno))

#define CHECK_EQ(_got, _want)						\
	do {								\
		long long got_ = (long long)(_got), want_ = (long long)(_want); \
									\
		CHECK_MSG(got_ == want_, "%s is %lld, not %s = %lld (errno: %s)", \
			  #_got, got_, #_want, want_, strerror(errno));	\
	} while (0)

#define CHECK_STR(_got, _want)						\
	do {								\
		const char *got_ = (_got), *want_ = (_want);		\
									\
		CHECK_MSG(got_ && want_ && strcmp(got_, want_) == 0,	\
			  "%s is\n#   '%s', not\n#   '%s'", #_got,		\
			  got_ ? got_ : "(null)", want_ ? want_ : "(null)"); \
	} while (0)

/* The call fails, and with this error. */
#define CHECK_ERR(_call, _err)						\
	do {								\
		errno = 0;						\
		CHECK_EQ(_call, -1);					\
		CHECK_EQ(errno, _err);					\
	} while (0)

#define SKIP(_why)							\
	do {								\
		printf("# %s\n", _why);					\
		longjmp(ktap_out, KTAP_SKIP);				\
	} while (0)

static inline int ktap_run_one(struct ktap_test *test)
{
	int result = setjmp(ktap_out);

	if (!result)
		test->fn();
	return result;
}

static inline int ktap_run(void)
{
	unsigned int n = 0, failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (struct ktap_test *t = ktap_first; t; t = t->next) {
		int result = ktap_run_one(t);

		failed += result == KTAP_FAIL;
		printf("%s %u - %s%s\n", result == KTAP_FAIL ? "not ok" : "ok", ++n,
		       t->name, result == KTAP_SKIP ? " # SKIP" : "");
	}
	printf("1..%u\n", n);
	return failed ? 1 : 0;
}

#endif /* KTAP_H */
