/* SPDX-License-Identifier: Apache-2.0 */
/* What the harness's files share. See runner_test.h for what it is. */
#ifndef TG_GPU_RUNNER_TEST_PARTS_H
#define TG_GPU_RUNNER_TEST_PARTS_H

#include "runner.h"

#define HARNESS_OPTIONS_MAX 64
#define HARNESS_PAYLOADS_MAX 64
#define HARNESS_FILL 0xa5 /* bytes nobody may have touched */
/* The allocator's count misses what it serves from a thread's small cache; that holds seven blocks of a size.
 */
#define HARNESS_REPEATS 64

/* A lane whose arrays end at pages that cannot be touched. */
struct harness_lane {
    struct tg_lane *lane;
    void *map;
    size_t map_bytes;
};

struct harness {
    /* from the command line */
    const char *path;
    struct tg_setting settings[HARNESS_OPTIONS_MAX + 1]; /* and "plugin" */
    uint32_t setting_count;
    const char *payloads[HARNESS_PAYLOADS_MAX];
    uint32_t payload_count;
    bool payloads_given; /* else they are guesses, and may be refused */
    uint32_t rows;
    /* at work */
    struct tg_instance *instance;
    struct harness_lane lanes[TG_SIZE_CLASSES_MAX];
    struct tg_lane *lane_list[TG_SIZE_CLASSES_MAX];
    int fill; /* what untouched bytes of the lanes hold now */
    uint32_t failures;
    char *step; /* shared with the parent: what was going on when the child died */
};

/* A task decoded into rows. */
struct harness_task {
    const char *payload;
    struct tg_rows rows;
};

extern const struct tg_host harness_host;

void harness_step(struct harness *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
void harness_ok(struct harness *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
void harness_skip(struct harness *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Returns false, so that a check can end with it. */
bool harness_fail(struct harness *h, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- runner_test_lanes.c */
bool harness_lanes_init(struct harness *h);
void harness_lanes_finish(struct harness *h);
/* Empty lanes filled with @fill whose next claim begins near the end of the ring. */
void harness_lanes_reset(struct harness *h, int fill);
/* True if @bytes from @p all are @fill. */
bool harness_untouched(const void *p, size_t bytes, int fill);

/* ---- runner_test_decode.c */
/* One decode with everything that is watched around it. False: a rule was broken, and the line is printed. */
bool harness_decode(struct harness *h, const char *payload, size_t len, struct tg_rows *rows,
                    enum tg_status *status, struct tg_error *err);
/* Takes back what a decode claimed last. */
void harness_unclaim(struct tg_rows *rows);
void harness_check_decode(struct harness *h);

/* ---- runner_test_run.c */
void harness_check_run(struct harness *h);

/* ---- runner_test_encode.c */
/* The result of one task as JSON text, malloc'ed, checked on the way. NULL: a rule was broken. */
char *harness_encode(struct harness *h, const struct harness_task *task, size_t *len);
/* Many encodes of one task must leave no memory behind. */
bool harness_encode_keeps_nothing(struct harness *h, const struct harness_task *task);

#endif
