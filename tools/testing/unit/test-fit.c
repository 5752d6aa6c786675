// SPDX-License-Identifier: GPL-2.0-only
/* A device that a QEMU could not load is found by comparing it with what QEMU can load. */
#define _GNU_SOURCE
#include "ktap.h"
#include "handover/vmstate.h"

/* As by -dump-vmstate; white space as it comes. */
static const char dump[] = "{ \"vmschkmachine\": { \"Name\": \"pc-q35-10.0\" },"
	"\"toy\": { \"Name\": \"toy\", \"version_id\": 3, \"minimum_version_id\": 2, \"Description\": {"
	"  \"name\": \"toy\", \"version_id\": 3, \"minimum_version_id\": 2, \"Fields\": ["
	"    { \"field\": \"parent_obj\", \"version_id\": 0, \"field_exists\": false, \"size\": 2000,"
	"      \"Description\": { \"name\": \"base\", \"version_id\": 2, \"minimum_version_id\": 1,"
	"        \"Fields\": ["
	"          { \"field\": \"config\", \"version_id\": 0, \"field_exists\": true, \"size\": 256 },"
	"          { \"field\": \"config\", \"version_id\": 0, \"field_exists\": true, \"size\": 4 } ],"
	"        \"Subsections\": [ { \"name\": \"base/more\", \"version_id\": 1,"
	"          \"minimum_version_id\": 1, \"Fields\": [] } ] } },"
	"    { \"field\": \"mode\", \"version_id\": 0, \"field_exists\": false, \"size\": 4 },"
	"    { \"field\": \"regs\", \"version_id\": 0, \"field_exists\": false, \"num\": 8, \"size\": 2 },"
	"    { \"field\": \"unused\", \"version_id\": 0, \"field_exists\": false, \"size\": 5 },"
	"    { \"field\": \"now\", \"version_id\": 3, \"field_exists\": false, \"size\": 8 } ],"
	"  \"Subsections\": [ { \"name\": \"toy/extra\", \"version_id\": 1, \"minimum_version_id\": 1,"
	"    \"Fields\": [ { \"field\": \"x\", \"version_id\": 0, \"field_exists\": false,"
	"      \"size\": 1 } ] } ] } },"
	/* Another model, with a description of the same name. */
	"\"twin\": { \"Name\": \"twin\", \"version_id\": 9, \"minimum_version_id\": 9, \"Description\": {"
	"  \"name\": \"toy\", \"version_id\": 9, \"minimum_version_id\": 9, \"Fields\": [] } },"
	"\"odd\": { \"Description\": { \"name\": \"odd\", \"Fields\": 1, \"Subsections\": {} } } }";

#define BASE "{ \"name\": \"parent_obj\", \"type\": \"struct\", \"size\": 256, \"struct\": {"	\
	"\"vmsd_name\": \"base\", \"version\": 2, \"fields\": ["				\
	"{ \"name\": \"config[0]\", \"type\": \"pci config\", \"size\": 256 } ] } },"
#define MODE "{ \"name\": \"mode\", \"type\": \"uint32\", \"size\": 4 },"
#define REGS "{ \"name\": \"regs\", \"type\": \"uint16\", \"array_len\": 8, \"size\": 2 },"
#define UNUSED "{ \"name\": \"unused\", \"type\": \"unused_buffer\", \"size\": 5 },"
#define NOW "{ \"name\": \"now\", \"type\": \"timer\", \"size\": 8 }"
#define TOY(version, fields, more)								\
	"{ \"name\": \"0000:00:02.0/toy\", \"instance_id\": 0, \"vmsd_name\": \"toy\","		\
	"\"version\": " version ", \"fields\": [" fields "]" more "}"
#define SUBSECTION(name, version)								\
	", \"subsections\": [ { \"vmsd_name\": \"" name "\", \"version\": " version ","		\
	"\"fields\": [] } ]"

/* @why: a part of what is said; NULL if it fits */
static const struct { const char *device, *why; } devices[] = {
	{ TOY("3", BASE MODE REGS UNUSED NOW, ""), NULL },
	{ TOY("3", BASE MODE REGS UNUSED NOW, SUBSECTION("toy/extra", "1")), NULL },

	{ TOY("4", BASE MODE REGS UNUSED NOW, ""), "'toy' has versions 2 to 3 there, and was saved with 4" },
	{ TOY("1", BASE MODE REGS UNUSED NOW, ""), "'toy' has versions 2 to 3 there, and was saved with 1" },
	{ TOY("3", BASE MODE REGS UNUSED NOW, SUBSECTION("toy/new", "1")),
	  "subsection 'toy/new' was saved, and is not known there" },
	{ TOY("3", BASE MODE REGS UNUSED NOW, SUBSECTION("toy/extra", "2")),
	  "'toy/extra' has versions 1 to 1 there" },

	/* What is there under a condition may be missing, or be another one. */
	{ TOY("2", MODE REGS UNUSED "{ \"name\": \"z\", \"type\": \"timer\", \"size\": 0 }", ""), NULL },
	{ TOY("3", "{ \"name\": \"parent_obj\", \"type\": \"struct\", \"size\": 4, \"struct\": {"
	      "\"vmsd_name\": \"base\", \"version\": 1, \"fields\": ["
	      "{ \"name\": \"config[1]\", \"type\": \"uint32\", \"size\": 4 } ] } }," MODE REGS NOW, ""),
	  NULL },
	{ TOY("3", "{ \"name\": \"parent_obj\", \"type\": \"struct\", \"size\": 8, \"struct\": {"
	      "\"vmsd_name\": \"base\", \"version\": 1, \"fields\": ["
	      "{ \"name\": \"config[1]\", \"type\": \"uint64\", \"size\": 8 } ] } }," MODE REGS NOW, ""),
	  "field 'config[1]' of 'parent_obj' has 4 bytes there, and was saved with 8" },
	{ TOY("3", "{ \"name\": \"parent_obj\", \"type\": \"struct\", \"size\": 4, \"struct\": {"
	      "\"vmsd_name\": \"base\", \"version\": 3, \"fields\": [] } }," MODE REGS NOW, ""),
	  "'parent_obj' has versions 1 to 2 there, and was saved with 3" },

	/* Sizes and numbers. */
	{ TOY("3", BASE "{ \"name\": \"mode\", \"type\": \"uint64\", \"size\": 8 },", ""),
	  "field 'mode' of 'toy' has 4 bytes there, and was saved with 8" },
	{ TOY("3", BASE MODE "{ \"name\": \"regs\", \"type\": \"uint16\", \"array_len\": 9, \"size\": 2 }",
	      ""), "field 'regs' of 'toy' has 8 elements there, and was saved with 9" },
	{ TOY("3", BASE MODE REGS "{ \"name\": \"now\", \"type\": \"timer\", \"size\": 16 }", ""), NULL },

	/* Names change, but somebody has to take the bytes. */
	{ TOY("3", BASE "{ \"name\": \"kind\", \"type\": \"uint32\", \"size\": 4 }," REGS NOW, ""), NULL },
	{ TOY("3", BASE MODE REGS "{ \"name\": \"flag\", \"type\": \"bool\", \"array_len\": 5, \"size\": 1 },"
	      NOW, ""), NULL },
	{ TOY("3", BASE "{ \"name\": \"new\", \"type\": \"uint32\", \"size\": 4 }," MODE REGS UNUSED NOW, ""),
	  "field 'new' of 'toy' was saved, and has no counterpart there" },
	{ TOY("3", BASE MODE REGS UNUSED NOW ", { \"name\": \"new\", \"type\": \"uint32\", \"size\": 4 }", ""),
	  "field 'new' of 'toy' was saved" },

	/* An array of elements that differ. */
	{ TOY("3", BASE MODE
	      "{ \"name\": \"regs\", \"index\": 0, \"type\": \"uint16\", \"size\": 2 },"
	      "{ \"name\": \"regs\", \"index\": 1, \"type\": \"uint16\", \"size\": 2 },"
	      "{ \"name\": \"regs\", \"type\": \"uint16\", \"size\": 2 }," UNUSED NOW, ""), NULL },

	/* Not in the dump, of the old kind, or not to be understood: left to the rehearsal. */
	{ "{ \"name\": \"timer\", \"vmsd_name\": \"timer\", \"version\": 2, \"fields\": [] }", NULL },
	{ "{ \"name\": \"slirp\", \"size\": 9, \"fields\": [] }", NULL },
	{ TOY("3", BASE "{}", ""), NULL },
	{ TOY("3", "1, 2", ""), NULL },
	{ "{ \"name\": \"odd\", \"vmsd_name\": \"odd\", \"version\": 0, \"fields\": [ 1, {} ],"
	  "\"subsections\": [ 2 ] }", NULL },
};

TEST(devices)
{
	_cleanup_json_ struct json_object *known = json_tokener_parse(dump);

	CHECK(known);
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		_cleanup_json_ struct json_object *device = json_tokener_parse(devices[i].device);
		_cleanup_free_ char *why = NULL;
		bool fits;

		CHECK_MSG(device, "%s", devices[i].device);
		fits = vmstate_fits(known, device, &why);
		CHECK_MSG(fits == !devices[i].why, "%s: %s", devices[i].device, why ? why : "fits");
		CHECK_MSG(fits ? !why : strstr(why, devices[i].why) != NULL, "'%s', not '%s'", why,
			  devices[i].why);
	}
}

int main(void)
{
	return ktap_run();
}
