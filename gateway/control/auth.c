/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials: when they change, who is told, and the directory's key. auth_file.c keeps them. */
#include <stdlib.h>
#include "auth_file.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"

#define SAVE_RETRY_NS (30 * NS_PER_S)
#define KEY_FRESH_NS (3600 * NS_PER_S)

/* Snapshots are never changed and never freed while workers may read them: each change makes a new one. */
static void publish(struct auth *a)
{
    struct iicp_keys *k = calloc(1, sizeof(*k));
    if (!k) {
        log_error("credentials: out of memory, tasks go on with the old ones");
        return;
    }
    if (a->options.cx)
        *k = *a->options.cx;
    memcpy(k->node_id, a->node_id, sizeof(k->node_id));
    memcpy(k->node_token, a->node_token, sizeof(k->node_token));
    memcpy(k->hmac_key, a->hmac_key, sizeof(k->hmac_key));
    k->has_directory_key = a->has_directory_key;
    memcpy(k->directory_key, a->directory_key, sizeof(k->directory_key));
    k->older = a->keys;
    a->keys = k;
    a->options.publish(a->options.context, k);
}

static void save(struct auth *a, uint64_t now_ns)
{
    int rc = auth_file_save(a);
    a->unsaved = rc < 0;
    a->save_due_ns = now_ns + SAVE_RETRY_NS;
    if (rc < 0 && !a->complained)
        log_warn("credentials: cannot be saved (%s): a restart will have to register anew", strerror(-rc));
    a->complained = rc < 0;
}

static void changed(struct auth *a)
{
    publish(a);
    save(a, a->link->host->now_ns(a->link->host->context));
}

void auth_init(struct auth *a, const struct directory_link *link, const struct auth_options *options)
{
    *a = (struct auth){.link = link, .options = *options};
    memcpy(a->node_id, options->node_id, strnlen(options->node_id, sizeof(a->node_id) - 1));
    auth_file_load(a);
    publish(a);
}

void auth_finish(struct auth *a)
{
    call_cancel(&a->key_call);
    while (a->keys) {
        struct iicp_keys *older = a->keys->older;
        crypto_wipe(a->keys, sizeof(*a->keys));
        free(a->keys);
        a->keys = older;
    }
    crypto_wipe(a->node_token, sizeof(a->node_token));
    crypto_wipe(a->hmac_key, sizeof(a->hmac_key));
}

static void adopt_id(struct auth *a, const char *id)
{
    if (!id[0] || strcmp(id, a->node_id) == 0)
        return;
    if (a->node_id[0])
        log_warn("directory: knows this node as %s, not as %s", id, a->node_id);
    memcpy(a->node_id, id, strlen(id) + 1);
}

void auth_adopt(struct auth *a, const struct iicp_registered *r)
{
    struct tg_str own = a->options.own_hmac_key, key = {r->hmac_key, strlen(r->hmac_key)};
    if (key.len == 0)
        key = own.len ? own : (struct tg_str){a->hmac_key, strlen(a->hmac_key)};
    bool same = strcmp(a->node_token, r->node_token) == 0 && tg_str_eq(key, (struct tg_str){a->hmac_key, strlen(a->hmac_key)}) &&
                (!r->node_id[0] || strcmp(a->node_id, r->node_id) == 0);
    if (same)
        return;
    adopt_id(a, r->node_id);
    memcpy(a->node_token, r->node_token, sizeof(a->node_token));
    memmove(a->hmac_key, key.ptr, key.len); /* it may be the one that is there */
    a->hmac_key[key.len] = '\0';
    a->generation++;
    changed(a);
}

static void key_answered(void *context, const struct call_reply *r)
{
    struct auth *a = context;
    uint8_t key[CRYPTO_KEY_BYTES];
    uint64_t now_ns = a->link->host->now_ns(a->link->host->context);
    a->key_due_ns = now_ns + a->options.key_retry_ns;
    if (r->status != 200 || !r->doc || iicp_read_directory_key(r->doc, key) < 0)
        return; /* directories without one answer 503: their nodes take no consumer tokens */
    a->key_due_ns = now_ns + KEY_FRESH_NS;
    if (a->has_directory_key && memcmp(a->directory_key, key, sizeof(key)) == 0)
        return;
    const char *which = a->has_directory_key ? "a new" : "has a";
    memcpy(a->directory_key, key, sizeof(key));
    a->has_directory_key = true;
    changed(a);
    log_info("directory: %s key for consumer tokens", which); /* who reads this may send tokens at once */
}

/* A key that suddenly verifies less may be out of date. Who forges tokens shall not make us ask all the time. */
static void look_sooner(struct auth *a)
{
    if (a->options.doubted && a->has_directory_key && a->options.doubted(a->options.context))
        a->key_due_ns = TG_MIN(a->key_due_ns, a->key_asked_ns + a->options.key_retry_ns);
}

uint64_t auth_turn(struct auth *a, uint64_t now_ns)
{
    look_sooner(a);
    if (a->unsaved && now_ns >= a->save_due_ns)
        save(a, now_ns);
    if (!call_active(&a->key_call) && now_ns >= a->key_due_ns) {
        a->key_asked_ns = now_ns;
        call_directory(&a->key_call, a->link,
                       &(struct call_request){.method = "GET", .url = "/v1/directory-key"}, key_answered, a);
    }
    uint64_t key_ns = call_active(&a->key_call) ? UINT64_MAX : a->key_due_ns;
    return a->unsaved ? TG_MIN(a->save_due_ns, key_ns) : key_ns;
}
