/* SPDX-License-Identifier: Apache-2.0 */
/* `taskgate conformance URL`: the checks one after the other, and their report. */
#include "conformance.h"

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include "gateway/base/clock.h"
#include "gateway/control/outbound.h"
#include "gateway/control/store.h"
#include "show.h"

#define URL_BYTES_MAX 1024 /* leaves room for every path */

#define AT(member) offsetof(struct conformance, member)
static const struct option_row rows[] = {
    {"intent", OPTION_TEXT, AT(intent), 0, 0, "URN",
     "the intent to send tasks of [the first in the node's health]"},
    {"payload", OPTION_TEXT, AT(payload), 0, 0, "JSON",
     "a payload that the node can serve [known for some intents]"},
    {"slow-payload", OPTION_TEXT, AT(slow_payload), 0, 0, "JSON",
     "one that takes 500 ms or more, for QOS-ADMIT-01"},
    {"cx-key", OPTION_TEXT, AT(cx_key), 0, 0, "KEY", "the node's public key [as its directory shows it]"},
    {"token-file", OPTION_TEXT, AT(token_file), 0, 0, "PATH", "holds a token for a node that wants one"},
    {"json", OPTION_BOOL, AT(json), 0, 0, "", "print the report as JSON"},
};
#undef AT

static const struct options_spec spec = {
    .command = "conformance",
    .arguments = "URL [flags]",
    .about = "Checks a node, any node, against the contract of provider nodes; docs/conformance.md lists the "
             "checks. Sends it\n"
             "a few dozen small tasks. Checks that need a directory use directory.url (IICP_DIRECTORY_URL). "
             "Exit status:\n"
             "0 none failed, 1 some did, 2 wrong flag, 4 the node gave no answer.",
    .rows = rows,
    .row_count = TG_ARRAY_SIZE(rows),
    .words_max = 1,
};

static const struct {
    const char *id, *what;
    conformance_check *run;
} checks[] = {
#define CHECK(ident, id, what) {id, what, conformance_##ident},
#include "conformance.def"
};

/* Small payloads by intent, and slow ones where it can be said. */
static const struct {
    const char *intent, *payload, *slow;
} payloads[] = {
    {"urn:iicp:intent:llm:chat:v1",
     "{\"messages\":[{\"role\":\"user\",\"content\":\"Say pong.\"}],\"max_tokens\":8}", NULL},
    {"urn:iicp:intent:llm:completion:v1", "{\"prompt\":\"ping\",\"max_tokens\":8}", NULL},
    {"urn:iicp:intent:llm:embedding:v1", "{\"input\":\"ping\"}", NULL},
    {"urn:iicp:intent:safety:moderate:v1", "{\"input\":\"ping\"}", NULL},
    {"urn:iicp:intent:audio:speech:v1", "{\"input\":\"ping\"}", NULL},
    {"urn:iicp:intent:x.taskgate:echo:v1", "{\"text\":\"ping\"}", NULL},
    {"urn:iicp:intent:x.taskgate:noop:v1", "{\"sleep_ms\":1}", "{\"sleep_ms\":700}"},
};

/* ---- words ------------------------------------------------------------------------------------------- */

struct finding pass(void)
{
    return (struct finding){.verdict = VERDICT_PASS};
}

struct finding fail(const char *format, ...)
{
    struct finding f = {.verdict = VERDICT_FAIL};
    va_list args;
    va_start(args, format);
    vsnprintf(f.why, sizeof(f.why), format, args);
    va_end(args);
    return f;
}

struct finding skip(const char *format, ...)
{
    struct finding f = {.verdict = VERDICT_SKIP};
    va_list args;
    va_start(args, format);
    vsnprintf(f.why, sizeof(f.why), format, args);
    va_end(args);
    return f;
}

/* ---- preparation ------------------------------------------------------------------------------------- */

static struct tg_str text(const char *s)
{
    return (struct tg_str){s ? s : "", s ? strlen(s) : 0};
}

static void choose_payload(struct conformance *c)
{
    c->payload_used = text(c->payload);
    c->slow_used = text(c->slow_payload);
    for (size_t i = 0; i < TG_ARRAY_SIZE(payloads); i++) {
        if (strcmp(payloads[i].intent, c->intent_used) != 0)
            continue;
        if (!c->payload)
            c->payload_used = text(payloads[i].payload);
        if (!c->slow_payload)
            c->slow_used = text(payloads[i].slow);
    }
}

static void choose_intent(struct conformance *c)
{
    const struct tg_json_node *intent = answer_get(&c->health, "intent"),
                              *id = answer_get(&c->health, "node_id");
    if (c->intent)
        snprintf(c->intent_used, sizeof(c->intent_used), "%s", c->intent);
    else if (intent && intent->type == TG_JSON_STRING)
        show_copy(&c->health.doc, intent, c->intent_used, sizeof(c->intent_used));
    if (id && id->type == TG_JSON_STRING)
        show_copy(&c->health.doc, id, c->node_id, sizeof(c->node_id));
    choose_payload(c);
}

/* Without one, the checks that need it are skipped: so no complaint. */
static void find_key(struct conformance *c)
{
    static struct found_nodes found; /* large */
    struct iicp_discover question = {.intent = text(c->intent_used),
                                     .limit = FINDER_NODES_MAX,
                                     .min_reputation = -1,
                                     .max_multiplier = -1};
    if (c->cx_key)
        c->has_peer = iicp_cx_peer_from_key(c->crypto, text(c->cx_key), &c->peer) == 0;
    if (c->cx_key || !c->config->directory_url[0] || !c->node_id[0])
        return;
    bool fine = finder_discover(c->client, "conformance", c->config, &question, &found);
    for (uint32_t i = 0; fine && i < found.count; i++)
        if (strcmp(found.nodes[i].node_id, c->node_id) == 0 && found.nodes[i].cx_public_key)
            c->has_peer =
                iicp_cx_peer_read(c->crypto, &found.answer.doc, found.nodes[i].cx_public_key, &c->peer) == 0;
    found_finish(&found);
}

static bool read_token(struct conformance *c)
{
    char token[4096];
    if (!c->token_file)
        return true;
    int64_t len = store_read(c->token_file, true, token, sizeof(token));
    size_t n = len > 0 ? strcspn(token, "\r\n") : 0;
    n = len > 0 ? TG_MIN(n, (size_t)len) : 0;
    if (n)
        snprintf(c->authorization, sizeof(c->authorization), "Authorization: Bearer %.*s", (int)n, token);
    else
        fprintf(stderr, "taskgate conformance: %s holds no token, or others can read it\n", c->token_file);
    return n > 0;
}

static bool reach(struct conformance *c)
{
    conformance_ask(c, "GET", "/iicp/health", NULL, (struct tg_str){NULL, 0}, &c->health);
    if (c->health.error)
        fprintf(stderr, "taskgate conformance: %s is not reached: %s\n", c->url, c->health.why);
    return c->health.error == 0;
}

/* ---- the report -------------------------------------------------------------------------------------- */

struct report {
    uint32_t counts[3];
    struct tg_json_writer w;
    char text[65536];
};

static void put(struct tg_json_writer *w, const char *key, const char *value)
{
    tg_json_write_key(w, text(key));
    tg_json_write_string(w, text(value));
}

static void add(struct report *r, size_t i, const struct finding *f, double ms)
{
    r->counts[f->verdict]++;
    tg_json_write_begin_object(&r->w);
    put(&r->w, "test_id", checks[i].id);
    TG_JSON_KEY(&r->w, "passed");
    tg_json_write_bool(&r->w, f->verdict == VERDICT_PASS);
    TG_JSON_KEY(&r->w, "skipped");
    tg_json_write_bool(&r->w, f->verdict == VERDICT_SKIP);
    put(&r->w, "message", f->verdict == VERDICT_PASS ? checks[i].what : f->why);
    TG_JSON_KEY(&r->w, "latency_ms");
    tg_json_write_f64(&r->w, ms);
    tg_json_write_end_object(&r->w);
}

static void print_line(size_t i, const struct finding *f)
{
    static const char *const words[] = {"pass", "FAIL", "skip"};
    printf("%-4s  %-15s  %s", words[f->verdict], checks[i].id, checks[i].what);
    if (f->verdict != VERDICT_PASS) {
        printf("\n%24s-> ", "");
        show_text(stdout, text(f->why));
    }
    putchar('\n');
    fflush(stdout);
}

static void print_report(const struct conformance *c, const struct report *r)
{
    char when[32];
    time_t now = time(NULL);
    struct tm tm;
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    if (c->json)
        printf(
            "{\"pass_count\":%u,\"fail_count\":%u,\"skip_count\":%u,\"last_run_at\":\"%s\",\"tests\":%.*s}\n",
            r->counts[VERDICT_PASS], r->counts[VERDICT_FAIL], r->counts[VERDICT_SKIP], when, (int)r->w.len,
            r->text);
    else
        printf("%u passed, %u failed, %u skipped\n", r->counts[VERDICT_PASS], r->counts[VERDICT_FAIL],
               r->counts[VERDICT_SKIP]);
}

static int run_all(struct conformance *c)
{
    static struct report r; /* large */
    tg_json_writer_init(&r.w, r.text, sizeof(r.text));
    tg_json_write_begin_array(&r.w);
    for (size_t i = 0; i < TG_ARRAY_SIZE(checks); i++) {
        uint64_t began = clock_now_ns();
        struct finding f = checks[i].run(c);
        add(&r, i, &f, (double)((clock_now_ns() - began) / NS_PER_US) / 1e3);
        if (!c->json)
            print_line(i, &f);
    }
    tg_json_write_end_array(&r.w);
    print_report(c, &r);
    return r.counts[VERDICT_FAIL] ? EXIT_FAILED : EXIT_OK;
}

static int examine(struct conformance *c)
{
    enum { EXIT_NO_ANSWER = 4 };
    int code = EXIT_NO_ANSWER;
    c->client = client_create(COMMAND_AGENT);
    c->crypto = crypto_create();
    if (c->client && c->crypto && reach(c)) {
        choose_intent(c);
        find_key(c);
        code = run_all(c);
    }
    answer_finish(&c->health);
    crypto_destroy(c->crypto);
    client_destroy(c->client);
    return code;
}

int command_conformance(int argc, char **argv, char **envp)
{
    static struct conformance c; /* large */
    struct config config = {0};
    struct outbound_url parts;
    enum options_result read = options_read(&spec, argc, argv, &c.options);
    if (read != OPTIONS_GO)
        return read == OPTIONS_HELPED ? EXIT_OK : EXIT_USAGE;
    c.url = c.options.words[0];
    const char *wrong =
        c.url ? outbound_url_parse(text(c.url), &parts) : "whose? Give the node's base address";
    if (!wrong && strlen(c.url) > URL_BYTES_MAX)
        wrong = "is too long";
    if (wrong)
        fprintf(stderr, "taskgate conformance: %s%s%s (see --help)\n", c.url ? c.url : "", c.url ? ": " : "",
                wrong);
    if (wrong || !read_token(&c))
        return EXIT_USAGE;
    int code = options_config(&c.options, envp, &config);
    c.config = &config;
    if (code == 0)
        code = examine(&c);
    crypto_wipe(c.authorization, sizeof(c.authorization));
    config_finish(&config);
    return code;
}
