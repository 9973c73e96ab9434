/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the members of cooperative inference, strictly: a task that says nothing of it costs two lookups. */
#include "iicp_cip.h"

#define REPLICAS_MAX 10
#define UUID_CHARS 36

static enum tg_status refuse(struct tg_error *err, const char *field, const char *message)
{
    tg_error_set(err, field, "%s", message);
    return TG_CIP_INVALID;
}

/* A member that is there and not null. */
static const struct tg_json_node *member(const struct tg_json_doc *doc, const struct tg_json_node *object,
                                         struct tg_str key)
{
    const struct tg_json_node *n = object ? tg_json_get(doc, object, key) : NULL;
    return n && n->type != TG_JSON_NULL ? n : NULL;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* RFC 9562, version 4: 8-4-4-4-12 digits, the version and the variant in their places. */
static bool is_uuid4(const struct tg_json_doc *doc, const struct tg_json_node *n)
{
    if (n->type != TG_JSON_STRING || n->text.len != UUID_CHARS)
        return false;
    const char *p = tg_json_string(doc, n).ptr;
    for (uint32_t i = 0; i < UUID_CHARS; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? p[i] != '-' : !is_hex(p[i]))
            return false;
    }
    return p[14] == '4' && memchr("89abAB", p[19], 6) != NULL;
}

static enum tg_status read_session(const struct tg_json_doc *doc, const struct tg_json_node *trace, struct iicp_part *out,
                                   struct tg_error *err)
{
    const struct tg_json_node *n = member(doc, trace, TG_STR("cip_session_key"));
    if (!n)
        return TG_OK;
    if (n->type != TG_JSON_STRING || n->text.len + 2 > IICP_CIP_SESSION_BYTES_MAX)
        return refuse(err, "trace.cip_session_key", "must be a string of at most 126 bytes");
    out->session = tg_json_raw(doc, n);
    return TG_OK;
}

static enum tg_status read_worker(const struct tg_json_doc *doc, const struct tg_json_node *trace,
                                  const struct iicp_cip_config *policy, struct iicp_part *out, struct tg_error *err)
{
    const struct tg_json_node *parent = member(doc, trace, TG_STR("cip_parent_task_id"));
    if (!parent || !is_uuid4(doc, parent))
        return refuse(err, "trace.cip_parent_task_id", parent ? "must be a UUID, version 4" : "is required of a part");
    if (!iicp_cip_works(policy))
        return TG_FORBIDDEN;
    out->worker = true;
    return read_session(doc, trace, out, err);
}

static enum tg_status read_role(const struct tg_json_doc *doc, const struct tg_json_node *trace,
                                const struct iicp_cip_config *policy, struct iicp_part *out, struct tg_error *err)
{
    const struct tg_json_node *role = member(doc, trace, TG_STR("cip_role"));
    if (!role)
        return TG_OK;
    if (role->type == TG_JSON_STRING && tg_json_string_eq(doc, role, TG_STR("worker")))
        return read_worker(doc, trace, policy, out, err);
    if (role->type != TG_JSON_STRING || !tg_json_string_eq(doc, role, TG_STR("coordinator")))
        return refuse(err, "trace.cip_role", "must be worker or coordinator");
    return iicp_cip_coordinates(policy) ? TG_OK : TG_FORBIDDEN;
}

/* ---- tasks to be shared out ------------------------------------------------------------------------------ */

static bool whole_within(const struct tg_json_node *n, int64_t max, int64_t *value)
{
    if (n->type != TG_JSON_INT || n->i64 < 1 || n->i64 > max)
        return false;
    *value = n->i64;
    return true;
}

static enum tg_status read_quorum(const struct tg_json_doc *doc, const struct tg_json_node *cip, int64_t replicas,
                                  struct tg_error *err)
{
    const struct tg_json_node *n = member(doc, cip, TG_STR("quorum"));
    int64_t quorum;
    if (n && !whole_within(n, replicas, &quorum))
        return refuse(err, "constraints.cip.quorum", "must be a whole number of at most as many as the replicas");
    return TG_OK;
}

static enum tg_status read_shared(const struct tg_json_doc *doc, const struct tg_json_node *cip,
                                  const struct iicp_cip_config *policy, struct tg_error *err)
{
    if (cip->type != TG_JSON_OBJECT)
        return refuse(err, "constraints.cip", "must be an object");
    const struct tg_json_node *how = member(doc, cip, TG_STR("policy"));
    bool majority = how && how->type == TG_JSON_STRING && tg_json_string_eq(doc, how, TG_STR("majority_vote"));
    bool known = majority || (how && how->type == TG_JSON_STRING &&
                              (tg_json_string_eq(doc, how, TG_STR("best_of_n")) ||
                               tg_json_string_eq(doc, how, TG_STR("map_reduce"))));
    if (!known)
        return refuse(err, "constraints.cip.policy", "must be best_of_n, majority_vote or map_reduce");
    const struct tg_json_node *n = member(doc, cip, TG_STR("replicas"));
    int64_t replicas = TG_MIN(policy->max_replicas, (uint32_t)REPLICAS_MAX);
    if (n && !whole_within(n, REPLICAS_MAX, &replicas))
        return refuse(err, "constraints.cip.replicas", "must be a whole number within 1 and 10");
    if (n && majority && replicas % 2 == 0)
        return TG_CIP_EVEN;
    enum tg_status rc = read_quorum(doc, cip, replicas, err);
    if (rc != TG_OK)
        return rc;
    return iicp_cip_coordinates(policy) ? TG_CIP_NO_WORKERS : TG_FORBIDDEN; /* nobody is known here to share with */
}

enum tg_status iicp_cip_read(const struct tg_json_doc *doc, const struct tg_json_node *trace,
                             const struct tg_json_node *shared, const struct iicp_cip_config *policy,
                             struct iicp_part *out, struct tg_error *err)
{
    *out = (struct iicp_part){0};
    if (trace) {
        enum tg_status rc = read_role(doc, trace, policy, out, err);
        if (rc != TG_OK)
            return rc;
    }
    return shared ? read_shared(doc, shared, policy, err) : TG_OK;
}

/* ---- slots ----------------------------------------------------------------------------------------------- */

bool iicp_cip_claim(_Atomic uint32_t *active, uint32_t max)
{
    uint32_t n = atomic_load_explicit(active, memory_order_relaxed);
    while (n < max)
        if (atomic_compare_exchange_weak_explicit(active, &n, n + 1, memory_order_relaxed, memory_order_relaxed))
            return true; /* a bare count: nothing is published by it */
    return false;
}

void iicp_cip_release(_Atomic uint32_t *active)
{
    atomic_fetch_sub_explicit(active, 1, memory_order_relaxed);
}
