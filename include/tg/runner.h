/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runner ABI: what a kind of task must provide to be served. Built-in runners and `.so` plugins fill the same
 * table; a plugin exports `const struct tg_runner *tg_runner_entry(void)`.
 *
 * One task's way through a runner:
 *   decode     on the worker: check the payload, claim rows, write the input rows
 *   run_batch  on the device: compute output rows from input rows, many tasks at a time
 *   encode     on the worker: write the JSON value that becomes `result`
 * Rows of one batch are independent of one another: a device may split a batch, run the parts on several threads
 * at once, and mix rows of different tasks. `self` is shared by all of them: after create() it is read-only, or
 * the runner keeps its own peace.
 *
 * docs/runners.md explains with a worked example (tools/examples/runner_scale.c); `taskgate runner-test file.so`
 * checks a plugin against the rules stated here.
 */
#ifndef TG_RUNNER_H
#define TG_RUNNER_H

#include "tg/cuda.h"
#include "tg/json.h"
#include "tg/lane.h"
#include "tg/status.h"

#define TG_RUNNER_ABI 1

/* The outcomes that pass between a runner and its host, by their numbers for good. */
_Static_assert(TG_OK == 0 && TG_INVALID == 1 && TG_CAPACITY == 2 && TG_TOO_LARGE == 3 && TG_BACKEND == 4 &&
               TG_INTERNAL == 5, "part of the ABI");

#define TG_SIZE_CLASSES_MAX 4

/* ---- create: options and shape ---------------------------------------------------------------------- */

enum tg_option_type { TG_OPTION_STRING, TG_OPTION_INTEGER, TG_OPTION_NUMBER, TG_OPTION_BOOL, TG_OPTION_CHOICE };

/* One row per key of a [runner.NAME] table; the host checks values before create() sees them. */
struct tg_option {
    const char *key;
    enum tg_option_type type;
    const char *default_value; /* text as in the configuration; NULL: required */
    double min, max;           /* INTEGER, NUMBER */
    const char *choices;       /* CHOICE: "a|b|c" */
    const char *doc;
};

/* A checked value, in the order of the runner's option table. */
union tg_value {
    const char *string; /* also CHOICE; valid during create() only */
    int64_t integer;
    double number;
    bool boolean;
};

/* What a runner asks of the host for its rows. */
struct tg_shape {
    uint32_t size_classes;                    /* 1 ... TG_SIZE_CLASSES_MAX */
    uint32_t in_bytes[TG_SIZE_CLASSES_MAX];   /* ascending; the host rounds up to its strides */
    uint32_t out_bytes[TG_SIZE_CLASSES_MAX];
    uint32_t rows_per_task_max;               /* at least 1 */
    uint32_t max_batch;                       /* rows; the configuration may lower it */
    uint32_t row_ns;                          /* rough CPU time of one row on the cpu device; 0: negligible */
};

/* One line of text that ends up in front of a person: never payload bytes. */
struct tg_error {
    char field[64]; /* the offending member, "payload.vectors[3]"; empty if none */
    char message[192];
};

TG_API void tg_error_set(struct tg_error *e, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

enum tg_log_level { TG_LOG_DEBUG, TG_LOG_INFO, TG_LOG_WARN, TG_LOG_ERROR };

/* What the host lends to a runner. All members may be called from any thread. */
struct tg_host {
    uint32_t abi, size;
    void (*log)(enum tg_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
    uint64_t (*now_ns)(void); /* CLOCK_MONOTONIC */
};

/* ---- decode: the payload becomes rows ---------------------------------------------------------------- */

/* What the runner sees of a request. Valid during decode() only. */
struct tg_request {
    const struct tg_json_doc *doc;
    const struct tg_json_node *payload;
};

/* Rows being filled (decode) or answered (encode): consecutive rows of one lane. */
struct tg_rows {
    struct tg_lane *lane;
    uint32_t first, count;
    /* host's part */
    struct tg_lane *const *lanes; /* one per size class, ascending */
    uint32_t lane_count;
};

/**
 * decode: claim @count rows with room for @in_bytes and their output class. At most one call per task.
 * Returns TG_OK; TG_CAPACITY when the lane is full (return it from decode as it is: the host waits or answers
 * 429); TG_TOO_LARGE when no size class is big enough.
 * Row bytes are whatever was there before: write all that run_batch reads.
 */
TG_API enum tg_status tg_rows_claim(struct tg_rows *rows, uint32_t count, uint32_t in_bytes);

static inline struct tg_row *tg_rows_row(const struct tg_rows *r, uint32_t i)
{
    return tg_lane_row(r->lane, r->first + i);
}

static inline void *tg_rows_in(const struct tg_rows *r, uint32_t i)
{
    return tg_lane_in(r->lane, r->first + i);
}

static inline const void *tg_rows_out(const struct tg_rows *r, uint32_t i)
{
    return tg_lane_out(r->lane, r->first + i);
}

/* ---- run_batch: rows become answers ------------------------------------------------------------------ */

/* Rows that lie one behind the other. `rows` is always host memory, `in` and `out` are the device's. */
struct tg_segment {
    const void *in;
    void *out;
    struct tg_row *rows;
    uint32_t count;
};

struct tg_batch {
    uint32_t count; /* rows in all segments */
    uint32_t segment_count;
    uint32_t in_stride, out_stride;
    const struct tg_segment *segments; /* a GPU backend always passes one */
    void *stream;                      /* CUDA: the stream to launch on; cpu: NULL */
    /* out: the batch does not count as done before this instant (a simulated device); 0: done on return */
    uint64_t ready_ns;
};

/* ---- the table ---------------------------------------------------------------------------------------- */

struct tg_runner {
    uint32_t abi;  /* TG_RUNNER_ABI */
    uint32_t size; /* sizeof(struct tg_runner): lets a newer host run an older plugin */
    const char *type; /* name in the configuration, [a-z][a-z0-9_]* */
    const char *doc;
    const char *intent; /* default intent URN */
    const struct tg_option *options;
    uint32_t option_count;

    /**
     * Build an instance. @values has option_count entries. May allocate, read files and take its time.
     * Returns 0 or negative errno with @err saying what to mend in the configuration.
     * Thread: the one that starts the gateway.
     */
    int (*create)(const struct tg_host *host, const union tg_value *values, void **self, struct tg_error *err);
    void (*destroy)(void *self);

    /** Row sizes and bounds; constant for the life of the instance. */
    void (*shape)(void *self, struct tg_shape *shape);

    /**
     * Check @req and fill rows. Returns TG_OK with rows claimed and written; TG_INVALID with @err naming the field;
     * TG_CAPACITY or TG_TOO_LARGE as tg_rows_claim() said; on anything but TG_OK the host takes the rows back.
     * row->param is the runner's to use; row->in_len is set to in_bytes by the claim and may be changed.
     * Thread: any worker. Never blocks, allocates or makes a system call.
     */
    enum tg_status (*decode)(void *self, const struct tg_request *req, struct tg_rows *rows, struct tg_error *err);

    /**
     * Compute. Each row starts with status TG_OK and out_len = out_stride; set what differs.
     * Returns 0, or negative errno: then every row of the batch fails with TG_BACKEND.
     * Rows may run twice (after a fault that passes, or when a device's process died): no effects but their outputs.
     * NULL: the runner computes on an NVIDIA device only, and brings `cuda`.
     * Thread: any of the device's; several at once.
     */
    int (*run_batch)(void *self, struct tg_batch *batch);

    /**
     * Write the one JSON value that becomes `result`. Only called when every row has TG_OK.
     * Thread: the worker that decoded. Same rules as decode.
     */
    void (*encode)(void *self, const struct tg_rows *rows, struct tg_json_writer *w);

    /** Optional: run once per device before it serves (touch memory, compile). Returns 0 or negative errno. */
    int (*warm_up)(void *self);

    /* Optional: the same computation on an NVIDIA device. A table that ends before this field has none. */
    const struct tg_runner_cuda *cuda;
};

/* What a table must have at least: all but what was added since. */
#define TG_RUNNER_SIZE_MIN offsetof(struct tg_runner, cuda)

typedef const struct tg_runner *tg_runner_entry_fn(void);
#define TG_RUNNER_ENTRY "tg_runner_entry"

#endif
