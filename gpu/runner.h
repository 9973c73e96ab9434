/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runners as the gateway handles them: finding a built-in, loading a plugin, and turning one [runner.NAME]
 * table of the configuration into an instance. The ABI itself is tg/runner.h. Thread: the one that starts the
 * gateway.
 */
#ifndef TG_GPU_RUNNER_H
#define TG_GPU_RUNNER_H

#include "tg/gpu.h"

#define TG_STREAMS_MAX 64 /* batches of one instance in flight at once */
#define TG_DELAY_US_MAX 1000000
#define TG_ROW_BYTES_MAX (64u << 20)

/* ---- built-ins and plugins ------------------------------------------------------------------- */

/** Built-in by type name, or NULL. */
const struct tg_runner *tg_runner_find(const char *type);
/** The @i-th built-in, NULL past the last: for help texts and docs. */
const struct tg_runner *tg_runner_builtin(uint32_t i);

/**
 * Is this table one we can serve? Looks at everything that can be seen without calling into it.
 * Returns 0, or -EINVAL with the first fault in @err.
 */
int tg_runner_check(const struct tg_runner *runner, struct tg_error *err);

/** The runner's part for an NVIDIA device, or NULL: then the cpu device computes its batches. */
const struct tg_runner_cuda *tg_runner_cuda_part(const struct tg_runner *runner);

/**
 * Load a plugin. It stays loaded until the process ends, since its code may be on any thread's stack.
 * Returns 0; -ENOENT cannot be loaded; -EINVAL loaded, but no runner of ours: @err says why.
 */
int tg_runner_open(const char *path, const struct tg_runner **runner, struct tg_error *err);

/* ---- options --------------------------------------------------------------------------------- */

/* One line of a [runner.NAME] table. */
struct tg_setting {
    const char *key, *value;
    const char *at; /* where it was given, "taskgate.toml:12"; NULL if nowhere in particular */
};

/* Everything that is wrong with a table, one line each: "taskgate.toml:12: runner.digits.k_max: ..." */
struct tg_problems {
    char text[4096];
    size_t len;
    uint32_t count; /* also those for which there was no room */
};

void tg_problem_add(struct tg_problems *p, const char *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Check one value's text against its row. Returns 0, or -EINVAL with what was expected in @err. */
int tg_option_parse(const struct tg_option *option, const char *text, union tg_value *value,
                    struct tg_error *err);

/* ---- instances ------------------------------------------------------------------------------- */

struct tg_instance_options {
    const char *name; /* of the table */
    const char *at;   /* where the table begins, for what is missing; or NULL */
    const struct tg_setting *settings;
    uint32_t setting_count;
};

/**
 * Build the instance a table describes. Every fault of the table is reported, not only the first.
 * @problems  zeroed before the first table; collects over tables
 * @host  must outlive the instance
 * Returns 0; -EINVAL the table is wrong; other negative errno: the runner could not be created. Then
 * @problems has at least one line, @out is untouched.
 */
int tg_instance_create(const struct tg_host *host, const struct tg_instance_options *o,
                       struct tg_instance **out, struct tg_problems *problems);
void tg_instance_destroy(struct tg_instance *instance);

/** Is this shape one we can lay lanes out for? Returns 0, or -EINVAL with the fault in @err. */
int tg_shape_check(const struct tg_shape *shape, struct tg_error *err);

#endif
