// SPDX-License-Identifier: GPL-2.0-only
/* A kernel that the running one would not load is known before any guest stops. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>

#include "ktap.h"
#include "host/kexec.h"
#include "host/signing.h"

/* Unloading takes one, too. */
TEST(limits)
{
	static const struct { const char *limit; bool allows; } cases[] = {
		{ NULL, true }, { "-1", true }, { "2", true }, { "100", true }, { "1", false },
		{ "0", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK_EQ(kexec_limit_allows(cases[i].limit), cases[i].allows);
}

#define SIG "CONFIG_KEXEC_SIG=y\n"
#define FORCE "CONFIG_KEXEC_SIG_FORCE"
#define ARCH "CONFIG_IMA_ARCH_POLICY=y\n"
#define LOCKED "none [integrity] confidentiality"

TEST(kernels_that_load_signed_kernels_only)
{
	static const struct { const char *config, *lockdown; bool boot; const char *cause; } cases[] = {
		{ SIG, NULL, true, NULL },
		{ SIG, "[none] integrity confidentiality", false, NULL },
		{ SIG, LOCKED, false, "lockdown: " LOCKED },
		{ SIG, "none integrity [confidentiality]", false,
		  "lockdown: none integrity [confidentiality]" },
		{ SIG FORCE "=y\n", NULL, false, FORCE },
		{ SIG "# " FORCE " is not set\n", NULL, true, NULL },
		{ SIG ARCH, NULL, true, "Secure Boot" },
		{ SIG ARCH, NULL, false, NULL },
		{ "# CONFIG_KEXEC_SIG is not set\n" ARCH, LOCKED, true, NULL },
		{ NULL, LOCKED, false, "lockdown: " LOCKED },
		{ NULL, NULL, false, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *cause = signing_kernel_cause(cases[i].config, cases[i].lockdown,
								  cases[i].boot);

		CHECK_MSG(!cause == !cases[i].cause, "%zu: %s", i, cause ? cause : "none");
		if (cause && cases[i].cause)
			CHECK_STR(cause, cases[i].cause);
	}
}

/* The headers of a kernel's image: MZ, PE at 128, and a table of certificates of @size bytes. */
static bool signature_found(const char *mz, uint16_t kind, uint32_t size)
{
	_cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC);
	const uint32_t at = 128, magic = 0x4550;

	CHECK(ftruncate(fd, 1024) == 0);
	CHECK(pwrite(fd, mz, 2, 0) == 2 && pwrite(fd, &at, 4, 0x3c) == 4);
	CHECK(pwrite(fd, &magic, 4, at) == 4 && pwrite(fd, &kind, 2, at + 24) == 2);
	CHECK(pwrite(fd, &size, 4, at + 24 + (kind == 0x20b ? 148 : 132)) == 4);
	return signing_has_signature(fmt("/proc/self/fd/%d", fd));
}

TEST(signatures_of_images)
{
	CHECK(signature_found("MZ", 0x20b, 2048));
	CHECK(signature_found("MZ", 0x10b, 1));
	CHECK(!signature_found("MZ", 0x20b, 0));
	CHECK(!signature_found("MZ", 0x107, 2048));
	CHECK(!signature_found("ZM", 0x20b, 2048));
	CHECK(!signing_has_signature("/dev/null"));
	CHECK(!signing_has_signature("/nowhere"));
}

int main(void)
{
	return ktap_run();
}
