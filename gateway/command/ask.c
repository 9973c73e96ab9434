/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of what the client shows for the length of a callback. */
#include "ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include "gateway/base/clock.h"

static char *copy(struct tg_str text)
{
    char *to = malloc(text.len + 1);
    if (!to)
        return NULL;
    if (text.len)
        memcpy(to, text.ptr, text.len);
    to[text.len] = '\0';
    return to;
}

static void fail(struct answer *a, int error, const char *why)
{
    a->error = error;
    snprintf(a->why, sizeof(a->why), "%s", why);
}

static void parse(struct answer *a)
{
    struct tg_json_error err;
    if (a->body_len == 0)
        return;
    size_t room = TG_JSON_NODES_MAX(a->body_len);
    a->doc =
        (struct tg_json_doc){.nodes = malloc(room * sizeof(struct tg_json_node)), .capacity = (uint32_t)room};
    if (a->doc.nodes && tg_json_parse(&a->doc, a->body, a->body_len, &err) == 0)
        return;
    free(a->doc.nodes);
    a->doc = (struct tg_json_doc){0};
}

static void done(void *context, const struct client_response *r)
{
    struct answer *a = context;
    a->over = true;
    a->elapsed_ns = clock_now_ns() - a->started_ns;
    if (r->error) {
        fail(a, r->error, r->why);
        return;
    }
    a->status = r->status;
    a->retry_after_s = r->retry_after_s;
    snprintf(a->content_type, sizeof(a->content_type), "%.*s", (int)TG_MIN(r->content_type.len, (size_t)90),
             r->content_type.ptr ? r->content_type.ptr : "");
    a->head = copy(r->head);
    a->body = copy(r->body);
    a->head_len = r->head.len;
    a->body_len = r->body.len;
    if (!a->head || !a->body)
        fail(a, -ENOMEM, "out of memory");
    else
        parse(a);
}

void ask_start(struct client *c, const struct client_request *rq, struct answer *a)
{
    *a = (struct answer){.started_ns = clock_now_ns()};
    if (client_submit(c, rq, done, a))
        return;
    a->over = true;
    fail(a, -ENOMEM, "out of memory");
}

void ask(struct client *c, const struct client_request *rq, struct answer *a)
{
    ask_start(c, rq, a);
    while (!a->over)
        client_turn(c, 1000, NULL, 0);
}

void answer_finish(struct answer *a)
{
    free(a->head);
    free(a->body);
    free(a->doc.nodes);
    *a = (struct answer){0};
}

/* ---- looking into it --------------------------------------------------------------------------------- */

const struct tg_json_node *answer_object(const struct answer *a)
{
    return a->doc.nodes && a->doc.nodes[0].type == TG_JSON_OBJECT ? &a->doc.nodes[0] : NULL;
}

const struct tg_json_node *answer_get(const struct answer *a, const char *key)
{
    const struct tg_json_node *o = answer_object(a);
    return o ? tg_json_get(&a->doc, o, (struct tg_str){key, strlen(key)}) : NULL;
}

static struct tg_str trim(struct tg_str s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\r'))
        s.len--;
    return s;
}

struct tg_str answer_header(const struct answer *a, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = a->head; line && *line;) {
        const char *end = strchr(line, '\n');
        size_t whole = end ? (size_t)(end - line) : strlen(line);
        if (whole > len && line[len] == ':' && strncasecmp(line, name, len) == 0)
            return trim((struct tg_str){line + len + 1, whole - len - 1});
        line = end ? end + 1 : NULL;
    }
    return (struct tg_str){NULL, 0};
}

void answer_code(const struct answer *a, char *out, size_t cap)
{
    const struct tg_json_node *error = answer_get(a, "error");
    const struct tg_json_node *code = error && error->type == TG_JSON_OBJECT
                                          ? tg_json_get(&a->doc, error, TG_STR("code"))
                                          : answer_get(a, "code");
    int64_t len = code && code->type == TG_JSON_STRING ? tg_json_unescape(&a->doc, code, out, cap - 1) : 0;
    out[len > 0 ? len : 0] = '\0';
}

bool ask_url(char out[static ASK_URL_MAX], const char *base, const char *path)
{
    size_t len = strlen(base);
    while (len && base[len - 1] == '/')
        len--;
    int n = snprintf(out, ASK_URL_MAX, "%.*s%s", (int)TG_MIN(len, (size_t)ASK_URL_MAX), base, path);
    return n > 0 && n < ASK_URL_MAX;
}
