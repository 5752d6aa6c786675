// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/size.h"
#include "qemu/launch.h"
#include "qemu/refuse.h"

#define AGENT_NAME "org.qemu.guest_agent.0"
#define AGENT_CHARDEV "cpr-qga"

/**
 * struct launch_scan - what the user's options say about RAM and the guest agent
 * @req, @plan: of launch_plan(); the plan's files are the user's own until all is scanned
 * @m: size of -m; 0 without
 * @machine_backend: -machine memory-backend=, or NULL
 * @nodes: how many -numa node there are
 * @bare: how many of them have no memdev=
 * @agent_chardev: chardev of the guest agent's channel, or NULL
 */
struct launch_scan {
	const struct launch_request *req;
	struct launch_plan *plan;
	uint64_t m;
	const char *machine_backend;
	size_t nodes;
	size_t bare;
	const char *agent_chardev;
};

void launch_plan_free(struct launch_plan *plan)
{
	for (size_t i = 0; i < plan->nfiles; i++) {
		free(plan->files[i].id);
		free(plan->files[i].name);
	}
	free(plan->files);
	strv_free(&plan->argv);
	free(plan->agent);
	*plan = (struct launch_plan){ 0 };
}

uint64_t launch_plan_bytes(const struct launch_plan *plan)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < plan->nfiles; i++)
		sum += plan->files[i].size;
	return sum;
}

static void launch_add_file(struct launch_plan *plan, const char *id, const char *name,
			    uint64_t size)
{
	plan->files = xrealloc(plan->files, plan->nfiles + 1, sizeof(*plan->files));
	plan->files[plan->nfiles++] = (struct ram_file){ xstrdup(id), xstrdup(name), size };
}

static int launch_usage(struct err *err, const char *what, const char *value, const char *why,
			const char *remedy)
{
	return fail(err, -EINVAL, .exit = CPR_EXIT_USAGE, .what = what, .value = value,
		    .why = why, .remedy = remedy);
}

/* Memory comes in whole frames of the region. */
static int launch_check_size(uint64_t size, const char *option, const char *text, struct err *err)
{
	if (size && size % FRAME_SIZE == 0)
		return 0;
	return launch_usage(err, option, text,
			    "the size of the RAM must be a multiple of 2 MiB, and not 0",
			    "round it, for example to 512M");
}

static int launch_parse_size(const struct qemuopt *opt, uint64_t unit, uint64_t *size,
			     struct err *err)
{
	const char *option = fmt("-%s", opt->name), *text = keyval(opt->kv, "size");

	if (!text || size_parse(text, unit, size) < 0)
		return launch_usage(err, option, opt->value, "the size cannot be parsed",
				    "write it like 512M or 4G");
	return launch_check_size(*size, option, opt->value, err);
}

static int launch_scan_m(struct launch_scan *s, const struct qemuopt *opt, struct err *err)
{
	const char *size = keyval(opt->kv, "size");

	if (!size || (!s->req->dir && size_parse(size, MIB, &s->m) == 0))
		return 0;
	return launch_parse_size(opt, MIB, &s->m, err);
}

static int launch_scan_object(struct launch_scan *s, const struct qemuopt *opt, struct err *err)
{
	const char *id = keyval(opt->kv, "id");
	uint64_t size;
	int r;

	if (!s->req->dir || !keyval_is(opt->kv, "qom-type", "memory-backend-file"))
		return 0;
	if (!id)
		return refuse_with(err, opt, "it has no id", "add id=NAME");
	if (startswith(id, "cpr-"))
		return refuse_with(err, opt, "ids that begin with cpr- are cpr-helper's own",
				   "choose another id");
	r = launch_parse_size(opt, 1, &size, err);
	if (r == 0)
		launch_add_file(s->plan, id, strrchr(keyval(opt->kv, "mem-path"), '/') + 1, size);
	return r;
}

/* In the region each node needs a memory backend: one without memdev= gets ours. */
static void launch_push(struct launch_scan *s, const struct qemuopt *opt)
{
	_cleanup_free_ char *value = NULL;
	bool node = opt->kind->id == QEMUOPT_NUMA && keyval_is(opt->kv, "type", "node");

	s->nodes += node;
	if (node && s->req->dir && !keyval(opt->kv, "memdev"))
		value = xasprintf("%s,memdev=cpr-ram%zu", opt->value, s->bare++);
	qemuopt_push(&s->plan->argv, opt, value ? value : opt->value);
}

static int launch_scan_option(struct launch_scan *s, const struct qemuopt *opt, struct err *err)
{
	const char *backend;

	switch (opt->kind->id) {
	case QEMUOPT_M:
		return launch_scan_m(s, opt, err);
	case QEMUOPT_OBJECT:
		return launch_scan_object(s, opt, err);
	case QEMUOPT_MACHINE:
		backend = keyval(opt->kv, "memory-backend");
		s->machine_backend = backend ? backend : s->machine_backend;
		return 0;
	case QEMUOPT_DEVICE:
		if (keyval_is(opt->kv, "driver", "virtserialport") &&
		    keyval_is(opt->kv, "name", AGENT_NAME))
			s->agent_chardev = keyval(opt->kv, "chardev");
		return 0;
	case QEMUOPT_S:
		s->plan->paused = true;
		return 0;
	default:
		return 0;
	}
}

static int launch_scan(struct launch_scan *s, struct err *err)
{
	qemuopts_for_each(opt, s->req->opts) {
		int r = launch_scan_option(s, opt, err);

		if (r < 0)
			return r;
		if (!opt->kind->once)
			launch_push(s, opt);
	}
	return 0;
}

static int launch_find_file(const struct launch_plan *plan, const char *option, const char *id,
			    uint64_t *size, struct err *err)
{
	*size = 0;
	for (size_t i = 0; i < plan->nfiles; i++) {
		if (streq(plan->files[i].id, id)) {
			*size = plan->files[i].size;
			return 0;
		}
	}
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = option, .value = id,
		    .why = "there is no -object memory-backend-file with this id",
		    .remedy = "leave it out and give the size with --ram or -m");
}

/* Sizes of --ram, summed; 0 without. */
static int launch_sum_ram(const struct launch_request *req, uint64_t *sum, struct err *err)
{
	*sum = 0;
	for (size_t i = 0; i < req->nsizes; i++) {
		int r = launch_check_size(req->sizes[i], "--ram", size_exact(req->sizes[i]), err);

		if (r < 0)
			return r;
		*sum += req->sizes[i];
	}
	return 0;
}

/* The size in --ram of a guest that gets no memory by NUMA nodes; 0 without. */
static int launch_single_ram(const struct launch_request *req, uint64_t *size, const char *why,
			     const char *remedy, struct err *err)
{
	int r = launch_sum_ram(req, size, err);

	if (r < 0 || req->nsizes <= 1)
		return r;
	return launch_usage(err, "--ram", fmt("%zu sizes", req->nsizes), why, remedy);
}

static int launch_sizes_differ(uint64_t total, const char *option, uint64_t size, struct err *err)
{
	return launch_usage(err, "RAM size", size_exact(total),
			    fmt("%s gives %s", option, size_exact(size)), "give the size once");
}

/*
 * Set the size of the RAM, on which --ram and -m must agree. The user's own files may be
 * only a part of it.
 */
static int launch_set_base(const struct launch_scan *s, uint64_t ram, uint64_t own,
			   struct err *err)
{
	uint64_t base = ram ? ram : s->m ? s->m : own;

	s->plan->base = base;
	if (!base)
		return launch_usage(err, "--ram", NULL, "the size of the guest's RAM is not given",
				    "add --ram SIZE before the --, or -m SIZE after it");
	if (s->m && s->m != base)
		return launch_sizes_differ(base, "-m", s->m, err);
	if (own > base)
		return launch_sizes_differ(base, "-object", own, err);
	return 0;
}

/* A file of our own, with the option that makes QEMU use it. */
static void launch_add_own(struct launch_plan *plan, const char *dir, size_t n, uint64_t size)
{
	const char *id = fmt("cpr-ram%zu", n), *name = fmt("ram%zu", n);

	launch_add_file(plan, id, name, size);
	strv_push(&plan->argv, "-object");
	strv_pushf(&plan->argv,
		   "memory-backend-file,id=%s,size=%s,mem-path=%s/%s,share=on,align=2M",
		   id, size_exact(size), dir, name);
}

static int launch_flat(const struct launch_scan *s, struct err *err)
{
	struct launch_plan *plan = s->plan;
	uint64_t ram, own = 0;
	int r = launch_single_ram(s->req, &ram, "the guest has no NUMA nodes",
				  "give one size, or a -numa node option for each", err);

	if (r == 0 && s->machine_backend)
		r = launch_find_file(plan, "memory-backend", s->machine_backend, &own, err);
	if (r == 0)
		r = launch_set_base(s, ram, own, err);
	if (r < 0)
		return r;
	if (s->machine_backend)
		return own == plan->base ? 0 : launch_sizes_differ(plan->base, "-object", own, err);
	launch_add_own(plan, s->req->dir, 0, plan->base);
	strv_push(&plan->argv, "-machine");
	strv_push(&plan->argv, "memory-backend=cpr-ram0");
	return 0;
}

/* Node @i of @n: an even share of @total in whole frames. */
static uint64_t launch_share(uint64_t total, size_t i, size_t n)
{
	uint64_t frames = total / FRAME_SIZE;

	return (frames / n + (i < frames % n)) * FRAME_SIZE;
}

/* The memory of all nodes that have memdev=. */
static int launch_sum_nodes(const struct launch_scan *s, uint64_t *sum, struct err *err)
{
	*sum = 0;
	qemuopts_for_each(opt, s->req->opts) {
		const char *memdev = keyval(opt->kv, "memdev");
		uint64_t size = 0;
		int r;

		if (opt->kind->id != QEMUOPT_NUMA || !memdev || !keyval_is(opt->kv, "type", "node"))
			continue;
		r = launch_find_file(s->plan, "-numa node,memdev", memdev, &size, err);
		if (r < 0)
			return r;
		*sum += size;
	}
	return 0;
}

static int launch_ram_wrong(const char *why, size_t bare, struct err *err)
{
	return launch_usage(err, "--ram", NULL, why,
			    fmt("give one size, or %zu of them, one for each node without "
				"memdev=", bare));
}

static int launch_numa(const struct launch_scan *s, struct err *err)
{
	const struct launch_request *req = s->req;
	bool list = req->nsizes > 1;
	uint64_t ram, own, rest;
	int r = launch_sum_ram(req, &ram, err);

	if (r == 0)
		r = launch_sum_nodes(s, &own, err);
	if (r < 0)
		return r;
	if (s->machine_backend)
		return launch_usage(err, "memory-backend", s->machine_backend,
				    "the guest has NUMA nodes", "give -numa node,memdev= instead");
	if (list && req->nsizes != s->bare)
		return launch_ram_wrong(fmt("%zu sizes for %zu nodes", req->nsizes, s->bare),
					s->bare, err);
	/* A list is for the nodes without memdev=, a single size for all RAM. */
	r = launch_set_base(s, list ? ram + own : ram, own, err);
	if (r < 0)
		return r;
	rest = s->plan->base - own;
	if ((s->bare == 0) != (rest == 0) || rest / FRAME_SIZE < s->bare)
		return launch_ram_wrong(fmt("%s is left for %zu nodes", size_exact(rest), s->bare),
					s->bare, err);
	for (size_t i = 0; i < s->bare; i++)
		launch_add_own(s->plan, req->dir, i,
			       list ? req->sizes[i] : launch_share(rest, i, s->bare));
	return 0;
}

/* The RAM stays QEMU's own: the user may only give its size. */
static int launch_copy(const struct launch_scan *s, struct err *err)
{
	uint64_t ram;
	int r = launch_single_ram(s->req, &ram,
				  "in copy mode cpr-helper adds no memory for NUMA nodes",
				  "give one size, and each node its own memdev=", err);

	if (r < 0)
		return r;
	if (ram && s->m && s->m != ram)
		return launch_sizes_differ(ram, "-m", s->m, err);
	s->plan->base = ram ? ram : s->m;
	return 0;
}

/* The path of a socket chardev, or NULL. */
static const char *launch_socket(const struct qemuopts *opts, const char *id)
{
	const char *path = NULL;

	qemuopts_for_each(opt, opts)
		if (opt->kind->id == QEMUOPT_CHARDEV && keyval_is(opt->kv, "id", id) &&
		    keyval_is(opt->kv, "backend", "socket"))
			path = keyval(opt->kv, "path");
	return path;
}

char *launch_chardev(const char *path)
{
	return xasprintf("socket,id=" AGENT_CHARDEV ",path=%s,server=on,wait=off", path);
}

char *launch_chardev_fd(int fd)
{
	return xasprintf("socket,id=" AGENT_CHARDEV ",fd=%d,server=on,wait=off", fd);
}

static int launch_agent(const struct launch_scan *s, struct err *err)
{
	const struct launch_request *req = s->req;
	_cleanup_free_ char *chardev = NULL;
	struct launch_plan *plan = s->plan;
	const char *path = req->agent;

	if (s->agent_chardev) {
		if (path && !req->agent_optional)
			return launch_usage(err, "--agent", NULL,
					    "the command line has a channel for a guest agent",
					    "leave --agent out");
		path = launch_socket(req->opts, s->agent_chardev);
	}
	plan->agent = path ? xstrdup(path) : NULL;
	if (s->agent_chardev || !path)
		return 0;
	chardev = launch_chardev(path);
	strv_push(&plan->argv, "-chardev");
	strv_push(&plan->argv, chardev);
	strv_push(&plan->argv, "-device");
	strv_push(&plan->argv, "virtio-serial-pci,id=cpr-serial");
	strv_push(&plan->argv, "-device");
	strv_push(&plan->argv,
		  "virtserialport,bus=cpr-serial.0,chardev=" AGENT_CHARDEV ",name=" AGENT_NAME);
	return 0;
}

int launch_plan(const struct launch_request *req, struct launch_plan *plan, struct err *err)
{
	struct launch_scan s = { .req = req, .plan = plan };
	int r = launch_scan(&s, err);

	if (r < 0)
		return r;
	r = !req->dir ? launch_copy(&s, err) : s.nodes ? launch_numa(&s, err) :
	    launch_flat(&s, err);
	if (r < 0)
		return r;
	if (!s.m && plan->base) {
		strv_push(&plan->argv, "-m");
		strv_push(&plan->argv, size_exact(plan->base));
	}
	return launch_agent(&s, err);
}
