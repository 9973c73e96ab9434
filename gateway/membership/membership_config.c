/* SPDX-License-Identifier: Apache-2.0 */
/* Membership as configured: what is valid, the key for confidential tasks, and what is told to a directory. */
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <time.h>
#include "gateway/base/log.h"
#include "gateway/control/auth_file.h"
#include "gateway/control/cx_key.h"
#include "gateway/control/node_id.h"
#include "gateway/control/outbound.h"
#include "gateway/control/store.h"
#include "gateway/net/net.h"
#include "gateway/gateway.h"
#include "membership_parts.h"

static struct tg_str text(const char *s)
{
    return (struct tg_str){s, strlen(s)};
}

/* ---- what is valid ------------------------------------------------------------------------------------------- */

int membership_read_windows(const struct config *c, struct iicp_windows *windows, struct zone **zone)
{
    size_t offset = 0;
    const char *why = iicp_windows_parse(text(c->availability_windows), windows, &offset);
    if (why) {
        log_error("availability.windows: %s (at character %zu)", why, offset + 1);
        return -EINVAL;
    }
    *zone = zone_load(c->availability_timezone, &why);
    if (*zone)
        return 0;
    log_error("availability.timezone: %s", why);
    return -EINVAL;
}

static int check_windows(const struct config *c)
{
    struct iicp_windows windows;
    struct zone *zone;
    int rc = membership_read_windows(c, &windows, &zone);
    if (rc == 0)
        zone_destroy(zone);
    return rc;
}

static int read_multiplier(const struct config *c, double *out)
{
    char *end;
    double v = strtod(c->pricing_multiplier, &end);
    if (*end == '\0' && v >= 0 && v <= 1000) { /* also refuses NaN */
        *out = v;
        return 0;
    }
    log_error("pricing.multiplier: must be a decimal number within 0 and 1000");
    return -EINVAL;
}

/* Served intents are judged once, here: the way of a task need not look at them again. */
static int check_risks(const struct gateway *g)
{
    for (uint32_t i = 0; i < g->instance_count; i++) {
        const struct tg_instance *in = g->instances[i];
        const char *fragment = "";
        enum iicp_risk risk = iicp_intent_risk(text(in->intent), &fragment);
        if (risk == IICP_RISK_PROHIBITED) {
            log_error("runner.%s: intent %s is prohibited (\"%s\")", in->name, in->intent, fragment);
            return -EINVAL;
        }
        if (risk == IICP_RISK_HIGH && !g->config.iicp_allow_high_risk) {
            log_error("runner.%s: intent %s is of high risk (\"%s\"); iicp.allow_high_risk would serve it", in->name,
                      in->intent, fragment);
            return -EINVAL;
        }
    }
    return 0;
}

static int check_url(const char *key, const char *url)
{
    struct outbound_url parts;
    const char *why = url[0] ? outbound_url_parse(text(url), &parts) : NULL;
    if (!why)
        return 0;
    log_error("%s: %s", key, why);
    return -EINVAL;
}

/* What the operator wrote is told as it stands, if it is an object at all; the directory knows what belongs into it. */
static int read_object(const char *key, const char *path, char out[static MEMBERSHIP_OBJECT_BYTES])
{
    struct tg_json_node nodes[TG_JSON_NODES_MAX(MEMBERSHIP_OBJECT_BYTES)];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    struct tg_json_error err;
    out[0] = '\0';
    int64_t len = path[0] ? store_read(path, false, out, MEMBERSHIP_OBJECT_BYTES - 1) : 0;
    if (len < 0) {
        log_error("%s: %s cannot be read: %s", key, path, strerror((int)-len));
        return -EINVAL;
    }
    out[len] = '\0';
    if (!path[0] || (tg_json_parse(&doc, out, (size_t)len, &err) == 0 && nodes[0].type == TG_JSON_OBJECT))
        return 0;
    log_error("%s: %s holds no JSON object", key, path);
    return -EINVAL;
}

static int read_objects(const struct config *c, char delegation[static MEMBERSHIP_OBJECT_BYTES],
                        char manifest[static MEMBERSHIP_OBJECT_BYTES])
{
    int rc = read_object("directory.operator_delegation", c->directory_operator_delegation, delegation);
    return read_object("directory.policy_manifest", c->directory_policy_manifest, manifest) < 0 ? -EINVAL : rc;
}

static const char modalities[] = "text,image,audio,video";

/* The next item of a comma list, without the blanks around it; false at the list's end. */
static bool next_item(const char **list, struct tg_str *item)
{
    const char *at = *list + strspn(*list, " ,");
    size_t len = strcspn(at, ",");
    *list = at + len;
    while (len > 0 && at[len - 1] == ' ')
        len--;
    *item = (struct tg_str){at, len};
    return len > 0;
}

static bool among(const char *list, struct tg_str word)
{
    struct tg_str one;
    while (next_item(&list, &one))
        if (tg_str_eq(one, word))
            return true;
    return false;
}

/* @words: the only ones there are; NULL: any. */
static int read_texts(const char *key, const char *list, const char *words, struct membership_texts *out)
{
    struct tg_str item;
    for (out->count = 0; next_item(&list, &item); out->items[out->count++] = item) {
        if (out->count == MEMBERSHIP_TEXTS_MAX || item.len > 255) {
            log_error("%s: at most %d items of 255 bytes", key, MEMBERSHIP_TEXTS_MAX);
            return -EINVAL;
        }
        if (words && !among(words, item)) {
            log_error("%s: \"%.*s\" is none of %s", key, (int)item.len, item.ptr, words);
            return -EINVAL;
        }
    }
    return 0;
}

static int read_lists(const struct config *c, struct membership_lists *out)
{
    const struct {
        const char *key, *list, *words;
        struct membership_texts *to;
    } all[] = {
        {"node.input_modalities", c->node_input_modalities, modalities, &out->inputs},
        {"node.output_modalities", c->node_output_modalities, modalities, &out->outputs},
        {"node.supported_profiles", c->node_supported_profiles, NULL, &out->profiles},
        {"directory.supported_receipt_profiles", c->directory_receipt_profiles, NULL, &out->receipts},
    };
    int rc = 0;
    for (size_t i = 0; i < TG_ARRAY_SIZE(all); i++)
        rc = read_texts(all[i].key, all[i].list, all[i].words, all[i].to) < 0 ? -EINVAL : rc;
    return rc;
}

int membership_check(const struct gateway *g)
{
    struct membership_lists lists;
    char delegation[MEMBERSHIP_OBJECT_BYTES], manifest[MEMBERSHIP_OBJECT_BYTES];
    const struct config *c = &g->config;
    double multiplier;
    int rc = check_risks(g);
    rc = check_windows(c) < 0 ? -EINVAL : rc;
    rc = read_multiplier(c, &multiplier) < 0 ? -EINVAL : rc;
    rc = read_objects(c, delegation, manifest) < 0 ? -EINVAL : rc;
    rc = read_lists(c, &lists) < 0 ? -EINVAL : rc;
    rc = check_url("directory.url", c->directory_url) < 0 ? -EINVAL : rc;
    rc = check_url("directory.public_endpoint", c->directory_public_endpoint) < 0 ? -EINVAL : rc;
    rc = check_url("backend.url", c->backend_url) < 0 ? -EINVAL : rc;
    return check_url("trace.endpoint", c->trace_endpoint) < 0 ? -EINVAL : rc;
}

/* ---- the key for confidential tasks ---------------------------------------------------------------------------- */

static bool cx_wanted(const struct config *c)
{
    return c->cx_mode == CONFIG_CX_ON || (c->cx_mode == CONFIG_CX_AUTO && (c->directory_url[0] || c->cx_key_dir[0]));
}

/* Without one where one is needed, clients that insist on it go elsewhere: said, but no reason not to serve. One that
 * others can read is: it would be used on in the belief that it is a secret. */
static int cx_open(struct gateway *g)
{
    struct membership *m = &g->membership;
    const char *why = "";
    struct tg_json_writer w;
    int rc = cx_key_load(m->crypto, g->config.cx_key_dir, m->state_dir, g->node.id, &m->cx, &why);
    if (rc < 0) {
        bool must = g->config.cx_mode == CONFIG_CX_ON || rc == -EKEYREJECTED;
        m->cx = (struct iicp_keys){0};
        log_write(must ? TG_LOG_ERROR : TG_LOG_WARN, "no confidential tasks: %s", why);
        return must ? rc : 0;
    }
    tg_json_writer_init(&w, m->cx_text, sizeof(m->cx_text) - 1);
    iicp_cx_public_write(&m->cx, &w);
    TG_ASSERT(!w.overflow);
    m->cx_text[w.len] = '\0';
    return 0;
}

/* ---- what is told ------------------------------------------------------------------------------------------------- */

static bool leads_here(const char *name)
{
    bool address = name[0] == '[' || (name[0] >= '0' && name[0] <= '9');
    const char *port = strrchr(name, ':');
    bool known = port && strcmp(port, ":0") != 0;
    return address && known && strncmp(name, "0.0.0.0:", 8) != 0 && strncmp(name, "[::]:", 5) != 0;
}

static void propose(struct gateway *g, const char *name, bool tls)
{
    if (!g->membership.endpoint[0] && leads_here(name))
        snprintf(g->membership.endpoint, IICP_ENDPOINT_MAX + 1, "%s://%s", tls ? "https" : "http", name);
}

/* Ports may be of the kernel's choice: listeners know. Who only registers has none, and goes by what is configured. */
static void propose_listeners(struct gateway *g)
{
    const struct config *c = &g->config;
    const struct worker *w = g->workers;
    char name[128] = "";
    for (uint32_t i = 0; w && i < w->listener_count; i++) {
        listen_name(w->listeners[i], name, sizeof(name));
        propose(g, name, w->listener_tls[i]);
    }
    for (uint32_t i = 0; !w && i < c->server_listen.count; i++)
        propose(g, c->server_listen.address[i], false);
    for (uint32_t i = 0; !w && i < c->server_tls_listen.count; i++)
        propose(g, c->server_tls_listen.address[i], true);
}

/* In a lab the first address that is listened on will do; else nobody but the operator knows it. */
static void choose_endpoint(struct gateway *g)
{
    const struct config *c = &g->config;
    snprintf(g->membership.endpoint, IICP_ENDPOINT_MAX + 1, "%s", c->directory_public_endpoint);
    if (c->directory_url[0] && c->directory_allow_private)
        propose_listeners(g);
}

static int describe_capabilities(struct gateway *g)
{
    struct membership *m = &g->membership;
    uint32_t n = g->instance_count;
    m->capabilities = calloc(n + 1, sizeof(*m->capabilities));
    m->models = calloc(2 * n + 2, sizeof(*m->models));
    m->from_backend = calloc(n + 1, sizeof(*m->from_backend));
    m->intents = calloc(n + 1, sizeof(*m->intents));
    if (!m->capabilities || !m->models || !m->from_backend || !m->intents)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t count = 0;
        if (g->node.model[0] && strcmp(g->node.model, g->instances[i]->name) != 0) /* directories want them distinct */
            m->models[2 * i + count++] = text(g->node.model);
        m->models[2 * i + count++] = text(g->instances[i]->name);
        m->intents[i] = g->instances[i]->intent;
        m->from_backend[i] = g->config.backend_url[0] != '\0';
        m->capabilities[i] = (struct iicp_capability){
            .intent = text(g->instances[i]->intent),
            .models = {&m->models[2 * i], count},
            .max_tokens = g->config.node_max_tokens,
            .input_modalities = {m->lists.inputs.items, m->lists.inputs.count},
            .output_modalities = {m->lists.outputs.items, m->lists.outputs.count},
            .supported_profiles = {m->lists.profiles.items, m->lists.profiles.count},
            .quantization = text(g->config.node_quantization),
            .inference_engine = text(g->config.node_inference_engine),
        };
    }
    return 0;
}

static struct iicp_cip_config cip_of(const struct config *c)
{
    return iicp_cip_bounded((struct iicp_cip_config){
        .enabled = c->cip_enabled,
        .allow_coordinator = c->cip_allow_coordinator,
        .allow_worker = c->cip_allow_worker,
        .allow_tool_execution = c->iicp_allow_tool_execution,
        .max_replicas = c->cip_max_replicas,
        .max_worker_timeout_ms = c->cip_max_worker_timeout_ms,
        .max_concurrent_remote = c->cip_max_concurrent_remote,
    });
}

/* The names that directories know; theirs for any server that speaks OpenAI's protocol is "custom". */
static const char *backend_word(const struct config *c)
{
    static const char *const words[] = {"custom", "custom", "ollama", "lmstudio", "vllm", "llamacpp", "meshllm", "anthropic"};
    return c->backend_url[0] ? words[c->backend_type] : "";
}

static enum backend_kind backend_kind(const struct config *c)
{
    return c->backend_type == CONFIG_BACKEND_OLLAMA     ? BACKEND_OLLAMA
           : c->backend_type == CONFIG_BACKEND_LMSTUDIO ? BACKEND_LMSTUDIO
                                                        : BACKEND_OTHER;
}

static struct iicp_registration registration_of(struct gateway *g)
{
    const struct config *c = &g->config;
    struct membership *m = &g->membership;
    return (struct iicp_registration){
        .endpoint = text(m->endpoint),
        .region = text(g->node.region),
        .capabilities = m->capabilities,
        .capability_count = g->instance_count,
        .tokens_per_min = c->node_tokens_per_min,
        .backend = text(backend_word(c)),
        .cx_public_key = text(m->cx_text),
        .sdk_language = TG_STR("c"),
        .sdk_version = TG_STR(TASKGATE_VERSION),
        .implementation_name = TG_STR("taskgate"),
        .implementation_version = TG_STR(TASKGATE_VERSION),
        .policy_manifest = text(m->manifest),
        .operator_delegation = text(m->delegation),
        .node_hmac_key = text(m->hmac_key),
        .public_key = text(c->directory_public_key),
        .supported_receipt_profiles = {m->lists.receipts.items, m->lists.receipts.count},
        .operator_display_name = text(c->directory_operator_name),
        .cip = g->node.cip,
    };
}

void membership_describe(struct gateway *g, struct directory_options *o)
{
    const struct config *c = &g->config;
    struct membership *m = &g->membership;
    const char *supervised = getenv("IICP_SUPERVISED");
    choose_endpoint(g);
    *o = (struct directory_options){
        .url = c->directory_url,
        .node_name = c->node_name,
        .node_id = g->node.id,
        .state_dir = m->state_dir[0] ? m->state_dir : NULL,
        .timeout_ms = c->directory_timeout_ms,
        .heartbeat_ms = c->directory_heartbeat_ms,
        .check_registry = c->directory_check_registry,
        .allow_private = c->directory_allow_private,
        .supervised = supervised && strcmp(supervised, "1") == 0,
        .registration = registration_of(g),
        .from_backend = m->from_backend,
        .pricing = {.declared = c->pricing_enabled, .multiplier = m->multiplier,
                    .model = (enum iicp_pricing_model)c->pricing_model,
                    .effective_from = text(c->pricing_effective_from),
                    .effective_until = text(c->pricing_effective_until)},
        .sign_pricing = c->pricing_sign,
        .receipts = c->receipts_enabled,
        .receipts_max = c->receipts_entries,
        .backend = {c->backend_url, backend_kind(c), c->node_model, c->backend_probe_ms},
        .backend_has_tags = c->backend_type == CONFIG_BACKEND_OLLAMA || c->backend_type == CONFIG_BACKEND_CUSTOM,
        .cx = m->cx.has_cx ? &m->cx : NULL,
    };
    iicp_windows_to_utc(&m->windows, zone_offset_s(m->zone, time(NULL)), &o->registration.availability);
}

int membership_open(struct gateway *g)
{
    const struct config *c = &g->config;
    struct membership *m = &g->membership;
    if (!store_dir(c->node_state_dir, m->state_dir))
        m->state_dir[0] = '\0';
    read_lists(c, &m->lists);
    m->crypto = crypto_create();
    if (!m->crypto || describe_capabilities(g) < 0)
        return -ENOMEM;
    g->node.cip = cip_of(c);
    g->node.allow_high_risk = c->iicp_allow_high_risk;
    g->node.report = (c->directory_url[0] && c->receipts_enabled ? IICP_WANT_RECEIPT : 0u) |
                     (c->trace_endpoint[0] ? IICP_WANT_SPAN : 0u);
    read_multiplier(c, &m->multiplier);
    int rc = read_objects(c, m->delegation, m->manifest);
    return rc < 0 ? rc : membership_read_windows(c, &m->windows, &m->zone);
}

/* Who cannot keep credentials is told so where they are saved. */
static int lock_name(struct gateway *g)
{
    struct membership *m = &g->membership;
    int fd = auth_file_lock(m->state_dir, g->config.node_name);
    if (fd == -EBUSY) {
        log_error("another process is the node \"%s\": give this one a node.name of its own", g->config.node_name);
        return fd;
    }
    m->locked = fd >= 0;
    m->lock_fd = fd;
    return 0;
}

/* Under the host's name alone it would be taken for another host's node somewhere. */
static void choose_id(struct gateway *g)
{
    char id[NODE_ID_BYTES_MAX + 1];
    int rc = node_id_load(g->membership.state_dir, g->config.node_name, g->node.id, id);
    if (rc == 0)
        memcpy(g->node.id, id, sizeof(id));
    else
        log_warn("no id of its own can be kept for this node (%s): it is \"%s\" as any host of that name; set node.id",
                 strerror(-rc), g->node.id);
}

/* A secret: read by the user that serves. The text is the key, not what it may spell. */
static int read_hmac_key(struct gateway *g)
{
    const char *path = g->config.directory_hmac_key_file;
    char *key = g->membership.hmac_key;
    if (!path[0])
        return 0;
    int64_t len = store_read(path, true, key, IICP_HMAC_KEY_MAX);
    if (len < 0) {
        bool exposed = store_exposed(path);
        log_error("directory.hmac_key_file: %s %s", path, exposed ? "is open to others than its owner; chmod 0600 it"
                                                                   : strerror((int)-len));
        return exposed ? -EKEYREJECTED : (int)len;
    }
    while (len > 0 && (key[len - 1] == '\n' || key[len - 1] == '\r'))
        len--;
    key[len] = '\0';
    for (const char *p = key; *p; p++)
        if (*p <= ' ' || *p > '~')
            len = 0;
    if (len > 0)
        return 0;
    log_error("directory.hmac_key_file: %s holds no line of 1 to %d visible characters", path, IICP_HMAC_KEY_MAX);
    return -EINVAL;
}

/* As who this node is a member. */
static int open_identity(struct gateway *g)
{
    int rc = lock_name(g);
    if (rc == 0)
        rc = read_hmac_key(g);
    if (rc == 0)
        rc = auth_file_check(g->membership.state_dir, g->config.node_name);
    if (rc == 0 && !g->config.node_id[0])
        choose_id(g);
    return rc;
}

int membership_secure(struct gateway *g)
{
    int rc = g->config.directory_url[0] ? open_identity(g) : 0;
    return rc == 0 && cx_wanted(&g->config) ? cx_open(g) : rc;
}
