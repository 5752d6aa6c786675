# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Messages of a kernel in which something went wrong. Used on L0 for the console, which has
# the last words of a kernel that dies, and in L1 for the kernel log.

splat_pattern='WARNING:|BUG:|Oops|KASAN|UBSAN|Kernel panic|general protection|Call Trace'
splat_pattern+='|possible recursive locking|circular locking'
splat_pattern+='|VM_FAULT_OOM leaked'
splat_pattern+='|\[cpr_handover\] enqueued on deprecated|INFO: task .* blocked|kmemleak: .* new suspected'

# splats FILE - print such lines of the kernel. Programs may print WARNING, too, without
# a time stamp.
splats() { grep -aE "\[ *[0-9]+\.[0-9]{6}\].*($splat_pattern)" "$1"; }
