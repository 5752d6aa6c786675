// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include "stream/stream.h"
#include "stream/stream_walk.h"

#define MAGIC 0x5145564d
#define VERSION 3

enum {
	TYPE_EOF = 0x00,
	TYPE_START = 0x01,
	TYPE_PART = 0x02,
	TYPE_END = 0x03,
	TYPE_FULL = 0x04,
	TYPE_CONFIGURATION = 0x07,
	TYPE_COMMAND = 0x08,
	TYPE_FOOTER = 0x7e,
};

#define COMMAND_SWITCHOVER 11

/* The order of the parts: the phase never decreases. */
enum { PHASE_SETUP, PHASE_PARTS, PHASE_SWITCHOVER, PHASE_ENDS, PHASE_DEVICES };

static const char *const phases[] = {
	[PHASE_SETUP] = "the list of RAM blocks", [PHASE_PARTS] = "pages",
	[PHASE_SWITCHOVER] = "the command SWITCHOVER_START", [PHASE_ENDS] = "the last pages",
	[PHASE_DEVICES] = "devices",
};

/* A section that comes in several pieces. Where other sections end is not encoded. */
struct stream_iterable {
	const char *name;
	uint32_t version;
	int (*start)(struct stream_ram *ram, struct source *src);
	int (*part)(struct stream_ram *ram, struct source *src);
	int (*finish)(struct stream_ram *ram, struct source *src, uint64_t offset);
};

static const struct stream_iterable iterables[] = {
	{ "ram", RAM_VERSION, stream_ram_start, stream_ram_part, stream_ram_finish },
};

/* Devices that every guest has. */
static const char *const required[] = { "timer", "globalstate", "cpu_common", "cpu" };

static const struct { const char *prefix; bool numbered; } machines[] = {
	{ "pc-q35-", true }, { "pc-i440fx-", true }, { "microvm", false },
};

static const char *const runstates[] = {
	"debug", "inmigrate", "internal-error", "io-error", "paused", "postmigrate", "prelaunch",
	"finish-migrate", "restore-vm", "running", "save-vm", "shutdown", "suspended", "watchdog",
	"guest-panicked", "colo",
};

#define LOST "the file is damaged, or a part of it is lost or duplicated"

static const char *hex_byte(uint8_t b)
{
	return fmt("0x%02x", b);
}

/* What is given for a state file by mistake, by its first four bytes. */
static const char *other_format(uint32_t magic)
{
	static const struct { uint32_t magic, mask; const char *meaning; } formats[] = {
		{ 0x1f8b0000, 0xffff0000, "it is compressed: unpack it with gunzip first" },
		{ 0x28b52ffd, 0xffffffff, "it is compressed: unpack it with unzstd first" },
		{ 0xfd377a58, 0xffffffff, "it is compressed: unpack it with unxz first" },
		{ 0x425a6800, 0xffffff00, "it is compressed: unpack it with bunzip2 first" },
		{ 0x04224d18, 0xffffffff, "it is compressed: unpack it with unlz4 first" },
		{ 0x4c696276, 0xffffffff, "libvirt's virsh save wrote it, with a header of its own" },
		{ 0x514649fb, 0xffffffff, "it is a disk in qcow2 format" },
		{ 0x7f454c46, 0xffffffff, "it is an ELF file: a program, or a dump of memory" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if ((magic & formats[i].mask) == formats[i].magic)
			return formats[i].meaning;
	return NULL;
}

static int read_header(struct stream *st)
{
	struct source *src = &st->src;
	uint32_t magic, version;

	if (source_be32(src, "magic", &magic) < 0)
		return -EUCLEAN;
	if (other_format(magic))
		return foreign(src, 0, .expected = "'QEVM'", .found = fmt("0x%08x", magic),
			       .meaning = other_format(magic));
	if (magic != MAGIC)
		return damaged(src, 0, .expected = "'QEVM'", .found = fmt("0x%08x", magic),
			       .meaning = magic ? "this is not a QEMU state file" :
			       "the file begins with zeros: its data never reached the disk");
	if (source_be32(src, "version", &version) < 0)
		return -EUCLEAN;
	if (version == VERSION)
		return 0;
	return damaged(src, 4, .expected = "version 3", .found = fmt("%u", version),
		       .meaning = "QEMU has written only version 3 for many years");
}

/* The name goes into an argument of QEMU, where a comma would begin something else. */
static bool is_machine_name(const char *machine)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";

	return !machine[strspn(machine, chars)];
}

bool stream_knows_machine(const char *machine)
{
	if (!machine || !is_machine_name(machine))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++)
		if (startswith(machine, machines[i].prefix))
			return true;
	return false;
}

static int read_machine(struct stream *st)
{
	struct source *src = &st->src;
	uint64_t at = src->pos;
	const uint8_t *p;
	uint32_t len;

	if (source_be32(src, "length of the machine type", &len) < 0)
		return -EUCLEAN;
	if (len == 0 || len >= SOURCE_NAME)
		return damaged(src, at, .expected = "the length of the machine type",
			       .found = fmt("%u", len), .meaning = LOST);
	p = source_need(src, len, "machine type");
	if (!p)
		return -EUCLEAN;
	memcpy(st->machine, p, len);
	src->pos += len;
	if (!memchr(st->machine, 0, len) && stream_knows_machine(st->machine))
		return 0;
	return unproven(src, at + 4, .expected = "a machine type pc-q35, pc-i440fx or microvm",
			.found = fmt("'%s'", source_printable(st->machine, len)),
			.meaning = "cpr-helper does not know the state of other machine types");
}

static int read_capability(struct stream *st)
{
	struct source *src = &st->src;
	uint64_t at = src->pos;
	char name[SOURCE_NAME];
	bool *known;

	if (source_name(src, "name of a capability", name) < 0)
		return -EUCLEAN;
	known = streq(name, "x-ignore-shared") ? &st->ram.shared :
		streq(name, "mapped-ram") ? &st->ram.mapped : NULL;
	if (known && *known)
		return damaged(src, at, .expected = "each capability once",
			       .found = fmt("'%s' twice", name), .meaning = LOST);
	if (!known)
		return unproven(src, at, .expected = "x-ignore-shared or mapped-ram",
				.found = fmt("capability '%s'", name),
				.meaning = "cpr-helper does not know how it changes the file");
	*known = true;
	return 0;
}

static int read_capabilities(struct stream *st)
{
	struct source *src = &st->src;
	uint64_t at = src->pos;
	uint32_t n;

	if (source_be32(src, "number of capabilities", &n) < 0)
		return -EUCLEAN;
	if (n == 0 || n > 2)
		return damaged(src, at, .expected = "one or two capabilities",
			       .found = fmt("%u", n), .meaning = LOST);
	while (n--)
		if (read_capability(st) < 0)
			return -EUCLEAN;
	if (!st->ram.shared || !st->ram.mapped)
		return 0;
	return damaged(src, at, .expected = "one of x-ignore-shared and mapped-ram",
		       .found = "both", .meaning = "no QEMU up to 11.1 can load such a file");
}

static int skip_uuid(struct stream *st)
{
	return source_skip(&st->src, 16, "UUID");
}

/* The subsections of the configuration, in the order of the file. */
static const struct {
	const char *name;
	int (*read)(struct stream *st);
} subsections[] = {
	{ "configuration/capabilities", read_capabilities },
	{ "configuration/uuid", skip_uuid },
};

/* Returns the index in the table of the next subsection that may follow. */
static int read_subsection(struct stream *st, size_t from)
{
	struct source *src = &st->src;
	uint64_t at = src->pos++;
	char name[SOURCE_NAME];
	uint32_t version;

	if (source_name(src, "name of a subsection", name) < 0 ||
	    source_be32(src, "version of a subsection", &version) < 0)
		return -EUCLEAN;
	for (size_t i = from; i < ARRAY_SIZE(subsections); i++)
		if (streq(name, subsections[i].name) && version == 1)
			return subsections[i].read(st) < 0 ? -EUCLEAN : (int)i + 1;
	return damaged(src, at, .expected = "capabilities, then a UUID, of version 1, or neither",
		       .found = fmt("'%s' of version %u", name, version), .meaning = LOST);
}

static int read_configuration(struct stream *st)
{
	struct source *src = &st->src;
	const uint8_t *p;
	uint8_t type;
	int done = 0;

	source_in(src, "configuration");
	if (source_u8(src, "configuration", &type) < 0)
		return -EUCLEAN;
	if (type != TYPE_CONFIGURATION)
		return damaged(src, src->pos - 1, .expected = "the configuration, 0x07",
			       .found = hex_byte(type), .meaning = LOST);
	if (read_machine(st) < 0)
		return -EUCLEAN;
	while (done >= 0 && (p = source_need(src, 1, "section")) && *p == SUBSECTION_TYPE)
		done = read_subsection(st, done);
	return src->fault.kind ? -EUCLEAN : 0;
}

/* Walk the bytes of the configuration again, by its description. */
static int stream_check_configuration(struct stream *st, uint64_t start)
{
	struct source *src = &st->src;
	const char *name = jstr(st->desc.configuration, "vmsd_name");
	uint64_t end = src->pos;
	int r;

	if (!name || !streq(name, "configuration") || jint(st->desc.configuration, "version", 0) != 1)
		return damaged(src, st->desc.at, .expected = "a description of the configuration",
			       .found = name ? fmt("'%s'", source_printable(name, strlen(name))) :
			       "none",
			       .meaning = "the description is damaged");
	source_back(src, start);
	r = stream_walk(src, st->desc.configuration);
	if (r == 0 && src->pos != end)
		r = damaged(src, start, .expected = fmt("%llu bytes", (unsigned long long)(end - start)),
			    .found = fmt("%llu by the description",
					 (unsigned long long)(src->pos - start)),
			    .meaning = "the configuration and its description do not agree");
	return r;
}

static int enter_phase(struct stream *st, uint64_t at, int phase, int until)
{
	if (st->phase <= until) {
		if (st->phase < phase)
			st->phase = phase;
		return 0;
	}
	return damaged(&st->src, at, .expected = fmt("%s or what comes after", phases[st->phase]),
		       .found = phases[phase], .meaning = "sections are out of order: " LOST);
}

static struct stream_section *find_section(struct stream *st, uint32_t id)
{
	for (size_t i = 0; i < st->nsections; i++)
		if (st->sections[i].id == id)
			return &st->sections[i];
	return NULL;
}

static struct stream_section *find_section_by_name(struct stream *st, uint64_t name,
						   uint32_t instance)
{
	for (size_t i = 0; i < st->nsections; i++)
		if (st->sections[i].name == name && st->sections[i].instance == instance)
			return &st->sections[i];
	return NULL;
}

/* The head of a section of type START or FULL. */
struct section_head {
	uint64_t at;
	uint32_t id, instance, version;
	char name[SOURCE_NAME];
};

static int read_head(struct stream *st, struct section_head *head)
{
	struct source *src = &st->src;

	head->at = src->pos - 1;
	if (source_be32(src, "id of a section", &head->id) < 0 ||
	    source_name(src, "name of a section", head->name) < 0 ||
	    source_be32(src, "instance of a section", &head->instance) < 0 ||
	    source_be32(src, "version of a section", &head->version) < 0)
		return -EUCLEAN;
	source_in(src, "section %u '%s' instance %u", head->id, head->name, head->instance);
	return 0;
}

static struct stream_section *add_section(struct stream *st, const struct section_head *head)
{
	struct source *src = &st->src;
	uint64_t name = XXH3_64bits(head->name, strlen(head->name));
	const char *twice = find_section(st, head->id) ? fmt("id %u", head->id) :
			    find_section_by_name(st, name, head->instance) ?
			    fmt("'%s' instance %u", head->name, head->instance) : NULL;

	if (twice) {
		damaged(src, head->at, .expected = "a new section",
			.found = fmt("%s again", twice), .meaning = "a section is duplicated");
		return NULL;
	}
	if (st->nsections == STREAM_MAX_SECTIONS) {
		unproven(src, head->at, .expected = fmt("at most %d sections", STREAM_MAX_SECTIONS),
			 .found = "more", .meaning = "no guest has so many");
		return NULL;
	}
	if ((st->nsections & (st->nsections - 1)) == 0)
		st->sections = xrealloc(st->sections, st->nsections ? 2 * st->nsections : 1,
					sizeof(*st->sections));
	st->sections[st->nsections] = (struct stream_section){
		.id = head->id, .instance = head->instance, .name = name,
	};
	return &st->sections[st->nsections++];
}

static int read_footer(struct stream *st, uint32_t id)
{
	struct source *src = &st->src;
	uint64_t at = src->pos;
	uint8_t type;
	uint32_t got;

	if (source_u8(src, "footer", &type) < 0)
		return -EUCLEAN;
	if (type != TYPE_FOOTER)
		return damaged(src, at, .expected = "the footer of the section, 0x7e",
			       .found = hex_byte(type), .meaning = type ? LOST :
			       "zeros replaced data that never reached the disk, or " LOST);
	if (source_be32(src, "footer", &got) < 0)
		return -EUCLEAN;
	if (got == id)
		return 0;
	return damaged(src, at + 1, .expected = fmt("the id %u in the footer", id),
		       .found = fmt("%u", got), .meaning = LOST);
}

static const struct stream_iterable *find_iterable(struct stream *st,
						   const struct section_head *head)
{
	for (size_t i = 0; i < ARRAY_SIZE(iterables); i++)
		if (streq(iterables[i].name, head->name) && head->instance == 0 &&
		    iterables[i].version == head->version)
			return &iterables[i];
	unproven(&st->src, head->at, .expected = "'ram' instance 0 of version 4",
		 .found = fmt("'%s' instance %u of version %u", head->name, head->instance,
			      head->version),
		 .meaning = "cpr-helper cannot tell where the data of this device ends");
	return NULL;
}

static int read_start(struct stream *st)
{
	const struct stream_iterable *iterable;
	struct stream_section *section;
	struct section_head head;

	if (read_head(st, &head) < 0 || enter_phase(st, head.at, PHASE_SETUP, PHASE_SETUP) < 0)
		return -EUCLEAN;
	section = add_section(st, &head);
	iterable = section ? find_iterable(st, &head) : NULL;
	if (!iterable)
		return -EUCLEAN;
	section->iterable = iterable;
	return iterable->start(&st->ram, &st->src) < 0 ? -EUCLEAN : read_footer(st, head.id);
}

static struct stream_section *find_started(struct stream *st, uint64_t at)
{
	struct stream_section *section;
	uint32_t id;

	if (source_be32(&st->src, "id of a section", &id) < 0)
		return NULL;
	section = find_section(st, id);
	if (section && section->iterable && !section->ended)
		return section;
	damaged(&st->src, at + 1, .expected = "an open section",
		.found = fmt("id %u", id), .meaning = LOST);
	return NULL;
}

static int read_part(struct stream *st, bool end)
{
	struct source *src = &st->src;
	struct stream_section *section;
	uint64_t at = src->pos - 1;

	if (enter_phase(st, at, end ? PHASE_ENDS : PHASE_PARTS, end ? PHASE_ENDS : PHASE_PARTS) < 0)
		return -EUCLEAN;
	section = find_started(st, at);
	if (!section)
		return -EUCLEAN;
	source_in(src, "section %u '%s', %s", section->id, section->iterable->name,
		  end ? "its end" : "a part");
	if (end && !section->parted)
		return damaged(src, at, .expected = "a part of the section before its end",
			       .found = "its end", .meaning = "sections are missing");
	section->parted = true;
	if (section->iterable->part(&st->ram, src) < 0)
		return -EUCLEAN;
	section->ended = end;
	if (end && section->iterable->finish(&st->ram, src, src->pos) < 0)
		return -EUCLEAN;
	return read_footer(st, section->id);
}

/*
 * Whether SWITCHOVER_START is present as the machine type requires: machine types of
 * QEMU 10.0 and later send the command, older ones do not. Distributions have machine
 * types with names instead of versions, for which both is accepted. A microvm has the same
 * name in all versions: its state is taken for one of 10.0 or later.
 */
static bool switchover_ok(const struct stream *st)
{
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		const char *prefix = machines[i].prefix;
		unsigned int major = 10;

		if (!startswith(st->machine, prefix))
			continue;
		if (machines[i].numbered && sscanf(st->machine + strlen(prefix), "%u", &major) != 1)
			return true;
		return st->switchover == (major >= 10);
	}
	return true;
}

static int read_command(struct stream *st)
{
	struct source *src = &st->src;
	uint64_t at = src->pos - 1;
	uint16_t command, len;

	source_in(src, "command");
	if (source_be16(src, "command", &command) < 0 ||
	    source_be16(src, "length of a command", &len) < 0)
		return -EUCLEAN;
	if (command != COMMAND_SWITCHOVER)
		return unproven(src, at + 1, .expected = "the command SWITCHOVER_START, 11",
				.found = fmt("command %u", command),
				.meaning = "other commands have no use in a file");
	if (len)
		return damaged(src, at + 3, .expected = "no data for SWITCHOVER_START",
			       .found = fmt("%u bytes", len), .meaning = LOST);
	if (enter_phase(st, at, PHASE_SWITCHOVER, PHASE_PARTS) < 0)
		return -EUCLEAN;
	st->switchover = true;
	return 0;
}

/* Get the next description, which must be that of this section's device. Caller owns @out. */
static int next_description(struct stream *st, const struct section_head *head,
			    struct json_object **out)
{
	struct source *src = &st->src;
	const char *name;
	int r;

	if (!st->desc.found)
		return damaged(src, src->size, .expected = "the description of the devices",
			       .found = "the end of the file", .meaning = "the file is truncated, "
			       "was overwritten at its end, or was saved with suppress-vmdesc");
	r = stream_desc_next(&st->desc, out);
	if (r < 0)
		return r;
	name = *out ? jstr(*out, "name") : NULL;
	if (name && streq(name, head->name) &&
	    jint(*out, "instance_id", -1) == (int64_t)head->instance)
		return 0;
	return damaged(src, head->at, .expected = name ? fmt("device '%s' instance %lld",
		       source_printable(name, strlen(name)),
		       (long long)jint(*out, "instance_id", -1)) :
		       *out ? "a device with a name" : "no more devices",
		       .found = fmt("'%s' instance %u", head->name, head->instance),
		       .meaning = "devices are missing, duplicated, damaged or out of order");
}

/* Compare version and name: the section's name must end in the vmsd_name. */
static int check_description(struct stream *st, const struct section_head *head,
			     struct json_object *device)
{
	const char *vmsd = jstr(device, "vmsd_name");
	size_t len = vmsd ? strlen(vmsd) : 0, all = strlen(head->name);
	int64_t version = jint(device, "version", -1);

	/* A device without a VMStateDescription has neither. */
	if (!vmsd && version == -1 && jget(device, "size"))
		return 0;
	if (vmsd && (streq(vmsd, head->name) ||
		     (len < all && head->name[all - len - 1] == '/' &&
		      streq(vmsd, head->name + all - len))) && version == (int64_t)head->version)
		return 0;
	return damaged(&st->src, head->at,
		       .expected = fmt("'%s' of version %lld",
				       vmsd ? source_printable(vmsd, len) : "",
				       (long long)version),
		       .found = fmt("'%s' of version %u", head->name, head->version),
		       .meaning = "the device and its description do not agree");
}

/* The device "globalstate" contains the run state; check it. */
static int stream_check_runstate(struct stream *st)
{
	struct source *src = &st->src;
	uint64_t at = src->pos;
	const uint8_t *p = source_need(src, 4 + sizeof(st->runstate), "run state of the guest");
	uint32_t len;

	if (!p)
		return -EUCLEAN;
	len = get_be32(p);
	memcpy(st->runstate, p + 4, sizeof(st->runstate));
	st->runstate[sizeof(st->runstate) - 1] = '\0';
	if (len == strlen(st->runstate) + 1 &&
	    all_zero(p + 4 + len, sizeof(st->runstate) - len) &&
	    str_in(runstates, st->runstate))
		return 0;
	return damaged(src, at, .expected = "the run state of the guest",
		       .found = fmt("'%s'", source_printable(p + 4, sizeof(st->runstate))),
		       .meaning = "the device's data is damaged");
}

static void count_device(struct stream *st, const char *name)
{
	st->devices++;
	st->cpus += streq(name, "cpu");
	for (size_t i = 0; i < ARRAY_SIZE(required); i++)
		if (streq(name, required[i]))
			st->seen |= 1u << i;
}

static int read_device(struct stream *st, const struct section_head *head,
		       struct json_object *device)
{
	int r = check_description(st, head, device);

	if (r == 0 && streq(head->name, "globalstate"))
		r = stream_check_runstate(st);
	if (r == 0)
		r = stream_walk(&st->src, device);
	count_device(st, head->name);
	return r < 0 ? r : read_footer(st, head->id);
}

static int read_full(struct stream *st)
{
	_cleanup_json_ struct json_object *device = NULL;
	struct section_head head;
	int r = read_head(st, &head);

	/* QEMU saves a few devices before the memory; accept any device there. */
	if (r == 0 && st->phase != PHASE_SETUP)
		r = enter_phase(st, head.at, PHASE_DEVICES, PHASE_DEVICES);
	if (r == 0)
		r = add_section(st, &head) ? 0 : -EUCLEAN;
	if (r == 0)
		r = next_description(st, &head, &device);
	return r < 0 ? r : read_device(st, &head, device);
}

static int stream_lacks(struct stream *st, uint64_t at, const char *what)
{
	return damaged(&st->src, at, .expected = what, .found = "the end of the stream, 0x00",
		       .meaning = "sections are missing, or zeros replaced data that never reached "
		       "the disk");
}

/* At the end of the stream: all sections have ended and all devices are present. */
static int stream_check_complete(struct stream *st, uint64_t at)
{
	_cleanup_json_ struct json_object *device = NULL;
	const char *name;
	bool ram = false;

	for (size_t i = 0; i < st->nsections; i++) {
		if (st->sections[i].iterable && !st->sections[i].ended)
			return stream_lacks(st, at, fmt("the end of section %u",
							st->sections[i].id));
		ram |= !!st->sections[i].iterable;
	}
	if (!ram)
		return stream_lacks(st, at, "a section 'ram'");
	if (!st->desc.found)
		return stream_lacks(st, at, "devices");
	if (stream_desc_next(&st->desc, &device) < 0)
		return -EUCLEAN;
	name = jstr(device, "name");
	if (device)
		return stream_lacks(st, at, fmt("device '%s'", name ?
				    source_printable(name, strlen(name)) : ""));
	for (size_t i = 0; i < ARRAY_SIZE(required); i++)
		if (!(st->seen & 1u << i))
			return stream_lacks(st, at, fmt("device '%s', which every guest has",
							required[i]));
	if (!switchover_ok(st) && !st->switchover && startswith(st->machine, "microvm"))
		return unproven(&st->src, at, .expected = "a command SWITCHOVER_START",
				.found = "the end of the stream, 0x00",
				.meaning = "a QEMU before 10.0 wrote the state, or the command is lost");
	if (!switchover_ok(st))
		return stream_lacks(st, at, fmt("%s SWITCHOVER_START, with a machine '%s'",
				    st->switchover ? "no command" : "a command",
				    source_printable(st->machine, strlen(st->machine))));
	return 0;
}

static int read_description(struct stream *st)
{
	struct source *src = &st->src;
	uint64_t at = src->pos;
	uint8_t type;
	uint32_t len;

	source_in(src, "description");
	if (source_u8(src, "description", &type) < 0)
		return -EUCLEAN;
	if (type != DESC_TYPE || !st->desc.found || st->desc.at != at)
		return damaged(src, at, .expected = "the description, 0x06",
			       .found = hex_byte(type), .meaning = LOST);
	if (source_be32(src, "length of the description", &len) < 0)
		return -EUCLEAN;
	if (len == src->size - src->pos)
		return source_skip(src, len, "description");
	return damaged(src, at + 1, .expected = fmt("a description of %llu bytes, to the end of "
						    "the file",
						    (unsigned long long)(src->size - src->pos)),
		       .found = fmt("%u", len), .meaning = len > src->size - src->pos ?
		       "the file is truncated" : "something was appended to the file");
}

static int read_item(struct stream *st)
{
	struct source *src = &st->src;
	uint64_t at = src->pos;
	uint8_t type;

	source_in(src, "between sections");
	if (source_u8(src, "section", &type) < 0)
		return -EUCLEAN;
	switch (type) {
	case TYPE_START:
		return read_start(st);
	case TYPE_PART:
	case TYPE_END:
		return read_part(st, type == TYPE_END);
	case TYPE_FULL:
		return read_full(st);
	case TYPE_COMMAND:
		return read_command(st);
	case TYPE_EOF:
		return stream_check_complete(st, at) < 0 ? -EUCLEAN : 1;
	default:
		return damaged(src, at, .expected = "a section, a command or the end of the stream",
			       .found = hex_byte(type), .meaning = LOST);
	}
}

static int stream_check_machine(struct stream *st)
{
	const char *machine = st->expect->machine;

	if (!machine || streq(machine, st->machine))
		return 0;
	return damaged(&st->src, 13, .expected = fmt("machine type '%s', as the manifest has it",
						      machine),
		       .found = fmt("'%s'", source_printable(st->machine, strlen(st->machine))),
		       .meaning = "this is the state of another guest");
}

static int stream_check_digest(struct stream *st)
{
	const struct digest *want = st->expect->digest;
	struct source *src = &st->src;

	source_in(src, "file");
	if (src->state)
		source_digest(src, &st->digest);
	st->proven = want && streq(st->digest.text, want->text);
	if (want && !st->proven)
		return damaged(src, src->size, .expected = fmt("digest %s", want->text),
			       .found = st->digest.text, .meaning = "bits of a device's data, or of "
			       "memory, differ from those that were saved");
	if (st->proven || !src->doubt.kind)
		return 0;
	src->fault = src->doubt;
	return -EUCLEAN;
}

static int stream_check_size(struct stream *st)
{
	const struct digest *want = st->expect->digest;
	uint64_t size = st->src.size;

	if (!want || want->size == size)
		return 0;
	return damaged(&st->src, want->size < size ? want->size : size,
		       .expected = fmt("a file of %llu bytes, as it was saved",
				       (unsigned long long)want->size),
		       .found = fmt("%llu bytes", (unsigned long long)size),
		       .meaning = want->size < size ? "something was appended to the file" :
		       "the file is truncated");
}

static int stream_read_all(struct stream *st)
{
	uint64_t configuration;
	int r = read_header(st);

	if (r == 0)
		r = stream_desc_find(&st->desc, &st->src);
	configuration = st->src.pos + 1;
	if (r == 0)
		r = read_configuration(st);
	if (r == 0)
		r = stream_check_machine(st);
	if (r == 0 && st->desc.found) {
		source_in(&st->src, "description");
		r = stream_desc_begin(&st->desc);
		if (r == 0)
			r = stream_check_configuration(st, configuration);
	}
	while (r == 0)
		r = read_item(st);
	if (r > 0)
		r = read_description(st);
	/* Last, so that the place at which a truncated file breaks off is reported instead. */
	if (r == 0)
		r = stream_check_size(st);
	return r < 0 ? r : stream_check_digest(st);
}

int stream_check(struct stream *st, int fd, const struct stream_expect *expect)
{
	int r;

	*st = (struct stream){ .expect = expect };
	st->ram.files = expect->files;
	st->ram.nfiles = expect->nfiles;
	r = source_open(&st->src, fd, expect->digest || expect->measure);
	if (r == 0)
		r = stream_read_all(st);
	return st->src.fault.kind ? -EUCLEAN : r;
}

void stream_free(struct stream *st)
{
	source_close(&st->src);
	stream_desc_free(&st->desc);
	stream_ram_free(&st->ram);
	free(st->sections);
}
