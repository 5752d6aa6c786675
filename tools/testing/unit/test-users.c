// SPDX-License-Identifier: GPL-2.0-only
/* A process that uses the files of a VM is found, and no other. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "ktap.h"
#include "vm/users.h"

/* tmpfs: as for cprfs, /proc and stat(2) agree on its device number. */
#define DIR "/dev/shm/cpr-users"

static void make(void)
{
	CHECK(!mkdir(DIR, 0700) && !mkdir(DIR "/sub", 0700));
	close(open(DIR "/ram0", O_CREAT | O_RDWR, 0600));
	close(open(DIR "/sub/log", O_CREAT | O_RDWR, 0600));
	close(open(DIR "-other", O_CREAT | O_RDWR, 0600));
	CHECK(!truncate(DIR "/ram0", 4096) && !truncate(DIR "-other", 4096));
}

static void delete(void)
{
	CHECK(!unlink(DIR "/ram0") && !unlink(DIR "/sub/log") && !unlink(DIR "-other"));
	CHECK(!rmdir(DIR "/sub") && !rmdir(DIR));
}

static void map_and_close(const char *path, int flags, int prot)
{
	int fd = open(path, flags);

	if (mmap(NULL, 4096, prot, MAP_SHARED, fd, 0) == MAP_FAILED)
		_exit(1);
	close(fd);
}

static void maps(void)
{
	map_and_close(DIR "/ram0", O_RDONLY, PROT_READ);
}

static void can_write(void)
{
	open(DIR "/sub/log", O_WRONLY | O_APPEND);
}

/* Reading is no harm, nor is another file. */
static void others(void)
{
	open(DIR "/ram0", O_RDONLY);
	open(DIR "-other", O_RDWR);
	map_and_close(DIR "-other", O_RDWR, PROT_READ | PROT_WRITE);
}

static pid_t start(void (*use)(void))
{
	int ready[2];
	char byte;
	pid_t pid;

	CHECK(!pipe(ready));
	pid = fork();
	if (!pid) {
		close(ready[0]);
		use();
		close(ready[1]);
		for (;;)
			pause();
	}
	close(ready[1]);
	CHECK_EQ(read(ready[0], &byte, 1), 0);
	close(ready[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void found_is(const char *want)
{
	_cleanup_free_ char *found = users_find(DIR);

	if (want)
		CHECK_STR(found, want);
	else
		CHECK_MSG(!found, "found %s", found);
}

TEST(users_are_named)
{
	pid_t pid;

	make();
	found_is(NULL);
	pid = start(others);
	found_is(NULL);
	end(pid);
	pid = start(maps);
	found_is(fmt("pid %d (test-users) maps ram0", pid));
	end(pid);
	pid = start(can_write);
	found_is(fmt("pid %d (test-users) can write to sub/log", pid));
	end(pid);
	delete();
}

TEST(many_users_are_counted)
{
	_cleanup_free_ char *found = NULL;
	pid_t pids[11];

	make();
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		pids[i] = start(maps);
	found = users_find(DIR);
	CHECK(found && strstr(found, ", and 3 more"));
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		end(pids[i]);
	delete();
}

TEST(an_error_names_users)
{
	_cleanup_err_ struct err err = { 0 };
	pid_t pid;

	make();
	pid = start(maps);
	users_blame(DIR, false, NULL);
	users_blame(DIR, false, &err);
	CHECK(!err.set);
	fail(&err, -EBUSY, .what = "VM", .why = "it is mapped", .remedy = "quit");
	users_blame(DIR, false, &err);
	CHECK_STR(err.why, fmt("it is mapped: pid %d (test-users) maps ram0", pid));
	CHECK_STR(err.remedy, "end these processes, or repeat the command with --revoke, which "
		  "takes the files from all users");
	end(pid);
	err_clear(&err);
	fail(&err, -EBUSY, .what = "VM", .why = "it is mapped");
	users_blame(DIR, true, &err);
	CHECK_STR(err.why, "it is mapped: no process was found that uses its files");
	CHECK_STR(err.remedy, "end the user");
	delete();
}

int main(void)
{
	return ktap_run();
}
