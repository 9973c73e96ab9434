/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean ...?": the word that was most likely meant. Thread: any. */
#ifndef TG_NEAREST_H
#define TG_NEAREST_H

#include <stddef.h>

/** The candidate fewest slips away from @word (Damerau-Levenshtein), NULL when none is close. */
const char *nearest_word(const char *word, const char *const *candidates, size_t count);

#endif
