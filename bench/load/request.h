/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests, made whole once and then only copied: each copy gets a number of its own, of fixed width, wherever the
 * template says {n}. {run} is eight hex digits drawn at start, so that two runs never repeat each other's ids.
 */
#ifndef BENCH_LOAD_REQUEST_H
#define BENCH_LOAD_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define REQUEST_DIGITS 12 /* width of {n}: two for the thread, ten that count */
#define REQUEST_NUMBERS_MAX 8
#define REQUEST_ID_MAX 96

struct options;

struct request {
    char *bytes;
    uint32_t len;
    uint32_t numbers; /* how many places take the number */
    uint32_t number_at[REQUEST_NUMBERS_MAX];
};

/* All requests of a run, read by every thread. */
struct request_set {
    struct request *items;
    uint32_t count;
    uint32_t bytes_max; /* the longest one */
    bool head_only;     /* HEAD: answers carry no body */
    /* The quoted text around the first {n} of the body, which a right answer repeats; id_len 0 if there is none. */
    char id[REQUEST_ID_MAX];
    uint32_t id_len, id_number_at;
};

/* Returns 0, or a negative errno after one line on stderr. */
int request_set_create(struct request_set *set, const struct options *o);
void request_set_destroy(struct request_set *set);

/* Starts the counter of thread `thread` at zero. */
void request_number_init(char number[REQUEST_DIGITS], uint32_t thread);

/* Adding one to decimal digits touches 1.1 of them on average: cheaper than printing a counter. */
static inline void request_number_next(char number[REQUEST_DIGITS])
{
    for (int i = REQUEST_DIGITS - 1; i >= 2; i--) {
        if (number[i] != '9') {
            number[i]++;
            return;
        }
        number[i] = '0';
    }
}

static inline void request_render(const struct request *r, const char number[REQUEST_DIGITS], char *out)
{
    memcpy(out, r->bytes, r->len);
    for (uint32_t i = 0; i < r->numbers; i++)
        memcpy(out + r->number_at[i], number, REQUEST_DIGITS);
}

#endif
