// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "vm/drives.h"

/* Members of "inserted" in the reply to query-block; the first six are always there. */
static const char *const limits[] = {
	"bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr",
	"bps_max", "bps_rd_max", "bps_wr_max", "iops_max", "iops_rd_max", "iops_wr_max",
	"bps_max_length", "bps_rd_max_length", "bps_wr_max_length",
	"iops_max_length", "iops_rd_max_length", "iops_wr_max_length", "iops_size",
};
#define ALWAYS 6

static struct json_object *drive_throttle(struct json_object *inserted)
{
	struct json_object *throttle = json_object_new_object();
	bool limited = false;

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		int64_t value = jint(inserted, limits[i], 0);

		if (value || i < ALWAYS)
			jset_int(throttle, limits[i], value);
		limited |= value != 0;
	}
	if (limited && jstr(inserted, "group"))
		jset_str(throttle, "group", jstr(inserted, "group"));
	if (limited)
		return throttle;
	json_object_put(throttle);
	return NULL;
}

static struct json_object *drive_json(struct json_object *device)
{
	struct json_object *drive = json_object_new_object(), *inserted = jget(device, "inserted");
	struct json_object *throttle = drive_throttle(inserted);

	jset_str(drive, "drive", jstr(device, "qdev"));
	jset_bool(drive, "removable", jbool(device, "removable", false));
	if (inserted) {
		jset_str(drive, "file", jstr(inserted, "file"));
		jset_str(drive, "format", jstr(inserted, "drv"));
		jset_bool(drive, "readonly", jbool(inserted, "ro", false));
	}
	if (throttle)
		jset(drive, "throttle", throttle);
	return drive;
}

int drives_read(struct qmp *qmp, struct json_object **drives, struct err *err)
{
	_cleanup_json_ struct json_object *devices = NULL;
	int r = qmp_run(qmp, "query-block", NULL, &devices, err);

	if (r < 0)
		return r;
	*drives = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(devices); i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);

		/* A backend without a device is nothing that the guest has. */
		if (jstr(device, "qdev"))
			json_object_array_add(*drives, drive_json(device));
	}
	return 0;
}

static struct json_object *drive_args(const char *path)
{
	struct json_object *args = json_object_new_object();

	jset_str(args, "id", path);
	return args;
}

static int drive_put_medium(struct json_object *was, struct json_object *is, struct qmp *qmp,
			    struct err *err)
{
	const char *then = jstr(was, "file"), *now = jstr(is, "file"), *path = jstr(was, "drive");
	struct json_object *args;

	if (!then == !now && (!then || streq(then, now)))
		return 0;
	args = drive_args(path);
	jset_bool(args, "force", true);
	if (!then)
		return qmp_run(qmp, "eject", args, NULL, err);
	jset_str(args, "filename", then);
	jset_str(args, "format", jstr(was, "format"));
	jset_str(args, "read-only-mode", jbool(was, "readonly", true) ? "read-only" : "read-write");
	return qmp_run(qmp, "blockdev-change-medium", args, NULL, err);
}

static int drive_put_throttle(struct json_object *was, struct json_object *is, struct qmp *qmp,
			      struct err *err)
{
	struct json_object *then = jget(was, "throttle"), *now = jget(is, "throttle");
	struct json_object *args;

	if (json_object_equal(then, now) || !jstr(was, "file"))
		return 0;
	args = drive_args(jstr(was, "drive"));
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (i < ALWAYS || jget(then, limits[i]))
			jset_int(args, limits[i], jint(then, limits[i], 0));
	if (jstr(then, "group"))
		jset_str(args, "group", jstr(then, "group"));
	return qmp_run(qmp, "block_set_io_throttle", args, NULL, err);
}

int drives_put_back(struct json_object *drives, struct qmp *qmp, struct err *err)
{
	_cleanup_json_ struct json_object *now = NULL;
	int r = drives ? drives_read(qmp, &now, err) : 0;

	for (size_t i = 0; r == 0 && now && i < json_object_array_length(now); i++) {
		struct json_object *is = json_object_array_get_idx(now, i);
		struct json_object *was = jfind(drives, "drive", jstr(is, "drive"));

		if (was && jbool(was, "removable", false))
			r = drive_put_medium(was, is, qmp, err);
		if (r == 0 && was)
			r = drive_put_throttle(was, is, qmp, err);
	}
	return r;
}
