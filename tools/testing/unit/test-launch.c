// SPDX-License-Identifier: GPL-2.0-only
/* QEMU's command line is rewritten so that all RAM is in the region, or it is refused. */
#define _GNU_SOURCE
#include "ktap.h"
#include "base/size.h"
#include "qemu/launch.h"
#include "qemu/refuse.h"
#include "split.h"

#define DIR "/run/cpr/vm"
#define OBJ(id, size, file) "-object memory-backend-file,id=" id ",size=" size ",mem-path=" DIR "/" \
	file ",share=on,align=2M"

static size_t parse_ram(const char *text, uint64_t *sizes)
{
	_cleanup_free_ char *copy = xstrdup(text);
	char *next = copy, *item;
	size_t n = 0;

	while (*text && (item = strsep(&next, ",")))
		CHECK(size_parse(item, MIB, &sizes[n++]) == 0);
	return n;
}

static bool agent_optional;

/* As run does it; @dir is NULL in copy mode. */
static int plan_in(const char *dir, const char *ram, const char *agent, const char *line,
		   struct launch_plan *out, struct err *err)
{
	_cleanup_qemuopts_ struct qemuopts opts = { 0 };
	_cleanup_strv_ struct strv argv = { 0 };
	uint64_t sizes[8];
	struct launch_request req = {
		.dir = dir, .sizes = sizes, .nsizes = parse_ram(ram, sizes), .agent = agent,
		.agent_optional = agent_optional, .opts = &opts,
	};
	int r;

	parse(line, &argv, &opts);
	r = refuse_options(&opts, dir, err);
	return r < 0 ? r : launch_plan(&req, out, err);
}

static int plan(const char *ram, const char *agent, const char *line, struct launch_plan *out,
		struct err *err)
{
	return plan_in(DIR, ram, agent, line, out, err);
}

static const struct {
	const char *ram, *in, *out;
} good[] = {
	{ "512M", "-M q35", "-M q35 " OBJ("cpr-ram0", "512M", "ram0")
	  " -machine memory-backend=cpr-ram0 -m 512M" },
	{ "512", "-M q35", "-M q35 " OBJ("cpr-ram0", "512M", "ram0")
	  " -machine memory-backend=cpr-ram0 -m 512M" },
	{ "", "-m 64", "-m 64 " OBJ("cpr-ram0", "64M", "ram0")
	  " -machine memory-backend=cpr-ram0" },
	{ "64M", "--m size=64M", "--m size=64M " OBJ("cpr-ram0", "64M", "ram0")
	  " -machine memory-backend=cpr-ram0" },
	{ "", "-m 32M -m 1G", "-m 32M -m 1G " OBJ("cpr-ram0", "1G", "ram0")
	  " -machine memory-backend=cpr-ram0" },
	/* -S is taken out, but not out of another option's argument. */
	{ "64M", "-S -append -S", "-append -S " OBJ("cpr-ram0", "64M", "ram0")
	  " -machine memory-backend=cpr-ram0 -m 64M" },
	{ "64M", "-append -incoming disk.img", "-append -incoming disk.img "
	  OBJ("cpr-ram0", "64M", "ram0") " -machine memory-backend=cpr-ram0 -m 64M" },
	/* NUMA */
	{ "1G", "-numa node,cpus=0 -numa node", "-numa node,cpus=0,memdev=cpr-ram0 "
	  "-numa node,memdev=cpr-ram1 " OBJ("cpr-ram0", "512M", "ram0") " "
	  OBJ("cpr-ram1", "512M", "ram1") " -m 1G" },
	{ "10M", "-numa node -numa node -numa node", "-numa node,memdev=cpr-ram0 "
	  "-numa node,memdev=cpr-ram1 -numa node,memdev=cpr-ram2 " OBJ("cpr-ram0", "4M", "ram0")
	  " " OBJ("cpr-ram1", "4M", "ram1") " " OBJ("cpr-ram2", "2M", "ram2") " -m 10M" },
	{ "6M,2M", "-numa node -numa dist,src=0,dst=1,val=20 -numa node",
	  "-numa node,memdev=cpr-ram0 -numa dist,src=0,dst=1,val=20 -numa node,memdev=cpr-ram1 "
	  OBJ("cpr-ram0", "6M", "ram0") " " OBJ("cpr-ram1", "2M", "ram1") " -m 8M" },
	/* The user's own files */
	{ "", "-object memory-backend-file,id=a,size=8M,mem-path=" DIR "/x,share=on "
	  "-M q35,memory-backend=a", "-object memory-backend-file,id=a,size=8M,mem-path=" DIR
	  "/x,share=on -M q35,memory-backend=a -m 8M" },
	{ "8M", "-object memory-backend-file,id=a,size=4M,mem-path=" DIR "/x,share=yes "
	  "-numa node,memdev=a -numa node", "-object memory-backend-file,id=a,size=4M,mem-path=" DIR
	  "/x,share=yes -numa node,memdev=a -numa node,memdev=cpr-ram0 "
	  OBJ("cpr-ram0", "4M", "ram0") " -m 8M" },
	{ "8M", "-object {\"qom-type\":\"memory-backend-file\",\"id\":\"n\",\"size\":4194304,"
	  "\"mem-path\":\"" DIR "/nv\",\"share\":true}",
	  "-object {\"qom-type\":\"memory-backend-file\",\"id\":\"n\",\"size\":4194304,"
	  "\"mem-path\":\"" DIR "/nv\",\"share\":true} " OBJ("cpr-ram0", "8M", "ram0")
	  " -machine memory-backend=cpr-ram0 -m 8M" },
};

TEST(command_lines_that_are_rewritten)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		_cleanup_err_ struct err err = { 0 };
		_cleanup_launch_plan_ struct launch_plan p = { 0 };
		_cleanup_free_ char *line = NULL;
		int r = plan(good[i].ram, NULL, good[i].in, &p, &err);

		CHECK_MSG(r == 0, "'%s': %s", good[i].in, err.why);
		line = strv_join(&p.argv, " ");
		CHECK_STR(line, good[i].out);
	}
}

/* Exit status, and words that the message must have. */
static const struct {
	const char *ram, *in;
	enum cpr_exit exit;
	const char *words;
} bad[] = {
	{ "8M", "-object memory-backend-ram,id=x,size=8M", CPR_EXIT_REFUSED, "anonymous" },
	{ "8M", "--object memory-backend-memfd,id=x,size=8M", CPR_EXIT_REFUSED, "anonymous" },
	{ "8M", "-object qom-type=memory-backend-shm,id=x", CPR_EXIT_REFUSED, "anonymous" },
	{ "8M", "-object {\"qom-type\":\"memory-backend-ram\",\"id\":\"x\"}", CPR_EXIT_REFUSED,
	  "anonymous" },
	{ "8M", "-object {\"qom-type\":", CPR_EXIT_REFUSED, "JSON" },
	{ "8M", "-object memory-backend-new,id=x", CPR_EXIT_REFUSED, "not known" },
	{ "8M", "-object sev-guest,id=s", CPR_EXIT_REFUSED, "confidential" },
	{ "8M", "-device {\"driver\":", CPR_EXIT_REFUSED, "JSON" },
	{ "8M", "-object tdx-guest,id=s", CPR_EXIT_REFUSED, "confidential" },
	{ "8M", "-M q35,confidential-guest-support=s", CPR_EXIT_REFUSED, "confidential" },
	{ "8M", "-object memory-backend-file,id=a,size=8M,mem-path=/dev/hugepages/x,share=on",
	  CPR_EXIT_REFUSED, "outside " DIR },
	{ "8M", "-object memory-backend-file,id=a,size=8M,mem-path=" DIR "2/x,share=on",
	  CPR_EXIT_REFUSED, "outside " DIR },
	{ "8M", "-object memory-backend-file,id=a,size=8M,mem-path=" DIR "/../x,share=on",
	  CPR_EXIT_REFUSED, "directly" },
	{ "8M", "-object memory-backend-file,id=a,size=8M,mem-path=" DIR "/state,share=on",
	  CPR_EXIT_REFUSED, "another file" },
	{ "8M", "-object memory-backend-file,id=a,size=8M,mem-path=" DIR "/x", CPR_EXIT_REFUSED,
	  "share=on" },
	{ "8M", "-object memory-backend-file,id=a,size=8M,mem-path=" DIR "/x,share=off",
	  CPR_EXIT_REFUSED, "share=on" },
	{ "8M", "-object memory-backend-file,id=a,size=8M,mem-path=" DIR
	  "/x,share=on,discard-data=on", CPR_EXIT_REFUSED, "discard-data" },
	{ "8M", "-object memory-backend-file,id=a,size=8M,mem-path=" DIR "/x,share=on,offset=2M",
	  CPR_EXIT_REFUSED, "offset" },
	{ "8M", "-object memory-backend-file,id=cpr-ram0,size=8M,mem-path=" DIR "/x,share=on",
	  CPR_EXIT_REFUSED, "cpr-helper's own" },
	{ "8M", "-incoming defer", CPR_EXIT_REFUSED, "-incoming" },
	{ "8M", "--daemonize", CPR_EXIT_REFUSED, "-daemonize" },
	{ "8M", "-mem-path /dev/shm", CPR_EXIT_REFUSED, "-mem-path" },
	{ "8M", "-readconfig x", CPR_EXIT_REFUSED, "-readconfig" },
	{ "8M", "-preconfig", CPR_EXIT_REFUSED, "-preconfig" },
	{ "8M", "-loadvm x", CPR_EXIT_REFUSED, "-loadvm" },
	{ "8M", "-run-with user=qemu", CPR_EXIT_REFUSED, "-run-with" },
	{ "8M", "-device vfio-ccw,sysfsdev=/sys/x", CPR_EXIT_REFUSED, "vfio" },
	{ "8M", "-device {\"driver\":\"vfio-ap\"}", CPR_EXIT_REFUSED, "vfio" },
	{ "8M", "-global vfio-pci.sysfsdev=/sys/x", CPR_EXIT_REFUSED, "replace" },
	{ "8M", "-global driver=vfio-pci,property=sysfsdev,value=/sys/x",
	  CPR_EXIT_REFUSED, "replace" },
	{ "8M", "-global driver=pci-device,property=host,value=1:0.0",
	  CPR_EXIT_REFUSED, "replace" },
	{ "8M", "-m 8M,slots=2,maxmem=1G", CPR_EXIT_REFUSED, "slots" },
	{ "8M", "-M q35,memory.size=8M", CPR_EXIT_REFUSED, "memory.size" },
	{ "8M", "-M q35,memory-backend=nope", CPR_EXIT_REFUSED, "nope" },
	{ "8M", "-M q35,suppress-vmdesc=on", CPR_EXIT_REFUSED, "proven whole" },
	{ "8M", "-global migration.send-configuration=off", CPR_EXIT_REFUSED, "proven whole" },
	{ "8M", "-global driver=migration,property=send-section-footer,value=off",
	  CPR_EXIT_REFUSED, "proven whole" },
	{ "8M", "-numa node,memdev=nope", CPR_EXIT_REFUSED, "nope" },
	{ "8M", "-numa node,mem=8M", CPR_EXIT_REFUSED, "mem=" },
	{ "", "-M q35", CPR_EXIT_USAGE, "not given" },
	{ "8M", "-m 16M", CPR_EXIT_USAGE, "-m gives 16M" },
	{ "", "-m 63M", CPR_EXIT_USAGE, "multiple of 2 MiB" },
	{ "3", "-M q35", CPR_EXIT_USAGE, "multiple of 2 MiB" },
	{ "", "-m lots", CPR_EXIT_USAGE, "cannot be parsed" },
	{ "4M,4M", "-M q35", CPR_EXIT_USAGE, "no NUMA nodes" },
	{ "4M,4M,4M", "-numa node -numa node", CPR_EXIT_USAGE, "3 sizes for 2 nodes" },
	{ "2M", "-numa node -numa node", CPR_EXIT_USAGE, "left for 2 nodes" },
	{ "8M", "-object memory-backend-file,id=a,size=4M,mem-path=" DIR "/x,share=on "
	  "-M q35,memory-backend=a", CPR_EXIT_USAGE, "-object gives 4M" },
};

TEST(command_lines_that_are_refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_err_ struct err err = { 0 };
		_cleanup_launch_plan_ struct launch_plan p = { 0 };
		_cleanup_free_ char *all = NULL;
		int r = plan(bad[i].ram, NULL, bad[i].in, &p, &err);

		CHECK_MSG(r < 0, "'%s' is accepted", bad[i].in);
		if (r == 0)
			continue;
		CHECK_MSG(err.exit == bad[i].exit, "'%s': status %d", bad[i].in, err.exit);
		all = xasprintf("%s %s %s", err.what, err.value ? err.value : "", err.why);
		CHECK_MSG(strstr(all, bad[i].words), "'%s': '%s' lacks '%s'", bad[i].in, all,
			  bad[i].words);
		CHECK_MSG(err.remedy, "'%s' has no remedy", bad[i].in);
	}
}

TEST(sums_of_memory)
{
	_cleanup_err_ struct err err = { 0 };
	_cleanup_launch_plan_ struct launch_plan p = { 0 };

	CHECK_EQ(plan("8M", NULL, "-S -object memory-backend-file,id=n,size=4M,mem-path=" DIR
		       "/nv,share=on", &p, &err), 0);
	CHECK_EQ(p.base, 8 * MIB);
	CHECK_EQ(launch_plan_bytes(&p), 12 * MIB);
	CHECK_EQ(p.nfiles, 2);
	CHECK(p.paused);
	CHECK(!p.agent);
}

TEST(guest_agent_channel)
{
	static const char own[] = "-device virtserialport,name=org.qemu.guest_agent.0,chardev=ga "
				  "-chardev socket,path=/tmp/a,,b,id=ga,server=on";
	_cleanup_launch_plan_ struct launch_plan added = { 0 }, found = { 0 }, both = { 0 };
	_cleanup_err_ struct err err = { 0 };
	_cleanup_free_ char *line = NULL;

	CHECK_EQ(plan("8M", "/run/a.qga", "-M q35", &added, NULL), 0);
	CHECK_STR(added.agent, "/run/a.qga");
	line = strv_join(&added.argv, " ");
	CHECK(strstr(line, "-chardev socket,id=cpr-qga,path=/run/a.qga,server=on,wait=off "
		     "-device virtio-serial-pci,id=cpr-serial -device virtserialport,"
		     "bus=cpr-serial.0,chardev=cpr-qga,name=org.qemu.guest_agent.0"));
	CHECK_EQ(plan("8M", NULL, own, &found, NULL), 0);
	CHECK_STR(found.agent, "/tmp/a,b");
	CHECK(plan("8M", "/run/a.qga", own, &both, &err) < 0);
	CHECK_EQ(err.exit, CPR_EXIT_USAGE);
}

/* As guests with devices need it: added, unless there is one. */
TEST(guest_agent_channel_that_is_needed)
{
	static const char own[] = "-device virtserialport,name=org.qemu.guest_agent.0,chardev=ga "
				  "-chardev socket,path=/tmp/a,id=ga,server=on";
	_cleanup_launch_plan_ struct launch_plan added = { 0 }, found = { 0 };
	_cleanup_free_ char *line = NULL;

	agent_optional = true;
	CHECK_EQ(plan("8M", "/run/a.qga", "-M q35", &added, NULL), 0);
	CHECK_STR(added.agent, "/run/a.qga");
	CHECK_EQ(plan("8M", "/run/a.qga", own, &found, NULL), 0);
	CHECK_STR(found.agent, "/tmp/a");
	line = strv_join(&found.argv, " ");
	CHECK(!strstr(line, "cpr-qga"));
	agent_optional = false;
}

/* In copy mode RAM may be anywhere, and is left there. */
static const struct {
	const char *ram, *in, *out;
	uint64_t base;
} copied[] = {
	{ "64M", "-M q35", "-M q35 -m 64M", 64 * MIB },
	{ "", "-m 63 -S", "-m 63", 63 * MIB },
	{ "", "-M q35", "-M q35", 0 },
	{ "", "-m 8M -mem-path /dev/hugepages", "-m 8M -mem-path /dev/hugepages", 8 * MIB },
	{ "", "-m 8M -object memory-backend-memfd,id=m,size=8M -numa node,memdev=m",
	  "-m 8M -object memory-backend-memfd,id=m,size=8M -numa node,memdev=m", 8 * MIB },
	{ "", "-m 8M -object memory-backend-file,id=m,size=8M,mem-path=/tmp/x",
	  "-m 8M -object memory-backend-file,id=m,size=8M,mem-path=/tmp/x", 8 * MIB },
};

static const struct {
	const char *ram, *in, *words;
} not_copied[] = {
	{ "8M", "-m 16M", "-m gives 16M" },
	{ "8M,8M", "-M q35", "2 sizes" },
	{ "", "-object memory-backend-file,id=m,size=8M,mem-path=" DIR "/x,share=on", "region" },
	{ "", "-object memory-backend-file,id=m,size=8M,mem-path=/tmp/x,readonly=on", "read-only" },
	{ "", "-object memory-backend-epc,id=e,size=8M", "SGX" },
	{ "", "-object sev-guest,id=s", "confidential" },
	{ "", "-device vfio-pci,host=00:02.0", "other host addresses" },
	{ "", "-incoming defer", "incoming migration" },
	{ "", "-m 8M,slots=2,maxmem=1G", "plugged later" },
};

TEST(copy_mode_leaves_memory_where_it_is)
{
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++) {
		_cleanup_launch_plan_ struct launch_plan p = { 0 };
		_cleanup_free_ char *line = NULL;
		_cleanup_err_ struct err err = { 0 };

		CHECK_MSG(plan_in(NULL, copied[i].ram, NULL, copied[i].in, &p, &err) == 0, "'%s': %s",
			  copied[i].in, err.why);
		line = strv_join(&p.argv, " ");
		CHECK_STR(line, copied[i].out);
		CHECK_EQ(p.base, copied[i].base);
		CHECK_EQ(p.nfiles, 0);
	}
}

TEST(what_copy_mode_refuses)
{
	for (size_t i = 0; i < ARRAY_SIZE(not_copied); i++) {
		_cleanup_launch_plan_ struct launch_plan p = { 0 };
		_cleanup_err_ struct err err = { 0 };
		int r = plan_in(NULL, not_copied[i].ram, NULL, not_copied[i].in, &p, &err);

		CHECK_MSG(r < 0, "'%s' is accepted", not_copied[i].in);
		CHECK_MSG(r == 0 || strstr(fmt("%s %s", err.value ? err.value : "", err.why),
					   not_copied[i].words),
			  "'%s': '%s' lacks '%s'", not_copied[i].in, err.why, not_copied[i].words);
	}
}

int main(void)
{
	return ktap_run();
}
