// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "base/out.h"
#include "qemu/guestcpu.h"

/* Properties of QEMU's CPU object. */
static const char *const identity[] = { "vendor", "family", "model", "stepping" };

/* As QEMU names the members of feature-words; as we name them. */
static const struct { const char *qemu, *name; } word_members[] = {
	{ "cpuid-input-eax", "leaf" }, { "cpuid-input-ecx", "subleaf" },
	{ "cpuid-register", "register" }, { "features", "bits" },
};

static int guestcpu_refuse(struct err *err, const char *vm, const char *why)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "the guest's CPU",
		    .value = vm, .why = why,
		    .remedy = "boot the kernel, or load the microcode, under which it was saved");
}

static char *guestcpu_path(struct qmp *qmp, int *code, struct err *err)
{
	_cleanup_json_ struct json_object *cpus = NULL;
	struct json_object *first;

	*code = qmp_run(qmp, "query-cpus-fast", NULL, &cpus, err);
	first = *code < 0 ? NULL : json_object_array_get_idx(cpus, 0);
	if (*code == 0 && !jstr(first, "qom-path"))
		*code = fail(err, -EPROTO, .what = "no answer from", .value = qmp->js->peer,
			     .why = "the reply to query-cpus-fast has no CPU");
	return *code < 0 ? NULL : xstrdup(jstr(first, "qom-path"));
}

static struct json_object *guestcpu_word(struct json_object *word)
{
	struct json_object *obj = json_object_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(word_members); i++) {
		struct json_object *value = jget(word, word_members[i].qemu);

		if (value)
			jset(obj, word_members[i].name, json_object_get(value));
	}
	return obj;
}

static int guestcpu_read_features(struct qmp *qmp, const char *path, struct json_object *cpu,
				  struct err *err)
{
	_cleanup_json_ struct json_object *words = NULL;
	struct json_object *list = json_object_new_array();
	int r = qmp_qom_get(qmp, path, "feature-words", &words, err);

	jset(cpu, "features", list);
	for (size_t i = 0; r == 0 && i < json_object_array_length(words); i++)
		json_object_array_add(list, guestcpu_word(json_object_array_get_idx(words, i)));
	return r;
}

/* The same for all CPUs of the host. */
static void guestcpu_read_microcode(struct json_object *cpu)
{
	_cleanup_free_ char *version = read_text("/sys/devices/system/cpu/cpu0/microcode/version", 64);

	if (version)
		jset_str(cpu, "microcode", version);
}

static int guestcpu_ask(struct qmp *qmp, struct json_object **cpu, struct err *err)
{
	struct json_object *obj = json_object_new_object();
	int r;
	_cleanup_free_ char *path = guestcpu_path(qmp, &r, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(identity); i++) {
		struct json_object *value = NULL;

		r = qmp_qom_get(qmp, path, identity[i], &value, err);
		jset(obj, identity[i], value);
	}
	if (r == 0)
		r = guestcpu_read_features(qmp, path, obj, err);
	if (r < 0) {
		json_object_put(obj);
		return r;
	}
	*cpu = obj;
	return 0;
}

int guestcpu_read(struct qmp *qmp, struct json_object **cpu, struct err *err)
{
	int r = guestcpu_ask(qmp, cpu, err);

	if (r == 0)
		guestcpu_read_microcode(*cpu);
	return r;
}

static const char *guestcpu_text(struct json_object *cpu, const char *key)
{
	struct json_object *value = jget(cpu, key);

	return value ? fmt("%s", json_object_get_string(value)) : "unknown";
}

static bool same_word(struct json_object *a, struct json_object *b)
{
	const char *one = jstr(a, "register"), *other = jstr(b, "register");

	return jint(a, "leaf", -1) == jint(b, "leaf", -1) &&
	       jint(a, "subleaf", -1) == jint(b, "subleaf", -1) && one && other && streq(one, other);
}

/* The bits of a word of @a that the same word of @b lacks. */
static uint64_t bits_missing(struct json_object *word, struct json_object *b)
{
	struct json_object *list = jget(b, "features");
	uint64_t bits = jint(word, "bits", 0);

	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		if (same_word(word, json_object_array_get_idx(list, i)))
			return bits & ~(uint64_t)jint(json_object_array_get_idx(list, i), "bits", 0);
	return bits;
}

/* The first feature of @a that @b lacks; NULL if there is none. */
static const char *guestcpu_lacks(struct json_object *a, struct json_object *b)
{
	struct json_object *list = jget(a, "features");

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *word = json_object_array_get_idx(list, i);
		unsigned long long bits = bits_missing(word, b);
		long long subleaf = jint(word, "subleaf", -1);

		if (bits)
			return fmt("CPUID leaf %#llx%s, %s, bits %#llx",
				   (unsigned long long)jint(word, "leaf", 0),
				   subleaf < 0 ? "" : fmt(" subleaf %lld", subleaf),
				   jstr(word, "register"), bits);
	}
	return NULL;
}

int guestcpu_check(struct json_object *was, struct qmp *qmp, const char *vm, struct err *err)
{
	_cleanup_json_ struct json_object *is = NULL;
	const char *lacks, *more;
	int r = was ? guestcpu_ask(qmp, &is, err) : 0;

	if (r < 0 || !was)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(identity); i++)
		if (!streq(guestcpu_text(was, identity[i]), guestcpu_text(is, identity[i])))
			return guestcpu_refuse(err, vm, fmt("its %s was %s, and is %s here", identity[i],
							    guestcpu_text(was, identity[i]),
							    guestcpu_text(is, identity[i])));
	lacks = guestcpu_lacks(was, is);
	if (lacks)
		return guestcpu_refuse(err, vm, fmt("the guest has, and would lose, %s", lacks));
	more = guestcpu_lacks(is, was);
	if (more)
		note("VM '%s': its CPU has more features than it had: %s", vm, more);
	return 0;
}
