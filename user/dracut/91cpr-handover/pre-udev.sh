#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# dracut sources its hooks, so this file must not exit. The script that it runs may.
/sbin/cpr-handover-load
