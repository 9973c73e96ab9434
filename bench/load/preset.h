/* SPDX-License-Identifier: Apache-2.0 */
/* The requests that come built in. */
#ifndef BENCH_LOAD_PRESET_H
#define BENCH_LOAD_PRESET_H

#include <stdint.h>

struct options;

struct preset {
    const char *name, *method, *path;
    const char *body; /* NULL: one body for each row of the digits file */
};

/* NULL when no preset has this name. */
const struct preset *preset_find(const char *name);

/**
 * Reads the rows asked for by --rows from --digits, each as the body of a nearest-neighbour task.
 * @bodies  receives an array of `*count` strings; the caller frees each, and the array
 * Returns 0, or a negative errno after one line on stderr.
 */
int preset_digits(const struct options *o, char ***bodies, uint32_t *count);

#endif
