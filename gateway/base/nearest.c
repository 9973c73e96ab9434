/* SPDX-License-Identifier: Apache-2.0 */
/* The nearest word. */
#include <string.h>
#include "tg/def.h"
#include "nearest.h"

#define NEAREST_LEN_MAX 64 /* longer words are not compared */

/* Insertions, deletions, substitutions and swaps of neighbours that lead from a to b, each counted once;
 * three rows of the usual table are enough because a swap looks back no further. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][NEAREST_LEN_MAX + 1];
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *now = rows[i % 3], *up = rows[(i - 1) % 3], *above = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t edit = TG_MIN(up[j], now[j - 1]) + 1;
            size_t best = TG_MIN(edit, up[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = TG_MIN(best, above[j - 2] + 1);
            now[j] = best;
        }
    }
    return rows[a_len % 3][b_len];
}

/* Short words lie close to each other by chance, so they must match better. */
static size_t distance_allowed(size_t len)
{
    return len <= 3 ? 1 : len <= 7 ? 2 : 3;
}

const char *nearest_word(const char *word, const char *const *candidates, size_t count)
{
    size_t len = strlen(word);
    size_t best = distance_allowed(len) + 1;
    const char *nearest = NULL;
    for (size_t i = 0; i < count && len <= NEAREST_LEN_MAX; i++) {
        size_t candidate_len = strlen(candidates[i]);
        if (candidate_len > NEAREST_LEN_MAX)
            continue;
        size_t d = distance(word, len, candidates[i], candidate_len);
        if (d < best && d < candidate_len) {
            best = d;
            nearest = candidates[i];
        }
    }
    return nearest;
}
