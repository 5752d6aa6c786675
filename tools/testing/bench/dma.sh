#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# dma.sh - measures, in L1, how long the module takes to read what a device can reach. A
# benchmark without limits that could fail.
set -u

# shellcheck source-path=SCRIPTDIR source=../e2e/lib.sh
. /lab/e2e/lib.sh

nic=0000:00:02.0 size=768
modprobe -a vfio-pci vfio_iommu_type1
echo vfio-pci >/sys/bus/pci/devices/$nic/driver_override
echo $nic >/sys/bus/pci/drivers_probe
modprobe cpr_handover region=1G!4G
check "the region is formatted" cpr-helper format
mount_cprfs
say "$size MiB of guest memory, $(uname -r), best of 5:"
/usr/libexec/cpr-bench/dma $nic $size
check "it was measured" test $? = 0
exit 0
