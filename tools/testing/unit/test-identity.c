// SPDX-License-Identifier: GPL-2.0-only
/*
 * No doubt about a device counts as certainty, neither that it is the guest's nor that it is not.
 *
 * Identities that differ in one member each, and groups that have grown and shrunk.
 */
#define _GNU_SOURCE
#include "../../../kmod/identity.c"
#include "ktap.h"

#define SAME	CPR_IDENTITY_SAME
#define DOUBT	CPR_IDENTITY_DOUBT
#define ANOTHER	CPR_IDENTITY_ANOTHER

static const struct cpr_catalog_device nic = {
	.address = { 0, 0x41, 0x08 }, .vendor = 0x8086, .device = 0x10d3,
	.subsystem_vendor = 0x8086, .subsystem_device = 0xa01f, .class = 0x02000002,
	.has_serial = true, .serial = 0x525400ffff123456,
};

static char reason[CPR_DEVICE_REASON_LEN];

static enum cpr_identity compare(const struct cpr_catalog_device *was,
				 const struct cpr_catalog_device *is)
{
	memset(reason, 'x', sizeof(reason));
	return cpr_identity_compare(was, is, true, reason);
}

#define WITH(...) ({ struct cpr_catalog_device d_ = nic; __VA_ARGS__; d_; })

TEST(same)
{
	const struct cpr_catalog_device without = WITH(d_.has_serial = false, d_.serial = 0);
	const struct cpr_catalog_device elsewhere = WITH(d_.address.bus = 0x42);

	CHECK(compare(&nic, &nic) == SAME);
	CHECK_STR(reason, "");
	CHECK(compare(&without, &without) == SAME);
	CHECK_STR(reason, "");
	CHECK(compare(&nic, &elsewhere) == SAME);
}

TEST(another)
{
	const struct cpr_catalog_device others[] = {
		WITH(d_.vendor++), WITH(d_.device++), WITH(d_.subsystem_vendor++),
		WITH(d_.subsystem_device++), WITH(d_.class += 1 << 8), WITH(d_.class += 1 << 24),
	};
	const struct cpr_catalog_device serial = WITH(d_.serial++);

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		CHECK_MSG(compare(&nic, &others[i]) == ANOTHER, "number %zu", i);
		CHECK_MSG(strstr(reason, "it was ") == reason, "%s", reason);
		/* What was read when the bus was scanned counts. */
		CHECK(cpr_identity_compare(&nic, &others[i], false, reason) == ANOTHER);
	}
	compare(&nic, &others[0]);
	CHECK_STR(reason, "it was 8086:10d3 (8086:a01f, class 020000), and is 8087:10d3 (8086:a01f, class 020000)");
	CHECK(compare(&nic, &serial) == ANOTHER);
	CHECK_STR(reason, "its serial number was 525400ffff123456, and is 525400ffff123457");
}

TEST(doubt)
{
	const struct cpr_catalog_device revision = WITH(d_.class++);
	const struct cpr_catalog_device without = WITH(d_.has_serial = false, d_.serial = 0);

	CHECK(compare(&nic, &revision) == DOUBT);
	CHECK_STR(reason, "its revision was 02, and is 03");
	CHECK(compare(&nic, &without) == DOUBT);
	CHECK_STR(reason, "its serial number was 525400ffff123456, and it has none");
	CHECK(compare(&without, &nic) == DOUBT);
	CHECK_STR(reason, "it had no serial number, and has 525400ffff123456");
	CHECK(cpr_identity_compare(&nic, &nic, false, reason) == DOUBT);
	CHECK_STR(reason, "its configuration space cannot be read");
	CHECK(cpr_identity_compare(&nic, &without, false, reason) == DOUBT);
	CHECK_STR(reason, "its configuration space cannot be read");
}

TEST(moved)
{
	const struct cpr_catalog_device there = WITH(d_.address.bus = 0x42);
	const struct cpr_catalog_device not[] = {
		nic, WITH(d_.address.devfn++), WITH(d_.address.bus++, d_.address.devfn++),
		WITH(d_.address.bus++, d_.serial++), WITH(d_.address.bus++, d_.vendor++),
		WITH(d_.address.bus++, d_.has_serial = false),
	};
	const struct cpr_catalog_device without = WITH(d_.has_serial = false, d_.serial = 0);
	const struct cpr_catalog_device revision = WITH(d_.address.segment++, d_.class++);

	CHECK(cpr_identity_moved(&nic, &there));
	CHECK(cpr_identity_moved(&nic, &revision));
	for (size_t i = 0; i < sizeof(not) / sizeof(*not); i++)
		CHECK_MSG(!cpr_identity_moved(&nic, &not[i]), "number %zu", i);
	CHECK(!cpr_identity_moved(&without, &there));
}

static bool same_group(const struct cpr_pci *was, u32 nr_was, const struct cpr_pci *is, u32 nr_is)
{
	return cpr_identity_same_group(was, nr_was, is, nr_is, reason);
}

TEST(group)
{
	const struct cpr_pci a = { 0, 0x41, 0 }, b = { 0, 0x41, 1 }, c = { 1, 0x41, 0xff };
	const struct cpr_pci ab[] = { a, b }, ba[] = { b, a }, abc[] = { a, b, c }, ac[] = { a, c };

	CHECK(same_group(ab, 2, ba, 2));
	CHECK(!same_group(ab, 2, abc, 3));
	CHECK_STR(reason, "0001:41:1f.7 is in its IOMMU group, and was not");
	CHECK(!same_group(abc, 3, ab, 2));
	CHECK_STR(reason, "0001:41:1f.7 was in its IOMMU group, and is not");
	CHECK(!same_group(ab, 2, ac, 2));
	CHECK_STR(reason, "0001:41:1f.7 is in its IOMMU group, and was not");
	CHECK(!same_group(ab, 2, NULL, 0));
	CHECK_STR(reason, "0000:41:00.0 was in its IOMMU group, and is not");
}

/* All bits set are printed in the room that there is. */
TEST(longest)
{
	struct cpr_catalog_device was, is;

	memset(&was, 0xff, sizeof(was));
	was.has_serial = true;
	is = was;
	is.vendor = 0;
	CHECK(compare(&was, &is) == ANOTHER);
	CHECK(strlen(reason) + 1 < sizeof(reason) && strchr(reason, 0)[-1] == ')');
}

int main(void)
{
	return ktap_run();
}
