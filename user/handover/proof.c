// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>

#include "vm/manifest.h"
#include "handover/copycommand.h"
#include "handover/proof.h"

static int proof_no_rehearsal(struct vm *vm, const char *note, struct err *err)
{
	return fail(err, -EOPNOTSUPP, .exit = CPR_EXIT_REFUSED, .what = "VM", .value = vm->name,
		    .why = fmt("there can be no rehearsal: %s", note ? note : "not wanted"),
		    .remedy = "leave --rehearse out to save it without a rehearsal");
}

int proof_begin(struct vm *vm, struct proof *proof, struct err *err)
{
	int r = 0;

	if (!proof->no_rehearse && !copycommand_used(vm))
		r = rehearsal_begin(vm, proof->fit.binary, proof->deadline, &proof->rehearsal, err);
	if (r == 0 && proof->rehearse && proof->rehearsal.plan.note)
		r = proof_no_rehearsal(vm, proof->rehearsal.plan.note, err);
	return r;
}

void proof_end(struct proof *proof)
{
	rehearsal_end(&proof->rehearsal);
	fit_free(&proof->fit);
}

int proof_check(struct vm *vm, const char *state, const char *runstate, struct proof *proof,
		struct json_object *found, struct err *err)
{
	struct json_object *qemu = json_object_new_object();
	bool stream = copycommand_used(vm);
	int r = stream ? 0 : fit_check(&proof->fit, state, err);

	jset_str(qemu, "binary", proof->fit.binary);
	jset_str(qemu, "version", proof->fit.version);
	jset(found, "qemu", qemu);
	if (proof->no_rehearse)
		jset_str(found, "rehearsal_note", "--no-rehearse");
	else if (stream)
		jset_str(found, "rehearsal_note", "a command has the state");
	else if (r == 0)
		r = rehearsal_perform(&proof->rehearsal, proof->fit.binary, state, runstate,
				      proof->deadline, found, err);
	return r;
}

void proof_record(struct vm *vm, struct json_object *found)
{
	static const char *const keys[] = { "qemu", "rehearsed", "rehearsal", "rehearsal_note" };
	struct json_object *saved = jget(vm->manifest, "saved");

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		json_object_object_del(saved, keys[i]);
		if (jget(found, keys[i]))
			jset(saved, keys[i], json_object_get(jget(found, keys[i])));
	}
}

int proof_prepare(struct vm *vm, const char *qemu, struct proof *proof, struct err *err)
{
	_cleanup_free_ char *hindrance = proof->rehearse ? rehearsal_obstacle(vm) : NULL;

	if (hindrance)
		return proof_no_rehearsal(vm, hindrance, err);
	return fit_query(&proof->fit, qemu ? qemu : jstr(vm->manifest, "binary"), vm->manifest,
			 err);
}

void proof_report(struct vm *vm, struct json_object *result)
{
	static const char *const keys[] = { "qemu", "rehearsal", "rehearsal_note" };
	struct json_object *saved = jget(vm->manifest, "saved");

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (jget(saved, keys[i]))
			jset(result, keys[i], json_object_get(jget(saved, keys[i])));
}
