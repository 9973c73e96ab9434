/* SPDX-License-Identifier: Apache-2.0 */
/* knn: a table of random numbers, to measure with sets of any size: "random:ROWSxDIM". The same on every machine. */
#include "knn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PREFIX "random:"
#define ROWS_MAX 999999999u

bool knn_is_random(const char *data)
{
    return strncmp(data, PREFIX, strlen(PREFIX)) == 0;
}

static int parse(const char *data, struct knn_table *t, struct tg_error *err)
{
    char rest;
    const char *numbers = data + strlen(PREFIX);
    if (numbers[0] >= '1' && numbers[0] <= '9' &&
        sscanf(numbers, "%9" SCNu32 "x%7" SCNu32 "%c", &t->rows, &t->dim, &rest) == 2 && t->rows <= ROWS_MAX &&
        t->dim >= 1 && t->dim <= KNN_DIM_MAX)
        return 0;
    tg_error_set(err, "data", "\"%.40s\" must be random:ROWSxDIM, like random:1000000x128", data);
    return -EINVAL;
}

/* Four of sixteen bits make about a normal distribution of deviation 1: SplitMix64, one step a number. */
static float draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    uint64_t sum = (z & 0xffff) + (z >> 16 & 0xffff) + (z >> 32 & 0xffff) + (z >> 48);
    return ((float)sum - 131070) * 2.64292e-5f;
}

int knn_random_table(const char *data, struct knn_table *t, struct tg_error *err)
{
    struct knn_table table = {0};
    uint64_t state = 1;
    int rc = parse(data, &table, err);
    if (rc)
        return rc;
    size_t count = (size_t)table.rows * table.dim;
    table.values = malloc(count * sizeof(*table.values));
    if (!table.values) {
        tg_error_set(err, "data", "out of memory for %zu numbers", count);
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++)
        table.values[i] = draw(&state);
    *t = table;
    return 0;
}
