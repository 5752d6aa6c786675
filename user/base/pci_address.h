/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_PCI_ADDRESS_H
#define CPR_PCI_ADDRESS_H

#include "base/util.h"

#define PCI_ADDRESS_SIZE 16

/**
 * pci_address - the address as sysfs spells it, "0000:41:00.0"
 * @text: with or without a domain, in any case
 *
 * Returns: false if @text is no PCI address.
 */
bool pci_address(const char *text, char address[PCI_ADDRESS_SIZE]);

#endif
