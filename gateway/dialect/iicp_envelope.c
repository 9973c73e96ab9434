/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a task envelope apart. */
#include "gateway/base/clock.h"
#include "iicp_envelope.h"

#define MEMBERS_MAX 64 /* of an envelope; more is somebody probing */

#define INTENT_BYTES_MAX 128 /* what is longer names none of ours */

#define TIMEOUT_MS_MIN 100
#define TIMEOUT_MS_MAX 300000

static __attribute__((noinline, cold)) bool invalid(struct iicp *ic, struct task *t, const char *field, const char *message)
{
    tg_error_set(&t->error, field, "%s", message);
    task_refuse(ic->tasks, t, TG_INVALID);
    return false;
}

static __attribute__((noinline, cold)) bool malformed(struct iicp *ic, struct task *t, uint32_t offset, const char *message)
{
    t->has_error_offset = true;
    t->error_offset = offset;
    tg_error_set(&t->error, "", "%s", message);
    task_refuse(ic->tasks, t, TG_BAD_JSON);
    return false;
}

/* ---- members ------------------------------------------------------------------------------------------ */

#define NAME_KEY(len, first) ((uint64_t)(len) << 8 | (unsigned char)(first))

/* One comparison at most, of a length the compiler knows; two rows alike would not compile. */
static inline enum iicp_field field_named(struct tg_str name)
{
    switch (NAME_KEY(name.len, name.ptr[0])) { /* an empty name is followed by its quote */
#define FIELD(ident, first, text)                                                                            \
    case NAME_KEY(sizeof(text) - 1, first):                                                                  \
        return memcmp(name.ptr, text, sizeof(text) - 1) == 0 ? IICP_##ident : IICP_FIELD_COUNT;
#include "iicp_fields.def"
#undef FIELD
    default:
        return IICP_FIELD_COUNT;
    }
}

/* Resolved first. None of our names is longer than the buffer. */
static __attribute__((noinline)) enum iicp_field field_escaped(const struct tg_json_doc *doc,
                                                               const struct tg_json_node *key)
{
    char text[32] = ""; /* the name may be empty */
    int64_t len = tg_json_unescape(doc, key, text, sizeof(text));
    return len < 0 ? IICP_FIELD_COUNT : field_named((struct tg_str){text, (size_t)len});
}

static inline enum iicp_field field_of(const struct tg_json_doc *doc, const struct tg_json_node *key)
{
    return TG_LIKELY(!key->text.aux) ? field_named(tg_json_string(doc, key)) : field_escaped(doc, key);
}

/* Unknown members are ignored, but not twice: two readers of one text must not see different things. */
static __attribute__((noinline)) bool seen_before(const struct tg_json_doc *doc, const struct tg_json_node *object,
                                                  const struct tg_json_node *key)
{
    char name[256];
    int64_t len = tg_json_unescape(doc, key, name, sizeof(name));
    if (len < 0)
        return false; /* too long to be anybody's member name */
    TG_JSON_FOREACH_MEMBER(other, object)
    {
        if (other == key)
            return false;
        if (tg_json_string_eq(doc, other, (struct tg_str){name, (size_t)len}))
            return true;
    }
    return false;
}

static bool collect(struct iicp *ic, struct task *t, struct iicp_envelope *e)
{
    const struct tg_json_node *root = ic->doc.nodes;
    uint32_t found = 0;
    if (root->type != TG_JSON_OBJECT)
        return invalid(ic, t, "", "the request body must be a JSON object");
    if (tg_json_count(root) > MEMBERS_MAX)
        return invalid(ic, t, "", "the request body has too many members");
    *e = (struct iicp_envelope){0};
    TG_JSON_FOREACH_MEMBER(key, root)
    {
        enum iicp_field f = field_of(&ic->doc, key);
        bool twice = f < IICP_FIELD_COUNT ? found >> f & 1 : seen_before(&ic->doc, root, key);
        if (twice)
            return malformed(ic, t, key->offset, "duplicate key in the task envelope");
        if (f == IICP_FIELD_COUNT)
            continue;
        found |= 1u << f;
        if ((key + 1)->type != TG_JSON_NULL)
            e->fields[f] = key + 1;
        else if (f == IICP_PAYLOAD)
            e->fields[f] = key + 1; /* "any JSON": null is a payload */
    }
    return true;
}

bool iicp_envelope_parse(struct iicp *ic, struct task *t, struct tg_str body, struct iicp_envelope *e)
{
    struct tg_json_error err;
    if (tg_json_parse(&ic->doc, body.ptr, body.len, &err) < 0)
        return malformed(ic, t, err.offset, err.message);
    return collect(ic, t, e);
}

/* ---- intent ------------------------------------------------------------------------------------------- */

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One letter, then letters, digits and @extra. Returns the length, 0 if it does not begin so. */
static size_t word(struct tg_str s, const char *extra)
{
    size_t n = 0;
    if (s.len == 0 || !is_lower(s.ptr[0]))
        return 0;
    while (n < s.len && (is_lower(s.ptr[n]) || is_digit(s.ptr[n]) || (s.ptr[n] && strchr(extra, s.ptr[n]))))
        n++;
    return n;
}

static bool skip(struct tg_str *s, size_t n)
{
    if (n == 0 || n > s->len)
        return false;
    s->ptr += n;
    s->len -= n;
    return true;
}

static bool skip_text(struct tg_str *s, struct tg_str text)
{
    return s->len >= text.len && memcmp(s->ptr, text.ptr, text.len) == 0 && skip(s, text.len);
}

bool iicp_urn_valid(struct tg_str s)
{
    if (!skip_text(&s, TG_STR("urn:iicp:intent:")))
        return false;
    bool vendor = skip_text(&s, TG_STR("x."));
    if (!skip(&s, word(s, vendor ? "-" : "_")) || !skip_text(&s, TG_STR(":")) || !skip(&s, word(s, "_-")) ||
        !skip_text(&s, TG_STR(":v")))
        return false;
    if (s.len == 0 || s.ptr[0] == '0')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_digit(s.ptr[i]))
            return false;
    return true;
}

/* Field 3 of the URN, counted from 0, is the domain. */
static bool is_tool(struct tg_str urn)
{
    return skip_text(&urn, TG_STR("urn:iicp:intent:")) && skip_text(&urn, TG_STR("tool:"));
}

/* A NUL in the URN ends nothing; behind the end of a stored intent there is nothing but NULs. */
static bool same_intent(const struct tg_instance *in, struct tg_str urn)
{
    return urn.len > 0 && urn.len < sizeof(in->intent) && in->intent[urn.len] == '\0' &&
           in->intent[urn.len - 1] != '\0' && memcmp(in->intent, urn.ptr, urn.len) == 0;
}

static bool find_instance(struct iicp *ic, struct task *t, struct tg_str urn)
{
    for (uint32_t i = 0; i < ic->node->instance_count; i++) {
        if (same_intent(ic->node->instances[i], urn)) {
            t->instance = ic->node->instances[i];
            t->intent_slot = (uint16_t)i;
            return true;
        }
    }
    return false;
}

static enum tg_status judge_intent(struct iicp *ic, struct task *t, struct tg_str urn)
{
    enum tg_status refusal = TG_OK;
    if (!find_instance(ic, t, urn)) /* what is served is as the operator wants it, and was judged at start */
        refusal = iicp_intent_refused(urn, ic->node->allow_high_risk) ? TG_POLICY
                  : iicp_urn_valid(urn)                               ? TG_UNKNOWN_INTENT
                                                                      : TG_BAD_URN;
    if ((refusal == TG_OK || refusal == TG_UNKNOWN_INTENT) && is_tool(urn) && !ic->settings->allow_tool_execution)
        refusal = TG_TOOL_DENIED;
    return refusal;
}

/* What has escapes in it, or is too long to name anything. Apart, so that the usual way needs no room for it. */
static __attribute__((noinline)) enum tg_status judge_odd_intent(struct iicp *ic, struct task *t,
                                                                 const struct tg_json_node *n)
{
    char text[INTENT_BYTES_MAX];
    int64_t len = tg_json_unescape(&ic->doc, n, text, sizeof(text));
    return judge_intent(ic, t, (struct tg_str){text, len < 0 ? 0 : (size_t)len});
}

static bool apply_intent(struct iicp *ic, struct task *t, const struct tg_json_node *n)
{
    if (!n || n->type != TG_JSON_STRING)
        return invalid(ic, t, "intent", n ? "must be a string" : "is required");
    bool plain = !n->text.aux && n->text.len <= INTENT_BYTES_MAX;
    enum tg_status refusal =
        TG_LIKELY(plain) ? judge_intent(ic, t, tg_json_string(&ic->doc, n)) : judge_odd_intent(ic, t, n);
    if (TG_LIKELY(refusal == TG_OK))
        return true;
    task_finish(ic->tasks, t, refusal);
    return false;
}

/* ---- constraints -------------------------------------------------------------------------------------- */

static const struct {
    struct tg_str name;
    enum tg_priority priority;
} classes[] = {
    {TG_STR_INIT("realtime"), TG_REALTIME},
    {TG_STR_INIT("interactive"), TG_INTERACTIVE},
    {TG_STR_INIT("batch"), TG_BATCH},
};

/* The members that concern us, the first of each name; NULL: absent. */
struct constraints {
    const struct tg_json_node *qos_class, *qos, *timeout_ms, *cip;
};

static inline bool named(const struct tg_json_doc *doc, const struct tg_json_node *n, struct tg_str s)
{
    return TG_LIKELY(!n->text.aux) ? tg_str_eq(tg_json_string(doc, n), s) : tg_json_string_eq(doc, n, s);
}

static void collect_constraints(const struct tg_json_doc *doc, const struct tg_json_node *object,
                                struct constraints *c)
{
    TG_JSON_FOREACH_MEMBER(key, object)
    {
        if (!c->qos_class && named(doc, key, TG_STR("qos_class")))
            c->qos_class = key + 1;
        else if (!c->qos && named(doc, key, TG_STR("qos")))
            c->qos = key + 1;
        else if (!c->timeout_ms && named(doc, key, TG_STR("timeout_ms")))
            c->timeout_ms = key + 1;
        else if (!c->cip && named(doc, key, TG_STR("cip")))
            c->cip = key + 1;
    }
}

static bool apply_qos(struct iicp *ic, struct task *t, const struct constraints *c)
{
    bool newer = c->qos_class && c->qos_class->type != TG_JSON_NULL;
    const struct tg_json_node *n = newer ? c->qos_class : c->qos;
    if (!n || n->type == TG_JSON_NULL)
        return true;
    if (n->type != TG_JSON_STRING)
        return invalid(ic, t, newer ? "constraints.qos_class" : "constraints.qos", "must be a string");
    for (size_t i = 0; i < TG_ARRAY_SIZE(classes); i++)
        if (named(&ic->doc, n, classes[i].name))
            t->priority = classes[i].priority;
    struct tg_str spelling = tg_json_string(&ic->doc, n);
    if (spelling.len <= sizeof(t->qos)) {
        memcpy(t->qos, spelling.ptr, spelling.len);
        t->qos_len = (uint16_t)spelling.len;
    }
    return true;
}

static bool apply_timeout(struct iicp *ic, struct task *t, const struct tg_json_node *n)
{
    uint64_t ms = ic->settings->timeout_ms;
    if (n && n->type != TG_JSON_NULL) {
        if (!tg_json_is_number(n))
            return invalid(ic, t, "constraints.timeout_ms", "must be a number");
        double value = tg_json_number(n);
        if (!(value >= TIMEOUT_MS_MIN && value <= TIMEOUT_MS_MAX))
            return invalid(ic, t, "constraints.timeout_ms", "must lie within 100 and 300000");
        ms = TG_MIN((uint64_t)value, ic->settings->timeout_max_ms);
    }
    t->deadline_ns = t->arrival_ns + ms * NS_PER_MS;
    return true;
}

static bool apply_constraints(struct iicp *ic, struct task *t, struct iicp_envelope *e)
{
    const struct tg_json_node *n = e->fields[IICP_CONSTRAINTS];
    struct constraints c = {0};
    if (n && n->type != TG_JSON_OBJECT)
        return invalid(ic, t, "constraints", "must be an object");
    if (n)
        collect_constraints(&ic->doc, n, &c);
    e->cip = c.cip && c.cip->type != TG_JSON_NULL ? c.cip : NULL;
    return apply_qos(ic, t, &c) && apply_timeout(ic, t, c.timeout_ms);
}

/* ---- the rest ----------------------------------------------------------------------------------------- */

static bool apply_id(struct iicp *ic, struct task *t, const struct tg_json_node *n)
{
    if (!n || n->type != TG_JSON_STRING)
        return invalid(ic, t, "task_id", n ? "must be a string" : "is required");
    struct tg_str id = tg_json_string(&ic->doc, n);
    if (id.len > sizeof(t->id))
        return invalid(ic, t, "task_id", "is longer than 256 bytes");
    memcpy(t->id, id.ptr, id.len);
    t->id_len = (uint16_t)id.len;
    t->has_id = true;
    return true;
}

/* A sealed answer needs the secret that only a sealed payload brings along. */
static bool apply_confidential(struct iicp *ic, struct task *t, const struct iicp_envelope *e)
{
    const struct tg_json_node *n = e->fields[IICP_CX_RESPONSE];
    if (TG_LIKELY(!n) || e->fields[IICP_CONF] || n->type != TG_JSON_STRING ||
        !tg_json_string_eq(&ic->doc, n, TG_STR("required")))
        return true;
    task_finish(ic->tasks, t, TG_CX_PLAIN);
    return false;
}

bool iicp_envelope_apply(struct iicp *ic, struct task *t, struct iicp_envelope *e)
{
    if (!apply_id(ic, t, e->fields[IICP_TASK_ID]) || !apply_intent(ic, t, e->fields[IICP_INTENT]) ||
        !apply_constraints(ic, t, e) || !apply_confidential(ic, t, e))
        return false;
    const struct tg_json_node *nonce = e->fields[IICP_NONCE];
    if (nonce && (nonce->type != TG_JSON_STRING || nonce->text.len > IICP_NAME_BYTES_MAX))
        return invalid(ic, t, "nonce", "must be a string of at most 256 bytes");
    if (!e->fields[IICP_PAYLOAD] && !e->fields[IICP_CONF])
        return invalid(ic, t, "payload", "is required");
    return true;
}
