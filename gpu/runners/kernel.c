/* SPDX-License-Identifier: Apache-2.0 */
/* kernel: the runner's table. The source is compiled when the gateway starts; executor processes inherit the image. */
#include "kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    OPTION_SOURCE,
    OPTION_FUNCTION,
    OPTION_IN,
    OPTION_OUT,
    OPTION_PARAMS,
    OPTION_THREADS,
    OPTION_ROWS_MAX,
    OPTION_ARCH,
    OPTION_DEFINES,
    OPTION_FAST_MATH,
    OPTION_COMPILE_MS,
    OPTION_NVRTC
};

static const struct tg_option kernel_options[] = {
    [OPTION_SOURCE] = {"source", TG_OPTION_STRING, NULL, 0, 0, NULL, "path of a CUDA source file"},
    [OPTION_FUNCTION] = {"function", TG_OPTION_STRING, "run", 0, 0, NULL, "the device function called for each row"},
    [OPTION_IN] = {"in", TG_OPTION_STRING, NULL, 0, 0, NULL, "type and count of a row's numbers, \"f32:64\""},
    [OPTION_OUT] = {"out", TG_OPTION_STRING, NULL, 0, 0, NULL, "type and count of an answer's numbers, \"f32:64\""},
    [OPTION_PARAMS] = {"params", TG_OPTION_STRING, "", 0, 0, NULL,
                       "numbers a task gives beside its rows, \"gain:f32=1 k:i32\""},
    [OPTION_THREADS] = {"threads", TG_OPTION_CHOICE, "1", 0, 0, "1|32|64|128|256|512|1024",
                        "1: a thread a row; else a block of so many threads"},
    [OPTION_ROWS_MAX] = {"rows_max", TG_OPTION_INTEGER, "0", 0, KERNEL_ROWS_MAX, NULL,
                         "rows of one task at most; 0: 64, or what fits into an answer"},
    [OPTION_ARCH] = {"arch", TG_OPTION_STRING, "compute_75", 0, 0, NULL,
                     "compute_NN: for that GPU and later ones; sm_NN: for that GPU alone"},
    [OPTION_DEFINES] = {"defines", TG_OPTION_STRING, "", 0, 0, NULL, "macros for the source, \"RADIUS=3 CLAMP\""},
    [OPTION_FAST_MATH] = {"fast_math", TG_OPTION_BOOL, "false", 0, 0, NULL, "less exact, faster arithmetic"},
    [OPTION_COMPILE_MS] = {"compile_ms", TG_OPTION_INTEGER, "60000", 100, 600000, NULL, "longest compilation"},
    [OPTION_NVRTC] = {"nvrtc", TG_OPTION_STRING, "", 0, 0, NULL, "path of libnvrtc.so; empty: it is looked for"},
};

static struct kernel_build build_of(const union tg_value *values)
{
    return (struct kernel_build){
        .source = values[OPTION_SOURCE].string,
        .function = values[OPTION_FUNCTION].string,
        .defines = values[OPTION_DEFINES].string,
        .arch = values[OPTION_ARCH].string,
        .nvrtc = values[OPTION_NVRTC].string,
        .fast_math = values[OPTION_FAST_MATH].boolean,
        .limit_ms = (uint32_t)values[OPTION_COMPILE_MS].integer,
    };
}

static int configure(struct kernel *k, const union tg_value *values, struct tg_error *err)
{
    k->threads = (uint32_t)strtoul(values[OPTION_THREADS].string, NULL, 10);
    int rc = kernel_config_vector(values[OPTION_IN].string, "in", &k->in, err);
    if (rc == 0)
        rc = kernel_config_vector(values[OPTION_OUT].string, "out", &k->out, err);
    if (rc == 0)
        rc = kernel_config_params(k, values[OPTION_PARAMS].string, err);
    return rc == 0 ? kernel_config_rows(k, (uint32_t)values[OPTION_ROWS_MAX].integer, err) : rc;
}

static void kernel_destroy(void *self)
{
    struct kernel *k = self;
    if (k->image)
        munmap(k->image, k->image_bytes);
    free(k);
}

static int kernel_create(const struct tg_host *host, const union tg_value *values, void **self, struct tg_error *err)
{
    const struct kernel_build build = build_of(values);
    struct kernel *k = calloc(1, sizeof(*k));
    if (!k) {
        tg_error_set(err, NULL, "out of memory");
        return -ENOMEM;
    }
    k->host = host;
    int rc = configure(k, values, err);
    if (rc == 0)
        rc = kernel_config_build(&build, err);
    if (rc == 0)
        rc = kernel_compile(k, &build, err);
    if (rc == 0)
        *self = k;
    else
        kernel_destroy(k);
    return rc;
}

static void kernel_shape(void *self, struct tg_shape *shape)
{
    const struct kernel *k = self;
    *shape = (struct tg_shape){
        .size_classes = 1,
        .in_bytes = {kernel_in_bytes(k)},
        .out_bytes = {kernel_vector_bytes(&k->out)},
        .rows_per_task_max = k->rows_max,
        .max_batch = KERNEL_BATCH_ROWS,
    };
}

/* No run_batch: there is no such thing as this source on a cpu. */
const struct tg_runner tg_runner_kernel = {
    .abi = TG_RUNNER_ABI,
    .size = sizeof(struct tg_runner),
    .type = "kernel",
    .doc = "a CUDA source of your own, a function call for each row",
    .intent = "urn:iicp:intent:x.taskgate:kernel:v1",
    .options = kernel_options,
    .option_count = TG_ARRAY_SIZE(kernel_options),
    .create = kernel_create,
    .destroy = kernel_destroy,
    .shape = kernel_shape,
    .decode = kernel_decode,
    .encode = kernel_encode,
    .cuda = &tg_runner_cuda_kernel,
};
