// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include "base/out.h"
#include "qemu/q35.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc

#define CR0_PG 0x80000000u
#define FIRMWARE_S 2			/* limit for waiting; a slower firmware does no harm */

#define HOST_BRIDGE 0x80000000u		/* 00:00.0, as CONFIG_ADDRESS has it */
#define LPC_BRIDGE 0x8000f800u		/* 00:1f.0 */

static const struct { uint32_t function, id; } identity[] = {
	{ HOST_BRIDGE, 0x29c08086 },
	{ LPC_BRIDGE, 0x29188086 },
};

static const uint32_t registers[Q35_REGISTERS] = {
	HOST_BRIDGE | 0x64,	/* PCIEXBAR, upper half: address of the configuration space */
	HOST_BRIDGE | 0x60,	/* PCIEXBAR, lower half, with the enable bit */
	LPC_BRIDGE | 0x40,	/* PMBASE: I/O ports of ACPI */
	LPC_BRIDGE | 0x44,	/* ACPI_CNTL: enable bit of these ports */
	LPC_BRIDGE | 0xf0,	/* RCBA: address of the chipset's own registers */
};

/* Execute a command of the human monitor: QMP has no commands for I/O ports. */
static int q35_hmp(struct qmp *qmp, const char *line, struct json_object **ret)
{
	struct json_object *args = json_object_new_object();

	jset_str(args, "command-line", line);
	return qmp_run(qmp, "human-monitor-command", args, ret, NULL);
}

/* The human monitor prints nothing on success, and a message on failure. */
static int q35_out(struct qmp *qmp, uint32_t port, uint32_t value)
{
	_cleanup_json_ struct json_object *ret = NULL;
	int r = q35_hmp(qmp, fmt("o /w %#x %#x", port, value), &ret);

	return r < 0 ? r : json_object_get_string_len(ret) ? -EOPNOTSUPP : 0;
}

static int q35_in(struct qmp *qmp, uint32_t port, uint32_t *value)
{
	_cleanup_json_ struct json_object *ret = NULL;
	int r = q35_hmp(qmp, fmt("i /xw %#x", port), &ret);

	if (r < 0)
		return r;
	return sscanf(json_object_get_string(ret), "portl[%*x] = %x", value) == 1 ? 0 : -EOPNOTSUPP;
}

static int q35_read_config(struct qmp *qmp, uint32_t address, uint32_t *value)
{
	int r = q35_out(qmp, CONFIG_ADDRESS, address);

	return r < 0 ? r : q35_in(qmp, CONFIG_DATA, value);
}

static int q35_write_config(struct qmp *qmp, uint32_t address, uint32_t value)
{
	int r = q35_out(qmp, CONFIG_ADDRESS, address);

	return r < 0 ? r : q35_out(qmp, CONFIG_DATA, value);
}

static bool is_q35(struct qmp *qmp)
{
	for (size_t i = 0; i < ARRAY_SIZE(identity); i++) {
		uint32_t id;

		if (q35_read_config(qmp, identity[i].function, &id) < 0 || id != identity[i].id)
			return false;
	}
	return true;
}

static int q35_read_registers(struct qmp *qmp, uint32_t values[Q35_REGISTERS])
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < Q35_REGISTERS; i++)
		r = q35_read_config(qmp, registers[i], &values[i]);
	return r;
}

static int q35_write_lost(struct qmp *qmp, const struct q35 *q35)
{
	uint32_t now[Q35_REGISTERS];
	int r = q35_read_registers(qmp, now);

	for (size_t i = 0; r == 0 && i < Q35_REGISTERS; i++)
		if (now[i] != q35->values[i])
			r = q35_write_config(qmp, registers[i], q35->values[i]);
	return r;
}

/* The guest may be between writing CONFIG_ADDRESS and CONFIG_DATA: restore the address. */
static int q35_write_registers(struct qmp *qmp, const struct q35 *q35)
{
	uint32_t address;
	int r = q35_in(qmp, CONFIG_ADDRESS, &address), back;

	if (r < 0)
		return r;
	r = q35_write_lost(qmp, q35);
	back = q35_out(qmp, CONFIG_ADDRESS, address);
	return r < 0 ? r : back;
}

void q35_read(struct qmp *qmp, struct q35 *q35)
{
	*q35 = (struct q35){ 0 };
	q35->there = is_q35(qmp) && q35_read_registers(qmp, q35->values) == 0;
}

/* Drop the STOP and RESUME events of this function's stop, so that callers ignore it. */
static void q35_drop_events(struct qmp *qmp)
{
	json_object_put(qmp->events);
	qmp->events = json_object_new_array();
}

static int q35_write_stopped(struct qmp *qmp, const struct q35 *q35, struct err *err)
{
	int r = qmp_run(qmp, "stop", NULL, NULL, err);

	if (r < 0)
		return r;
	if (q35_write_registers(qmp, q35) < 0)
		note("the guest may not be able to suspend again: its chipset registers are lost");
	r = qmp_run(qmp, "cont", NULL, NULL, err);
	q35_drop_events(qmp);
	return r;
}

/* SeaBIOS never enables paging, and every kernel does. */
static bool q35_in_firmware(struct qmp *qmp)
{
	_cleanup_json_ struct json_object *ret = NULL;
	const char *cr0;

	if (q35_hmp(qmp, "info registers", &ret) < 0)
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
	r = q35_write_stopped(qmp, q35, err);
	if (r < 0)
		return r;
	while (q35_in_firmware(qmp) && deadline_left(deadline))
		usleep(10000);
	return q35_write_stopped(qmp, q35, err);
}
