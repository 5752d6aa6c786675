// SPDX-License-Identifier: GPL-2.0-only
/*
 * forge-dma FILE VM ITEM... - give a VM of an image a snapshot of devices that no
 * IOMMU ever had. The catalog is written anew with everything else as it was,
 * with checksums that are right, and the other slot is wiped: the kernel can take
 * this catalog or none.
 *
 *	kept			begin with the snapshot that the VM has
 *	table			begin another table; what follows goes there
 *	map=IOVA,PLACE,LENGTH[,CLASS]	an extent, of class 1 (region) if none is given
 *	maps=N,IOVA,STRIDE,PLACE,LENGTH	N of them, STRIDE apart, all to one place
 *	swap=IOVA		exchange where this 2 MiB and the next lead to
 *	device=ADDRESS		a device as sysfs has it, with the last table
 *	devices=N		N devices at addresses where none is
 *				VM is a name, or the beginning of some and an asterisk:
 *				then each gets its devices= at addresses of its own
 *	at= vendor= model= subvendor= subsystem= class= revision= serial= dma=
 *	member= members=N alone	change the last device
 *	state=N			change the VM's state
 *
 * PLACE is a physical address, or region+N, free+N (the first frame that no file
 * has) or VM/FILE+N. Numbers may end in K, M or G.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../../../kmod/catalog.h"
#include "../../../../kmod/dma_table.h"

struct device {
	struct cpr_catalog_device id;
	int made_up;
	struct cpr_pci *members;
};

static unsigned char *image;
static struct cpr_geometry geo;
static struct cpr_catalog cat;

/* What the VM gets. */
static const char *vm_name;
static u32 vm_state, vms_done;
static struct cpr_dma_table *tables;
static struct device *devices;
static u32 nr_tables, nr_devices;

/* ---- words ---- */

static u64 number(const char *text, char **end)
{
	char *after;
	u64 n = strtoull(text, &after, 0);

	if (after == text)
		errx(2, "'%s' is not a number", text);
	switch (*after) {
	case 'G':
		n <<= 10;
		/* fall through */
	case 'M':
		n <<= 10;
		/* fall through */
	case 'K':
		n <<= 10;
		after++;
	}
	*end = after;
	return n;
}

/* The next of some that are separated by commas. */
static u64 next_number(char **text)
{
	u64 n = number(*text, text);

	if (**text == ',')
		++*text;
	return n;
}

static struct cpr_pci pci_of(const char *address)
{
	unsigned int segment, bus, slot, function;

	if (sscanf(address, "%x:%x:%x.%x", &segment, &bus, &slot, &function) != 4)
		errx(2, "'%s' is not a PCI address", address);
	return (struct cpr_pci){ segment, bus, slot << 3 | function };
}

/* ---- places ---- */

static bool is_called(const struct cpr_catalog_node *node, const char *name, size_t len)
{
	return node->name_len == len && !memcmp(node->name, name, len);
}

/* Does @node have the name of the VM, or a name that begins as told? */
static bool is_wanted(const struct cpr_catalog_node *node)
{
	size_t len = strlen(vm_name);

	if (len && vm_name[len - 1] == '*')
		return node->name_len >= len - 1 && !memcmp(node->name, vm_name, len - 1);
	return is_called(node, vm_name, len);
}

/* The node that @path leads to, two names long, and its number. */
static bool find_file(const char *path, size_t len, struct cpr_catalog_node *file)
{
	const char *slash = memchr(path, '/', len);
	struct cpr_catalog_entry entry;
	u32 n = 0, dir = U32_MAX;

	for (u64 at = 0; slash && cpr_catalog_next(&cat, &at, &entry); n++) {
		if (entry.type != CPR_IMAGE_REC_NODE)
			break;
		if (n && !entry.node.parent && is_called(&entry.node, path, slash - path))
			dir = n;
		if (entry.node.parent != dir ||
		    !is_called(&entry.node, slash + 1, path + len - slash - 1))
			continue;
		*file = entry.node;
		return true;
	}
	return false;
}

static u64 phys_of_frame(u32 frame)
{
	return geo.start + ((u64)frame << CPR_IMAGE_FRAME_SHIFT);
}

static u64 phys_of_file(const char *path, size_t len, u64 offset)
{
	u32 wanted = offset >> CPR_IMAGE_FRAME_SHIFT;
	struct cpr_catalog_node file;

	if (!find_file(path, len, &file))
		errx(1, "the image has no file '%.*s'", (int)len, path);
	for (u32 i = 0; i < file.extents; i++) {
		struct cpr_extent e = cpr_catalog_extent(&file, i);

		if (wanted >= e.file_frame && wanted - e.file_frame < e.count)
			return phys_of_frame(e.frame + wanted - e.file_frame) +
			       offset % CPR_IMAGE_FRAME_SIZE;
	}
	errx(1, "'%.*s' has nothing at %#llx", (int)len, path, (unsigned long long)offset);
}

static bool is_free(u32 frame)
{
	struct cpr_catalog_entry entry;

	for (u64 at = 0; cpr_catalog_next(&cat, &at, &entry);) {
		for (u32 i = 0; entry.type == CPR_IMAGE_REC_NODE && i < entry.node.extents; i++) {
			struct cpr_extent e = cpr_catalog_extent(&entry.node, i);

			if (frame >= e.frame && frame - e.frame < e.count)
				return false;
		}
	}
	return true;
}

static u64 first_free(void)
{
	for (u32 frame = geo.first_frame; frame < geo.frames; frame++)
		if (is_free(frame))
			return phys_of_frame(frame);
	errx(1, "no frame is free");
}

static u64 next_place(char **text)
{
	char *name = *text, *plus = strpbrk(name, "+,");
	size_t len = plus ? (size_t)(plus - name) : strlen(name);
	u64 offset = 0;

	if (name[0] >= '0' && name[0] <= '9')
		return next_number(text);
	*text = name + len + !!plus;
	if (plus && *plus == '+')
		offset = next_number(text);
	if (len == strlen("region") && !memcmp(name, "region", len))
		return geo.start + offset;
	if (len == strlen("free") && !memcmp(name, "free", len))
		return first_free() + offset;
	return phys_of_file(name, len, offset);
}

/* ---- tables ---- */

static void *grow(void *v, size_t nr, size_t size)
{
	v = realloc(v, (nr + 1) * size);
	if (!v)
		err(1, "no memory");
	memset((char *)v + nr * size, 0, size);
	return v;
}

static void new_table(void)
{
	tables = grow(tables, nr_tables++, sizeof(*tables));
}

static struct cpr_dma_table *table(void)
{
	if (!nr_tables)
		new_table();
	return &tables[nr_tables - 1];
}

static void add_extent(struct cpr_dma_table *t, const struct cpr_dma_extent *e)
{
	if (cpr_dma_table_add(t, e))
		errx(1, "no memory");
}

static void map(char *text)
{
	struct cpr_dma_extent e = { .iova = next_number(&text) };

	e.phys = next_place(&text);
	e.length = next_number(&text);
	e.class = *text ? next_number(&text) : CPR_IMAGE_DMA_REGION;
	add_extent(table(), &e);
}

static void map_many(char *text)
{
	u64 n = next_number(&text);
	struct cpr_dma_extent e = {
		.iova = next_number(&text),
		.class = CPR_IMAGE_DMA_REGION,
	};
	u64 stride = next_number(&text);

	e.phys = next_place(&text);
	e.length = next_number(&text);
	for (; n--; e.iova += stride)
		add_extent(table(), &e);
}

/* The number of the extent that begins at @iova, which is cut out for this. */
static u32 cut_at(struct cpr_dma_table *t, u64 iova)
{
	for (u32 i = 0; i < t->nr; i++) {
		struct cpr_dma_extent *e = &t->extents[i];
		u64 before = iova - e->iova;

		if (iova < e->iova || before >= e->length)
			continue;
		if (!before)
			return i;
		t->extents = grow(t->extents, t->nr, sizeof(*t->extents));
		e = &t->extents[i];
		memmove(e + 1, e, (t->nr++ - i) * sizeof(*e));
		e[0].length = before;
		e[1].iova += before;
		e[1].phys += before;
		e[1].length -= before;
		return i + 1;
	}
	errx(1, "nothing is mapped at %#llx", (unsigned long long)iova);
}

/* Pieces that continue each other become one again. */
static void join(struct cpr_dma_table *t)
{
	struct cpr_dma_table joined = { 0 };

	for (u32 i = 0; i < t->nr; i++)
		add_extent(&joined, &t->extents[i]);
	cpr_dma_table_free(t);
	*t = joined;
}

static void swap(u64 iova)
{
	struct cpr_dma_table *t = table();
	u32 second, first;
	u64 phys;

	/* From behind, so that the first keeps its number. */
	cut_at(t, iova + 2 * CPR_IMAGE_FRAME_SIZE);
	second = cut_at(t, iova + CPR_IMAGE_FRAME_SIZE);
	first = cut_at(t, iova);
	second += t->extents[second].iova != iova + CPR_IMAGE_FRAME_SIZE;
	phys = t->extents[first].phys;
	t->extents[first].phys = t->extents[second].phys;
	t->extents[second].phys = phys;
	join(t);
}

/* ---- devices ---- */

static unsigned long attribute(const char *address, const char *name)
{
	char path[256], text[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", address, name);
	f = fopen(path, "r");
	if (!f || !fgets(text, sizeof(text), f))
		err(1, "%s", path);
	fclose(f);
	return strtoul(text, NULL, 16);
}

/* The device serial number capability, from configuration space. */
static u64 serial_of(const char *address)
{
	unsigned char space[4096];
	char path[256];
	u32 at = 256;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", address);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		err(1, "%s", path);
	memset(space, 0, sizeof(space));
	if (read(fd, space, sizeof(space)) < 64)
		errx(1, "%s is too short", path);
	close(fd);
	for (int i = 0; i < 960 && at >= 256 && at < sizeof(space) - 12; i++) {
		u32 head;
		u64 serial;

		memcpy(&head, space + at, sizeof(head));
		memcpy(&serial, space + at + 4, sizeof(serial));
		if ((le32_to_cpu(head) & 0xffff) == 3)
			return le64_to_cpu(serial);
		at = le32_to_cpu(head) >> 20;
	}
	return 0;
}

static struct device *device(void)
{
	if (!nr_devices)
		errx(2, "there is no device to change");
	return &devices[nr_devices - 1];
}

static void add_member(struct device *d, struct cpr_pci at)
{
	d->members = grow(d->members, d->id.members, sizeof(*d->members));
	d->members[d->id.members++] = at;
}

/* Without an IOMMU there is no group; then it is as if it was alone. */
static void read_group(struct device *d, const char *address)
{
	char path[256];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group/devices", address);
	dir = opendir(path);
	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			add_member(d, pci_of(e->d_name));
	if (dir)
		closedir(dir);
	else
		add_member(d, d->id.address);
}

static struct device *new_device(void)
{
	struct device *d;

	table();
	devices = grow(devices, nr_devices++, sizeof(*devices));
	d = device();
	d->id.dma = nr_tables - 1;
	return d;
}

static void add_device(const char *address)
{
	struct device *d = new_device();

	d->id.address = pci_of(address);
	d->id.vendor = attribute(address, "vendor");
	d->id.device = attribute(address, "device");
	d->id.subsystem_vendor = attribute(address, "subsystem_vendor");
	d->id.subsystem_device = attribute(address, "subsystem_device");
	d->id.class = attribute(address, "class") << 8 | attribute(address, "revision");
	d->id.serial = serial_of(address);
	d->id.has_serial = d->id.serial;
	read_group(d, address);
}

static void add_devices(u32 n)
{
	while (n--) {
		struct device *d = new_device();

		d->made_up = 1;
		d->id.address = (struct cpr_pci){ .segment = 0x42, .bus = n >> 8, .devfn = n };
		add_member(d, d->id.address);
	}
}

static void add_members(struct device *d, u32 n)
{
	while (n--)
		add_member(d, (struct cpr_pci){ .segment = 0x42, .bus = n >> 8, .devfn = n });
}

static void set_serial(struct cpr_catalog_device *id, u64 serial)
{
	id->serial = serial;
	id->has_serial = serial;
}

static bool change_device(const char *word, const char *value)
{
	struct cpr_catalog_device *id = &device()->id;
	u64 n = strtoull(value, NULL, 0);

	if (!strcmp(word, "at"))
		id->address = pci_of(value);
	else if (!strcmp(word, "vendor"))
		id->vendor = n;
	else if (!strcmp(word, "model"))
		id->device = n;
	else if (!strcmp(word, "subvendor"))
		id->subsystem_vendor = n;
	else if (!strcmp(word, "subsystem"))
		id->subsystem_device = n;
	else if (!strcmp(word, "class"))
		id->class = n << 8 | (id->class & 0xff);
	else if (!strcmp(word, "revision"))
		id->class = (id->class & ~0xffu) | n;
	else if (!strcmp(word, "serial"))
		set_serial(id, n);
	else if (!strcmp(word, "dma"))
		id->dma = n;
	else if (!strcmp(word, "member"))
		add_member(device(), pci_of(value));
	else if (!strcmp(word, "members"))
		add_members(device(), n);
	else if (!strcmp(word, "alone"))
		id->members = 0;
	else
		return false;
	return true;
}

/* ---- the catalog ---- */

static void keep_table(const struct cpr_catalog_dma *rec)
{
	new_table();
	for (u32 i = 0; i < rec->extents; i++) {
		struct cpr_dma_extent e = cpr_catalog_dma_extent(rec, i);

		add_extent(table(), &e);
	}
}

static void keep_device(const struct cpr_catalog_device *rec)
{
	struct device *d = new_device();

	d->id = *rec;
	d->id.members = 0;
	for (u32 i = 0; i < rec->members; i++)
		add_member(d, cpr_catalog_member(rec, i));
}

/**
 * struct walk - where a walk through the catalog is
 * @cursor: of cpr_catalog_next()
 * @entry: the record
 * @nodes: node records so far
 * @dirs: is the node the directory of a VM that is changed? By number
 * @any: there is one
 * @ours: the record belongs to the VM
 */
struct walk {
	u64 cursor;
	struct cpr_catalog_entry entry;
	u32 nodes;
	u8 dirs[1 << 16];
	bool any;
	bool ours;
};

static bool step(struct walk *w)
{
	if (!cpr_catalog_next(&cat, &w->cursor, &w->entry))
		return false;
	if (w->entry.type == CPR_IMAGE_REC_NODE) {
		if (w->nodes && !w->entry.node.parent && is_wanted(&w->entry.node)) {
			w->dirs[w->nodes % sizeof(w->dirs)] = 1;
			w->any = true;
		}
		w->nodes++;
	}
	if (w->entry.type == CPR_IMAGE_REC_VM)
		w->ours = w->dirs[w->entry.vm.node % sizeof(w->dirs)];
	return true;
}

static void keep(void)
{
	static struct walk w;

	while (step(&w)) {
		if (w.ours && w.entry.type == CPR_IMAGE_REC_DMA)
			keep_table(&w.entry.dma);
		else if (w.ours && w.entry.type == CPR_IMAGE_REC_DEVICE)
			keep_device(&w.entry.device);
	}
}

static void put_node(struct cpr_catalog_writer *out, const struct cpr_catalog_node *node)
{
	cpr_catalog_put_node(out, node);
	for (u32 i = 0; i < node->extents; i++) {
		struct cpr_extent e = cpr_catalog_extent(node, i);

		cpr_catalog_put_frames(out, &e);
	}
}

static void put_forged(struct cpr_catalog_writer *out)
{
	for (u32 i = 0; i < nr_tables; i++)
		cpr_catalog_put_dma(out, tables[i].extents, tables[i].nr);
	for (u32 i = 0; i < nr_devices; i++) {
		if (devices[i].made_up) {
			devices[i].id.address.segment += vms_done;
			devices[i].members[0] = devices[i].id.address;
		}
		cpr_catalog_put_device(out, &devices[i].id, devices[i].members);
		if (devices[i].made_up)
			devices[i].id.address.segment -= vms_done;
	}
	vms_done++;
}

static void put_vm(struct cpr_catalog_writer *out, const struct walk *w)
{
	struct cpr_catalog_vm vm = w->entry.vm;

	if (w->ours && vm_state)
		vm.state = vm_state;
	cpr_catalog_put_vm(out, &vm);
	if (w->ours)
		put_forged(out);
}

/* What other VMs have stays as it is, byte by byte. */
static void put_dma(struct cpr_catalog_writer *out, const struct cpr_catalog_dma *rec)
{
	struct cpr_dma_extent *extents = calloc(rec->extents + 1, sizeof(*extents));

	for (u32 i = 0; i < rec->extents; i++)
		extents[i] = cpr_catalog_dma_extent(rec, i);
	cpr_catalog_put_dma(out, extents, rec->extents);
	free(extents);
}

static void put_device(struct cpr_catalog_writer *out, const struct cpr_catalog_device *rec)
{
	struct cpr_pci *members = calloc(rec->members + 1, sizeof(*members));

	for (u32 i = 0; i < rec->members; i++)
		members[i] = cpr_catalog_member(rec, i);
	cpr_catalog_put_device(out, rec, members);
	free(members);
}

static void put_entry(struct cpr_catalog_writer *out, const struct walk *w)
{
	if (w->entry.type == CPR_IMAGE_REC_NODE)
		put_node(out, &w->entry.node);
	else if (w->entry.type == CPR_IMAGE_REC_VM)
		put_vm(out, w);
	else if (w->ours)
		return;
	else if (w->entry.type == CPR_IMAGE_REC_DMA)
		put_dma(out, &w->entry.dma);
	else
		put_device(out, &w->entry.device);
}

static void write_catalog(void)
{
	const struct cpr_stamp stamp = { .time = cat.commit_time, .kernel = cat.kernel };
	struct cpr_catalog_writer out;
	static struct walk w;

	cpr_catalog_begin(&out, image, &geo, !cat.slot);
	while (step(&w))
		put_entry(&out, &w);
	if (!w.any)
		errx(1, "the image has no VM '%s'", vm_name);
	errno = -cpr_catalog_commit(&out, cat.generation + 1, cat.next_ino, &stamp);
	if (errno)
		err(1, "the catalog");
	memcpy(image + geo.slot_offset[cat.slot], CPR_IMAGE_SLOT_UNFINISHED, CPR_IMAGE_MAGIC_LEN);
}

static void take(char *item)
{
	char *value = strchr(item, '=');

	if (value)
		*value++ = 0;
	else
		value = "";
	if (!strcmp(item, "kept"))
		keep();
	else if (!strcmp(item, "table"))
		new_table();
	else if (!strcmp(item, "map"))
		map(value);
	else if (!strcmp(item, "maps"))
		map_many(value);
	else if (!strcmp(item, "swap"))
		swap(number(value, &value));
	else if (!strcmp(item, "device"))
		add_device(value);
	else if (!strcmp(item, "devices"))
		add_devices(number(value, &value));
	else if (!strcmp(item, "state"))
		vm_state = number(value, &value);
	else if (!change_device(item, value))
		errx(2, "unknown item '%s'", item);
}

static size_t open_image(const char *path)
{
	struct cpr_reason why;
	off_t len;
	int fd = open(path, O_RDWR);

	if (fd < 0)
		err(1, "%s", path);
	len = lseek(fd, 0, SEEK_END);
	image = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (image == MAP_FAILED)
		err(1, "%s", path);
	close(fd);
	if (cpr_image_load(image, len, &geo, &why) || cpr_catalog_open(image, &geo, &cat, &why))
		errx(1, "%s: %s", path, why.text);
	return len;
}

int main(int argc, char **argv)
{
	size_t len;

	if (argc < 3)
		errx(2, "usage: forge-dma FILE VM ITEM...");
	len = open_image(argv[1]);
	vm_name = argv[2];
	for (int i = 3; i < argc; i++)
		take(argv[i]);
	write_catalog();
	if (msync(image, len, MS_SYNC))
		err(1, "%s", argv[1]);
	return 0;
}
