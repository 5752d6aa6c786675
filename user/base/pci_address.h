/* SPDX-License-Identifier: GPL-2.0-only */
/* PCI addresses in text. */
#ifndef CPR_PCI_ADDRESS_H
#define CPR_PCI_ADDRESS_H

#include "base/util.h"

#define PCI_ADDRESS_SIZE 16

/**
 * pci_address - convert an address to the form of sysfs, "0000:41:00.0"
 * @text: address with or without a domain, in upper or lower case
 * @address: the result
 *
 * Returns: false, with @address untouched, if @text is not a PCI address.
 */
bool pci_address(const char *text, char address[PCI_ADDRESS_SIZE]);

#endif
