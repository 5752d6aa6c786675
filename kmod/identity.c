// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Is it the recorded device?
 *
 * What is at an address after a kexec is compared with what the image has. There are
 * three answers, because both errors are grave: a guest's device that is taken for
 * another one goes to a driver of the host, and a host's disk that is taken for a
 * guest's device keeps the host from booting. So a device is *another* one only if that
 * is certain, the *same* one only if nothing differs, and else in *doubt*.
 *
 * The file is pure C.
 *
 * Locking: none.
 */
#include "identity.h"

#define PCI_NAME_LEN	(CPR_DEVICE_ADDRESS_MAX + 1)

/**
 * cpr_pci_name - print a PCI address as sysfs does
 * @p: the address
 * @name: at least CPR_DEVICE_ADDRESS_MAX + 1 bytes
 */
void cpr_pci_name(const struct cpr_pci *p, char *name)
{
	snprintf(name, PCI_NAME_LEN, "%04x:%02x:%02x.%x", p->segment & 0xffffff,
		 p->bus & 0xff, p->devfn >> 3 & 0x1f, p->devfn & 7);
}

/**
 * cpr_pci_same - do two addresses name the same device?
 * @a: an address
 * @b: another address
 */
bool cpr_pci_same(const struct cpr_pci *a, const struct cpr_pci *b)
{
	return a->segment == b->segment && a->bus == b->bus && a->devfn == b->devfn;
}

/**
 * cpr_pci_among - is a PCI address in a list?
 * @p: the address
 * @list: the list
 * @nr: entries in @list
 */
bool cpr_pci_among(const struct cpr_pci *p, const struct cpr_pci *list, u32 nr)
{
	for (u32 i = 0; i < nr; i++)
		if (cpr_pci_same(p, &list[i]))
			return true;
	return false;
}

/* All but the revision, which an update of the device's firmware may change. */
static bool identity_same_model(const struct cpr_catalog_device *a,
				const struct cpr_catalog_device *b)
{
	return a->vendor == b->vendor && a->device == b->device &&
	       a->subsystem_vendor == b->subsystem_vendor &&
	       a->subsystem_device == b->subsystem_device && a->class >> 8 == b->class >> 8;
}

static bool identity_same_serial(const struct cpr_catalog_device *a,
				 const struct cpr_catalog_device *b)
{
	return a->has_serial && b->has_serial && a->serial == b->serial;
}

static enum cpr_identity identity_compare_serial(const struct cpr_catalog_device *was,
						 const struct cpr_catalog_device *is,
						 char *reason)
{
	if (was->has_serial && is->has_serial) {
		snprintf(reason, CPR_DEVICE_REASON_LEN,
			 "its serial number was %016llx, and is %016llx",
			 (unsigned long long)was->serial, (unsigned long long)is->serial);
		return was->serial == is->serial ? CPR_IDENTITY_SAME : CPR_IDENTITY_ANOTHER;
	}
	if (was->has_serial)
		snprintf(reason, CPR_DEVICE_REASON_LEN,
			 "its serial number was %016llx, and it has none",
			 (unsigned long long)was->serial);
	else if (is->has_serial)
		snprintf(reason, CPR_DEVICE_REASON_LEN,
			 "it had no serial number, and has %016llx",
			 (unsigned long long)is->serial);
	return was->has_serial == is->has_serial ? CPR_IDENTITY_SAME : CPR_IDENTITY_DOUBT;
}

/**
 * cpr_identity_compare - compare a device with the recorded one
 * @was: the recorded device
 * @is: the device
 * @answers: the configuration space of @is can be read
 * @reason: filled in if they differ; CPR_DEVICE_REASON_LEN bytes
 *
 * The addresses are not compared.
 */
enum cpr_identity cpr_identity_compare(const struct cpr_catalog_device *was,
				       const struct cpr_catalog_device *is, bool answers,
				       char *reason)
{
	enum cpr_identity serial;

	*reason = 0;
	if (!identity_same_model(was, is)) {
		snprintf(reason, CPR_DEVICE_REASON_LEN,
			 "it was %04x:%04x (%04x:%04x, class %06x), and is %04x:%04x (%04x:%04x, class %06x)",
			 was->vendor, was->device, was->subsystem_vendor,
			 was->subsystem_device, was->class >> 8, is->vendor, is->device,
			 is->subsystem_vendor, is->subsystem_device, is->class >> 8);
		return CPR_IDENTITY_ANOTHER;
	}
	serial = identity_compare_serial(was, is, reason);
	if (serial == CPR_IDENTITY_ANOTHER)
		return serial;
	if (!answers) {
		snprintf(reason, CPR_DEVICE_REASON_LEN,
			 "its configuration space cannot be read");
		return CPR_IDENTITY_DOUBT;
	}
	if (serial == CPR_IDENTITY_DOUBT)
		return serial;
	*reason = 0;
	if (was->class == is->class)
		return CPR_IDENTITY_SAME;
	snprintf(reason, CPR_DEVICE_REASON_LEN, "its revision was %02x, and is %02x",
		 was->class & 0xff, is->class & 0xff);
	return CPR_IDENTITY_DOUBT;
}

/**
 * cpr_identity_moved - is a device the recorded one, at another address?
 * @was: the recorded device
 * @is: the device
 *
 * All functions of a card may have the card's serial number. But when the buses are
 * numbered in another way, or the card is in another slot, a function keeps its number.
 */
bool cpr_identity_moved(const struct cpr_catalog_device *was,
			const struct cpr_catalog_device *is)
{
	return identity_same_serial(was, is) && identity_same_model(was, is) &&
	       was->address.devfn == is->address.devfn &&
	       !cpr_pci_same(&was->address, &is->address);
}

/* The first address of @a that is not in @b, or NULL. */
static const struct cpr_pci *identity_first_missing(const struct cpr_pci *a, u32 nr_a,
						    const struct cpr_pci *b, u32 nr_b)
{
	for (u32 i = 0; i < nr_a; i++)
		if (!cpr_pci_among(&a[i], b, nr_b))
			return &a[i];
	return NULL;
}

/**
 * cpr_identity_same_group - compare the members of an IOMMU group with the recorded ones
 * @was: recorded addresses
 * @nr_was: entries in @was
 * @is: addresses
 * @nr_is: entries in @is
 * @reason: filled in if they differ; CPR_DEVICE_REASON_LEN bytes
 */
bool cpr_identity_same_group(const struct cpr_pci *was, u32 nr_was,
			     const struct cpr_pci *is, u32 nr_is, char *reason)
{
	const struct cpr_pci *added = identity_first_missing(is, nr_is, was, nr_was);
	const struct cpr_pci *removed = identity_first_missing(was, nr_was, is, nr_is);
	char name[PCI_NAME_LEN];

	if (!added && !removed)
		return true;
	cpr_pci_name(added ?: removed, name);
	snprintf(reason, CPR_DEVICE_REASON_LEN,
		 added ? "%s is in its IOMMU group, and was not" :
		 "%s was in its IOMMU group, and is not", name);
	return false;
}
