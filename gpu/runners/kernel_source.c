/* SPDX-License-Identifier: Apache-2.0 */
/* kernel: the text that is compiled. The user's lines keep their file's name and their numbers. */
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOURCE_BYTES_MAX (1 << 20)

extern const unsigned char kernel_wrapper[];
extern const size_t kernel_wrapper_len;

/* ---- the user's file -------------------------------------------------------------------------------------- */

static int refuse(const char *path, struct tg_error *err, const char *why)
{
    tg_error_set(err, "source", "%.120s: %s", path, why);
    return -EINVAL;
}

static int open_source(const char *path, struct tg_error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us up */
    if (fd < 0)
        return refuse(path, err, strerror(errno));
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    close(fd);
    return refuse(path, err, "is no regular file");
}

/* Up to one byte more than is allowed, which tells that it is too long. */
static ssize_t read_whole(int fd, char *to)
{
    size_t len = 0;
    ssize_t n;
    while (len <= SOURCE_BYTES_MAX && (n = read(fd, to + len, SOURCE_BYTES_MAX + 1 - len)) != 0) {
        if (n < 0 && errno != EINTR)
            return -errno;
        len += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)len;
}

static int check_source(const char *path, const char *text, ssize_t len, struct tg_error *err)
{
    if (len < 0)
        return refuse(path, err, strerror((int)-len));
    if (len > SOURCE_BYTES_MAX)
        return refuse(path, err, "is over 1 MiB");
    if (len == 0)
        return refuse(path, err, "is empty");
    return memchr(text, '\0', (size_t)len) ? refuse(path, err, "is no text: it has a byte of value 0") : 0;
}

/* Gets the file's text, terminated. */
static int read_source(const char *path, char **text, struct tg_error *err)
{
    int fd = open_source(path, err);
    if (fd < 0)
        return fd;
    *text = malloc(SOURCE_BYTES_MAX + 2);
    ssize_t len = *text ? read_whole(fd, *text) : -ENOMEM;
    close(fd);
    int rc = check_source(path, *text, len, err);
    if (rc == 0)
        (*text)[len] = '\0';
    else
        free(*text);
    return rc;
}

/* ---- our lines -------------------------------------------------------------------------------------------- */

/* As a string literal: the path is the operator's, but a quote in it must not end the line. */
static void write_position(const char *where, const char *path, FILE *to)
{
    fprintf(to, "\n#line 1 \"%s", where);
    for (; *path; path++) {
        if (*path == '"' || *path == '\\')
            fputc('\\', to);
        fputc(*path == '\n' ? '?' : *path, to);
    }
    fputs("\"\n", to);
}

static void write_params(const struct kernel *k, FILE *to)
{
    if (k->param_count == 0)
        return;
    fputs("struct tg_params {\n", to);
    for (uint32_t i = 0; i < k->param_count; i++)
        fprintf(to, "    %s %s;\n", k->params[i].element->cuda, k->params[i].name);
    fputs("};\n", to);
}

/* What the user's source may use. */
static void write_before(const struct kernel *k, const struct kernel_build *b, FILE *to)
{
    write_position("before ", b->source, to);
    fprintf(to, "#define TG_IN_COUNT %" PRIu32 "\n#define TG_OUT_COUNT %" PRIu32 "\n#define TG_THREADS %" PRIu32 "\n",
            k->in.count, k->out.count, k->threads);
    write_params(k, to);
}

static void write_after(const struct kernel *k, const struct kernel_build *b, FILE *to)
{
    const char *in = k->in.element->cuda, *out = k->out.element->cuda;
    const char *more = k->param_count ? ", const tg_params &" : "";
    const char *named = k->param_count ? ", const tg_params &p" : "";
    write_position("behind ", b->source, to);
    fprintf(to, "#define TG_FUNCTION %s\n#define TG_IN %s\n#define TG_OUT %s\n", b->function, in, out);
    fprintf(to, "#define TG_ARGUMENTS const %s *, %s *%s\n", in, out, more);
    fprintf(to, "#define TG_SIGNATURE \"__device__ int %s(const %s *in, %s *out%s)\"\n", b->function, in, out, named);
    fprintf(to, "#define TG_OUT_BYTES %" PRIu32 "u\n#define TG_PARAM_BYTES %" PRIu32 "\n",
            kernel_vector_bytes(&k->out), k->param_bytes);
    fprintf(to, "#define TG_BLOCK %" PRIu32 "\n#define TG_REFUSED %d\n",
            k->threads == 1 ? (uint32_t)KERNEL_BLOCK_THREADS : k->threads, (int)TG_INVALID);
    fwrite(kernel_wrapper, 1, kernel_wrapper_len, to);
}

static int assemble(const struct kernel *k, const struct kernel_build *b, const char *source, char **text)
{
    size_t len;
    FILE *to = open_memstream(text, &len);
    if (!to)
        return -errno;
    write_before(k, b, to);
    write_position("", b->source, to);
    fputs(source, to);
    write_after(k, b, to);
    return fclose(to) == 0 ? 0 : -ENOMEM;
}

int kernel_source_text(const struct kernel *k, const struct kernel_build *b, char **text, struct tg_error *err)
{
    char *source;
    int rc = read_source(b->source, &source, err);
    if (rc)
        return rc;
    rc = assemble(k, b, source, text);
    if (rc)
        tg_error_set(err, "source", "%s", strerror(-rc));
    free(source);
    return rc;
}
