/* SPDX-License-Identifier: Apache-2.0 */
/* What the directory says of this node, and whether others can reach it. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "doctor.h"
#include "finder.h"
#include "gateway/control/outbound.h"
#include "gateway/control/store.h"

#define SKEW_MAX_S 5 /* tokens are valid for minutes, and ten seconds of grace are all that some give */

static void no_directory(struct doctor_finding *f)
{
    doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "no directory is configured");
}

static void check_directory(struct doctor *d, struct doctor_finding *f)
{
    if (!d->config->directory_url[0])
        no_directory(f);
    else if (d->directory.error)
        doctor_say(f, DOCTOR_FAIL, DOCTOR_DIRECTORY_ABSENT, "check directory.url, and this host's way out",
                   "%s is not reached: %s", d->config->directory_url, d->directory.why);
    else if (d->directory.status != 200 || !answer_get(&d->directory, "nodes"))
        doctor_say(f, DOCTOR_FAIL, DOCTOR_DIRECTORY_ABSENT, "check directory.url: is that a directory?",
                   "%s answered %u, and no list of nodes", d->config->directory_url, d->directory.status);
    else
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "%s answers in %.0f ms", d->config->directory_url,
                   (double)d->directory.elapsed_ns / 1e6);
}

static void check_clock(struct doctor *d, struct doctor_finding *f)
{
    char text[64];
    struct tm tm = {0};
    struct tg_str date = answer_header(&d->directory, "Date");
    snprintf(text, sizeof(text), "%.*s", (int)TG_MIN(date.len, (size_t)60), date.len ? date.ptr : "");
    if (!d->config->directory_url[0]) {
        no_directory(f);
        return;
    }
    if (!strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm)) {
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "the directory tells no time");
        return;
    }
    long long skew = (long long)(snapshot_now_ms() / 1000 - (int64_t)timegm(&tm));
    if (llabs(skew) > SKEW_MAX_S)
        doctor_say(f, DOCTOR_FAIL, DOCTOR_LOCAL_UNHEALTHY,
                   "synchronise this host's clock (timedatectl set-ntp true)",
                   "this host's clock is %lld s %s of the directory's: tokens and receipts will be refused",
                   llabs(skew), skew > 0 ? "ahead" : "behind");
    else
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "within %d s of the directory's", SKEW_MAX_S);
}

/* ---- registered?
 * ------------------------------------------------------------------------------------------- */

static void find_id(struct doctor *d)
{
    char folder[STORE_PATH_MAX], path[STORE_PATH_MAX + 128], bytes[8192];
    struct tg_json_node nodes[TG_JSON_NODES_MAX(128)];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    struct tg_json_error err;
    if (!store_dir(d->config->node_state_dir, folder))
        return;
    snprintf(path, sizeof(path), "%s/nodes/%s.json", folder, d->config->node_name);
    int64_t len = store_read(path, true, bytes, sizeof(bytes));
    if (len > 0 && tg_json_parse(&doc, bytes, (size_t)len, &err) == 0) {
        const struct tg_json_node *id = tg_json_get(&doc, nodes, TG_STR("node_id"));
        if (id && id->type == TG_JSON_STRING && id->text.len < sizeof(d->node_id))
            snprintf(d->node_id, sizeof(d->node_id), "%.*s", (int)id->text.len, tg_json_string(&doc, id).ptr);
    }
    explicit_bzero(bytes, sizeof(bytes));
}

static const struct iicp_found *find_self(const struct doctor *d, struct iicp_found *list)
{
    int n = d->directory.doc.nodes ? iicp_read_discovered(&d->directory.doc, list, FINDER_NODES_MAX) : 0;
    for (int i = 0; i < n; i++)
        if (strcmp(list[i].node_id, d->node_id) == 0)
            return &list[i];
    return NULL;
}

/* Beyond the first fifty of its intent only the registry tells. */
static bool in_registry(struct doctor *d)
{
    struct tg_str id = {d->node_id, strlen(d->node_id)},
                  base = {d->config->directory_url, strlen(d->config->directory_url)};
    char path[512] = "/v1/registry/nodes/", url[ASK_URL_MAX];
    size_t len = strlen(path);
    struct answer a = {0};
    if (id.len == 0 || !iicp_percent_append(path, sizeof(path), &len, iicp_registry_prefix(id)) ||
        !iicp_directory_url(base, path, url, sizeof(url)))
        return false;
    ask(d->client,
        &(struct client_request){.method = "GET",
                                 .url = url,
                                 .timeout_ms = d->config->directory_timeout_ms,
                                 .body_bytes_max = 1u << 16,
                                 .reach = CLIENT_ANY},
        &a);
    bool there = a.error == 0 && a.status == 200;
    answer_finish(&a);
    return there;
}

static void check_registered(struct doctor *d, struct doctor_finding *f)
{
    static struct iicp_found list[FINDER_NODES_MAX]; /* large */
    if (!d->config->directory_url[0]) {
        no_directory(f);
        return;
    }
    find_id(d);
    const struct iicp_found *self = find_self(d, list);
    const char *wanted = d->config->directory_public_endpoint;
    if (!self && !in_registry(d))
        doctor_say(f, doctor_node_runs(d) ? DOCTOR_FAIL : DOCTOR_WARN, DOCTOR_DIRECTORY_ABSENT,
                   "the log of taskgate serve says why registering fails", "the directory does not list %s",
                   d->node_id[0] ? d->node_id : "this node");
    else if (self && wanted[0] && strcmp(self->endpoint, wanted) != 0)
        doctor_say(f, DOCTOR_FAIL, DOCTOR_ROUTE_MISMATCH, "restart the node, so that it registers anew",
                   "listed with %s, directory.public_endpoint is %s", self->endpoint, wanted);
    else
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "listed as %s", d->node_id);
}

static void check_reach(struct doctor *d, struct doctor_finding *f)
{
    const char *endpoint = d->config->directory_public_endpoint;
    struct outbound_url u;
    if (!d->config->directory_url[0]) {
        no_directory(f);
        return;
    }
    if (!endpoint[0] && !d->config->directory_allow_private)
        doctor_say(f, DOCTOR_FAIL, DOCTOR_LIMITED_REACH,
                   "set it to the address under which others reach this node",
                   "directory.public_endpoint is not set: the node cannot be registered");
    else if (endpoint[0] && outbound_url_parse((struct tg_str){endpoint, strlen(endpoint)}, &u))
        doctor_say(f, DOCTOR_FAIL, DOCTOR_LIMITED_REACH, "write it like https://node.example.net:9484",
                   "directory.public_endpoint is no http or https address");
    else if (!endpoint[0] || outbound_host_private(u.host))
        doctor_say(f, DOCTOR_WARN, DOCTOR_LIMITED_REACH, "fine for a lab; else set directory.public_endpoint",
                   "%s is not public: only this host or network reaches it",
                   endpoint[0] ? endpoint : "the listener's address");
    else
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "%s", endpoint);
}

const struct doctor_check doctor_network_checks[] = {
    {"directory", check_directory},
    {"clock", check_clock},
    {"registered", check_registered},
    {"reach", check_reach},
};
const uint32_t doctor_network_count = TG_ARRAY_SIZE(doctor_network_checks);
