// SPDX-License-Identifier: GPL-2.0-only
/* A user is found, told from another one, and cannot lead root to a socket of somebody else. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "ktap.h"
#include "qemu/account.h"

static struct json_object *user_of(const char *name, int64_t uid, int64_t gid)
{
	struct json_object *user = json_object_new_object();

	jset_str(user, "name", name);
	jset_int(user, "uid", uid);
	jset_int(user, "gid", gid);
	return user;
}

TEST(a_user_is_found_by_name_and_number_and_root_is_none)
{
	_cleanup_json_ struct json_object *by_name = NULL, *by_number = NULL, *self = NULL;
	_cleanup_err_ struct err err = { 0 };

	CHECK_EQ(account_find("nobody", &by_name, &err), 0);
	CHECK_EQ(account_find(fmt("%d", (int)jint(by_name, "uid", -1)), &by_number, &err), 0);
	CHECK(json_object_equal(by_name, by_number));
	CHECK_EQ(account_find(fmt("%u", geteuid()), &self, &err), 0);
	CHECK(!self);
	CHECK(!err.set);
	CHECK_EQ(account_find("no such user", &self, &err), -ENOENT);
	CHECK_EQ(err.exit, CPR_EXIT_NOTFOUND);
	err_clear(&err);
	CHECK_EQ(account_find("65534x", &self, &err), -ENOENT);
	err_clear(&err);
	CHECK_EQ(account_find("4294967296", &self, &err), -ENOENT);
}

TEST(a_user_who_is_gone_or_another_one_is_refused)
{
	_cleanup_json_ struct json_object *nobody = NULL;
	static const struct { const char *name; int64_t uid, gid; int r; } cases[] = {
		{ "nobody", 0, 0, 0 }, { "nobody", 1, 0, -ENOENT }, { "nobody", 0, 1, -ENOENT },
		{ "no such user", 0, 0, -ENOENT },
	};

	CHECK_EQ(account_find("nobody", &nobody, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *user =
			user_of(cases[i].name, jint(nobody, "uid", 0) - cases[i].uid,
				jint(nobody, "gid", 0) - cases[i].gid);
		_cleanup_err_ struct err err = { 0 };

		CHECK_EQ(account_check(user, &err), cases[i].r);
		CHECK_EQ(err.exit, cases[i].r ? CPR_EXIT_REFUSED : CPR_EXIT_OK);
	}
	CHECK_EQ(account_check(NULL, NULL), 0);
}

TEST(the_user_of_a_process)
{
	_cleanup_json_ struct json_object *user = NULL;
	_cleanup_err_ struct err err = { 0 };

	CHECK_EQ(account_of_process(getpid(), &user, &err), 0);
	CHECK(!user);
	CHECK_EQ(account_of_process(0x7fffffff, &user, &err), -ESRCH);
}

TEST(a_socket_of_another_user_is_refused)
{
	_cleanup_json_ struct json_object *self = user_of("self", geteuid(), getegid());
	_cleanup_json_ struct json_object *other = user_of("other", geteuid() + 1, getegid());
	_cleanup_err_ struct err err = { 0 };
	int fds[2];

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	CHECK_EQ(account_check_peer(NULL, fds[0], "s", &err), 0);
	CHECK_EQ(account_check_peer(self, fds[0], "s", &err), 0);
	CHECK_EQ(account_check_peer(other, fds[0], "s", &err), -EPERM);
	CHECK(err.why && strstr(err.why, "'other'"));
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	return ktap_run();
}
