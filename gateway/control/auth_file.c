/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials as a file. A token goes to the directory that issued it and to no other: hence its address in
 * there. */
#include <errno.h>
#include <stdio.h>
#include "auth_file.h"
#include "gateway/base/hex.h"
#include "gateway/base/log.h"
#include "store.h"

#define FILE_BYTES_MAX 4096

static struct tg_str text(const char *s)
{
    return (struct tg_str){s, strlen(s)};
}

static bool path_of(const char *state_dir, const char *name, const char *suffix, char out[static STORE_PATH_MAX])
{
    int n = state_dir && state_dir[0] ? snprintf(out, STORE_PATH_MAX, "%s/nodes/%s.%s", state_dir, name, suffix) : 0;
    return n > 0 && n < STORE_PATH_MAX;
}

static bool file_path(const char *state_dir, const char *name, char out[static STORE_PATH_MAX])
{
    return path_of(state_dir, name, "json", out);
}

int auth_file_lock(const char *state_dir, const char *name)
{
    char path[STORE_PATH_MAX];
    if (!path_of(state_dir, name, "lock", path))
        return -ENOENT;
    int rc = store_make_parent(path);
    return rc < 0 ? rc : store_lock(path);
}

int auth_file_check(const char *state_dir, const char *name)
{
    char path[STORE_PATH_MAX];
    if (!file_path(state_dir, name, path) || !store_exposed(path))
        return 0;
    log_error("credentials: %s is open to others than its owner; chmod 0600 it, or remove it to register anew", path);
    return -EKEYREJECTED;
}

static bool member(const struct tg_json_doc *doc, const char *key, char *out, size_t cap)
{
    const struct tg_json_node *n = tg_json_get(doc, &doc->nodes[0], text(key));
    int64_t len = n && n->type == TG_JSON_STRING ? tg_json_unescape(doc, n, out, cap - 1) : -1;
    out[len < 0 ? 0 : len] = '\0';
    return len > 0;
}

/* However the two are spelled: a slash more must not cost the proof of who we are. */
static bool same_directory(const char *a, const char *b)
{
    char first[1100], second[1100];
    return iicp_directory_url(text(a), "", first, sizeof(first)) &&
           iicp_directory_url(text(b), "", second, sizeof(second)) && strcmp(first, second) == 0;
}

/* A directory may call a node otherwise than it asked to be called: whoever asks so again, is that node. */
static bool about_us(const struct auth *a, const struct tg_json_doc *doc, const char *id)
{
    char asked[sizeof(a->node_id)];
    return !a->node_id[0] || strcmp(id, a->node_id) == 0 ||
           (member(doc, "asked_node_id", asked, sizeof(asked)) && strcmp(asked, a->node_id) == 0);
}

static void take(struct auth *a, const struct tg_json_doc *doc)
{
    char directory[1100], id[sizeof(a->node_id)], key[2 * CRYPTO_KEY_BYTES + 1];
    if (!member(doc, "directory", directory, sizeof(directory)) || !same_directory(directory, a->link->url)) {
        log_info("credentials: the stored ones are for another directory, not used");
        return;
    }
    if (!member(doc, "node_id", id, sizeof(id)) || !about_us(a, doc, id)) {
        log_info("credentials: the stored ones are for another node id, not used");
        return;
    }
    memcpy(a->node_id, id, sizeof(id));
    member(doc, "node_token", a->node_token, sizeof(a->node_token));
    member(doc, "node_hmac_key", a->hmac_key, sizeof(a->hmac_key));
    a->has_directory_key = member(doc, "directory_key", key, sizeof(key)) &&
                           hex_read(a->directory_key, sizeof(a->directory_key), text(key));
}

static void parse(struct auth *a, const char *bytes, size_t len)
{
    struct tg_json_node nodes[TG_JSON_NODES_MAX(64)];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    struct tg_json_error err;
    if (tg_json_parse(&doc, bytes, len, &err) == 0 && nodes[0].type == TG_JSON_OBJECT)
        take(a, &doc);
    else
        log_warn("credentials: the stored ones are damaged, not used");
}

void auth_file_load(struct auth *a)
{
    char path[STORE_PATH_MAX], bytes[FILE_BYTES_MAX];
    if (!file_path(a->options.state_dir, a->options.name, path))
        return;
    int64_t len = store_read(path, true, bytes, sizeof(bytes));
    if (len >= 0)
        parse(a, bytes, (size_t)len);
    else if (len == -EACCES)
        log_warn("credentials: %s can be read by others, not used", path);
    else if (len != -ENOENT)
        log_warn("credentials: cannot be read (%s)", strerror((int)-len));
    crypto_wipe(bytes, sizeof(bytes));
}

static void put(struct tg_json_writer *w, const char *key, const char *value)
{
    tg_json_write_key(w, text(key));
    tg_json_write_string(w, text(value));
}

int auth_file_save(const struct auth *a)
{
    char path[STORE_PATH_MAX], bytes[FILE_BYTES_MAX], key[2 * CRYPTO_KEY_BYTES + 1] = "";
    struct tg_json_writer w;
    if (!file_path(a->options.state_dir, a->options.name, path))
        return 0;
    if (a->has_directory_key)
        hex_write(key, a->directory_key, sizeof(a->directory_key));
    tg_json_writer_init(&w, bytes, sizeof(bytes));
    tg_json_write_begin_object(&w);
    TG_JSON_KEY(&w, "version");
    tg_json_write_u64(&w, 1);
    put(&w, "directory", a->link->url);
    put(&w, "node_id", a->node_id);
    put(&w, "asked_node_id", a->options.node_id);
    put(&w, "node_token", a->node_token);
    put(&w, "node_hmac_key", a->hmac_key);
    put(&w, "directory_key", key);
    tg_json_write_end_object(&w);
    int rc = w.overflow ? -EFBIG : store_make_parent(path);
    if (rc == 0)
        rc = store_write(path, (struct tg_str){bytes, w.len});
    crypto_wipe(bytes, sizeof(bytes));
    return rc;
}
