// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/out.h"
#include "base/program.h"
#include "stream/stream_desc.h"
#include "qemu/qemu.h"
#include "qemu/qemuopt.h"
#include "vm/manifest.h"
#include "handover/fit.h"
#include "handover/vmstate.h"

#define ANSWER_S 20

/* The dump of QEMU 10.0 has 20 levels. */
#define DUMP_DEPTH 128
#define MAX_DUMP (16 * MIB)

#define OTHER_QEMU "keep the QEMU that the guest runs in, or give another one with --qemu"

void fit_free(struct fit *fit)
{
	free(fit->binary);
	free(fit->version);
	json_object_put(fit->known);
	*fit = (struct fit){ 0 };
}

static int fit_refuse(struct err *err, const struct fit *fit, const char *why)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "QEMU",
		    .value = fit->binary, .why = why, .remedy = OTHER_QEMU);
}

/* Without an answer the QEMU is refused, but not after a signal. */
static int fit_no_answer(struct err *err, const struct fit *fit, int code, const char *question,
			 const struct err *program)
{
	if (code == -EINTR)
		return fail(err, code, .what = "QEMU", .value = fit->binary, .why = "interrupted");
	fit_refuse(err, fit, fmt("asked for %s: %s", question, program->why ? program->why : ""));
	err_words(err, program->words);
	return code;
}

static int fit_ask(const struct fit *fit, const char *const *options, int out, char **words,
		   const char *question, struct err *err)
{
	_cleanup_strv_ struct strv argv = { 0 };
	_cleanup_err_ struct err why = { 0 };
	struct program program = {
		.seconds = ANSWER_S, .out = out, .max_file = MAX_DUMP,
	};
	int r;

	strv_push(&argv, fit->binary);
	for (; *options; options++)
		strv_push(&argv, *options);
	program.argv = argv.v;
	r = program_run(&program, words, &why);
	return r < 0 ? fit_no_answer(err, fit, r, question, &why) : 0;
}

/* "QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)" */
static int fit_ask_version(struct fit *fit, struct err *err)
{
	static const char *const options[] = { "-version", NULL };
	static const char before[] = " version ";
	_cleanup_free_ char *words = NULL;
	const char *at;
	int major, minor, r = fit_ask(fit, options, -1, &words, "its version", err);

	if (r < 0)
		return r;
	at = strstr(words, before);
	if (!at || sscanf(at + strlen(before), "%d.%d", &major, &minor) != 2)
		return fit_refuse(err, fit,
				  "asked for its version, it does not answer as QEMU does");
	at += strlen(before);
	fit->version = xstrndup(at, strcspn(at, "\n"));
	return qemu_check_version(major, minor, fit->version, err);
}

static struct json_object *fit_parse_dump(int fd)
{
	struct json_tokener *tok = json_tokener_new_ex(DUMP_DEPTH);
	struct json_object *known = NULL;
	char *text = MAP_FAILED;
	struct stat st = { 0 };

	if (tok && fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= (off_t)MAX_DUMP)
		text = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text != MAP_FAILED) {
		known = json_tokener_parse_ex(tok, text, st.st_size);
		munmap(text, st.st_size);
	}
	if (tok)
		json_tokener_free(tok);
	if (json_object_is_type(known, json_type_object))
		return known;
	json_object_put(known);
	return NULL;
}

/* A QEMU without the machine type fails here. */
static int fit_ask_vmstate(struct fit *fit, const char *machine, struct err *err)
{
	const char *const options[] = {
		"-M", machine, "-dump-vmstate", PROGRAM_OUT_PATH, NULL
	};
	_cleanup_close_ int fd = memfd_create("cpr-vmstate", MFD_CLOEXEC);
	const char *answer;
	int r;

	if (fd < 0)
		return fail(err, -errno, .what = "memory for", .value = "-dump-vmstate");
	r = fit_ask(fit, options, fd, NULL, fmt("what it loads with the machine type %s", machine),
		    err);
	if (r < 0)
		return r;
	fit->known = fit_parse_dump(fd);
	answer = jstr(jget(fit->known, "vmschkmachine"), "Name");
	if (answer && streq(answer, machine))
		return 0;
	return fit_refuse(err, fit, !fit->known ? "its output of -dump-vmstate cannot be parsed" :
			  fmt("asked about the machine type %s, it answers for %s", machine,
			      answer ? answer : "none"));
}

/* 'name "virtio-net-pci", bus PCI, alias "virtio-net"', but of aliases only one. */
static bool fit_in_help(const char *help, const char *driver)
{
	return strstr(help, fmt("name \"%s\"", driver)) || strstr(help, fmt("alias \"%s\"", driver));
}

/* Returns: 1 if it has the device, 0 if not. */
static int fit_ask_driver(const struct fit *fit, const char *driver, struct err *err)
{
	const char *const options[] = { "-device", fmt("%s,help", driver), NULL };
	_cleanup_free_ char *words = NULL;
	int r = fit_ask(fit, options, -1, &words, fmt("its device %s", driver), err);

	return r < 0 ? r : !strstr(words, fmt("'%s' not found", driver));
}

static int fit_check_driver(const struct fit *fit, const char *help, const struct qemuopt *opt,
			    struct err *err)
{
	const char *driver = keyval(opt->kv, "driver");
	int r;

	if (!driver || fit_in_help(help, driver))
		return 0;
	r = fit_ask_driver(fit, driver, err);
	if (r != 0)
		return r < 0 ? r : 0;
	return fit_refuse(err, fit,
			  fmt("it has no device '%s', which the guest has (-device %s)", driver,
			      opt->value));
}

/* A device that it does not have at all is not in its dump, as others are not. */
static int fit_ask_devices(const struct fit *fit, struct json_object *manifest, struct err *err)
{
	static const char *const options[] = { "-device", "help", NULL };
	_cleanup_qemuopts_ struct qemuopts opts = { 0 };
	_cleanup_strv_ struct strv argv = { 0 };
	_cleanup_free_ char *help = NULL;
	int r = fit_ask(fit, options, -1, &help, "its devices", err);

	manifest_argv(manifest, &argv);
	if (r == 0)
		r = qemuopts_parse(&argv, &opts, err);
	qemuopts_for_each(opt, &opts)
		if (r == 0 && opt->kind->id == QEMUOPT_DEVICE)
			r = fit_check_driver(fit, help, opt, err);
	return r;
}

int fit_query(struct fit *fit, const char *binary, struct json_object *manifest, struct err *err)
{
	int r;

	*fit = (struct fit){ .binary = xstrdup(binary) };
	if (access(binary, X_OK) < 0)
		return fit_refuse(err, fit, strerror(errno));
	r = fit_ask_version(fit, err);
	if (r == 0)
		r = fit_ask_vmstate(fit, jstr(manifest, "machine"), err);
	if (r == 0)
		r = fit_ask_devices(fit, manifest, err);
	return r;
}

static int fit_misfit(const struct fit *fit, struct json_object *device, const char *why,
		      struct err *err)
{
	const char *name = jstr(device, "name");

	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "device",
		    .value = name ? name : jstr(device, "vmsd_name"),
		    .why = fmt("QEMU %s could not load it: %s", fit->version, why),
		    .remedy = OTHER_QEMU);
}

static int fit_check_devices(const struct fit *fit, struct stream_desc *desc, struct err *err)
{
	_cleanup_free_ char *why = NULL;
	int r = stream_desc_begin(desc);

	while (r == 0) {
		_cleanup_json_ struct json_object *device = NULL;

		r = stream_desc_next(desc, &device);
		if (r < 0 || !device)
			break;
		if (!vmstate_fits(fit->known, device, &why))
			return fit_misfit(fit, device, why, err);
	}
	return r;
}

int fit_check(const struct fit *fit, const char *state, struct err *err)
{
	_cleanup_close_ int fd = open(state, O_RDONLY | O_CLOEXEC);
	_cleanup_(source_close) struct source src = { 0 };
	_cleanup_(stream_desc_free) struct stream_desc desc = { 0 };
	int r = fd < 0 ? -errno : source_open(&src, fd, false);

	if (r == 0)
		r = stream_desc_find(&desc, &src);
	if (r == 0)
		r = desc.found ? fit_check_devices(fit, &desc, err) : -ENODATA;
	return r == 0 ? 0 : fail(err, r, .what = "state file", .value = state,
				 .why = src.fault.kind ? src.fault.found : NULL);
}
