// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <fcntl.h>

#include "base/util.h"
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

/* Options that need no word on the command line, and those that need Secure Boot. */
static const struct { const char *option; bool secure_boot; } causes[] = {
	{ "CONFIG_MODULE_SIG_FORCE", false },
	{ "CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY", false },
	{ "CONFIG_LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY", false },
	{ "CONFIG_LOCK_DOWN_IN_EFI_SECURE_BOOT", true },
	{ "CONFIG_IMA_ARCH_POLICY", true },
};

char *signing_cause(const char *config, const char *line, bool secure_boot)
{
	char *word;

	if (!config_may_have(config, "CONFIG_MODULE_SIG"))
		return NULL;
	word = kcmdline_signing(line, config_may_have(config, "CONFIG_SECURITY_LOCKDOWN_LSM"));
	if (word)
		return word;
	/* Of an unknown configuration, only what distributions do is assumed. */
	for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
		if ((causes[i].secure_boot ? secure_boot : config != NULL) &&
		    config_may_have(config, causes[i].option))
			return xstrdup(causes[i].secure_boot ? "Secure Boot" : causes[i].option);
	return NULL;
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

char *signing_demand(const char *version, const char *line)
{
	_cleanup_free_ char *boot = xasprintf("/boot/config-%s", version);
	_cleanup_free_ char *lib = xasprintf("/lib/modules/%s/config", version);
	_cleanup_free_ char *config = read_text(boot, CONFIG_MAX);

	if (!config)
		config = read_text(lib, CONFIG_MAX);
	return signing_cause(config, line, secure_boot_is_on());
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
