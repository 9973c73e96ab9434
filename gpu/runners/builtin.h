/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the built-in runners, and what their decoders share. */
#ifndef TG_RUNNERS_BUILTIN_H
#define TG_RUNNERS_BUILTIN_H

#include "tg/runner.h"

#define RUNNER(ident) extern const struct tg_runner tg_runner_##ident;
#include "builtin.def"
#undef RUNNER

/* Their parts for NVIDIA devices: in gpu/cuda, empty where the program is built without. */
#define RUNNER_CUDA(ident) extern const struct tg_runner_cuda tg_runner_cuda_##ident;
#include "builtin_cuda.def"
#undef RUNNER_CUDA

/**
 * An integer member of the payload. A number written as 3.0 or 3e0 is the integer 3.
 * @node   NULL: the member is absent, @value keeps what it has
 * @field  its name for the error, "payload.k"
 * Returns TG_OK, or TG_INVALID with @err set.
 */
enum tg_status runner_integer(const struct tg_json_node *node, const char *field, int64_t min, int64_t max,
                              int64_t *value, struct tg_error *err);

/** What a person would call this value: "a string", "null". */
const char *runner_kind(const struct tg_json_node *node);

#endif
