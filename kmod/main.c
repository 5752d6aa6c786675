// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: The module
 *
 * Claim the region, open its image, hold the devices of its VMs, and offer it:
 * as cprfs, and to netlink. On the way to another kernel the last changes are
 * committed by the reboot notifier, for file systems are not unmounted by a kexec.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/reboot.h>

#include "cpr_internal.h"

#ifndef CPR_VERSION
#define CPR_VERSION "0"
#endif

struct cpr cpr = {
	.lock = __MUTEX_INITIALIZER(cpr.lock),
	.scrubbed = __WAIT_QUEUE_HEAD_INITIALIZER(cpr.scrubbed),
};

static char *region;
module_param(region, charp, 0444);
MODULE_PARM_DESC(region, "handover region as SIZE!START, spelled as for memmap=; without it, the first persistent range that bears an image");

static int on_reboot(struct notifier_block *nb, unsigned long action, void *data)
{
	/* It cannot veto; a commit that fails leaves the last one in force. */
	if (cpr.formatted)
		cpr_commit(&cpr);
	return NOTIFY_DONE;
}

static struct notifier_block reboot_notifier = {
	.notifier_call = on_reboot,
};

static int claim(void)
{
	u64 start, size;
	int err;

	err = region ? cpr_region_parse(region, &start, &size) :
		       cpr_region_find(&start, &size);
	return err ?: cpr_region_claim(&cpr.region, start, size);
}

static int __init cpr_init(void)
{
	int err;

	INIT_DELAYED_WORK(&cpr.committer, cpr_committer);
	INIT_DELAYED_WORK(&cpr.scrubber, cpr_scrubber);

	err = claim();
	if (err)
		return err;
	err = cpr_netlink_init();
	if (err)
		goto err_release;
	err = cpr_image_open(&cpr);
	if (err)
		goto err_netlink;
	err = register_reboot_notifier(&reboot_notifier);
	if (err)
		goto err_close;
	err = cpr_hold_init(&cpr);
	if (err)
		goto err_notifier;
	err = register_filesystem(&cprfs_type);
	if (err)
		goto err_hold;
	return 0;

err_hold:
	cpr_hold_exit();
err_notifier:
	unregister_reboot_notifier(&reboot_notifier);
err_close:
	cpr_image_close(&cpr);
err_netlink:
	cpr_netlink_exit();
err_release:
	cpr_region_release(&cpr.region);
	return err;
}
module_init(cpr_init);

static void __exit cpr_exit(void)
{
	unregister_filesystem(&cprfs_type);
	cpr_hold_exit();
	unregister_reboot_notifier(&reboot_notifier);
	cpr_netlink_exit();
	cpr_image_close(&cpr);
	cpr_region_release(&cpr.region);
}
module_exit(cpr_exit);

MODULE_DESCRIPTION("Handover of virtual machines across kexec");
MODULE_LICENSE("GPL");
MODULE_VERSION(CPR_VERSION);
