/* SPDX-License-Identifier: Apache-2.0 */
/* GET /devnet, GET /, and the switches behind /devnet/faults: for people and tests, not for nodes. */
#include <stdio.h>
#include <string.h>

#include "gateway/base/hex.h"
#include "handlers.h"
#include "text.h"

/* ---- what it knows --------------------------------------------------------------------------------------
 */

static void write_state(struct exchange *x, const struct devnet_node *n)
{
    exchange_flag(x, "stale", devnet_node_stale(x->d, n));
    exchange_flag(x, "listed", devnet_node_listed(x->d, n));
    exchange_flag(x, "available", n->available);
    exchange_flag(x, "draining", n->draining);
    exchange_number(x, "load", n->load);
    exchange_number(x, "active_jobs", n->active_jobs);
    exchange_number(x, "credit_cost_multiplier", n->multiplier);
    exchange_flag(x, "pricing_signed", n->pricing_signed);
    exchange_flag(x, "operator_verified", n->operator_verified);
}

static void write_counts(struct exchange *x, const struct devnet_node *n)
{
    exchange_number(x, "registrations", (double)n->registrations);
    exchange_number(x, "heartbeats", (double)n->heartbeats);
    exchange_number(x, "tasks_success", (double)n->tasks_success);
    exchange_number(x, "tasks_failed", (double)n->tasks_failed);
    exchange_number(x, "batches_accepted", (double)n->batches_accepted);
    exchange_number(x, "batches_repeated", (double)n->batches_repeated);
    exchange_number(x, "challenges_passed", (double)n->challenges_passed);
    exchange_number(x, "challenges_failed", (double)n->challenges_failed);
    exchange_number(x, "awards", (double)n->awards);
    exchange_number(x, "credits", n->credits);
    exchange_number(x, "reputation_score", devnet_node_reputation(n));
}

/* The registration as it came, for tests to look into, without what proves who the node is. */
static void write_registration(struct exchange *x, const struct devnet_node *n)
{
    const struct tg_json_doc *doc = &n->registration.doc;
    TG_JSON_KEY(&x->w, "registration");
    tg_json_write_begin_object(&x->w);
    TG_JSON_FOREACH_MEMBER(key, doc->nodes)
    {
        bool secret = tg_json_string_eq(doc, key, TG_STR("current_node_token")) ||
                      tg_json_string_eq(doc, key, TG_STR("node_hmac_key"));
        tg_json_write_raw(&x->w, tg_json_raw(doc, key));
        tg_json_write_verbatim(&x->w, TG_STR(":"));
        tg_json_write_raw(&x->w, secret ? TG_STR("\"(hidden)\"") : tg_json_text(doc, key + 1));
    }
    tg_json_write_end_object(&x->w);
}

static void write_node(struct exchange *x, const struct devnet_node *n)
{
    tg_json_write_begin_object(&x->w);
    exchange_text(x, "node_id", n->id);
    exchange_text(x, "endpoint", n->endpoint);
    exchange_text(x, "region", n->region);
    exchange_time(x, "last_seen", n->last_seen);
    write_state(x, n);
    write_counts(x, n);
    write_registration(x, n);
    tg_json_write_end_object(&x->w);
}

static void write_directory(struct exchange *x)
{
    char hex[2 * CRYPTO_KEY_BYTES + 1] = "";
    hex_write(hex, x->d->public_key, CRYPTO_KEY_BYTES);
    exchange_text(x, "url", x->d->url);
    exchange_text(x, "public_key", hex);
    exchange_flag(x, "strict", x->d->options->strict);
    exchange_number(x, "heartbeat_ms", x->d->options->heartbeat_ms);
    exchange_number(x, "stale_ms", x->d->options->stale_ms);
    exchange_number(x, "clock_skew_s", (double)x->d->clock_skew_s);
    exchange_number(x, "requests", (double)x->d->requests);
    exchange_number(x, "failures", (double)x->d->failures);
    exchange_number(x, "restarts", (double)x->d->restarts);
    exchange_number(x, "faults_applied", (double)x->d->faults.applied);
    TG_JSON_KEY(&x->w, "faults");
    faults_write(&x->d->faults, &x->w);
}

static void write_nodes(struct exchange *x)
{
    uint64_t tasks = 0;
    double credits = 0;
    TG_JSON_KEY(&x->w, "nodes");
    tg_json_write_begin_array(&x->w);
    DEVNET_FOREACH(n, x->d)
    {
        write_node(x, n);
        tasks += devnet_node_tasks(n);
        credits += n->credits;
    }
    tg_json_write_end_array(&x->w);
    exchange_number(x, "tasks", (double)tasks);
    exchange_number(x, "credits", credits);
}

static void write_view(struct exchange *x, uint16_t status)
{
    exchange_begin(x, status);
    write_directory(x);
    write_nodes(x);
    exchange_end(x);
}

void devnet_view(struct exchange *x)
{
    exchange_lock(x);
    write_view(x, 200);
    exchange_unlock(x);
}

/* ---- the page -------------------------------------------------------------------------------------------
 */

/* Everything that varies comes as JSON and is set as text, so nothing a node says becomes markup. */
static const char page[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>taskgate devnet</title>\n"
    "<style>body{font:15px sans-serif;margin:2em}table{border-collapse:collapse}td,th{padding:.3em .8em;"
    "border-bottom:1px solid #ccc;text-align:left}</style>\n"
    "<h1>taskgate devnet</h1><p id=\"about\"></p><table id=\"nodes\"></table>\n"
    "<p>The same as JSON: <a href=\"/devnet\">/devnet</a></p>\n"
    "<script>\n"
    "const columns=['node_id','endpoint','listed','stale','load','heartbeats','tasks_success','tasks_failed',"
    "'challenges_failed','credits','last_seen'];\n"
    "function row(cells,tag){const tr=document.createElement('tr');for(const c of cells){"
    "const td=document.createElement(tag);td.textContent=c;tr.append(td)}return tr}\n"
    "async function show(){const d=await(await fetch('/devnet')).json();\n"
    "document.getElementById('about').textContent=d.nodes.length+' nodes, '+d.tasks+' tasks, '+d.credits+' "
    "credits, '"
    "+d.faults.length+' faults';\n"
    "document.getElementById('nodes').replaceChildren(row(columns,'th'),"
    "...d.nodes.map(n=>row(columns.map(c=>n[c]),'td')))}\n"
    "show();setInterval(show,2000);\n"
    "</script></html>\n";

void devnet_page(struct exchange *x)
{
    exchange_begin(x, 200);
    x->content_type = "text/html; charset=utf-8";
    x->w.len = 0;
    tg_json_write_verbatim(&x->w, (struct tg_str){page, sizeof(page) - 1});
}

/* ---- faults ---------------------------------------------------------------------------------------------
 */

static const char *apply_acts(struct devnet *d, struct crypto *crypto, const struct fault_acts *acts)
{
    if (acts->skew)
        d->clock_skew_s = acts->clock_skew_s;
    if (acts->stale_nodes)
        devnet_stale_nodes(d);
    if (acts->forget_nodes)
        devnet_forget_nodes(d);
    d->restarts += acts->forget_nodes;
    return acts->rotate_key && devnet_rotate_key(d, crypto) != 0 ? "could not be done" : NULL;
}

static const char *apply_one(struct devnet *d, struct crypto *crypto, const struct tg_json_doc *doc,
                             const struct tg_json_node *object, struct tg_str *member)
{
    struct fault f;
    struct fault_acts acts;
    bool changes;
    const char *why = fault_read(doc, object, &f, &changes, &acts, member);
    if (why)
        return why;
    if (changes && !faults_add(&d->faults, &f))
        return "is one fault too many";
    return apply_acts(d, crypto, &acts);
}

/* Of a list, what came before the first mistake holds. */
const char *devnet_faults_apply(struct devnet *d, struct crypto *crypto, const struct tg_json_doc *doc,
                                struct tg_str *member)
{
    const char *why = NULL;
    *member = TG_STR("");
    if (doc->nodes->type != TG_JSON_ARRAY)
        return apply_one(d, crypto, doc, doc->nodes, member);
    TG_JSON_FOREACH(object, doc->nodes)
    if (!why)
        why = apply_one(d, crypto, doc, object, member);
    return why;
}

void devnet_faults_add(struct exchange *x)
{
    struct tg_str member;
    char message[160];
    exchange_lock(x);
    const char *why = devnet_faults_apply(x->d, x->crypto, &x->doc, &member);
    if (why) {
        snprintf(message, sizeof(message), "\"%.*s\" %s", (int)TG_MIN(member.len, 64), member.ptr, why);
        exchange_error(x, 422, "validation_error", message);
    } else {
        write_view(x, 201);
    }
    exchange_unlock(x);
}

/* The clock is set right too: what remains is a directory that does as it should. */
void devnet_faults_clear(struct exchange *x)
{
    exchange_lock(x);
    x->d->faults.count = 0;
    x->d->clock_skew_s = 0;
    write_view(x, 200);
    exchange_unlock(x);
}
