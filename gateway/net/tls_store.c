/* SPDX-License-Identifier: Apache-2.0 */
/* The files behind TLS: read, watched, and handed to every worker's context together or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "gateway/base/clock.h"
#include "gateway/base/random.h"
#include "tls.h"

#define FILE_BYTES_MAX (1 << 20)

enum { FILE_CERTIFICATE, FILE_KEY, FILE_CLIENT_CA, FILES };

static const char *const file_keys[FILES] = {"tls.certificate", "tls.key", "tls.client_ca"};

/* What tells one state of a file from another. */
struct stamp {
    dev_t device;
    ino_t inode;
    off_t bytes;
    struct timespec modified, changed;
};

struct stamps {
    struct stamp of[FILES];
};

struct tls_store {
    char *paths[FILES]; /* NULL: not used */
    enum tls_client_auth client_auth;
    bool only_1_3;
    uint64_t handshake_ns;
    struct stamps loaded, seen; /* when last tried to read; at the last look */
    uint32_t count;
    struct tls_context *contexts[];
};

/* ---- reading ------------------------------------------------------------------------------------- */

static int open_file(const char *key, const char *path, bool secret, size_t *len, char error[TLS_ERROR_BYTES])
{
    struct stat s;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &s) < 0) {
        int rc = -errno;
        snprintf(error, TLS_ERROR_BYTES, "%s: cannot read %.120s: %s", key, path, strerror(-rc));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    const char *fault = NULL;
    if (!S_ISREG(s.st_mode))
        fault = "is not a plain file";
    else if (s.st_size > FILE_BYTES_MAX)
        fault = "is too large";
    else if (secret && (s.st_mode & (S_IRWXG | S_IRWXO)))
        fault = "is open to others than its owner; chmod 0600 it";
    if (fault) {
        snprintf(error, TLS_ERROR_BYTES, "%s: %.160s %s", key, path, fault);
        close(fd);
        return -EACCES;
    }
    *len = (size_t)s.st_size;
    return fd;
}

/* As much as the file had when it was opened; what grew meanwhile shows as a change later. */
static int read_all(int fd, char *to, size_t *len)
{
    size_t have = 0;
    while (have < *len) {
        ssize_t n = read(fd, to + have, *len - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    *len = have;
    return 0;
}

static int read_file(const char *key, const char *path, bool secret, struct tg_str *out,
                     char error[TLS_ERROR_BYTES])
{
    size_t len = 0;
    int fd = open_file(key, path, secret, &len, error);
    if (fd < 0)
        return fd;
    char *text = malloc(len + 1);
    int rc = text ? read_all(fd, text, &len) : -ENOMEM;
    close(fd);
    if (rc < 0) {
        snprintf(error, TLS_ERROR_BYTES, "%s: cannot read %.120s: %s", key, path, strerror(-rc));
        free(text);
        return rc;
    }
    *out = (struct tg_str){text, len};
    return 0;
}

static void forget(struct tg_str *files)
{
    for (uint32_t i = 0; i < FILES; i++)
        if (files[i].ptr) {
            char *text = (char *)(uintptr_t)files[i].ptr;
            OPENSSL_cleanse(text, files[i].len);
            free(text);
        }
}

static struct stamps look(const struct tls_store *s)
{
    struct stamps now = {0};
    struct stat st;
    for (uint32_t i = 0; i < FILES; i++)
        if (s->paths[i] && stat(s->paths[i], &st) == 0)
            now.of[i] = (struct stamp){st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim};
    return now;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same(const struct stamps *a, const struct stamps *b)
{
    for (uint32_t i = 0; i < FILES; i++) {
        const struct stamp *x = &a->of[i], *y = &b->of[i];
        if (x->device != y->device || x->inode != y->inode || x->bytes != y->bytes ||
            !same_time(x->modified, y->modified) || !same_time(x->changed, y->changed))
            return false;
    }
    return true;
}

/* ---- loading ------------------------------------------------------------------------------------- */

/* All contexts or none: a worker with another certificate than its neighbour would be hard to explain. */
static int build_all(struct tls_store *s, const struct tls_material *m, char error[TLS_ERROR_BYTES])
{
    SSL_CTX **built = calloc(s->count, sizeof(SSL_CTX *));
    int rc = built ? 0 : -ENOMEM;
    if (rc < 0)
        snprintf(error, TLS_ERROR_BYTES, "out of memory");
    for (uint32_t i = 0; rc == 0 && i < s->count; i++)
        rc = tls_context_build(s->contexts[i], m, &built[i], error);
    for (uint32_t i = 0; built && i < s->count; i++)
        if (rc == 0)
            tls_context_offer(s->contexts[i], built[i], s->handshake_ns);
        else
            SSL_CTX_free(built[i]);
    free(built);
    return rc;
}

static int load(struct tls_store *s, char error[TLS_ERROR_BYTES])
{
    struct tg_str files[FILES] = {0};
    int rc = 0;
    s->loaded = s->seen = look(s); /* before reading: a change meanwhile is seen as one */
    for (uint32_t i = 0; rc == 0 && i < FILES; i++)
        if (s->paths[i])
            rc = read_file(file_keys[i], s->paths[i], i == FILE_KEY, &files[i], error);
    struct tls_material m = {files[FILE_CERTIFICATE], files[FILE_KEY], files[FILE_CLIENT_CA], s->client_auth,
                             s->only_1_3};
    if (rc == 0)
        rc = build_all(s, &m, error);
    forget(files);
    return rc;
}

static void free_paths(char *paths[FILES])
{
    for (uint32_t i = 0; i < FILES; i++)
        free(paths[i]);
}

static int take_paths(struct tls_store *s, const struct tls_settings *settings, char error[TLS_ERROR_BYTES])
{
    bool with_ca = settings->client_auth != TLS_CLIENT_NONE;
    const char *const given[FILES] = {settings->certificate, settings->key,
                                      with_ca ? settings->client_ca : NULL};
    char *paths[FILES] = {0};
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < FILES; i++) {
        if (i == FILE_CLIENT_CA && !with_ca)
            break;
        paths[i] = given[i] && given[i][0] ? strdup(given[i]) : NULL;
        rc = paths[i] ? 0 : -EINVAL;
        if (rc < 0)
            snprintf(error, TLS_ERROR_BYTES, "%s names no file", file_keys[i]);
    }
    if (rc < 0)
        free_paths(paths);
    else
        memcpy(s->paths, paths, sizeof(paths));
    return rc;
}

/* Files that were tried and found wrong need not be tried again before they change. */
static void go_back(struct tls_store *s, const struct tls_store *before)
{
    bool same_files = true;
    for (uint32_t i = 0; i < FILES; i++)
        same_files &= strcmp(s->paths[i] ? s->paths[i] : "", before->paths[i] ? before->paths[i] : "") == 0;
    struct stamps tried = s->loaded;
    free_paths(s->paths);
    *s = *before;
    if (same_files)
        s->loaded = s->seen = tried;
}

int tls_store_reload(struct tls_store *s, const struct tls_settings *settings, char error[TLS_ERROR_BYTES])
{
    struct tls_store next = {.client_auth = settings->client_auth, .only_1_3 = settings->only_1_3};
    char *old[FILES];
    int rc = take_paths(&next, settings, error);
    if (rc < 0)
        return rc;
    struct tls_store before = *s; /* the fixed part */
    memcpy(old, s->paths, sizeof(old));
    memcpy(s->paths, next.paths, sizeof(old));
    s->client_auth = settings->client_auth;
    s->only_1_3 = settings->only_1_3;
    s->handshake_ns = settings->handshake_ns;
    rc = load(s, error);
    if (rc < 0)
        go_back(s, &before);
    else
        free_paths(old);
    return rc;
}

int tls_store_look(struct tls_store *s, char error[TLS_ERROR_BYTES])
{
    struct stamps now = look(s);
    bool settled = same(&now, &s->seen); /* certificate and key are two files: do not come between them */
    s->seen = now;
    if (!settled || same(&now, &s->loaded))
        return 0;
    int rc = load(s, error);
    return rc < 0 ? rc : 1;
}

/* ---- life ---------------------------------------------------------------------------------------- */

static int create_contexts(struct tls_store *s, uint32_t wanted)
{
    uint8_t seed[TLS_SEED_BYTES];
    random_bytes(seed, sizeof(seed));
    uint64_t now = clock_now_ns();
    int rc = 0;
    for (; rc == 0 && s->count < wanted; s->count += rc == 0)
        rc = tls_context_create(seed, now, &s->contexts[s->count]);
    OPENSSL_cleanse(seed, sizeof(seed));
    return rc;
}

int tls_store_open(const struct tls_settings *settings, uint32_t contexts, struct tls_store **store,
                   char error[TLS_ERROR_BYTES])
{
    struct tls_store *s = calloc(1, sizeof(*s) + contexts * sizeof(s->contexts[0]));
    int rc = s ? create_contexts(s, contexts) : -ENOMEM;
    if (rc < 0)
        snprintf(error, TLS_ERROR_BYTES, "out of memory");
    else
        rc = tls_store_reload(s, settings, error);
    if (rc < 0)
        tls_store_close(s);
    else
        *store = s;
    return rc;
}

void tls_store_close(struct tls_store *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->count; i++)
        tls_context_destroy(s->contexts[i]);
    free_paths(s->paths);
    free(s);
}

struct tls_context *tls_store_context(struct tls_store *s, uint32_t index)
{
    return s->contexts[index];
}
