// SPDX-License-Identifier: GPL-2.0-only
/* The next kernel's command line has the region, or the update is refused. */
#define _GNU_SOURCE
#include "ktap.h"
#include "host/kcmdline.h"
#include "host/signing.h"
#include "base/size.h"

#define GIB (UINT64_C(1) << 30)

static int compose(const char *current, const char *base, const char *append, char **line,
		   char **warning, struct err *err)
{
	const struct kcmdline_request req = {
		.current = current, .base = base, .append = append, .start = 4 * GIB, .size = GIB,
	};

	return kcmdline_compose(&req, line, warning, err);
}

static const struct { const char *current, *base, *append, *out; } good[] = {
	{ "BOOT_IMAGE=/boot/vmlinuz root=/dev/vda1 memmap=1G!4G quiet initrd=/x", NULL, NULL,
	  "root=/dev/vda1 memmap=1G!4G quiet" },
	{ "memmap=0x40000000!0x100000000", NULL, "phase2", "memmap=0x40000000!0x100000000 phase2" },
	{ "memmap=1048576K!4096M a", NULL, NULL, "memmap=1048576K!4096M a" },
	/* A larger range covers the region, and is what must be kept. */
	{ "memmap=2G!4G", "root=x", NULL, "root=x memmap=2G!0x100000000" },
	{ "memmap=1G!4G", "root=x", NULL, "root=x memmap=1G!0x100000000" },
	{ "memmap=1G!4G", "root=x memmap=1024M!4G", NULL, "root=x memmap=1024M!4G" },
	{ "memmap=1G!4G", "", NULL, "memmap=1G!0x100000000" },
	/* Lists, other kinds, quoted words, and what is for init. */
	{ "memmap=16M$1G,1G!4G", NULL, NULL, "memmap=16M$1G,1G!4G" },
	{ "dyndbg=\"file a.c +p; memmap=1G$4G\" memmap=1G!4G", NULL, "b",
	  "dyndbg=\"file a.c +p; memmap=1G$4G\" memmap=1G!4G b" },
	{ "memmap=1G!4G -- single", NULL, "a=b", "memmap=1G!4G a=b -- single" },
	{ "memmap=1G!4G", "a -- single", NULL, "a memmap=1G!0x100000000 -- single" },
	/* Quotes around a word or a value, and a dash for an underscore, as the kernel reads. */
	{ "\"memmap=1G!4G\" a", NULL, NULL, "\"memmap=1G!4G\" a" },
	{ "memmap=\"1G!4G\"", NULL, NULL, "memmap=\"1G!4G\"" },
	{ "memmap=1G!4G", "\"memmap=1G!4G\"", NULL, "\"memmap=1G!4G\"" },
	{ "memmap=1G!4G", NULL, "module_blacklist=cpr_handover_x,xcpr_handover,pcspkr",
	  "memmap=1G!4G module_blacklist=cpr_handover_x,xcpr_handover,pcspkr" },
	/* The last mem_encrypt= counts. */
	{ "memmap=1G!4G", NULL, "mem_encrypt=on mem_encrypt=off",
	  "memmap=1G!4G mem_encrypt=on mem_encrypt=off" },
	{ "memmap=1G!4G mem_encrypt=on", NULL, NULL, "memmap=1G!4G mem_encrypt=on" },
	{ "memmap=1G!4G", NULL, "xmem_encrypt=on", "memmap=1G!4G xmem_encrypt=on" },
};

TEST(command_lines_that_are_composed)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		_cleanup_err_ struct err err = { 0 };
		_cleanup_free_ char *line = NULL, *warning = NULL;
		int r = compose(good[i].current, good[i].base, good[i].append, &line, &warning,
				&err);

		CHECK_MSG(r == 0, "'%s': %s", good[i].current, err.why);
		CHECK_STR(line, good[i].out);
		CHECK(!warning);
	}
}

static const struct { const char *current, *base, *append, *words; } bad[] = {
	{ "root=x", NULL, NULL, "no memmap= option" },
	{ "memmap=512M!4G", NULL, NULL, "no memmap= option" },
	{ "memmap=1G$4G", NULL, NULL, "no memmap= option" },
	{ "memmap=1G!5G", NULL, NULL, "no memmap= option" },
	{ "-- memmap=1G!4G", NULL, NULL, "no memmap= option" },
	{ "xmemmap=1G!4G", NULL, NULL, "no memmap= option" },
	{ "memmap=1G!4G", NULL, "memmap=512M!4G", "contradicts" },
	{ "memmap=1G!4G", "memmap=512M!4G", NULL, "contradicts" },
	{ "memmap=1G!4G", "memmap=1G$4G", NULL, "contradicts" },
	{ "memmap=1G!4G", NULL, "memmap=2G!3G", "contradicts" },
	{ "memmap=2G!4G", "memmap=1G!4G", NULL, "contradicts" },
	/* A quote that is not closed swallows what is added. */
	{ "memmap=1G!4G", "root=x dyndbg=\"file foo.c +p", NULL, "a quote before it is not closed" },
	{ "memmap=1G!4G", "a", "b=\"c", "a quote before it is not closed" },
	{ "memmap=1G!4G", "\"a", NULL, "a quote before it is not closed" },
	{ "memmap=1G!4G", NULL, "\"memmap=512M!4G\"", "contradicts" },
	{ "memmap=1G!4G", NULL, "memmap=\"512M!4G\"", "contradicts" },
	{ "memmap=1G!4G", NULL, "module_blacklist=cpr_handover", "cpr_handover" },
	{ "memmap=1G!4G", NULL, "modprobe.blacklist=a,cpr-handover,b", "cpr_handover" },
	{ "memmap=1G!4G", NULL, "\"module-blacklist=cpr_handover\"", "cpr_handover" },
	{ "memmap=1G!4G", NULL, "rd.driver.blacklist=\"cpr_handover\"", "cpr_handover" },
	{ "memmap=1G!4G", NULL, "-- modprobe.blacklist=cpr_handover", "cpr_handover" },
	{ "memmap=1G!4G", NULL, "mem_encrypt=on", "was booted without it" },
	{ "memmap=1G!4G mem_encrypt=off", NULL, "-- mem_encrypt=on", "was booted without it" },
	{ "memmap=1G!4G mem_encrypt=on", "memmap=1G!4G", NULL, "was booted with it" },
	{ "memmap=1G!4G mem_encrypt=on", NULL, "mem_encrypt=off", "was booted with it" },
};

TEST(command_lines_that_would_lose_the_region)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_err_ struct err err = { 0 };
		_cleanup_free_ char *line = NULL, *warning = NULL;
		int r = compose(bad[i].current, bad[i].base, bad[i].append, &line, &warning, &err);

		CHECK_MSG(r < 0 && !line, "'%s' gives '%s'", bad[i].current, line);
		if (r == 0)
			continue;
		CHECK_EQ(err.exit, CPR_EXIT_REFUSED);
		CHECK_MSG(strstr(err.why, bad[i].words), "'%s' lacks '%s'", err.why, bad[i].words);
		CHECK(err.remedy);
	}
}

TEST(length)
{
	_cleanup_err_ struct err err = { 0 };
	_cleanup_free_ char *line = NULL, *warning = NULL, *append = xcalloc(1, KCMDLINE_MAX + 1);

	memset(append, 'x', KCMDLINE_MAX - strlen("memmap=1G!4G "));
	CHECK_EQ(compose("memmap=1G!4G", NULL, append, &line, &warning, &err), 0);
	CHECK_EQ(strlen(line), KCMDLINE_MAX);
	free(line);
	strcat(append, "x");
	CHECK(compose("memmap=1G!4G", NULL, append, &line, &warning, &err) < 0);
	CHECK_EQ(err.exit, CPR_EXIT_REFUSED);
}

TEST(too_many_ranges_for_kaslr)
{
	static const char four[] = "memmap=1G!4G memmap=1M$1G,1M$2G,1M$3G";
	_cleanup_free_ char *a = NULL, *b = NULL, *warning = NULL;

	CHECK_EQ(compose(four, NULL, NULL, &a, &warning, NULL), 0);
	CHECK(!warning);
	CHECK_EQ(compose(four, NULL, "memmap=1M$8G", &b, &warning, NULL), 0);
	CHECK(warning && strstr(warning, "KASLR"));
}

TEST(a_region_that_needs_no_option)
{
	const struct kcmdline_request req = {
		.current = "root=x", .start = 4 * GIB, .size = GIB, .firmware = true,
	};
	_cleanup_free_ char *line = NULL, *warning = NULL;

	CHECK_EQ(kcmdline_compose(&req, &line, &warning, NULL), 0);
	CHECK_STR(line, "root=x");
}

static const struct { const char *text; int r; uint64_t unit, value; } sizes[] = {
	{ "512", 0, MIB, 512 * MIB }, { "512M", 0, MIB, 512 * MIB }, { "1g", 0, 1, GIB },
	{ "4096", 0, 1, 4096 }, { "2T", 0, 1, UINT64_C(2) << 40 }, { "0", 0, 1, 0 },
	{ "", -22, 1, 0 }, { "M", -22, 1, 0 }, { "-1", -22, 1, 0 }, { " 1", -22, 1, 0 },
	{ "1MB", -22, 1, 0 }, { "1P", -22, 1, 0 }, { "0x10", -22, 1, 0 }, { "1.5G", -22, 1, 0 },
	{ "99999999999999999999", -34, 1, 0 }, { "9999999999T", -34, 1, 0 },
};

TEST(sizes)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t value = 0;
		int r = size_parse(sizes[i].text, sizes[i].unit, &value);

		CHECK_MSG(r == sizes[i].r && value == sizes[i].value, "'%s': %d, %llu",
			  sizes[i].text, r, (unsigned long long)value);
	}
	CHECK_STR(size_exact(GIB), "1G");
	CHECK_STR(size_exact(1536 * 1024), "1536K");
	CHECK_STR(size_exact(4097), "4097");
	CHECK_STR(size_exact(0), "0");
	CHECK_STR(size_human(GIB + GIB / 2), "1.5 GiB");
	CHECK_STR(size_human(100), "100 B");
}

TEST(kho)
{
	CHECK(kcmdline_wants_kho("quiet kho=on"));
	CHECK(kcmdline_wants_kho("kho=1 kho_scratch=64M,64M,32M"));
	CHECK(kcmdline_wants_kho("kho=off kho=Y"));
	CHECK(!kcmdline_wants_kho("quiet"));
	CHECK(!kcmdline_wants_kho("kho=on kho=off"));
	CHECK(!kcmdline_wants_kho("kho="));
	CHECK(!kcmdline_wants_kho("kho=o"));
	CHECK(!kcmdline_wants_kho("nokho=on kho_scratch=1G"));
}

static const struct { const char *config, *line; bool secure_boot; const char *cause; } signings[] = {
	{ "CONFIG_MODULE_SIG=y\n", "quiet", true, NULL },
	{ "CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_FORCE=y", "quiet", false, "CONFIG_MODULE_SIG_FORCE" },
	{ "CONFIG_MODULE_SIG=y\n# CONFIG_MODULE_SIG_FORCE is not set\nXCONFIG_MODULE_SIG_FORCE=y\n"
	  "CONFIG_MODULE_SIG_FORCE=yes\n", "quiet", false, NULL },
	{ "CONFIG_MODULE_SIG=y\n", "module.sig_enforce", false, "module.sig_enforce" },
	{ "CONFIG_MODULE_SIG=y\n", "module.sig-enforce=1 quiet", false, "module.sig-enforce=1" },
	{ "CONFIG_MODULE_SIG=y\n", "module.sig_enforce=0 -- module.sig_enforce", false, NULL },
	{ "CONFIG_MODULE_SIG=y\n", "lockdown=integrity", false, NULL },
	{ "CONFIG_MODULE_SIG=y\nCONFIG_SECURITY_LOCKDOWN_LSM=y\n", "a lockdown=integrity", false,
	  "lockdown=integrity" },
	{ "CONFIG_MODULE_SIG=y\nCONFIG_SECURITY_LOCKDOWN_LSM=y\n", "lockdown=none", true, NULL },
	{ "CONFIG_MODULE_SIG=y\nCONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY=y\n", "", false,
	  "CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY" },
	{ "CONFIG_MODULE_SIG=y\nCONFIG_LOCK_DOWN_IN_EFI_SECURE_BOOT=y\n", "", false, NULL },
	{ "CONFIG_MODULE_SIG=y\nCONFIG_LOCK_DOWN_IN_EFI_SECURE_BOOT=y\n", "", true, "Secure Boot" },
	{ "CONFIG_MODULE_SIG=y\nCONFIG_IMA_ARCH_POLICY=y\n", "", true, "Secure Boot" },
	/* A kernel that cannot verify, and one that nothing is known of. */
	{ "CONFIG_MODULES=y\n", "lockdown=integrity module.sig_enforce", true, NULL },
	{ NULL, "quiet", false, NULL },
	{ NULL, "lockdown=confidentiality", false, "lockdown=confidentiality" },
	{ NULL, "quiet", true, "Secure Boot" },
};

TEST(kernels_that_load_signed_modules_only)
{
	for (size_t i = 0; i < ARRAY_SIZE(signings); i++) {
		_cleanup_free_ char *cause = signing_cause(signings[i].config, signings[i].line,
							   signings[i].secure_boot);

		CHECK_MSG(!cause == !signings[i].cause, "%zu: %s", i, cause ? cause : "none");
		if (cause)
			CHECK_STR(cause, signings[i].cause);
	}
}

int main(void)
{
	return ktap_run();
}
