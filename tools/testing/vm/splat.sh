# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What a kernel says when something went wrong in it. Used on L0 for the
# console, where a kernel may die before anything can be told, and in L1 for
# the kernel log.

splat_pattern='WARNING:|BUG:|Oops|KASAN|UBSAN|Kernel panic|general protection|Call Trace'
splat_pattern+='|possible recursive locking|circular locking'
splat_pattern+='|\[cpr_handover\] enqueued on deprecated|INFO: task .* blocked|kmemleak: .* new suspected'

# splats FILE - the kernel's lines in it that match; programs may say WARNING.
splats() { grep -aE "\[ *[0-9]+\.[0-9]{6}\].*($splat_pattern)" "$1"; }
