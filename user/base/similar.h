/* SPDX-License-Identifier: GPL-2.0-only */
/* What a mistyped word was meant to be. */
#ifndef CPR_SIMILAR_H
#define CPR_SIMILAR_H

#include "base/util.h"

/**
 * similar - the word of a list that is most like @word
 *
 * That is the only one that begins with @word, or one that is made of it by few changes: a
 * letter more, less, another one, or two swapped, one of these for each three letters.
 *
 * Returns: a string of @list, or NULL.
 */
const char *similar(const char *word, const struct strv *list);

#endif
