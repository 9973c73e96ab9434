/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to its handler. */
#include <stdio.h>
#include <string.h>

#include "handlers.h"
#include "text.h"

struct route {
    struct tg_str method, path;
    bool body;
    void (*handler)(struct exchange *x);
};

static const struct route routes[] = {
#define ROUTE(method, path, body, handler) {TG_STR_INIT(#method), TG_STR_INIT(path), body, handler},
#include "routes.def"
#undef ROUTE
};

static bool path_fits(const struct route *r, struct tg_str path, struct tg_str *rest)
{
    size_t stem = r->path.len - 1;
    *rest = TG_STR("");
    if (r->path.ptr[stem] != '*')
        return tg_str_eq(r->path, path);
    if (path.len <= stem || memcmp(path.ptr, r->path.ptr, stem) != 0)
        return false;
    *rest = (struct tg_str){path.ptr + stem, path.len - stem};
    return true;
}

static bool method_fits(const struct route *r, struct tg_str method)
{
    bool head = tg_str_eq(method, TG_STR("HEAD")) && tg_str_eq(r->method, TG_STR("GET"));
    return head || tg_str_eq(r->method, method);
}

/* The methods of a path that is known, for Allow. */
static const char *allowed(struct tg_str path)
{
    static const char *const texts[] = {
        NULL, "GET, HEAD, OPTIONS", "POST, OPTIONS", NULL, "DELETE, OPTIONS", NULL, "POST, DELETE, OPTIONS"};
    struct tg_str rest;
    uint32_t found = 0;
    for (size_t i = 0; i < TG_ARRAY_SIZE(routes); i++)
        if (path_fits(&routes[i], path, &rest))
            found |= routes[i].method.ptr[0] == 'G' ? 1 : routes[i].method.ptr[0] == 'P' ? 2 : 4;
    return texts[found];
}

/* No body is an empty object: its fields are then missing by name. */
static bool parse_body(struct exchange *x)
{
    struct tg_json_error why;
    char message[128];
    if (x->body.len == 0)
        x->body = TG_STR("{}");
    if (tg_json_parse(&x->doc, x->body.ptr, x->body.len, &why) == 0)
        return true;
    snprintf(message, sizeof(message), "malformed JSON at byte %u: %s", why.offset, why.message);
    x->doc.count = 0;
    exchange_error(x, 400, "validation_error", message);
    return false;
}

static bool body_is_object(struct exchange *x)
{
    bool list = tg_str_eq(x->path, TG_STR("/devnet/faults")) && exchange_root(x)->type == TG_JSON_ARRAY;
    if (list || exchange_root(x)->type == TG_JSON_OBJECT)
        return true;
    exchange_error(x, 400, "validation_error", "the body must be a JSON object");
    return false;
}

static void refuse(struct exchange *x)
{
    x->allow = allowed(x->path);
    if (tg_str_eq(x->method, TG_STR("OPTIONS")))
        x->status = 204; /* whatever the path */
    else if (!x->allow)
        exchange_error(x, 404, "not_found", "there is no such path");
    else
        exchange_error(x, 405, "method_not_allowed", "the path does not take this method");
}

void devnet_route(struct exchange *x)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(routes); i++) {
        const struct route *r = &routes[i];
        if (!path_fits(r, x->path, &x->rest) || !method_fits(r, x->method))
            continue;
        if (!r->body || (parse_body(x) && body_is_object(x)))
            r->handler(x);
        return;
    }
    refuse(x);
}

bool devnet_route_is_control(struct tg_str path)
{
    return path.len <= 1 || (path.len >= 7 && memcmp(path.ptr, "/devnet", 7) == 0);
}
