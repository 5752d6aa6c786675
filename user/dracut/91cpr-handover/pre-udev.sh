#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# dracut sources its hooks: what this runs may exit, this may not.
/sbin/cpr-handover-load
