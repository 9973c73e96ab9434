/* SPDX-License-Identifier: Apache-2.0 */
/* The set of models, and the question for it. */
#include <stdio.h>
#include "models.h"

#define ASK_TIMEOUT_MS 2000
#define REPLY_BYTES_MAX (1u << 20)

static int compare(struct tg_str a, struct tg_str b)
{
    int order = memcmp(a.ptr, b.ptr, TG_MIN(a.len, b.len));
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

void model_set_add(struct model_set *s, struct tg_str name)
{
    uint32_t at = 0;
    while (at < s->count && compare(s->names[at], name) < 0)
        at++;
    bool there = at < s->count && tg_str_eq(s->names[at], name);
    if (name.len == 0 || there || s->count == IICP_MODELS_MAX || sizeof(s->text) - s->used < name.len)
        return;
    char *copy = memcpy(s->text + s->used, name.ptr, name.len);
    memmove(&s->names[at + 1], &s->names[at], (s->count - at) * sizeof(s->names[0]));
    s->names[at] = (struct tg_str){copy, name.len};
    s->used += name.len;
    s->count++;
}

void model_set_copy(struct model_set *to, const struct model_set *from)
{
    to->count = 0;
    to->used = 0;
    for (uint32_t i = 0; i < from->count; i++)
        model_set_add(to, from->names[i]);
}

bool model_set_equal(const struct model_set *a, const struct model_set *b)
{
    bool equal = a->count == b->count;
    for (uint32_t i = 0; equal && i < a->count; i++)
        equal = tg_str_eq(a->names[i], b->names[i]);
    return equal;
}

static void read_list(struct model_set *s, const struct tg_json_doc *doc, struct tg_str list,
                      struct tg_str key)
{
    const struct tg_json_node *items = tg_json_get(doc, &doc->nodes[0], list);
    char name[IICP_MODEL_BYTES_MAX];
    if (!items || items->type != TG_JSON_ARRAY)
        return;
    TG_JSON_FOREACH(item, items)
    {
        const struct tg_json_node *n = tg_json_get(doc, item, key);
        int64_t len = n && n->type == TG_JSON_STRING ? tg_json_unescape(doc, n, name, sizeof(name)) : -1;
        if (len > 0)
            model_set_add(s, (struct tg_str){name, (size_t)len});
    }
}

void model_set_read(struct model_set *s, const struct tg_json_doc *doc)
{
    s->count = 0;
    s->used = 0;
    read_list(s, doc, TG_STR("models"), TG_STR("name"));
    read_list(s, doc, TG_STR("data"), TG_STR("id"));
}

/* ---- asking ----------------------------------------------------------------------------------------- */

void models_init(struct models *m, const struct control_host *host, const char *url, bool tags_first)
{
    *m = (struct models){.host = host, .url = url, .tags_first = tags_first};
}

static void ask(struct models *m, bool tags);

/* No answer, or one without models, leaves the set as it was: a backend that restarts has not lost its
 * models. */
static void answered(void *context, const struct call_reply *r)
{
    struct models *m = context;
    struct model_set fresh;
    fresh.count = 0;
    if (r->status == 200 && r->doc)
        model_set_read(&fresh, r->doc);
    if (fresh.count)
        model_set_copy(&m->latest, &fresh);
    if (fresh.count == 0 && m->asking_tags && !r->error)
        ask(m, false);
    else
        m->answered = true;
}

static void ask(struct models *m, bool tags)
{
    char url[CALL_URL_MAX];
    size_t len = strlen(m->url);
    while (len && m->url[len - 1] == '/')
        len--;
    if (!tags && len >= 3 && memcmp(m->url + len - 3, "/v1", 3) == 0)
        len -= 3; /* bases of OpenAI-style servers are often written with it */
    m->asking_tags = tags;
    (void)snprintf(url, sizeof(url), "%.*s%s", (int)len, m->url, tags ? "/api/tags" : "/v1/models");
    call_start(
        &m->call, m->host,
        &(struct call_request){
            .method = "GET", .url = url, .timeout_ms = ASK_TIMEOUT_MS, .body_bytes_max = REPLY_BYTES_MAX},
        answered, m);
}

bool models_ask(struct models *m)
{
    if (!m->url || !m->url[0] || call_active(&m->call))
        return false;
    m->answered = false;
    ask(m, m->tags_first);
    return true;
}

void models_stop(struct models *m)
{
    call_cancel(&m->call);
    m->answered = true; /* nobody shall wait for it */
}
