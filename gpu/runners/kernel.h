/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel: a user's own CUDA source, one call of a function for each row.
 *   kernel.c          the runner's table, create and destroy
 *   kernel_config.c   what the configuration says of rows, parameters and compiler options
 *   kernel_element.c  numbers: from JSON to memory and back
 *   kernel_task.c     decode and encode
 *   kernel_source.c   the text that is compiled: the user's file between our own lines
 *   kernel_compile.c  a child process with limits compiles it
 *   kernel_child.c    that child: confines itself and asks NVRTC
 * It has no form for the cpu; gpu/cuda/user_kernel.c launches it.
 */
#ifndef TG_RUNNERS_KERNEL_H
#define TG_RUNNERS_KERNEL_H

#include "builtin.h"

#define KERNEL_ENTRY "tg_user_kernel" /* in data/kernel_wrapper.cuh */
#define KERNEL_COUNT_MAX 65536        /* numbers of one row */
#define KERNEL_ANSWER_MAX 262144      /* numbers of one answer: their text fits the largest answer there is */
#define KERNEL_ROWS_MAX 4096          /* of one task */
#define KERNEL_ROWS_DEFAULT 64
#define KERNEL_BATCH_ROWS 4096
#define KERNEL_PARAMS_MAX 16
#define KERNEL_NAME_MAX 32
#define KERNEL_DEFINES_MAX 32
#define KERNEL_BLANKS " ,\t" /* between the words of `params` and `defines` */
#define KERNEL_ALIGN 16          /* of both a row's numbers and its parameters */
#define KERNEL_BLOCK_THREADS 256 /* of a block at most where each thread has a row of its own */

/* ---- elements --------------------------------------------------------------------------------------------- */

enum kernel_type {
#define ELEMENT(name, cuda, c, kind, min, max) KERNEL_##name,
#include "kernel_types.def"
#undef ELEMENT
    KERNEL_TYPES
};

struct kernel_element {
    const char *name, *cuda;
    enum kernel_type type;
    uint32_t bytes;
    bool real;
    int64_t min;
    uint64_t max;
};

/** By name, @len bytes long; NULL if there is none. */
const struct kernel_element *kernel_element_find(const char *name, size_t len);
/** The JSON number into memory. Returns false if it is none, or none of this type. */
bool kernel_element_read(const struct kernel_element *e, const struct tg_json_node *node, void *to);
/** Why kernel_element_read() returned false. */
void kernel_element_complain(const struct kernel_element *e, const struct tg_json_node *node, const char *field,
                             struct tg_error *err);
/** The number as JSON; a float that is not finite becomes null. */
void kernel_element_write(const struct kernel_element *e, const void *from, struct tg_json_writer *w);

/* ---- an instance ------------------------------------------------------------------------------------------ */

struct kernel_vector {
    const struct kernel_element *element;
    uint32_t count;
};

/* A member of the payload beside its rows. Lies before each row's numbers. */
struct kernel_param {
    char name[KERNEL_NAME_MAX];
    const struct kernel_element *element;
    uint32_t offset;
    bool required;
    unsigned char initial[8]; /* as in memory, unless required */
};

struct kernel {
    const struct tg_host *host;
    struct kernel_vector in, out;
    struct kernel_param params[KERNEL_PARAMS_MAX];
    uint32_t param_count, param_bytes; /* a multiple of KERNEL_ALIGN */
    uint32_t rows_max;                 /* of one task */
    uint32_t threads;                  /* 1: a thread a row; else a block of so many */
    void *image;                       /* what NVRTC made; a mapping that processes inherit */
    size_t image_bytes;
};

static inline uint32_t kernel_vector_bytes(const struct kernel_vector *v)
{
    return v->count * v->element->bytes;
}

static inline uint32_t kernel_in_bytes(const struct kernel *k)
{
    return k->param_bytes + kernel_vector_bytes(&k->in);
}

enum tg_status kernel_decode(void *self, const struct tg_request *req, struct tg_rows *rows, struct tg_error *err);
void kernel_encode(void *self, const struct tg_rows *rows, struct tg_json_writer *w);

/* ---- configuration ---------------------------------------------------------------------------------------- */

/* What only the compiler needs. Strings are the configuration's, valid during create(). */
struct kernel_build {
    const char *source, *function, *defines, *arch, *nvrtc;
    bool fast_math;
    uint32_t limit_ms;
};

/** Each fills its part of @k or checks @b. Return 0, or -EINVAL with @err naming the option. */
int kernel_config_vector(const char *text, const char *key, struct kernel_vector *v, struct tg_error *err);
int kernel_config_params(struct kernel *k, const char *text, struct tg_error *err);
int kernel_config_rows(struct kernel *k, uint32_t rows_max, struct tg_error *err);
int kernel_config_build(const struct kernel_build *b, struct tg_error *err);

/* ---- compiling -------------------------------------------------------------------------------------------- */

/** The whole text to compile, terminated and to be freed. Returns 0 or negative errno with @err. */
int kernel_source_text(const struct kernel *k, const struct kernel_build *b, char **text, struct tg_error *err);

/** Set k->image. The compiler's complaints go to the host's log, the first of them into @err. */
int kernel_compile(struct kernel *k, const struct kernel_build *b, struct tg_error *err);

/* How the child ends. */
enum { KERNEL_CHILD_COMPILED = 0, KERNEL_CHILD_REFUSED = 1, KERNEL_CHILD_UNABLE = 2 };

/* Limits the child sets itself. */
#define KERNEL_CHILD_MEMORY_BYTES (4ull << 30)
#define KERNEL_IMAGE_BYTES_MAX (64u << 20)

/**
 * The child. Text comes by stdin, the image goes to stdout, complaints to stderr.
 * @argv  {cpu seconds, NVRTC's path or "", folder and name of the source, NVRTC's options ...}
 */
int kernel_child_main(int argc, char **argv);

#endif
