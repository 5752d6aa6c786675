// SPDX-License-Identifier: GPL-2.0-only
/* A QEMU that was started by hand is adopted only if its command line can be used again. */
#define _GNU_SOURCE
#include "ktap.h"
#include "qemu/foreign.h"
#include "qemu/launch.h"
#include "split.h"

#define DIR "/run/cpr/vm"

/* As adopt does it, in copy mode. */
static int convert(const char *line, struct launch_plan *out, struct err *err)
{
	_cleanup_qemuopts_ struct qemuopts opts = { 0 };
	_cleanup_strv_ struct strv argv = { 0 };
	struct launch_request req = { .opts = &opts };
	int r;

	parse(line, &argv, &opts);
	r = foreign_check(&opts, NULL, err);
	return r < 0 ? r : launch_plan(&req, out, err);
}

static const struct { const char *in, *out; } good[] = {
	{ "-M q35 -S -daemonize", "-M q35" },
	{ "--S --daemonize -m 8M", "-m 8M" },
	{ "-incoming tcp:0:4444 -m 8M", "-m 8M" },
	{ "-m 8M -incoming defer", "-m 8M" },
	{ "-loadvm first -m 8M", "-m 8M" },
	{ "-pidfile /run/x -qmp unix:/run/q,server=on,wait=off",
	  "-pidfile /run/x -qmp unix:/run/q,server=on,wait=off" },
	{ "-netdev tap,id=n,ifname=tap0,script=no -append console=ttyS0,fd=3",
	  "-netdev tap,id=n,ifname=tap0,script=no -append console=ttyS0,fd=3" },
	{ "-append x=/dev/fd/3", "-append x=/dev/fd/3" },
	{ "-blockdev {\"driver\":\"file\",\"filename\":\"/a\",\"node-name\":\"f\"}",
	  "-blockdev {\"driver\":\"file\",\"filename\":\"/a\",\"node-name\":\"f\"}" },
	{ "disk.img -device virtio-net,netdev=fd", "disk.img -device virtio-net,netdev=fd" },
	{ "-daemonize -drive file=/a.img -kernel /k -append root=x,file=y -cdrom nbd:unix:/x",
	  "-drive file=/a.img -kernel /k -append root=x,file=y -cdrom nbd:unix:/x" },
	{ "-daemonize -chardev file,id=c,path=/c -chardev fd,id=d",
	  "-chardev file,id=c,path=/c -chardev fd,id=d" },
	{ "-drive file=a.img -kernel k", "-drive file=a.img -kernel k" },
	{ "-daemonize -object iothread,id=t", "-object iothread,id=t" },
};

TEST(what_is_kept_and_what_is_not)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		_cleanup_launch_plan_ struct launch_plan out = { 0 };
		_cleanup_free_ char *line = NULL;
		_cleanup_err_ struct err err = { 0 };

		CHECK_MSG(convert(good[i].in, &out, &err) == 0, "'%s': %s", good[i].in, err.why);
		line = strv_join(&out.argv, " ");
		CHECK_STR(line, good[i].out);
	}
}

static const struct { const char *in, *words; } bad[] = {
	{ "-netdev tap,id=n,fd=23", "after a kexec" },
	{ "-object memory-backend-epc,id=e", "SGX" },
	{ "-daemonize -drive file=a.img,if=virtio", "relative to" },
	{ "-daemonize a.img", "relative to" },
	{ "-daemonize -chardev file,id=c,path=c", "relative to" },
	{ "-kernel k -daemonize", "relative to" },
	{ "-daemonize -hdb b.img", "relative to" },
	{ "-daemonize -blockdev {\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"a\"}}",
	  "relative to" },
	{ "-device vfio-pci,host=00:02.0", "passed-through" },
	{ "-device {\"driver\":\"vfio-pci\",\"host\":\"00:02.0\"}", "passed-through" },
	{ "-chardev socket,id=cpr-qmp,fd=3,server=on,wait=off", "cpr-helper has started" },
	{ "-object memory-backend-file,id=cpr-ram0,size=8M,mem-path=/run/cpr/a/ram0,share=on "
	  "-chardev socket,id=cpr-qmp,fd=3,server=on,wait=off", "cpr-helper has started" },
};

TEST(what_nobody_could_give_again)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_launch_plan_ struct launch_plan out = { 0 };
		_cleanup_err_ struct err err = { 0 };
		int r = convert(bad[i].in, &out, &err);

		CHECK_MSG(r < 0, "'%s' is accepted", bad[i].in);
		CHECK_MSG(r == 0 || strstr(err.why, bad[i].words), "'%s': '%s'", bad[i].in, err.why);
		CHECK_MSG(r == 0 || err.exit == CPR_EXIT_REFUSED, "'%s': status %d", bad[i].in, err.exit);
		CHECK_MSG(r == 0 || err.remedy, "'%s' has no remedy", bad[i].in);
	}
}

static const struct { const char *in; bool in_place; } places[] = {
	{ "-m 8M", false },
	{ "-object memory-backend-memfd,id=m,size=8M,share=on", false },
	{ "-object memory-backend-file,id=m,size=8M,mem-path=" DIR "/ram,share=on", true },
	{ "-object {\"qom-type\":\"memory-backend-file\",\"mem-path\":\"" DIR "/ram\"}", true },
	{ "-object memory-backend-file,id=m,size=8M,mem-path=" DIR "2/ram", false },
	{ "-mem-path " DIR "/ram", true },
	{ "-mem-path /dev/hugepages", false },
	{ "-append mem-path=" DIR "/ram", false },
};

TEST(where_the_memory_is)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_qemuopts_ struct qemuopts opts = { 0 };
		_cleanup_strv_ struct strv argv = { 0 };

		parse(places[i].in, &argv, &opts);
		CHECK_MSG(foreign_in_place(&opts, DIR) == places[i].in_place, "'%s'", places[i].in);
	}
}

int main(void)
{
	return ktap_run();
}
