// SPDX-License-Identifier: GPL-2.0-only
/*
 * The options of QEMU 10.0 to 11.1 for x86: how each is parsed, and what run, adopt and a
 * rehearsal do with it. A new option of QEMU is one line here.
 */
#define _GNU_SOURCE
#include "qemu/foreign.h"
#include "qemu/qemuopt.h"
#include "qemu/refuse.h"
#include "qemu/rehearsalargs.h"

/* The argument; @implied is the key of the first part, or NULL. */
#define FLAG		.arg = QEMUOPT_FLAG
#define TEXT		.arg = QEMUOPT_TEXT
#define GUEST		.arg = QEMUOPT_GUEST
#define PATH		.arg = QEMUOPT_PATH
#define KEYS(key)	.arg = QEMUOPT_KEYS, .implied = key
#define JSON(key)	.arg = QEMUOPT_JSON, .implied = key

#define ID(name)	.id = QEMUOPT_##name
#define ONCE		.once = true

/* What run and adopt refuse, and what adopt alone does. */
#define NEVER(why, remedy)	.never = { why, remedy }
#define CHECK(name)		.run = refuse_##name
#define ADOPT(name)		.adopt = foreign_##name

/*
 * What a rehearsal has in place of an option: the same if it makes the machine, also from
 * files that it reads; nothing if it only listens, writes, shows or takes memory. A line
 * without any of these is one whose effect outside of QEMU is not known.
 */
#define KEEP		.rehearse = rehearsal_keep
#define DROP		.rehearse = rehearsal_drop
#define TURN(name)	.rehearse = rehearsal_##name

const struct qemuopt_kind qemuopt_kinds[] = {
	{ "", PATH, KEEP },	/* a disk */

	{ "D", PATH, DROP },
	{ "L", PATH, KEEP },
	{ "M", KEYS("type"), ID(MACHINE), CHECK(machine), KEEP },
	{ "S", FLAG, ID(S), ONCE },
	{ "accel", KEYS("accel"), KEEP },
	{ "acpitable", KEYS(NULL), KEEP },
	{ "action", KEYS(NULL), KEEP },
	{ "add-fd", KEYS(NULL), NEVER(REFUSE_FD, "name the file by its path instead") },
	{ "append", GUEST, KEEP },
	{ "audio", KEYS("driver"), TURN(audiodev) },
	{ "audiodev", JSON("driver"), TURN(audiodev) },
	{ "bios", PATH, KEEP },
	{ "blockdev", JSON("driver"), KEEP },
	{ "boot", KEYS("order"), KEEP },
	{ "cdrom", PATH, KEEP },
	{ "chardev", JSON("backend"), ID(CHARDEV), ADOPT(chardev), TURN(chardev) },
	{ "compat", JSON(NULL), KEEP },
	{ "cpu", TEXT, KEEP },
	{ "d", TEXT, DROP },
	{ "daemonize", FLAG, ID(DAEMONIZE), ONCE,
	  NEVER("cpr-helper starts QEMU in the background itself", "leave it out") },
	{ "debugcon", TEXT, TURN(serial) },
	{ "device", JSON("driver"), ID(DEVICE), CHECK(device), ADOPT(device), TURN(device) },
	{ "dfilter", TEXT, DROP },
	{ "display", JSON("type"), TURN(none) },
	{ "drive", KEYS(NULL), KEEP },
	{ "dtb", PATH, KEEP },
	{ "dump-vmstate", PATH, NEVER("QEMU would exit at once", "call QEMU directly") },
	{ "echr", TEXT, DROP },
	{ "enable-kvm", FLAG, KEEP },
	{ "enable-sync-profile", FLAG },
	{ "fda", PATH, KEEP },
	{ "fdb", PATH, KEEP },
	{ "fsdev", KEYS("fsdriver"), TURN(fs) },
	{ "full-screen", FLAG, DROP },
	{ "fw_cfg", KEYS("name"), KEEP },
	{ "gdb", TEXT, DROP },
	{ "global", KEYS(NULL), CHECK(set), KEEP },
	{ "h", FLAG },
	{ "hda", PATH, KEEP },
	{ "hdb", PATH, KEEP },
	{ "hdc", PATH, KEEP },
	{ "hdd", PATH, KEEP },
	{ "help", FLAG },
	{ "icount", KEYS("shift"), TURN(icount) },
	{ "incoming", TEXT, ONCE,
	  NEVER("a new guest has no incoming migration",
		"leave it out; 'cpr-helper restore' adds it when it is needed") },
	{ "initrd", PATH, KEEP },
	{ "iscsi", KEYS(NULL) },
	{ "jitdump", FLAG, DROP },
	{ "k", TEXT, KEEP },
	{ "kernel", PATH, KEEP },
	{ "loadvm", TEXT, ONCE,
	  NEVER("QEMU would load the snapshot again at each restore",
		"leave it out and load the snapshot through the monitor") },
	{ "m", KEYS("size"), ID(M), CHECK(m), KEEP },
	{ "machine", KEYS("type"), ID(MACHINE), CHECK(machine), KEEP },
	{ "mem-path", PATH, ID(MEM_PATH), CHECK(mem_path) },
	{ "mem-prealloc", FLAG, DROP },
	{ "mon", KEYS("chardev"), DROP },
	{ "monitor", TEXT, TURN(none) },
	{ "msg", KEYS(NULL), KEEP },
	{ "mtdblock", PATH, KEEP },
	{ "name", KEYS("guest"), KEEP },
	{ "net", KEYS("type"), ID(NETDEV), TURN(net) },
	{ "netdev", JSON("type"), ID(NETDEV), TURN(netdev) },
	{ "nic", KEYS("type"), ID(NETDEV), TURN(net) },
	{ "no-fd-bootchk", FLAG, KEEP },
	{ "no-reboot", FLAG, KEEP },
	{ "no-shutdown", FLAG, KEEP },
	{ "no-user-config", FLAG, KEEP },
	{ "nodefaults", FLAG, KEEP },
	{ "nographic", FLAG, KEEP },
	{ "numa", KEYS("type"), ID(NUMA), CHECK(numa), KEEP },
	{ "object", JSON("qom-type"), ID(OBJECT), CHECK(object), TURN(object) },
	{ "only-migratable", FLAG, KEEP },
	{ "option-rom", KEYS("romfile"), KEEP },
	{ "overcommit", KEYS(NULL), DROP },
	{ "parallel", TEXT, TURN(serial) },
	{ "perfmap", FLAG, DROP },
	{ "pflash", PATH, KEEP },
	{ "pidfile", PATH, DROP },
	{ "plugin", KEYS("file") },
	{ "preconfig", FLAG,
	  NEVER("QEMU would wait for x-exit-preconfig, which cpr-helper does not send",
		"leave it out") },
	{ "qmp", TEXT, DROP },
	{ "qmp-pretty", TEXT, DROP },
	{ "qtest", TEXT },
	{ "qtest-log", PATH },
	{ "readconfig", PATH,
	  NEVER("its file may hold options that cannot be checked",
		"give its options on the command line") },
	{ "rtc", KEYS(NULL), KEEP },
	{ "run-with", KEYS(NULL), CHECK(run_with), DROP },
	{ "runas", TEXT, NEVER(REFUSE_PRIVILEGES, REFUSE_PRIVILEGES_REMEDY) },
	{ "s", FLAG, DROP },
	{ "sandbox", KEYS("enable"), KEEP },
	{ "sd", PATH, KEEP },
	{ "seed", TEXT, KEEP },
	{ "serial", TEXT, TURN(serial) },
	{ "set", KEYS(NULL), CHECK(set), TURN(set) },
	{ "shim", PATH, KEEP },
	{ "smbios", KEYS(NULL), KEEP },
	{ "smp", KEYS("cpus"), KEEP },
	{ "snapshot", FLAG, KEEP },
	{ "spice", KEYS(NULL), DROP },
	{ "tpmdev", KEYS("type") },
	{ "trace", KEYS("enable"), DROP },
	{ "usb", FLAG, KEEP },
	{ "usbdevice", TEXT, TURN(usbdevice) },
	{ "uuid", TEXT, KEEP },
	{ "version", FLAG },
	{ "vga", TEXT, TURN(vga) },
	{ "virtfs", KEYS("fsdriver"), TURN(fs) },
	{ "vnc", KEYS("vnc"), DROP },
	{ "watchdog-action", TEXT, KEEP },
	{ "win2k-hack", FLAG, KEEP },
	{ "xen-attach", FLAG },
	{ "xen-domid", TEXT },
	{ "xen-domid-restrict", FLAG },

	{ NULL, KEYS("") },
};
