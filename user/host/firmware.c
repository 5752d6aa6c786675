// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>

#include "base/size.h"
#include "host/firmware.h"

#define MAP "/sys/firmware/memmap"
#define PERSISTENT "Persistent Memory"	/* also "... (legacy)" */

/**
 * struct firmware_map - the entries of the map, in the order in which sysfs lists them
 * @v: first and last byte of each, and its type
 */
struct firmware_map {
	struct firmware_range { uint64_t first, last; char *type; } *v;
	size_t n;
};

static void firmware_map_free(struct firmware_map *map)
{
	for (size_t i = 0; i < map->n; i++)
		free(map->v[i].type);
	free(map->v);
}

static char *firmware_read(const char *entry, const char *file)
{
	_cleanup_free_ char *path = xasprintf(MAP "/%s/%s", entry, file);

	return read_text(path, 64);
}

static void firmware_map_add(struct firmware_map *map, const char *entry)
{
	_cleanup_free_ char *first = firmware_read(entry, "start");
	_cleanup_free_ char *last = firmware_read(entry, "end");
	char *type = firmware_read(entry, "type");

	if (!first || !last || !type) {
		free(type);
		return;
	}
	map->v = xrealloc(map->v, map->n + 1, sizeof(*map->v));
	map->v[map->n++] = (struct firmware_range){
		.first = strtoull(first, NULL, 0), .last = strtoull(last, NULL, 0), .type = type,
	};
}

/* Empty if the kernel does not show it. */
static void firmware_map_read(struct firmware_map *map)
{
	DIR *dir = opendir(MAP);
	struct dirent *e;

	*map = (struct firmware_map){ 0 };
	while (dir && (e = readdir(dir)))
		if (*e->d_name != '.')
			firmware_map_add(map, e->d_name);
	if (dir)
		closedir(dir);
}

/* The entry that has a byte; the kernel lets no two overlap. NULL if there is none. */
static const struct firmware_range *firmware_map_at(const struct firmware_map *map, uint64_t at)
{
	for (size_t i = 0; i < map->n; i++)
		if (map->v[i].first <= at && map->v[i].last >= at)
			return &map->v[i];
	return NULL;
}

static bool firmware_is_memory(const struct firmware_range *range)
{
	return range && (streq(range->type, "System RAM") || startswith(range->type, PERSISTENT));
}

bool firmware_has_pmem(uint64_t start, uint64_t size)
{
	_cleanup_(firmware_map_free) struct firmware_map map;
	bool found = false;

	firmware_map_read(&map);
	for (size_t i = 0; i < map.n; i++)
		found |= startswith(map.v[i].type, PERSISTENT) && map.v[i].first <= start &&
			 map.v[i].last >= start + size - 1;
	return found;
}

static int firmware_refuse(uint64_t start, uint64_t size, uint64_t at,
			   const struct firmware_range *range, struct err *err)
{
	return fail(err, -ENXIO, .exit = CPR_EXIT_REFUSED, .what = "handover region",
		    .value = fmt("%s!0x%llx", size_exact(size), (unsigned long long)start),
		    .why = fmt("at 0x%llx the firmware has no memory, but %s",
			       (unsigned long long)at, range ? fmt("'%s'", range->type) : "nothing"),
		    .remedy = "boot with a memmap= whose range is RAM by the firmware's map ('usable' "
		    "in the lines with BIOS-e820 that dmesg prints)");
}

int firmware_check_memory(uint64_t start, uint64_t size, struct err *err)
{
	_cleanup_(firmware_map_free) struct firmware_map map;
	uint64_t last = start + size - 1, at = start;

	firmware_map_read(&map);
	while (map.n) {
		const struct firmware_range *range = firmware_map_at(&map, at);

		if (!firmware_is_memory(range))
			return firmware_refuse(start, size, at, range, err);
		if (range->last >= last)
			break;
		at = range->last + 1;
	}
	return 0;
}
