// SPDX-License-Identifier: GPL-2.0-only
/* QEMU's command line as a list of options, and the table of all options. */
#define _GNU_SOURCE
#include "qemu/foreign.h"
#include "qemu/refuse.h"
#include "split.h"

#define DIR "/run/cpr/vm"

TEST(key_value_syntax)
{
	_cleanup_qemuopts_ struct qemuopts opts = { 0 };
	_cleanup_strv_ struct strv argv = { 0 };
	struct json_object *kv;

	strv_push(&argv, "-machine");
	strv_push(&argv, "q35,a=1,b=x,,y=z,on-flag,a=2");
	strv_push(&argv, "-machine");
	strv_push(&argv, "");
	CHECK_EQ(qemuopts_parse(&argv, &opts, NULL), 0);
	kv = opts.v[0].kv;
	CHECK_STR(keyval(kv, "type"), "q35");
	CHECK_STR(keyval(kv, "a"), "2");
	CHECK_STR(keyval(kv, "b"), "x,y=z");
	CHECK(keyval_on(kv, "on-flag"));
	CHECK(!keyval_on(kv, "b"));
	CHECK(keyval_is(kv, "type", "q35") && !keyval_is(kv, "none", "q35"));
	CHECK(opts.v[1].kv && !keyval(opts.v[1].kv, "type"));
}

TEST(json_syntax)
{
	_cleanup_qemuopts_ struct qemuopts opts = { 0 };
	_cleanup_strv_ struct strv argv = { 0 };

	parse("-device {\"driver\":\"x\",\"n\":1,\"b\":true} -device {[1] -device [1] -name {x",
	      &argv, &opts);
	CHECK_EQ(opts.n, 4);
	CHECK_STR(keyval(opts.v[0].kv, "driver"), "x");
	CHECK_STR(keyval(opts.v[0].kv, "n"), "1");
	CHECK(keyval_on(opts.v[0].kv, "b"));
	CHECK(!opts.v[1].kv);
	CHECK_STR(keyval(opts.v[2].kv, "driver"), "[1]");
	CHECK_STR(keyval(opts.v[3].kv, "guest"), "{x");
}

/* Name and value of each option. */
TEST(options)
{
	static const struct { const char *name, *value; } want[] = {
		{ "S", NULL }, { "smp", "4" }, { "", "disk.img" }, { "append", "-S" }, { "", "-" },
		{ "new", "x" }, { "nodefaults", NULL }, { "new", NULL },
	};
	_cleanup_qemuopts_ struct qemuopts opts = { 0 };
	_cleanup_strv_ struct strv argv = { 0 }, again = { 0 };
	_cleanup_free_ char *line = NULL;

	parse("-S --smp 4 disk.img -append -S - -new x -nodefaults -new", &argv, &opts);
	CHECK_EQ(opts.n, ARRAY_SIZE(want));
	for (size_t i = 0; i < opts.n; i++) {
		CHECK_STR(opts.v[i].name, want[i].name);
		CHECK_STR(opts.v[i].value ?: "none", want[i].value ?: "none");
		qemuopt_push(&again, &opts.v[i], opts.v[i].value);
	}
	CHECK(!opts.v[5].kind->name && !opts.v[5].kind->rehearse);
	line = strv_join(&again, " ");
	CHECK_STR(line, "-S --smp 4 disk.img -append -S - -new x -nodefaults -new");
}

TEST(an_option_without_its_argument)
{
	static const char *const lines[] = { "-m", "-M q35 -netdev", "--append", "-S -kernel" };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_qemuopts_ struct qemuopts opts = { 0 };
		_cleanup_strv_ struct strv argv = { 0 };
		_cleanup_err_ struct err err = { 0 };

		split(lines[i], &argv);
		CHECK_MSG(qemuopts_parse(&argv, &opts, &err) < 0, "'%s' is accepted", lines[i]);
		CHECK_EQ(err.exit, CPR_EXIT_USAGE);
		CHECK_STR(err.value, argv.v[argv.n - 1]);
		CHECK(strstr(err.why, "requires an argument") && err.remedy);
	}
}

TEST(the_table)
{
	const struct qemuopt_kind *kind = qemuopt_kinds;

	CHECK_STR(kind->name, "");
	for (; kind[1].name; kind++)
		CHECK_MSG(strcmp(kind->name, kind[1].name) < 0, "'%s' after '%s'", kind[1].name,
			  kind->name);
}

/* What names an open file is refused by run, in either mode, and by adopt. */
static const char *const open_files[] = {
	"-netdev tap,id=n,fd=5",
	"-netdev tap,id=n,fds=23:24,vhost=on",
	"-netdev tap,id=n,ifname=t,vhostfd=25",
	"-netdev tap,id=n,ifname=t,vhostfds=25:26",
	"-netdev {\"type\":\"tap\",\"fd\":\"23\",\"id\":\"n\"}",
	"-netdev stream,id=n,addr.type=fd,addr.str=3",
	"-netdev {\"type\":\"stream\",\"id\":\"n\",\"addr\":{\"type\":\"fd\",\"str\":\"3\"}}",
	"-netdev dgram,id=n,local.type=fd,local.str=3",
	"-nic tap,fd=5",
	"-net socket,fd=5",
	"-chardev socket,id=c,fd=7",
	"-chardev socket,id=charmonitor,fd=26,server=on,wait=off",
	"-drive file=/dev/fd/5",
	"-drive file=/proc/self/fd/4",
	"-drive id=d,filename=/dev/fdset/1",
	"-drive file.driver=nbd,file.server.type=fd,file.server.str=4",
	"-blockdev {\"driver\":\"file\",\"filename\":\"/dev/fdset/2\",\"node-name\":\"f\"}",
	"-blockdev {\"driver\":\"quorum\",\"children\":[{\"server\":{\"type\":\"fd\",\"str\":\"3\"}}]}",
	"-kernel /dev/fd/5",
	"-serial file:/dev/fd/5",
	"-device vfio-pci,fd=7",
	"-device vhost-vsock-pci,guest-cid=3,vhostfd=7",
	"-object iommufd,id=i,fd=5",
	"-global vfio-pci.fd=5",
	"-set chardev.c.fd=5",
	"-fsdev proxy,id=f,sock_fd=5",
	"-add-fd fd=9,set=1",
	"-new-option x,fd=5",
	"/dev/fd/5",
};

TEST(open_files_are_refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(open_files); i++) {
		_cleanup_err_ struct err run = { 0 }, copy = { 0 }, adopt = { 0 };
		_cleanup_qemuopts_ struct qemuopts opts = { 0 };
		_cleanup_strv_ struct strv argv = { 0 };

		parse(open_files[i], &argv, &opts);
		CHECK_MSG(refuse_options(&opts, DIR, &run) < 0, "'%s'", open_files[i]);
		CHECK_MSG(refuse_options(&opts, NULL, &copy) < 0, "'%s'", open_files[i]);
		CHECK_MSG(foreign_check(&opts, NULL, &adopt) < 0, "'%s'", open_files[i]);
		CHECK_EQ(run.exit, CPR_EXIT_REFUSED);
		if (strstr(open_files[i], "vfio-pci,"))
			continue;
		CHECK_STR(run.why, REFUSE_FD);
		CHECK_STR(copy.why, REFUSE_FD);
		CHECK_STR(adopt.why, REFUSE_FD);
		CHECK(run.remedy && adopt.remedy);
	}
}

TEST(other_files_are_not)
{
	_cleanup_qemuopts_ struct qemuopts opts = { 0 };
	_cleanup_strv_ struct strv argv = { 0 };
	_cleanup_err_ struct err err = { 0 };

	parse("-netdev tap,id=fd,ifname=fd,script=no -device virtio-net,netdev=fd "
	      "-append x=/dev/fd/3,fd=3 -chardev fd,id=d -drive file=/dev/fd0 -name fd", &argv, &opts);
	CHECK_MSG(refuse_options(&opts, DIR, &err) == 0, "%s: %s", err.value, err.why);
}

int main(void)
{
	return ktap_run();
}
