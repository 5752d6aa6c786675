/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPR_FILE_H
#define CPR_FILE_H

#include <linux/fs.h>

int cpr_file_resize(struct inode *inode, loff_t size);

extern const struct file_operations cpr_file_fops;

#endif /* CPR_FILE_H */
