// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <stdio.h>

#include "base/pci_address.h"

#define HEX "0123456789abcdefABCDEF"

bool pci_address(const char *text, char address[PCI_ADDRESS_SIZE])
{
	unsigned int domain = 0, bus, slot, function;
	int end = -1;

	if (text[strspn(text, HEX ":.")])
		return false;
	sscanf(text, "%6x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &end);
	if (end < 0) {
		domain = 0;
		sscanf(text, "%2x:%2x.%1x%n", &bus, &slot, &function, &end);
	}
	if (end < 0 || text[end] || slot > 0x1f || function > 7)
		return false;
	snprintf(address, PCI_ADDRESS_SIZE, "%04x:%02x:%02x.%x", domain, bus, slot, function);
	return true;
}
