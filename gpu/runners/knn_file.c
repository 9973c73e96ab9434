/* SPDX-License-Identifier: Apache-2.0 */
/* knn: whole files into memory, unpacked where they are gzip. */
#include "knn.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <zlib.h>

#define CHUNK (1u << 20)

/* Room for another chunk and the NUL behind it. */
static int make_room(struct knn_text *t, size_t *capacity)
{
    if (*capacity - t->len > CHUNK)
        return 0;
    size_t more = TG_MAX(*capacity * 2, t->len + 2 * CHUNK);
    char *bytes = realloc(t->bytes, more);
    if (!bytes)
        return -ENOMEM;
    t->bytes = bytes;
    *capacity = more;
    return 0;
}

static void out_of_memory(struct tg_error *err, const char *field)
{
    tg_error_set(err, field, "out of memory");
}

/* Ends the text; on failure frees what there is. */
static int finish(struct knn_text *t, struct knn_text *out, int rc)
{
    if (rc == 0) {
        t->bytes[t->len] = '\0';
        *out = *t;
    } else {
        free(t->bytes);
    }
    return rc;
}

/* gzread() passes through what is not gzip. */
static int read_all(gzFile file, struct knn_text *t, struct tg_error *err)
{
    size_t capacity = 0;
    for (;;) {
        if (make_room(t, &capacity) != 0) {
            out_of_memory(err, "data");
            return -ENOMEM;
        }
        int n = gzread(file, t->bytes + t->len, CHUNK);
        if (n == 0)
            return 0;
        if (n < 0) {
            int code;
            tg_error_set(err, "data", "cannot be read: %s", gzerror(file, &code));
            return -EIO;
        }
        t->len += (size_t)n;
    }
}

int knn_file_read(const char *path, struct knn_text *text, struct tg_error *err)
{
    struct stat st;
    struct knn_text t = {0};
    gzFile file = stat(path, &st) == 0 ? gzopen(path, "rbe") : NULL;
    if (!file) {
        int rc = errno ? -errno : -ENOMEM;
        tg_error_set(err, "data", "%s: %s", path, strerror(-rc));
        return rc;
    }
    int rc = read_all(file, &t, err);
    int end = gzclose_r(file);
    if (rc == 0 && end != Z_OK) { /* Z_BUF_ERROR: the file ends in the middle of the stream */
        tg_error_set(err, "data", "%s: the gzip data is cut short", path);
        rc = -EIO;
    }
    return finish(&t, text, rc);
}

static int inflate_all(z_stream *z, struct knn_text *t)
{
    size_t capacity = 0;
    int code = Z_OK;
    while (code == Z_OK) {
        if (make_room(t, &capacity) != 0)
            return -ENOMEM;
        z->next_out = (unsigned char *)t->bytes + t->len;
        z->avail_out = CHUNK;
        code = inflate(z, Z_NO_FLUSH);
        t->len += CHUNK - z->avail_out;
    }
    return code == Z_STREAM_END ? 0 : -EIO;
}

int knn_unzip(const void *gz, size_t len, struct knn_text *text, struct tg_error *err)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)gz, .avail_in = (unsigned)len};
    struct knn_text t = {0};
    if (inflateInit2(&z, MAX_WBITS + 16) != Z_OK) {
        out_of_memory(err, "data");
        return -ENOMEM;
    }
    int rc = inflate_all(&z, &t);
    inflateEnd(&z);
    if (rc)
        tg_error_set(err, "data", "the gzip data is damaged");
    return finish(&t, text, rc);
}
