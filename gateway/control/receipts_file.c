/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file behind the queue. A line reaches the page cache before anything else happens to its receipt, so
 * that a killed process loses none; syncing is left to a slow beat, since a power cut may cost credits but no
 * task.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "gateway/base/hex.h"
#include "gateway/base/log.h"
#include "receipts_file.h"
#include "store.h"

#define LINE_BYTES_MAX 4096 /* every byte of the ids escaped: 6 * 384, and some 300 more */
#define FILE_BYTES_MAX (256u << 20)

/* ---- lines ------------------------------------------------------------------------------------------ */

static void put_hex(struct tg_json_writer *w, struct tg_str key, const uint8_t *bytes, size_t n)
{
    char text[2 * CRYPTO_HASH_BYTES];
    hex_write(text, bytes, n);
    tg_json_write_key(w, key);
    tg_json_write_string(w, (struct tg_str){text, 2 * n});
}

static size_t write_line(char line[LINE_BYTES_MAX], const struct receipt *r, bool ended)
{
    struct tg_json_writer w;
    tg_json_writer_init(&w, line, LINE_BYTES_MAX - 1);
    tg_json_write_begin_object(&w);
    put_hex(&w, TG_STR("nonce"), r->nonce, sizeof(r->nonce));
    if (!ended) {
        TG_JSON_KEY(&w, "task_id");
        tg_json_write_string(&w, (struct tg_str){r->id, r->id_len});
        TG_JSON_KEY(&w, "requester");
        tg_json_write_string(&w, (struct tg_str){r->requester, r->requester_len});
        TG_JSON_KEY(&w, "tokens");
        tg_json_write_u64(&w, r->tokens);
        TG_JSON_KEY(&w, "expires_ms");
        tg_json_write_i64(&w, r->expires_ms);
        put_hex(&w, TG_STR("hash"), r->hash, sizeof(r->hash));
    }
    tg_json_write_end_object(&w);
    TG_ASSERT(!w.overflow);
    line[w.len] = '\n';
    return w.len + 1;
}

static const struct tg_json_node *member(const struct tg_json_doc *doc, struct tg_str key,
                                         enum tg_json_type type)
{
    const struct tg_json_node *n = tg_json_get(doc, &doc->nodes[0], key);
    return n && n->type == type ? n : NULL;
}

static bool read_hex(const struct tg_json_doc *doc, struct tg_str key, uint8_t *out, size_t n)
{
    const struct tg_json_node *text = member(doc, key, TG_JSON_STRING);
    return text && hex_read(out, n, tg_json_string(doc, text));
}

static bool read_text(const struct tg_json_doc *doc, struct tg_str key, char *out, size_t cap, uint16_t *len)
{
    const struct tg_json_node *text = member(doc, key, TG_JSON_STRING);
    int64_t n = text ? tg_json_unescape(doc, text, out, cap) : -1;
    *len = (uint16_t)(n < 0 ? 0 : n);
    return n >= 0;
}

/* False for a line that ends a receipt; then only the nonce is set. */
static bool read_rest(const struct tg_json_doc *doc, struct receipt *r)
{
    const struct tg_json_node *tokens = member(doc, TG_STR("tokens"), TG_JSON_INT);
    const struct tg_json_node *expires = member(doc, TG_STR("expires_ms"), TG_JSON_INT);
    if (!tokens || tokens->i64 < 0 || tokens->i64 > UINT32_MAX || !expires)
        return false;
    r->tokens = (uint32_t)tokens->i64;
    r->expires_ms = expires->i64;
    return read_text(doc, TG_STR("task_id"), r->id, sizeof(r->id), &r->id_len) &&
           read_text(doc, TG_STR("requester"), r->requester, sizeof(r->requester), &r->requester_len) &&
           read_hex(doc, TG_STR("hash"), r->hash, sizeof(r->hash));
}

/* ---- reading ---------------------------------------------------------------------------------------- */

/* They end in nearly the order in which they came: the search is short. */
static void end_nonce(struct receipt_list *l, const uint8_t *nonce)
{
    struct receipt *before = NULL;
    for (struct receipt *r = l->waiting.head; r; before = r, r = r->next) {
        if (memcmp(r->nonce, nonce, sizeof(r->nonce)) != 0)
            continue;
        if (before)
            before->next = r->next;
        else
            l->waiting.head = r->next;
        if (l->waiting.tail == r)
            l->waiting.tail = before;
        receipt_give(l, r);
        return;
    }
}

static bool read_line(struct receipt_list *l, struct tg_str line)
{
    struct tg_json_node nodes[TG_JSON_NODES_MAX(64)];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    struct tg_json_error err;
    struct receipt read = {0};
    if (tg_json_parse(&doc, line.ptr, line.len, &err) < 0 || nodes[0].type != TG_JSON_OBJECT ||
        !read_hex(&doc, TG_STR("nonce"), read.nonce, sizeof(read.nonce)))
        return false;
    if (!read_rest(&doc, &read)) {
        end_nonce(l, read.nonce);
        return true;
    }
    struct receipt *r = receipt_take(l);
    if (!r)
        return true; /* a smaller queue than last time */
    *r = read;
    receipt_queue_append(&l->waiting, r);
    return true;
}

static void read_lines(struct receipt_list *l, const char *p, const char *end)
{
    uint32_t damaged = 0;
    for (const char *line_end; p < end; p = line_end + 1) {
        line_end = memchr(p, '\n', (size_t)(end - p));
        if (!line_end)
            break; /* the process was stopped while it wrote it */
        damaged += !read_line(l, (struct tg_str){p, (size_t)(line_end - p)});
    }
    if (damaged)
        log_warn("receipts: %u lines of their file make no sense, skipped", damaged);
}

static void read_file(const char *path, struct receipt_list *l)
{
    struct stat st;
    size_t size = stat(path, &st) == 0 ? (size_t)TG_MIN((uint64_t)st.st_size, (uint64_t)FILE_BYTES_MAX) : 0;
    char *bytes = size ? malloc(size) : NULL;
    int64_t n = bytes ? store_read(path, true, bytes, size) : 0;
    if (n > 0)
        read_lines(l, bytes, bytes + n);
    else if (n < 0)
        log_warn("receipts: their file cannot be read (%s)", strerror((int)-n));
    free(bytes);
}

/* ---- writing ---------------------------------------------------------------------------------------- */

/* What was not written whole is cut off again: a torn line would swallow the one behind it. */
static void append(struct receipt_file *f, const char *line, size_t len)
{
    if (!f->path || f->broken)
        return;
    ssize_t n = write(f->fd, line, len);
    if (n == (ssize_t)len) {
        f->length += len;
        f->lines++;
        f->unsynced = true;
        return;
    }
    log_warn("receipts: their file cannot be written (%s): a restart would lose some",
             strerror(n < 0 ? errno : ENOSPC));
    f->broken = true;
    if (n > 0 && ftruncate(f->fd, (off_t)f->length) < 0)
        log_warn("receipts: their file ends in half a line");
}

void receipt_file_add(struct receipt_file *f, const struct receipt *r)
{
    char line[LINE_BYTES_MAX];
    append(f, line, write_line(line, r, false));
}

void receipt_file_end(struct receipt_file *f, const struct receipt *r)
{
    char line[LINE_BYTES_MAX];
    append(f, line, write_line(line, r, true));
}

bool receipt_file_is_long(const struct receipt_file *f, const struct receipt_list *l)
{
    return f->path && (f->lines > 4 * l->used + 1024 || f->broken);
}

static int reopen(struct receipt_file *f, size_t length, uint32_t lines)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = open(f->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    f->length = length;
    f->lines = lines;
    f->broken = f->fd < 0;
    return f->fd < 0 ? -errno : 0;
}

struct text {
    char *bytes;
    size_t len;
    uint32_t lines;
};

static void add_line(struct text *t, const struct receipt *r)
{
    t->len += write_line(t->bytes + t->len, r, false);
    t->lines++;
}

int receipt_file_compact(struct receipt_file *f, const struct receipt_list *l, struct receipt *const *others,
                         uint32_t other_count)
{
    struct text t = {.bytes = malloc((l->used + 1ul) * LINE_BYTES_MAX)};
    if (!t.bytes)
        return -ENOMEM;
    for (uint32_t i = 0; i < other_count; i++)
        if (others[i])
            add_line(&t, others[i]);
    for (const struct receipt *r = l->waiting.head; r; r = r->next)
        add_line(&t, r);
    int rc = store_write(f->path, (struct tg_str){t.bytes, t.len});
    if (rc == 0)
        rc = reopen(f, t.len, t.lines);
    free(t.bytes);
    return rc;
}

void receipt_file_open(struct receipt_file *f, const char *path, struct receipt_list *l)
{
    *f = (struct receipt_file){.path = path, .fd = -1};
    if (!path)
        return;
    read_file(path, l);
    int rc = store_make_parent(path);
    if (rc == 0)
        rc = receipt_file_compact(f, l, NULL, 0);
    f->broken = rc < 0;
    if (rc < 0)
        log_warn("receipts: their file cannot be written (%s): a restart would lose some", strerror(-rc));
}

void receipt_file_sync(struct receipt_file *f)
{
    if (f->unsynced && f->fd >= 0)
        (void)fdatasync(f->fd); /* what a power cut would take with it is worth no more than that */
    f->unsynced = false;
}

void receipt_file_close(struct receipt_file *f)
{
    receipt_file_sync(f);
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}
