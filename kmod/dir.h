/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_DIR_H
#define CPR_DIR_H

#include <linux/fs.h>

extern const struct file_operations cpr_dir_fops;

#endif /* CPR_DIR_H */
