// SPDX-License-Identifier: GPL-2.0-only
/*
 * A state file that is damaged in any place is refused with the place and the meaning.
 *
 * The file is that of a guest which is as small as possible and still has one of each kind of
 * record: written here byte by byte, then damaged in one place, and the place and the words of
 * the refusal compared. tools/testing/state does the same with files of QEMU.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "ktap.h"
#include "stream/stream.h"

#define MAX 65536
#define CPU_FIELDS "{\"name\": \"regs\", \"array_len\": 4, \"type\": \"uint64\", \"size\": 8}, " \
	"{\"name\": \"fpregs\", \"array_len\": 2, \"type\": \"struct\", \"struct\": {" \
	"\"vmsd_name\": \"fpreg\", \"version\": 1, \"fields\": [{\"name\": \"tmp\", " \
	"\"type\": \"tmp\", \"vmsd_name\": \"fpreg_tmp\", \"version\": 1, \"fields\": [" \
	"{\"name\": \"mant\", \"type\": \"uint64\", \"size\": 8}, {\"name\": \"exp\", " \
	"\"type\": \"uint16\", \"size\": 2}], \"size\": 10}]}, \"size\": 10}, " \
	"{\"name\": \"on\", \"type\": \"bool\", \"size\": 1}, " \
	"{\"name\": \"pad\", \"type\": \"unused_buffer\", \"size\": 4}, " \
	"{\"name\": \"none\", \"type\": \"nullptr\", \"size\": 1}, " \
	"{\"name\": \"each\", \"index\": 0, \"type\": \"uint8\", \"size\": 1}, " \
	"{\"name\": \"each\", \"index\": 1, \"type\": \"uint8\", \"size\": 1}, " \
	"{\"name\": \"each\", \"type\": \"uint8\", \"size\": 1}, " \
	"{\"name\": \"list\", \"type\": \"qtailq\", \"size\": 1}"

static const char description[] =
	"{\"configuration\": {\"vmsd_name\": \"configuration\", \"version\": 1, \"fields\": ["
	"{\"name\": \"len\", \"type\": \"uint32\", \"size\": 4}, "
	"{\"name\": \"name\", \"type\": \"buffer\", \"size\": 11}], \"subsections\": ["
	"{\"vmsd_name\": \"configuration/capabilities\", \"version\": 1, \"fields\": ["
	"{\"name\": \"caps_count\", \"type\": \"uint32\", \"size\": 4}, "
	"{\"name\": \"capabilities\", \"type\": \"capability\", \"size\": 16}]}]}, "
	"\"page_size\": 4096, \"devices\": ["
	"{\"name\": \"timer\", \"instance_id\": 0, \"vmsd_name\": \"timer\", \"version\": 2, "
	"\"fields\": [{\"name\": \"offset\", \"type\": \"int64\", \"size\": 8}]}, "
	"{\"name\": \"slirp\", \"instance_id\": 0, \"size\": 3, \"fields\": ["
	"{\"name\": \"data\", \"size\": 3, \"type\": \"buffer\"}]}, "
	"{\"name\": \"cpu_common\", \"instance_id\": 0, \"vmsd_name\": \"cpu_common\", "
	"\"version\": 1, \"fields\": [{\"name\": \"halted\", \"type\": \"uint32\", \"size\": 4}], "
	"\"subsections\": [{\"vmsd_name\": \"cpu_common/index\", \"version\": 1, \"fields\": ["
	"{\"name\": \"index\", \"type\": \"int32\", \"size\": 4}]}]}, "
	"{\"name\": \"cpu\", \"instance_id\": 0, \"vmsd_name\": \"cpu\", \"version\": 12, "
	"\"fields\": [" CPU_FIELDS "]}, "
	"{\"name\": \"0000:00:02.0/nic\", \"instance_id\": 0, \"vmsd_name\": \"nic\", "
	"\"version\": 1, \"fields\": [{\"name\": \"mac\", \"type\": \"buffer\", \"size\": 6}]}, "
	"{\"name\": \"globalstate\", \"instance_id\": 0, \"vmsd_name\": \"globalstate\", "
	"\"version\": 1, \"fields\": [{\"name\": \"size\", \"type\": \"uint32\", \"size\": 4}, "
	"{\"name\": \"runstate\", \"type\": \"buffer\", \"size\": 32}, "
	"{\"name\": \"unused\", \"type\": \"buffer\", \"size\": 68}]}]}";

/* The file, its places by name, and which bytes nothing but a digest protects. */
static uint8_t file[MAX];
static bool free_byte[MAX];
static size_t len;
static struct { const char *name; size_t at; } marks[64];
static size_t nmarks;

static void put(const void *p, size_t n)
{
	memcpy(file + len, p, n);
	len += n;
}

static void put8(uint8_t v)
{
	put(&v, 1);
}

static void put32(uint32_t v)
{
	v = __builtin_bswap32(v);
	put(&v, sizeof(v));
}

static void put64(uint64_t v)
{
	v = __builtin_bswap64(v);
	put(&v, sizeof(v));
}

static void put_name(const char *s)
{
	put8(strlen(s));
	put(s, strlen(s));
}

static void mark(const char *name)
{
	marks[nmarks].name = name;
	marks[nmarks++].at = len;
}

static size_t at(const char *name)
{
	for (size_t i = 0; i < nmarks; i++)
		if (streq(marks[i].name, name))
			return marks[i].at;
	CHECK_MSG(false, "no place is called '%s'", name);
	return 0;
}

static void section(uint8_t type, uint32_t id, const char *name, uint32_t version)
{
	put8(type);
	put32(id);
	if (!name)
		return;
	put_name(name);
	put32(0);
	put32(version);
}

static void footer(uint32_t id)
{
	put8(0x7e);
	put32(id);
}

static void data(const void *p, size_t n)
{
	memset(free_byte + len, true, n);
	put(p, n);
}

static void block(const char *name, uint64_t size, uint64_t addr)
{
	put_name(name);
	put64(size);
	/* Nothing says where a page of the guest's address space should be. */
	memset(free_byte + len, true, 7);
	put64(addr);
}

static void write_ram(void)
{
	uint8_t page[4096];

	memset(page, 0xa5, sizeof(page));
	mark("ram");
	section(0x01, 3, "ram", 4);
	mark("total");
	put64(0x8000 | 0x04);
	mark("block0");
	block("cpr-ram0", 0x4000, 0);
	mark("block1");
	block("pc.bios", 0x3000, 0xfffc0000);
	mark("block2");
	block("/rom@etc/acpi/rsdp", 0x1000, 0);
	mark("eos");
	put64(0x10);
	mark("ram footer");
	footer(3);
	mark("part");
	section(0x02, 3, NULL, 0);
	mark("page0");
	put64(0x0000 | 0x08);
	put_name("pc.bios");
	mark("content");
	data(page, sizeof(page));
	mark("page1");
	put64(0x1000 | 0x08 | 0x20);
	data(page, sizeof(page));
	mark("page2");
	put64(0x2000 | 0x02 | 0x20);
	mark("fill");
	put8(0);
	mark("rsdp");
	put64(0x0000 | 0x08);
	put_name("/rom@etc/acpi/rsdp");
	data(page, sizeof(page));
	mark("part eos");
	put64(0x10);
	mark("part footer");
	footer(3);
	mark("command");
	put8(0x08);
	put("\0\x0b\0\0", 4);
	mark("end");
	section(0x03, 3, NULL, 0);
	put64(0x10);
	mark("end footer");
	footer(3);
}

static void write_cpu(void)
{
	mark("cpu");
	section(0x04, 7, "cpu", 12);
	data("................................", 32);
	data("--------------------", 20);
	mark("bool");
	free_byte[len] = true;
	put8(1);
	mark("unused");
	put32(0);
	mark("nullptr");
	put8('0');
	data("abc", 3);
	mark("list");
	put8(0);
	mark("cpu footer");
	footer(7);
}

static void write_devices(void)
{
	char state[104] = "\0\0\0\x08running";

	mark("timer");
	section(0x04, 0, "timer", 2);
	data("12345678", 8);
	mark("timer footer");
	footer(0);
	mark("slirp");
	section(0x04, 9, "slirp", 4);
	/* The description of a device of the old kind has no version. */
	memset(free_byte + len - 4, true, 4);
	data("xyz", 3);
	footer(9);
	mark("cpu_common");
	section(0x04, 5, "cpu_common", 1);
	data("abcd", 4);
	mark("subsection");
	put8(0x05);
	put_name("cpu_common/index");
	mark("subversion");
	put32(1);
	data("efgh", 4);
	footer(5);
	write_cpu();
	mark("nic");
	section(0x04, 8, "0000:00:02.0/nic", 1);
	data("aabbcc", 6);
	footer(8);
	mark("globalstate");
	section(0x04, 6, "globalstate", 1);
	mark("runstate");
	put(state, 36);
	data(state + 36, sizeof(state) - 36);
	mark("last footer");
	footer(6);
	mark("eof");
	put8(0);
}

static void write_file(const char *text)
{
	len = nmarks = 0;
	memset(free_byte, 0, sizeof(free_byte));
	put("QEVM\0\0\0\x03", 8);
	mark("configuration");
	put8(0x07);
	put32(11);
	mark("machine");
	put("pc-q35-10.0", 11);
	mark("capabilities");
	put8(0x05);
	put_name("configuration/capabilities");
	put32(1);
	mark("caps");
	put32(1);
	put_name("x-ignore-shared");
	write_ram();
	write_devices();
	mark("description");
	put8(0x06);
	put32(strlen(text));
	mark("text");
	put(text, strlen(text));
	mark("end of file");
}

static struct stream st;

static int check(const struct stream_expect *expect)
{
	int fd = memfd_create("state", MFD_CLOEXEC), r;

	CHECK(fd >= 0 && write_all(fd, file, len) == 0);
	stream_free(&st);
	r = stream_check(&st, fd, expect);
	close(fd);
	return r;
}

static const struct stream_expect nothing;
static struct ram_file ram0 = { .id = (char *)"cpr-ram0", .size = 0x4000 };
static const struct stream_expect known = {
	.machine = "pc-q35-10.0", .files = &ram0, .nfiles = 1,
};

TEST(whole)
{
	write_file(description);
	CHECK_MSG(check(&nothing) == 0, "%s, %s", st.src.fault.expected, st.src.fault.found);
	CHECK_STR(st.machine, "pc-q35-10.0");
	CHECK_STR(st.runstate, "running");
	CHECK_EQ(st.nsections, 7);
	CHECK_EQ(st.devices, 6);
	CHECK_EQ(st.cpus, 1);
	CHECK(st.ram.shared && !st.ram.mapped && !st.proven);
	CHECK_EQ(st.ram.bytes, 0x8000);
	CHECK_EQ(st.ram.pages, 3);
	CHECK_EQ(st.ram.zero_pages, 1);
	CHECK_EQ(check(&known), 0);
}

static bool says(const char *got, const char *want)
{
	return !want || streq(got, want);
}

static void fault_is(const char *name, size_t offset, const char *expected, const char *found,
		     enum source_fault_kind kind)
{
	const struct source_fault *fault = &st.src.fault;

	CHECK_MSG(fault->kind == kind && fault->offset == offset && *fault->meaning &&
		  says(fault->expected, expected) && says(fault->found, found),
		  "%s: kind %d, at %llu (%s) expected '%s', found '%s', and should be at %zu "
		  "expected '%s', found '%s'", name, fault->kind,
		  (unsigned long long)fault->offset, fault->section, fault->expected, fault->found,
		  offset, expected, found);
}

/**
 * struct damage - one, and what must be said of it
 * @from, @plus: where
 * @cut: bytes that are taken out there
 * @put, @n: what is put there
 * @at, @more: where the fault must be, in the damaged file
 * @unproven: it is a refusal of something that may be whole
 * @known: the manifest is at hand
 */
static const struct damage {
	const char *name, *from;
	int plus;
	size_t cut;
	const char *put;
	size_t n;
	const char *at;
	int more;
	const char *expected, *found;
	bool unproven, known;
} damages[] = {
#define OVER(_s) .put = _s, .n = sizeof(_s) - 1, .cut = sizeof(_s) - 1
#define PUT(_s) .put = _s, .n = sizeof(_s) - 1
	{ "magic", "configuration", -8, OVER("QEMV"), .at = "configuration", .more = -8,
	  .expected = "'QEVM'", .found = "0x51454d56" },
	{ "an old version", "configuration", -4, OVER("\0\0\0\x02"), .at = "configuration",
	  .more = -4, .expected = "version 3", .found = "2" },
	{ "no configuration", "configuration", 0, .cut = 68, .at = "configuration",
	  .expected = "the configuration, 0x07", .found = "0x01" },
	{ "another machine", "machine", 0, OVER("xc"), .at = "machine",
	  .expected = "a machine type pc-q35, pc-i440fx or microvm", .found = "'xc-q35-10.0'",
	  .unproven = true },
	{ "not the machine of the manifest", "machine", 8, OVER("1"), .at = "machine",
	  .expected = "machine type 'pc-q35-10.0', as the manifest has it",
	  .found = "'pc-q35-11.0'", .known = true },
	{ "a capability of no name", "caps", 5, OVER("y"), .at = "caps", .more = 4,
	  .expected = "x-ignore-shared or mapped-ram", .found = "capability 'y-ignore-shared'",
	  .unproven = true },
	{ "too many capabilities", "caps", 0, OVER("\0\0\0\x09"), .at = "caps",
	  .expected = "one or two capabilities", .found = "9" },
	{ "ram of another version", "total", -1, OVER("\x05"), .at = "ram",
	  .expected = "'ram' instance 0 of version 4", .found = "'ram' instance 0 of version 5",
	  .unproven = true },
	{ "a device in several pieces", "ram", 6, OVER("xxx"), .at = "ram",
	  .expected = "'ram' instance 0 of version 4", .found = "'xxx' instance 0 of version 4",
	  .unproven = true },
	{ "total too small", "total", 6, OVER("\x70"), .at = "block2",
	  .expected = "the end of the list of RAM blocks", .found = "0x122f726f6d406574" },
	{ "total far too small", "total", 6, OVER("\x40"), .at = "block1",
	  .expected = "the end of the list of RAM blocks", .found = NULL },
	{ "total between blocks", "total", 6, OVER("\x60"), .at = "block1", .expected =
	  "a RAM block of at most 8192 bytes, the rest of the total",
	  .found = "'pc.bios' of 12288 bytes" },
	{ "total too large", "total", 6, OVER("\x90"), .at = "eos",
	  .expected = "name of a RAM block in plain ASCII", .found = "an empty name" },
	{ "a block doubled", "block2", 0, .cut = 19, PUT("\x07pc.bios"), .at = "eos",
	  .expected = "different RAM blocks", .found = "'pc.bios' twice" },
	{ "a block's size", "block1", 8 + 7, OVER("\x31"), .at = "block1", .more = 8,
	  .expected = "size of a RAM block, a multiple of 4096", .found = "0x3031" },
	{ "list without end", "eos", 0, .cut = 8, .at = "eos", .expected =
	  "the end of the list of RAM blocks", .found = "0x7e00000003020000" },
	{ "footer lost", "ram footer", 0, .cut = 5, .at = "ram footer",
	  .expected = "the footer of the section, 0x7e", .found = "0x02" },
	{ "footer of another section", "ram footer", 4, OVER("\x04"), .at = "ram footer", .more = 1,
	  .expected = "the id 3 in the footer", .found = "4" },
	{ "part of a section not begun", "part", 4, OVER("\x04"), .at = "part", .more = 1,
	  .expected = "an open section", .found = "id 4" },
	{ "compressed pages", "page0", 6, OVER("\x01\0"), .at = "page0",
	  .expected = "a page or the end of the section", .found = "compressed pages",
	  .unproven = true },
	{ "multifd", "page0", 6, OVER("\x02\0"), .at = "page0",
	  .expected = "a page or the end of the section", .found = "multifd's pages",
	  .unproven = true },
	{ "a page lost", "page1", 0, .cut = 4104, .at = "page1",
	  .expected = "page 1 of 'pc.bios'", .found = "page 2" },
	{ "the last page of a block lost", "page2", 0, .cut = 9, .at = "end footer",
	  .expected = "page 2 of 'pc.bios'", .found = "the end of the section" },
	{ "all pages of a block lost", "rsdp", 0, .cut = 8 + 19 + 4096, .at = "end footer",
	  .expected = "page 0 of '/rom@etc/acpi/rsdp'", .found = "the end of the section" },
	{ "a page beyond its block", "page2", 6, OVER("\x30"), .at = "page2",
	  .expected = "a page of 'pc.bios', of 3", .found = "page 3" },
	{ "a page of an unknown block", "page0", 9, OVER("q"), .at = "page0", .more = 8,
	  .expected = "a block of the list", .found = "'qc.bios'" },
	{ "no block", "page0", 7, OVER("\x28"), .at = "page0",
	  .expected = "a page with the name of its block",
	  .found = "a page of the previous block, and there is none" },
	{ "a page of zeros that has none", "fill", 0, OVER("\x01"), .at = "fill",
	  .expected = "a page of zeros, 0x00", .found = "0x01" },
	{ "pages of a memory file", "page0", 0, PUT("\0\0\0\0\0\0\0\x02\x08""cpr-ram0\0"),
	  .at = "page0", .expected = "no page of 'cpr-ram0', a memory file",
	  .found = "its page 0", .known = true },
	{ "some pages of a memory file", "page0", 0, PUT("\0\0\0\0\0\0\0\x02\x08""cpr-ram0\0"),
	  .at = "end footer", .expected = "page 1 of 'cpr-ram0'",
	  .found = "the end of the section" },
	{ "command lost", "command", 0, .cut = 5, .at = "eof", .expected =
	  "a command SWITCHOVER_START, with a machine 'pc-q35-10.0'",
	  .found = "the end of the stream, 0x00" },
	{ "another command", "command", 2, OVER("\x03"), .at = "command", .more = 1,
	  .expected = "the command SWITCHOVER_START, 11", .found = "command 3", .unproven = true },
	{ "a command with data", "command", 4, OVER("\x01"), .at = "command", .more = 3,
	  .expected = "no data for SWITCHOVER_START", .found = "1 bytes" },
	{ "a command twice", "command", 0, PUT("\x08\0\x0b\0\0"), .at = "command", .more = 5,
	  .expected = "the command SWITCHOVER_START or what comes after",
	  .found = "the command SWITCHOVER_START" },
	{ "all parts lost", "part", 0, .cut = 12366, .at = "end",
	  .expected = "a part of the section before its end", .found = "its end" },
	{ "end lost", "end", 0, .cut = 18, .at = "eof",
	  .expected = "the end of section 3", .found = "the end of the stream, 0x00" },
	{ "end twice", "timer", 0, PUT("\x03\0\0\0\x03\0\0\0\0\0\0\0\x10\x7e\0\0\0\x03"),
	  .at = "timer", .more = 1, .expected = "an open section",
	  .found = "id 3" },
	{ "a part after the end", "timer", 0, PUT("\x02\0\0\0\x03\0\0\0\0\0\0\0\x10\x7e\0\0\0\x03"),
	  .at = "timer", .expected = "the last pages or what comes after", .found = "pages" },
	{ "a device lost", "slirp", 0, .cut = 27, .at = "slirp",
	  .expected = "device 'slirp' instance 0", .found = "'cpu_common' instance 0" },
	{ "the last device lost", "globalstate", 0, .cut = 134, .at = "globalstate",
	  .expected = "device 'globalstate'", .found = "the end of the stream, 0x00" },
	{ "a device doubled", "slirp", 0, PUT("\x04\0\0\0\0\x05timer\0\0\0\0\0\0\0\x02........\x7e\0\0\0\0"),
	  .at = "slirp", .expected = "a new section", .found = "id 0 again" },
	{ "a device doubled, with an id of its own", "slirp", 0,
	  PUT("\x04\0\0\0\x77\x05timer\0\0\0\0\0\0\0\x02........\x7e\0\0\0\x77"), .at = "slirp",
	  .expected = "a new section", .found = "'timer' instance 0 again" },
	{ "a device's id", "slirp", 4, OVER("\0"), .at = "slirp",
	  .expected = "a new section", .found = "id 0 again" },
	{ "a device's instance", "slirp", 14, OVER("\x01"), .at = "slirp",
	  .expected = "device 'slirp' instance 0", .found = "'slirp' instance 1" },
	{ "a device's version", "timer", 18, OVER("\x03"), .at = "timer",
	  .expected = "'timer' of version 2", .found = "'timer' of version 3" },
	{ "a device's name", "timer", 6, OVER("T"), .at = "timer",
	  .expected = "device 'timer' instance 0", .found = "'Timer' instance 0" },
	{ "a device too short", "timer", 19, .cut = 1, .at = "timer footer", .more = 1,
	  .expected = "the footer of the section, 0x7e", .found = "0x00" },
	{ "a device too long", "timer", 19, PUT("."), .at = "timer footer", .more = -1,
	  .expected = "the footer of the section, 0x7e", .found = "0x38" },
	{ "a subsection lost", "subsection", 0, .cut = 26, .at = "subsection",
	  .expected = "subsection 'cpu_common/index', 0x05", .found = "0x7e" },
	{ "a subsection's name", "subsection", 4, OVER("X"), .at = "subsection",
	  .expected = "subsection 'cpu_common/index'", .found = "'cpX_common/index'" },
	{ "a subsection's version", "subversion", 3, OVER("\x02"), .at = "subversion",
	  .expected = "version 1 of subsection 'cpu_common/index'", .found = "2" },
	{ "a bool", "bool", 0, OVER("\x02"), .at = "bool",
	  .expected = "field 'on', 0 or 1", .found = "0x02" },
	{ "an unused field", "unused", 1, OVER("\x01"), .at = "unused", .more = 1,
	  .expected = "field 'pad', zero, as it is unused", .found = "0x01" },
	{ "a null pointer", "nullptr", 0, OVER("\0"), .at = "nullptr",
	  .expected = "field 'none', the mark of a null pointer", .found = "0x00" },
	{ "a list without end", "list", 0, OVER("\x01"), .at = "list",
	  .expected = "the end of the list 'list', 0x00", .found = "0x01" },
	{ "run state", "runstate", 4, OVER("q"), .at = "runstate",
	  .expected = "the run state of the guest" },
	{ "zeros from a section's boundary", "slirp", 0, OVER("\0\0\0\0\0\0\0\0"), .at = "slirp",
	  .expected = "device 'slirp'", .found = "the end of the stream, 0x00" },
	{ "an unknown kind of section", "slirp", 0, OVER("\x09"), .at = "slirp",
	  .expected = "a section, a command or the end of the stream", .found = "0x09" },
	{ "the last footer lost", "last footer", 0, .cut = 5, .at = "last footer",
	  .expected = "the footer of the section, 0x7e", .found = "0x00" },
	{ "no EOF", "eof", 0, .cut = 1, .at = "eof",
	  .expected = "a section, a command or the end of the stream", .found = "0x06" },
	{ "description lost", "description", 0, .cut = MAX, .at = "description",
	  .expected = "the description of the devices", .found = "the end of the file" },
	{ "bytes between EOF and description", "description", 0, PUT("\0"), .at = "description",
	  .expected = "the description, 0x06", .found = "0x00" },
	{ "trailing bytes", "end of file", 0, PUT("\0\0\0"), .at = "description", .more = 1 },
};

static void apply(const struct damage *d)
{
	size_t from, cut;

	write_file(description);
	from = at(d->from) + d->plus;
	cut = d->cut > len - from ? len - from : d->cut;
	memmove(file + from + d->n, file + from + cut, len - from - cut);
	if (d->n)
		memcpy(file + from, d->put, d->n);
	len += d->n - cut;
	for (size_t i = 0; i < nmarks; i++)
		if (marks[i].at > from)
			marks[i].at += d->n - cut;
}

/* Words with a length in them that is not of interest are left out. */
TEST(each_damage_by_its_place_and_words)
{
	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		const struct damage *d = &damages[i];

		apply(d);
		CHECK_MSG(check(d->known ? &known : &nothing) == -EUCLEAN, "%s: accepted", d->name);
		fault_is(d->name, at(d->at) + d->more, d->expected, d->found,
			 d->unproven ? FAULT_UNPROVEN : FAULT_DAMAGED);
	}
}

/* The same in the description: its text is changed, and its length with it. */
static const struct { const char *from, *to, *expected, *found; } texts[] = {
	{ "{\"configuration\"", "{ \"configuration\"", NULL, NULL },
	{ "\"page_size\": 4096", "\"page_size\": 8192", "pages of 4096 bytes", "8192" },
	{ "\"page_size\": 4096", "\"page_size\": \"4096\"", "int", "string" },
	{ "\"array_len\": 4", "\"array_len\": 5", NULL, NULL },
	{ "\"array_len\": 4", "\"array_len\": 1",
	  "a description with a name, a type and a size for each field", "'regs'" },
	{ "\"array_len\": 4", "\"array_len\": 4000000000000000000", NULL, NULL },
	{ "\"array_len\": 4", "\"array_len\": -1", "a description with members that QEMU writes",
	  "'array_len'" },
	{ "\"array_len\": 2", "\"array_len\": 9000000000000000000", NULL, NULL },
	{ "\"type\": \"uint16\", \"size\": 2", "\"type\": \"uint16\", \"size\": 3",
	  "a description with a size of 2 for 'exp', of type 'uint16'", "3" },
	{ "\"size\": 10}]}, \"size\": 10", "\"size\": 10}]}, \"size\": 11", "11 bytes of 'fpregs'",
	  "fields of 10 bytes" },
	{ "\"size\": 10}]}, \"size\": 10", "\"size\": 9}]}, \"size\": 10", "9 bytes of 'tmp'",
	  "fields of 10 bytes" },
	{ "\"index\": 1", "\"index\": 2", "a description with all elements of an array",
	  "'each' out of its order" },
	{ "\"index\": 0, ", "", "a description with all elements of an array",
	  "'each' out of its order" },
	{ "{\"name\": \"each\", \"type\"", "{\"name\": \"eech\", \"type\"",
	  "a description with all elements of an array", "'eech' out of its order" },
	{ "\"name\": \"mant\"", "\"n\": \"mant\"",
	  "a description with members that QEMU writes", "'n'" },
	{ "\"name\": \"mant\", ", "", "a description with a name, a type and a size for each field",
	  "none" },
	{ "\"size\": 8}]}", "\"size\": 8.0}]}", "a description with members that QEMU writes",
	  "'size'" },
	{ "\"instance_id\": 0, \"vmsd_name\": \"timer\"", "\"instance_id\": 1, \"vmsd_name\": \"timer\"",
	  "device 'timer' instance 1", "'timer' instance 0" },
	{ "\"vmsd_name\": \"timer\"", "\"vmsd_name\": \"imer\"", "'imer' of version 2",
	  "'timer' of version 2" },
	{ "\"vmsd_name\": \"nic\"", "\"vmsd_name\": \"0/nic\"", "'0/nic' of version 1",
	  "'0000:00:02.0/nic' of version 1" },
	{ "\"vmsd_name\": \"configuration\"", "\"vmsd_name\": \"konfiguration\"",
	  "a description of the configuration", "'konfiguration'" },
	{ "\"size\": 11}", "\"size\": 10}", NULL, NULL },
	{ "{\"name\": \"timer\"", "[{\"name\": \"timer\"", NULL, NULL },
	{ "{\"name\": \"timer\"", "5, {\"name\": \"timer\"", "object", "int" },
	{ "\"size\": 68}]}]}", "\"size\": 68}]}]", "']}'", "the end of the description" },
	{ "\"size\": 68}]}]}", "\"size\": 68}]}]}x", "the end of the description", "1 more bytes" },
	{ "\"size\": 68}]}]}", "\"size\": 68}]}, {\"name\": \"more\"}]}", "device 'more'",
	  "the end of the stream, 0x00" },
	{ "timer", "ti\x01mer", "JSON", "byte 0x01" },
	{ "'", "", NULL, NULL },
};

static void replace(const char *from, const char *to, char *out)
{
	const char *found = strstr(description, from);

	if (!found)
		found = description;
	sprintf(out, "%.*s%s%s", (int)(found - description), description, to,
		found == description && strncmp(found, from, strlen(from)) ? "" :
		found + strlen(from));
}

TEST(each_damage_of_the_description)
{
	static char text[MAX / 2];

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const struct source_fault *fault = &st.src.fault;

		replace(texts[i].from, texts[i].to, text);
		write_file(text);
		CHECK_MSG(check(&nothing) == -EUCLEAN, "'%s' is accepted", texts[i].to);
		CHECK_MSG(!texts[i].expected || (streq(fault->expected, texts[i].expected) &&
						 streq(fault->found, texts[i].found)),
			  "'%s': at %llu expected '%s', found '%s', not '%s', '%s'", texts[i].to,
			  (unsigned long long)fault->offset, fault->expected, fault->found,
			  texts[i].expected, texts[i].found);
	}
}

/* Not all of a page's content is worth the time. */
static size_t after(size_t i)
{
	return i + (free_byte[i] && free_byte[i + 64] ? 61 : 1);
}

TEST(every_prefix)
{
	size_t whole;

	write_file(description);
	whole = len;
	for (len = 0; len < whole; len = after(len)) {
		CHECK_MSG(check(&nothing) == -EUCLEAN, "the first %zu bytes are accepted", len);
		CHECK_MSG(st.src.fault.offset <= len, "%zu: fault at %llu", len,
			  (unsigned long long)st.src.fault.offset);
	}
}

/* A bit in the text of the description may be one that nothing else has. */
TEST(every_bit)
{
	write_file(description);
	for (size_t i = 0; i < at("text"); i = after(i))
		for (int bit = 0; bit < 8; bit++) {
			bool machine = i >= at("machine") && i < at("capabilities");
			bool name = i > at("block0") && i < at("block0") + 9;
			int r;

			file[i] ^= 1 << bit;
			r = check(&nothing);
			CHECK_MSG(r == -EUCLEAN || free_byte[i] || machine || name,
				  "bit %d of byte %zu", bit, i);
			CHECK_MSG(!machine || !name || check(&known) == -EUCLEAN,
				  "bit %d of byte %zu, with a manifest", bit, i);
			file[i] ^= 1 << bit;
		}
}

TEST(zeros_from_every_byte_on)
{
	static uint8_t saved[MAX];

	write_file(description);
	memcpy(saved, file, len);
	for (size_t i = 0; i < at("text"); i = after(i)) {
		size_t n = len - i < 300 ? len - i : 300, lost = 0;

		for (size_t j = i; j < i + n; j++)
			lost += file[j] && !free_byte[j];
		memset(file + i, 0, n);
		CHECK_MSG(check(&nothing) == -EUCLEAN || !lost, "%zu zeros from %zu on", n, i);
		memcpy(file, saved, len);
	}
}

static struct digest digest_of(void)
{
	int fd = memfd_create("state", MFD_CLOEXEC);
	struct digest digest;

	CHECK(fd >= 0 && write_all(fd, file, len) == 0);
	CHECK_EQ(digest_fd(fd, &digest), 0);
	close(fd);
	return digest;
}

TEST(a_digest_proves_what_is_in_a_device)
{
	struct stream_expect expect = nothing;
	struct digest digest;

	write_file(description);
	digest = digest_of();
	expect.digest = &digest;
	CHECK_EQ(check(&expect), 0);
	CHECK(st.proven);
	for (size_t i = 0; i < len; i += i > at("page0") && i < at("part eos") ? 97 : 1) {
		file[i] ^= 0x10;
		CHECK_MSG(check(&expect) == -EUCLEAN, "byte %zu", i);
		file[i] ^= 0x10;
	}
	file[at("content")] ^= 1;
	CHECK_EQ(check(&expect), -EUCLEAN);
	fault_is("content", len, fmt("digest %s", digest.text), digest_of().text, FAULT_DAMAGED);
}

TEST(a_digest_is_made_by_the_way)
{
	struct stream_expect expect = nothing;

	write_file(description);
	CHECK_EQ(check(&expect), 0);
	CHECK_STR(st.digest.text, "");
	expect.measure = true;
	CHECK_EQ(check(&expect), 0);
	CHECK(!st.proven);
	CHECK_STR(st.digest.text, digest_of().text);
	CHECK_EQ(st.digest.size, len);
	CHECK(!memcmp(st.digest.bytes, digest_of().bytes, DIGEST_BYTES));
}

/* It may have been lost, or QEMU was told not to look: the digest decides. */
TEST(a_page_of_zeros_as_content)
{
	struct stream_expect expect = nothing;
	struct digest digest;

	write_file(description);
	memset(file + at("content"), 0, 4096);
	CHECK_EQ(check(&nothing), -EUCLEAN);
	fault_is("zeros", at("content"), "content of a page of 'pc.bios'", "4096 zeros",
		 FAULT_DAMAGED);
	digest = digest_of();
	expect.digest = &digest;
	CHECK_EQ(check(&expect), 0);
}

TEST(a_file_of_another_size_than_was_saved)
{
	struct stream_expect expect = nothing;
	struct digest digest;

	write_file(description);
	digest = digest_of();
	digest.size++;
	expect.digest = &digest;
	CHECK_EQ(check(&expect), -EUCLEAN);
	CHECK_STR(st.src.fault.meaning, "the file is truncated");
}

/* A description is a tree of any depth, and of things without a byte. */
static void nest(int depth, char *out)
{
	char *p = out + sprintf(out, "%.*s\"fields\": [",
				(int)(strstr(description, "\"fields\": [" CPU_FIELDS) -
				      description), description);

	for (int i = 0; i < depth; i++)
		p += sprintf(p, "{\"name\": \"a\", \"type\": \"struct\", \"struct\": {\"fields\": [");
	for (int i = 0; i < depth; i++)
		p += sprintf(p, "]}, \"size\": 0}");
	sprintf(p, "]}, %s", strstr(description, "{\"name\": \"0000:00:02.0/nic\""));
}

TEST(a_deep_description)
{
	static char text[MAX / 2];

	nest(30, text);
	write_file(text);
	CHECK_EQ(check(&nothing), -EUCLEAN);
	CHECK_STR(st.src.fault.found, "nesting too deep");
	nest(300, text);
	write_file(text);
	CHECK_EQ(check(&nothing), -EUCLEAN);
}

/* Its name does not tell whether a QEMU before 10.0 wrote the file, which was no damage. */
TEST(a_microvm_without_the_command)
{
	size_t command;

	write_file(description);
	memcpy(file + at("machine"), "microvm-any", 11);
	CHECK_EQ(check(&nothing), 0);
	command = at("command");
	memmove(file + command, file + command + 5, len - command - 5);
	len -= 5;
	CHECK_EQ(check(&nothing), -EUCLEAN);
	fault_is("microvm", at("eof") - 5, "a command SWITCHOVER_START",
		 "the end of the stream, 0x00", FAULT_UNPROVEN);
}

/* Of a block that is said to have terabytes, in a file that has them as a hole. */
TEST(a_hole_of_terabytes)
{
	const uint64_t size = UINT64_C(4) << 40;
	int fd = memfd_create("state", MFD_CLOEXEC);

	len = 0;
	put("QEVM\0\0\0\x03\x07\0\0\0\x07microvm", 20);
	put8(0x05);
	put_name("configuration/capabilities");
	put32(1);
	put32(1);
	put_name("mapped-ram");
	section(0x01, 3, "ram", 4);
	put64(size | 0x04);
	put_name("microvm.ram");
	put64(size);
	put32(1);
	put64(4096);
	put64(len + 16);
	put64((len + 8 + size / 4096 / 8 + MIB) / MIB * MIB);
	CHECK(fd >= 0 && write_all(fd, file, len) == 0);
	CHECK_EQ(ftruncate(fd, size + (1 << 30)), 0);
	stream_free(&st);
	/* Reading the hole would take longer on any machine. */
	alarm(120);
	CHECK_EQ(stream_check(&st, fd, &nothing), -EUCLEAN);
	alarm(0);
	CHECK_STR(st.src.fault.expected, "the end of the list of RAM blocks");
	close(fd);
}

TEST(not_a_regular_file)
{
	int fds[2];

	CHECK_EQ(pipe(fds), 0);
	stream_free(&st);
	CHECK_EQ(stream_check(&st, fds[0], &nothing), -ENOTSUP);
	close(fds[0]);
	close(fds[1]);
}

/* It becomes a part of an argument of QEMU. */
TEST(the_name_of_a_machine)
{
	CHECK(stream_knows_machine("pc-q35-10.0") && stream_knows_machine("microvm"));
	CHECK(!stream_knows_machine("pc-q35-10.0,firmware=/x") && !stream_knows_machine("pc-q35-10.0 "));
	CHECK(!stream_knows_machine("s390x") && !stream_knows_machine(NULL));
}

TEST(the_end)
{
	stream_free(&st);
}

int main(void)
{
	return ktap_run();
}
