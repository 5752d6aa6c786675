// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include "base/out.h"
#include "qemu/q35.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc

#define CR0_PG 0x80000000u
#define FIRMWARE_S 2			/* and nothing is lost if it takes longer */

#define HOST_BRIDGE 0x80000000u		/* 00:00.0, as CONFIG_ADDRESS has it */
#define LPC_BRIDGE 0x8000f800u		/* 00:1f.0 */

static const struct { uint32_t function, id; } identity[] = {
	{ HOST_BRIDGE, 0x29c08086 },
	{ LPC_BRIDGE, 0x29188086 },
};

static const uint32_t registers[Q35_REGISTERS] = {
	HOST_BRIDGE | 0x64,	/* PCIEXBAR: where configuration space is mapped */
	HOST_BRIDGE | 0x60,	/* its lower half, and whether it is */
	LPC_BRIDGE | 0x40,	/* PMBASE: ports of ACPI */
	LPC_BRIDGE | 0x44,	/* ACPI_CNTL: whether they are there */
	LPC_BRIDGE | 0xf0,	/* RCBA: the chipset's own registers */
};

/* A line of the human monitor: QMP knows no ports. */
static int monitor(struct qmp *qmp, const char *line, struct json_object **ret)
{
	struct json_object *args = json_object_new_object();

	jset_str(args, "command-line", line);
	return qmp_run(qmp, "human-monitor-command", args, ret, NULL);
}

/* Silence is success: what the monitor refuses, it says. */
static int out_port(struct qmp *qmp, uint32_t port, uint32_t value)
{
	_cleanup_json_ struct json_object *ret = NULL;
	int r = monitor(qmp, fmt("o /w %#x %#x", port, value), &ret);

	return r < 0 ? r : json_object_get_string_len(ret) ? -EOPNOTSUPP : 0;
}

static int in_port(struct qmp *qmp, uint32_t port, uint32_t *value)
{
	_cleanup_json_ struct json_object *ret = NULL;
	int r = monitor(qmp, fmt("i /xw %#x", port), &ret);

	if (r < 0)
		return r;
	return sscanf(json_object_get_string(ret), "portl[%*x] = %x", value) == 1 ? 0 : -EOPNOTSUPP;
}

static int read_config(struct qmp *qmp, uint32_t address, uint32_t *value)
{
	int r = out_port(qmp, CONFIG_ADDRESS, address);

	return r < 0 ? r : in_port(qmp, CONFIG_DATA, value);
}

static int write_config(struct qmp *qmp, uint32_t address, uint32_t value)
{
	int r = out_port(qmp, CONFIG_ADDRESS, address);

	return r < 0 ? r : out_port(qmp, CONFIG_DATA, value);
}

static bool is_q35(struct qmp *qmp)
{
	for (size_t i = 0; i < ARRAY_SIZE(identity); i++) {
		uint32_t id;

		if (read_config(qmp, identity[i].function, &id) < 0 || id != identity[i].id)
			return false;
	}
	return true;
}

static int read_all(struct qmp *qmp, uint32_t values[Q35_REGISTERS])
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < Q35_REGISTERS; i++)
		r = read_config(qmp, registers[i], &values[i]);
	return r;
}

static int set_lost(struct qmp *qmp, const struct q35 *q35)
{
	uint32_t now[Q35_REGISTERS];
	int r = read_all(qmp, now);

	for (size_t i = 0; r == 0 && i < Q35_REGISTERS; i++)
		if (now[i] != q35->values[i])
			r = write_config(qmp, registers[i], q35->values[i]);
	return r;
}

/* The guest may be between its write of an address and that of the data. */
static int set_between(struct qmp *qmp, const struct q35 *q35)
{
	uint32_t address;
	int r = in_port(qmp, CONFIG_ADDRESS, &address), back;

	if (r < 0)
		return r;
	r = set_lost(qmp, q35);
	back = out_port(qmp, CONFIG_ADDRESS, address);
	return r < 0 ? r : back;
}

void q35_read(struct qmp *qmp, struct q35 *q35)
{
	*q35 = (struct q35){ 0 };
	q35->there = is_q35(qmp) && read_all(qmp, q35->values) == 0;
}

/* That it was stopped here is no news to whoever watches it. */
static void forget_events(struct qmp *qmp)
{
	json_object_put(qmp->events);
	qmp->events = json_object_new_array();
}

static int mend(struct qmp *qmp, const struct q35 *q35, struct err *err)
{
	int r = qmp_run(qmp, "stop", NULL, NULL, err);

	if (r < 0)
		return r;
	if (set_between(qmp, q35) < 0)
		note("the guest may not be able to suspend again: its chipset could not be set up");
	r = qmp_run(qmp, "cont", NULL, NULL, err);
	forget_events(qmp);
	return r;
}

/* SeaBIOS never turns paging on, and every kernel does. */
static bool in_firmware(struct qmp *qmp)
{
	_cleanup_json_ struct json_object *ret = NULL;
	const char *cr0;

	if (monitor(qmp, "info registers", &ret) < 0)
		return false;
	cr0 = strstr(json_object_get_string(ret), "CR0=");
	return cr0 && !(strtoul(cr0 + strlen("CR0="), NULL, 16) & CR0_PG);
}

int q35_restore(struct qmp *qmp, const struct q35 *q35, struct err *err)
{
	deadline_t deadline = deadline_in(FIRMWARE_S);
	int r;

	if (!q35->there)
		return 0;
	r = mend(qmp, q35, err);
	if (r < 0)
		return r;
	while (in_firmware(qmp) && deadline_left(deadline))
		usleep(10000);
	return mend(qmp, q35, err);
}
