// SPDX-License-Identifier: GPL-2.0-only
/*
 * A QEMU that has got or lost a device or a CPU since its start is told from one that has not.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "ktap.h"
#include "qemu/inventory.h"

static const struct {
	const char *was, *is;	/* JSON */
	const char *what;	/* refused; NULL if the two are equal */
	bool plugged;
} cases[] = {
	{ "[]", "[]", NULL, false },
	{ "[\"device a (e1000)\", \"CPU 0\"]", "[\"CPU 0\", \"device a (e1000)\"]", NULL, false },
	{ "[\"CPU 0\"]", "[\"CPU 0\", \"device a (e1000)\"]", "device a (e1000)", true },
	{ "[\"CPU 0\", \"device a (e1000)\"]", "[\"CPU 0\"]", "device a (e1000)", false },
	{ "[\"device a (e1000)\"]", "[\"device a (e1000e)\"]", "device a (e1000e)", true },
	{ "[\"CPU 0\"]", "[\"CPU 0\", \"CPU 1\"]", "CPU 1", true },
	{ "[\"CPU 0\", \"CPU 1\"]", "[\"CPU 1\"]", "CPU 0", false },
};

TEST(what_has_changed)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *was = json_tokener_parse(cases[i].was);
		_cleanup_json_ struct json_object *is = json_tokener_parse(cases[i].is);
		_cleanup_err_ struct err err = { 0 };
		int r = inventory_compare(was, is, &err);

		CHECK_MSG(r == (cases[i].what ? -EOPNOTSUPP : 0), "case %zu: %d", i, r);
		if (!cases[i].what)
			continue;
		CHECK_STR(err.value, cases[i].what);
		CHECK_MSG(startswith(err.why, cases[i].plugged ? "it was plugged" : "QEMU was started with"),
			  "case %zu: %s", i, err.why);
	}
}

int main(void)
{
	return ktap_run();
}
