// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/size.h"
#include "qemu/launch.h"
#include "qemu/qemuopt.h"
#include "qemu/refuse.h"

#define AGENT_NAME "org.qemu.guest_agent.0"

/* A -numa node option: where it is, and the memory that it names, if any. */
struct node {
	size_t at;
	char *memdev;
};

/* What the user's command line says, as far as RAM is concerned. */
struct scan {
	bool copy;			/* RAM may be anywhere */
	struct strv argv;		/* without -S */
	struct ram_file *backends;	/* made by the user */
	size_t nbackends;
	struct node *nodes;
	size_t nnodes;
	char *machine_backend;
	uint64_t m;			/* 0 without -m */
	struct json_object *chardevs;	/* id: path, of socket chardevs */
	char *agent_chardev;
	bool paused;
};

static void free_files(struct ram_file *files, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(files[i].id);
		free(files[i].name);
	}
	free(files);
}

static void scan_free(struct scan *s)
{
	strv_free(&s->argv);
	free_files(s->backends, s->nbackends);
	for (size_t i = 0; i < s->nnodes; i++)
		free(s->nodes[i].memdev);
	free(s->nodes);
	free(s->machine_backend);
	free(s->agent_chardev);
	json_object_put(s->chardevs);
}

void ram_plan_free(struct ram_plan *plan)
{
	strv_free(&plan->argv);
	free_files(plan->files, plan->nfiles);
	free(plan->agent);
	*plan = (struct ram_plan){ 0 };
}

uint64_t ram_plan_bytes(const struct ram_plan *plan)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < plan->nfiles; i++)
		sum += plan->files[i].size;
	return sum;
}

static void replace(char **p, const char *s)
{
	free(*p);
	*p = s ? xstrdup(s) : NULL;
}

static void add_file(struct ram_file **files, size_t *n, const char *id, const char *name,
		     uint64_t size)
{
	*files = xrealloc(*files, *n + 1, sizeof(**files));
	(*files)[(*n)++] = (struct ram_file){ xstrdup(id), xstrdup(name), size };
}

/* Memory comes in whole frames of the region. */
static int check_size(uint64_t size, const char *option, const char *text, struct err *err)
{
	if (size && size % FRAME_SIZE == 0)
		return 0;
	return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = option, .value = text,
		    .why = "the size of the RAM must be a multiple of 2 MiB, and not 0",
		    .remedy = "round it, for example to 512M");
}

static int parse_option_size(const struct qemuopt *opt, const char *text, uint64_t unit,
			     uint64_t *size, struct err *err)
{
	const char *option = fmt("-%s", opt->name);

	if (!text || size_parse(text, unit, size) < 0)
		return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = option,
			    .value = opt->value, .why = "no size that can be understood",
			    .remedy = "write it like 512M or 4G");
	return check_size(*size, option, opt->value, err);
}

static int scan_m(struct scan *s, const struct qemuopt *opt, struct json_object *kv,
		  struct err *err)
{
	const char *size = keyval(kv, "size");

	if (!size || (s->copy && size_parse(size, MIB, &s->m) == 0))
		return 0;
	return parse_option_size(opt, size, MIB, &s->m, err);
}

static int scan_object(struct scan *s, const struct qemuopt *opt, struct json_object *kv,
		       struct err *err)
{
	const char *type = keyval(kv, "qom-type"), *id = keyval(kv, "id");
	uint64_t size;
	int r;

	if (!type || !streq(type, "memory-backend-file") || s->copy)
		return 0;
	if (!id)
		return refuse_with(err, opt, "it has no id", "add id=NAME");
	if (startswith(id, "cpr-"))
		return refuse_with(err, opt, "ids that begin with cpr- are cpr-helper's own",
				   "choose another id");
	r = parse_option_size(opt, keyval(kv, "size"), 1, &size, err);
	if (r == 0)
		add_file(&s->backends, &s->nbackends, id,
			 strrchr(keyval(kv, "mem-path"), '/') + 1, size);
	return r;
}

static int scan_machine(struct scan *s, const struct qemuopt *opt, struct json_object *kv,
			struct err *err)
{
	(void)opt;
	(void)err;
	if (keyval(kv, "memory-backend"))
		replace(&s->machine_backend, keyval(kv, "memory-backend"));
	return 0;
}

static int scan_numa(struct scan *s, const struct qemuopt *opt, struct json_object *kv,
		     struct err *err)
{
	const char *type = keyval(kv, "type"), *memdev = keyval(kv, "memdev");

	(void)opt;
	(void)err;
	if (!type || !streq(type, "node"))
		return 0;
	s->nodes = xrealloc(s->nodes, s->nnodes + 1, sizeof(*s->nodes));
	s->nodes[s->nnodes++] = (struct node){
		.at = s->argv.n + 1, .memdev = memdev ? xstrdup(memdev) : NULL,
	};
	return 0;
}

static int scan_chardev(struct scan *s, const struct qemuopt *opt, struct json_object *kv,
			struct err *err)
{
	const char *backend = keyval(kv, "backend"), *id = keyval(kv, "id");

	(void)opt;
	(void)err;
	if (backend && streq(backend, "socket") && id && keyval(kv, "path"))
		jset_str(s->chardevs, id, keyval(kv, "path"));
	return 0;
}

static int scan_device(struct scan *s, const struct qemuopt *opt, struct json_object *kv,
		       struct err *err)
{
	const char *driver = keyval(kv, "driver"), *name = keyval(kv, "name");

	(void)opt;
	(void)err;
	if (driver && streq(driver, "virtserialport") && name && streq(name, AGENT_NAME))
		replace(&s->agent_chardev, keyval(kv, "chardev"));
	return 0;
}

static const struct {
	const char *name;
	const char *implied;
	int (*scan)(struct scan *s, const struct qemuopt *opt, struct json_object *kv,
		    struct err *err);
} scanners[] = {
	{ "m", "size", scan_m },
	{ "object", "qom-type", scan_object },
	{ "machine", "type", scan_machine },
	{ "M", "type", scan_machine },
	{ "numa", "type", scan_numa },
	{ "chardev", "backend", scan_chardev },
	{ "device", "driver", scan_device },
};

static int scan_option(struct scan *s, const struct qemuopt *opt, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && opt->value && i < ARRAY_SIZE(scanners); i++) {
		_cleanup_json_ struct json_object *kv = NULL;

		if (!streq(opt->name, scanners[i].name))
			continue;
		kv = keyval_parse(opt->value, scanners[i].implied);
		r = scanners[i].scan(s, opt, kv, err);
	}
	return r;
}

static int scan_argv(struct scan *s, const struct ram_request *req, struct err *err)
{
	struct qemuopt opt;
	size_t pos = 0;
	int r;

	s->copy = !req->dir;
	s->chardevs = json_object_new_object();
	while (qemuopt_next(req->argv, &pos, &opt)) {
		if (streq(opt.name, "S")) {
			s->paused = true;
			continue;
		}
		r = refuse_option(&opt, req->dir, err);
		if (r == 0)
			r = scan_option(s, &opt, err);
		if (r < 0)
			return r;
		for (size_t i = 0; i < opt.words; i++)
			strv_push(&s->argv, req->argv->v[opt.at + i]);
	}
	return 0;
}

static const struct ram_file *find_backend(const struct scan *s, const char *id)
{
	for (size_t i = 0; i < s->nbackends; i++)
		if (streq(s->backends[i].id, id))
			return &s->backends[i];
	return NULL;
}

static int unknown_backend(const char *option, const char *id, struct err *err)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = option, .value = id,
		    .why = "there is no -object memory-backend-file with this id",
		    .remedy = "leave it out and give the size with --ram or -m");
}

/* Sizes of --ram, summed; 0 without. */
static int ram_option(const struct ram_request *req, uint64_t *sum, struct err *err)
{
	*sum = 0;
	for (size_t i = 0; i < req->nsizes; i++) {
		int r = check_size(req->sizes[i], "--ram", size_exact(req->sizes[i]), err);

		if (r < 0)
			return r;
		*sum += req->sizes[i];
	}
	return 0;
}

/* The size of a guest whose RAM is not divided among NUMA nodes here; 0 if none was given. */
static int one_size(const struct ram_request *req, uint64_t *size, const char *why,
		    const char *remedy, struct err *err)
{
	int r = ram_option(req, size, err);

	if (r < 0 || req->nsizes <= 1)
		return r;
	return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = "--ram",
		    .value = fmt("%zu sizes", req->nsizes), .why = why, .remedy = remedy);
}

static int sizes_differ(uint64_t total, const char *option, uint64_t size, struct err *err)
{
	return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = "RAM size",
		    .value = size_exact(total), .why = fmt("%s gives %s", option, size_exact(size)),
		    .remedy = "give the size once");
}

/*
 * The total that --ram, -m and the user's own files agree on; the files may be
 * only a part of it.
 */
static int agree(const struct scan *s, uint64_t ram, uint64_t own, uint64_t *total,
		 struct err *err)
{
	*total = ram ? ram : s->m ? s->m : own;
	if (!*total)
		return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = "--ram",
			    .why = "the size of the guest's RAM is not given",
			    .remedy = "add --ram SIZE before the --, or -m SIZE after it");
	if (s->m && s->m != *total)
		return sizes_differ(*total, "-m", s->m, err);
	if (own > *total)
		return sizes_differ(*total, "-object", own, err);
	return 0;
}

/* A file of our own, with the options that make QEMU use it. */
static void add_own(struct ram_plan *plan, const char *dir, unsigned int n, uint64_t size)
{
	const char *id = fmt("cpr-ram%u", n), *name = fmt("ram%u", n);

	add_file(&plan->files, &plan->nfiles, id, name, size);
	strv_push(&plan->argv, "-object");
	strv_pushf(&plan->argv,
		   "memory-backend-file,id=%s,size=%s,mem-path=%s/%s,share=on,align=2M",
		   id, size_exact(size), dir, name);
}

static int plan_flat(const struct scan *s, const struct ram_request *req, struct ram_plan *plan,
		     struct err *err)
{
	const struct ram_file *own = NULL;
	uint64_t ram;
	int r = one_size(req, &ram, "the guest has no NUMA nodes",
			 "give one size, or a -numa node option for each", err);

	if (r < 0)
		return r;
	if (s->machine_backend) {
		own = find_backend(s, s->machine_backend);
		if (!own)
			return unknown_backend("memory-backend", s->machine_backend, err);
	}
	r = agree(s, ram, own ? own->size : 0, &plan->base, err);
	if (r < 0)
		return r;
	if (own && own->size != plan->base)
		return sizes_differ(plan->base, "-object", own->size, err);
	if (!own) {
		add_own(plan, req->dir, 0, plan->base);
		strv_push(&plan->argv, "-machine");
		strv_push(&plan->argv, "memory-backend=cpr-ram0");
	}
	return 0;
}

/* Node @i of @n: an even share of @total in whole frames. */
static uint64_t share_of(uint64_t total, size_t i, size_t n)
{
	uint64_t frames = total / FRAME_SIZE;

	return (frames / n + (i < frames % n)) * FRAME_SIZE;
}

static int nodes_own(const struct scan *s, uint64_t *own, size_t *missing, struct err *err)
{
	*own = 0;
	*missing = 0;
	for (size_t i = 0; i < s->nnodes; i++) {
		const struct ram_file *f;

		if (!s->nodes[i].memdev) {
			(*missing)++;
			continue;
		}
		f = find_backend(s, s->nodes[i].memdev);
		if (!f)
			return unknown_backend("-numa node,memdev", s->nodes[i].memdev, err);
		*own += f->size;
	}
	return 0;
}

static int sizes_wrong(const char *why, size_t missing, struct err *err)
{
	return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = "--ram", .why = why,
		    .remedy = fmt("give one size, or %zu of them, one for each node without "
				  "memdev=", missing));
}

static int plan_numa(const struct scan *s, const struct ram_request *req, struct ram_plan *plan,
		     struct err *err)
{
	uint64_t ram, own = 0, rest;
	size_t missing = 0, n = 0;
	int r = ram_option(req, &ram, err);

	if (r == 0)
		r = nodes_own(s, &own, &missing, err);
	if (r < 0)
		return r;
	if (s->machine_backend)
		return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = "memory-backend",
			    .value = s->machine_backend, .why = "the guest has NUMA nodes",
			    .remedy = "give -numa node,memdev= instead");
	if (req->nsizes > 1 && req->nsizes != missing)
		return sizes_wrong(fmt("%zu sizes for %zu nodes", req->nsizes, missing), missing, err);
	/* A list is for the nodes that lack memory, a single size for all RAM. */
	r = agree(s, req->nsizes > 1 ? ram + own : ram, own, &plan->base, err);
	if (r < 0)
		return r;
	rest = plan->base - own;
	if ((missing == 0) != (rest == 0) || rest / FRAME_SIZE < missing)
		return sizes_wrong(fmt("%s is left for %zu nodes", size_exact(rest), missing),
				   missing, err);
	for (size_t i = 0; i < s->nnodes; i++) {
		char **value = &plan->argv.v[s->nodes[i].at];
		char *longer;

		if (s->nodes[i].memdev)
			continue;
		longer = xasprintf("%s,memdev=cpr-ram%zu", *value, n);
		free(*value);
		*value = longer;
		add_own(plan, req->dir, n, req->nsizes > 1 ? req->sizes[n] :
			share_of(rest, n, missing));
		n++;
	}
	return 0;
}

/* RAM stays QEMU's own: only its size may be asked for. */
static int plan_copy(const struct scan *s, const struct ram_request *req, struct ram_plan *plan,
		     struct err *err)
{
	uint64_t ram;
	int r = one_size(req, &ram, "in copy mode cpr-helper adds no memory for NUMA nodes",
			 "give one size, and each node its own memdev=", err);

	if (r < 0)
		return r;
	if (ram && s->m && s->m != ram)
		return sizes_differ(ram, "-m", s->m, err);
	plan->base = ram ? ram : s->m;
	return 0;
}

static int plan_agent(const struct scan *s, const struct ram_request *req, struct ram_plan *plan,
		      struct err *err)
{
	if (s->agent_chardev) {
		if (req->agent && !req->agent_optional)
			return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = "--agent",
				    .why = "the command line has a channel for a guest agent",
				    .remedy = "leave --agent out");
		replace(&plan->agent, jstr(s->chardevs, s->agent_chardev));
		return 0;
	}
	if (!req->agent)
		return 0;
	replace(&plan->agent, req->agent);
	strv_push(&plan->argv, "-chardev");
	strv_pushf(&plan->argv, "socket,id=cpr-qga,path=%s,server=on,wait=off", req->agent);
	strv_push(&plan->argv, "-device");
	strv_push(&plan->argv, "virtio-serial-pci,id=cpr-serial");
	strv_push(&plan->argv, "-device");
	strv_push(&plan->argv,
		  "virtserialport,bus=cpr-serial.0,chardev=cpr-qga,name=" AGENT_NAME);
	return 0;
}

int ram_plan(const struct ram_request *req, struct ram_plan *plan, struct err *err)
{
	_cleanup_(scan_free) struct scan s = { 0 };
	int r = scan_argv(&s, req, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < s.argv.n; i++)
		strv_push(&plan->argv, s.argv.v[i]);
	for (size_t i = 0; i < s.nbackends; i++)
		add_file(&plan->files, &plan->nfiles, s.backends[i].id, s.backends[i].name,
			 s.backends[i].size);
	plan->paused = s.paused;
	r = s.copy ? plan_copy(&s, req, plan, err) :
	    s.nnodes ? plan_numa(&s, req, plan, err) : plan_flat(&s, req, plan, err);
	if (r < 0)
		return r;
	if (!s.m && plan->base) {
		strv_push(&plan->argv, "-m");
		strv_push(&plan->argv, size_exact(plan->base));
	}
	return plan_agent(&s, req, plan, err);
}
