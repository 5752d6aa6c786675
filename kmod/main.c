// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: The module
 *
 * Loading claims the region, opens its image, holds the devices of its VMs, and then
 * offers the region to userspace, by netlink and as cprfs. Unloading does the reverse.
 * File systems are not unmounted by a kexec, so the reboot notifier commits the last
 * changes.
 *
 * Hibernation is refused while the region has an image. A hibernation image has the
 * memory of the page allocator only. So ordinary memory in the region would be lost at
 * power-off, and the resumed kernel would go on with files, and with frames that it takes
 * for zeroed, over arbitrary bytes. A persistent DIMM keeps its bytes, but the kernel that
 * boots to read the hibernation image loads this module as well, and changes the region
 * behind the other kernel's back. The resume of a kernel that was hibernated without an
 * image in the hands of this module is harmless, and so is suspend to RAM.
 *
 * A crash kernel leaves the region alone: it has little memory, and its only purpose is
 * the dump, which needs the guests' memory as it is.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/crash_dump.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/suspend.h>

#include "cpr_internal.h"
#include "fs.h"
#include "hold.h"
#include "image.h"
#include "netlink.h"
#include "poison.h"
#include "scrub.h"
#include "store.h"

#ifndef CPR_VERSION
#define CPR_VERSION "0"
#endif

static struct cpr cpr = {
	.lock = __MUTEX_INITIALIZER(cpr.lock),
	.inode_lock = __SPIN_LOCK_UNLOCKED(cpr.inode_lock),
	.bad_lock = __SPIN_LOCK_UNLOCKED(cpr.bad_lock),
	.stuck = XARRAY_INIT(cpr.stuck, 0),
	.touching = __RWSEM_INITIALIZER(cpr.touching),
	.region.failed = cpr_poison_failed,
	.commits = __WAIT_QUEUE_HEAD_INITIALIZER(cpr.commits),
	.scrubbed = __WAIT_QUEUE_HEAD_INITIALIZER(cpr.scrubbed),
	.listeners = BLOCKING_NOTIFIER_INIT(cpr.listeners),
	.committer = __DELAYED_WORK_INITIALIZER(cpr.committer, cpr_committer, 0),
	.scrubber = __DELAYED_WORK_INITIALIZER(cpr.scrubber, cpr_scrubber, 0),
};

static char *region;
module_param(region, charp, 0400);
MODULE_PARM_DESC(region, "handover region as SIZE!START, spelled as for memmap=; without it, the first persistent range that has an image");

static int main_on_reboot(struct notifier_block *nb, unsigned long action, void *data)
{
	/* A reboot notifier cannot veto; if the commit fails, the last commit counts. */
	cpr_commit_twice(&cpr);
	return NOTIFY_DONE;
}

static struct notifier_block main_reboot_notifier = {
	.notifier_call = main_on_reboot,
};

static int main_on_sleep(struct notifier_block *nb, unsigned long action, void *data)
{
	if (action != PM_HIBERNATION_PREPARE)
		return NOTIFY_DONE;

	guard(cpr)(&cpr);

	if (!cpr.formatted)
		return NOTIFY_DONE;
	pr_err("refusing to hibernate: the handover region at %#llx, with %u frames of files, is in no hibernation image and would be lost; suspend to RAM instead, or shut the guests down, unmount cprfs and unload cpr_handover\n",
	       cpr.region.start, cpr.frames.count[CPR_FRAME_USED]);
	return notifier_from_errno(-EBUSY);
}

static struct notifier_block main_sleep_notifier = {
	.notifier_call = main_on_sleep,
};

static int __init main_claim(void)
{
	u64 start, size;
	int err;

	err = cpr_region_check_kernel();
	if (err)
		return err;
	if (region)
		err = cpr_region_parse(region, &start, &size);
	else
		err = cpr_region_find(&start, &size);
	if (!err)
		err = cpr_region_claim(&cpr.region, start, size);
	return err;
}

static int __init cpr_init(void)
{
	int err;

	if (is_kdump_kernel()) {
		pr_info("not loading: this is a crash kernel, which leaves the handover region as it is\n");
		return -ENODEV;
	}
	err = main_claim();
	if (err)
		return err;
	err = cpr_image_open(&cpr);
	if (err)
		goto err_release;
	err = register_reboot_notifier(&main_reboot_notifier);
	if (err)
		goto err_close;
	err = register_pm_notifier(&main_sleep_notifier);
	if (err)
		goto err_reboot;
	err = cpr_hold_init(&cpr);
	if (err)
		goto err_sleep;
	err = cpr_netlink_init(&cpr);
	if (err)
		goto err_hold;
	/* Last: a mount uses the module, so nothing may fail after this. */
	err = cpr_fs_init(&cpr);
	if (err)
		goto err_netlink;
	return 0;

err_netlink:
	cpr_netlink_exit();
err_hold:
	cpr_hold_exit();
err_sleep:
	unregister_pm_notifier(&main_sleep_notifier);
err_reboot:
	unregister_reboot_notifier(&main_reboot_notifier);
err_close:
	cpr_image_close(&cpr);
err_release:
	cpr_region_release(&cpr.region);
	return err;
}
module_init(cpr_init);

static void __exit cpr_exit(void)
{
	cpr_fs_exit();
	cpr_netlink_exit();
	cpr_hold_exit();
	unregister_pm_notifier(&main_sleep_notifier);
	unregister_reboot_notifier(&main_reboot_notifier);
	cpr_image_close(&cpr);
	cpr_region_release(&cpr.region);
}
module_exit(cpr_exit);

MODULE_DESCRIPTION("Handover of virtual machines across kexec");
MODULE_LICENSE("GPL");
MODULE_VERSION(CPR_VERSION);
