// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>

#include "host/kcmdline.h"
#include "host/signing.h"

#define CONFIG_MAX (4 * MIB)
#define KEYS_MAX (4 * MIB)
#define EFIVARS "/sys/firmware/efi/efivars/"

/* Whether the configuration has the option built in; also if it is not known. */
static bool config_may_have(const char *config, const char *option)
{
	_cleanup_free_ char *line = xasprintf("%s=y", option);
	size_t len = strlen(line);

	for (const char *at = config; at && (at = strstr(at, line)); at += len)
		if ((at == config || at[-1] == '\n') && (!at[len] || at[len] == '\n'))
			return true;
	return !config;
}

/* An option that needs no word on the command line, or one that needs Secure Boot. */
struct cause { const char *option; bool secure_boot; };

static const struct cause module_causes[] = {
	{ "CONFIG_MODULE_SIG_FORCE", false },
	{ "CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY", false },
	{ "CONFIG_LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY", false },
	{ "CONFIG_LOCK_DOWN_IN_EFI_SECURE_BOOT", true },
	{ "CONFIG_IMA_ARCH_POLICY", true },
};

/* Without lockdown, which the running kernel itself tells. */
static const struct cause kernel_causes[] = {
	{ "CONFIG_KEXEC_SIG_FORCE", false },
	{ "CONFIG_IMA_ARCH_POLICY", true },
};

/* Of an unknown configuration, only what distributions do is assumed. */
static char *causes_find(const struct cause *causes, size_t n, const char *config, bool secure_boot)
{
	for (size_t i = 0; i < n; i++)
		if ((causes[i].secure_boot ? secure_boot : config != NULL) &&
		    config_may_have(config, causes[i].option))
			return xstrdup(causes[i].secure_boot ? "Secure Boot" : causes[i].option);
	return NULL;
}

char *signing_cause(const char *config, const char *line, bool secure_boot)
{
	char *word;

	if (!config_may_have(config, "CONFIG_MODULE_SIG"))
		return NULL;
	word = kcmdline_signing(line, config_may_have(config, "CONFIG_SECURITY_LOCKDOWN_LSM"));
	return word ? word : causes_find(module_causes, ARRAY_SIZE(module_causes), config, secure_boot);
}

char *signing_kernel_cause(const char *config, const char *lockdown, bool secure_boot)
{
	static const char *const levels[] = { "[integrity]", "[confidentiality]" };

	if (!config_may_have(config, "CONFIG_KEXEC_SIG"))
		return NULL;
	for (size_t i = 0; lockdown && i < ARRAY_SIZE(levels); i++)
		if (strstr(lockdown, levels[i]))
			return xasprintf("lockdown: %s", lockdown);
	return causes_find(kernel_causes, ARRAY_SIZE(kernel_causes), config, secure_boot);
}

/* A variable of one byte; before it are four of attributes. False if it is not there. */
static bool efi_variable_is_set(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char bytes[5];

	return fd >= 0 && read(fd, bytes, sizeof(bytes)) == sizeof(bytes) && bytes[4] == 1;
}

/* As the kernel has it: not if the machine's owner told shim to verify nothing. */
static bool secure_boot_is_on(void)
{
	return efi_variable_is_set(EFIVARS "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c") &&
	       !efi_variable_is_set(EFIVARS "MokSBStateRT-605dab50-e046-4300-abb6-3dd810dd8b23");
}

static char *config_read(const char *version)
{
	_cleanup_free_ char *boot = xasprintf("/boot/config-%s", version);
	_cleanup_free_ char *lib = xasprintf("/lib/modules/%s/config", version);
	char *config = read_text(boot, CONFIG_MAX);

	return config ? config : read_text(lib, CONFIG_MAX);
}

char *signing_demand(const char *version, const char *line)
{
	_cleanup_free_ char *config = config_read(version);

	return signing_cause(config, line, secure_boot_is_on());
}

/* The directory of certificates of a PE image, PE32 or PE32+, has a size. */
static bool image_has_certificates(int fd)
{
	struct { uint32_t magic; char file_header[20]; uint16_t kind; } __attribute__((packed)) pe;
	struct { uint32_t offset, size; } table;
	uint16_t mz;
	uint32_t at;

	return pread(fd, &mz, sizeof(mz), 0) == sizeof(mz) && mz == 0x5a4d &&
	       pread(fd, &at, sizeof(at), 0x3c) == sizeof(at) &&
	       pread(fd, &pe, sizeof(pe), at) == sizeof(pe) && pe.magic == 0x4550 &&
	       (pe.kind == 0x10b || pe.kind == 0x20b) &&
	       pread(fd, &table, sizeof(table), (off_t)at + 24 + (pe.kind == 0x20b ? 144 : 128)) ==
	       sizeof(table) && table.size;
}

bool signing_has_signature(const char *image)
{
	_cleanup_close_ int fd = open(image, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && (image_has_certificates(fd) || fgetxattr(fd, "security.ima", NULL, 0) > 0);
}

int signing_check_kernel(const struct kernel *k, struct err *err)
{
	_cleanup_free_ char *config = config_read(kernel_release());
	_cleanup_free_ char *lockdown = read_text("/sys/kernel/security/lockdown", 64);
	_cleanup_free_ char *cause = signing_kernel_cause(config, lockdown, secure_boot_is_on());

	if (!cause || signing_has_signature(k->image))
		return 0;
	return fail(err, -ENOKEY, .exit = CPR_EXIT_REFUSED, .what = "kernel image", .value = k->image,
		    .why = fmt("it is not signed, and the running kernel loads signed kernels only (%s)",
			       cause),
		    .remedy = "use a kernel that the distribution has signed, or sign the image with a "
		    "key that the running kernel has (sbsign(1))");
}

bool signing_knows_key(const char *signer)
{
	_cleanup_free_ char *keys = read_text("/proc/keys", KEYS_MAX);
	_cleanup_free_ char *name = xasprintf(" %s: ", signer);
	char *next = keys, *line;

	while (next && (line = strsep(&next, "\n")))
		if (strstr(line, ": X509.") && strstr(line, name))
			return true;
	return false;
}
