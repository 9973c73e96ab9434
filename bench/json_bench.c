/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nanoseconds per parse of four typical texts: a task of 637 bytes, a chat of 16.7 KB in long and in short
 * turns, 1,024 floats. The packaged parsers that were found at build time take turns with ours, round by
 * round, so that a noisy neighbour hits everyone.
 *
 *     bench-json
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "tg/json.h"
#ifdef HAVE_CJSON
#include <cjson/cJSON.h>
#endif
#ifdef HAVE_JANSSON
#include <jansson.h>
#endif
#ifdef HAVE_SIMDJSON
#include "json_peer.h"
#endif

#define ROUNDS 101
#define ROUND_NS 1000000.0
#define TEXT_MAX 20000

struct sample {
    const char *name;
    size_t len;
    char text[TEXT_MAX + 1];
};

struct contender {
    const char *name;
    bool (*parse)(const char *text, size_t len);
};

static struct tg_json_node nodes[TG_JSON_NODES_MAX(TEXT_MAX)];

static bool parse_taskgate(const char *text, size_t len)
{
    struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    struct tg_json_error err;
    return tg_json_parse(&doc, text, len, &err) == 0;
}

#ifdef HAVE_CJSON
static bool parse_cjson(const char *text, size_t len)
{
    cJSON *root = cJSON_ParseWithLength(text, len);
    bool ok = root != NULL;
    cJSON_Delete(root);
    return ok;
}
#endif

#ifdef HAVE_JANSSON
static bool parse_jansson(const char *text, size_t len)
{
    json_t *root = json_loadb(text, len, 0, NULL);
    bool ok = root != NULL;
    json_decref(root);
    return ok;
}
#endif

static const struct contender contenders[] = {
    {"taskgate", parse_taskgate},
#ifdef HAVE_SIMDJSON
    {"simdjson", json_peer_parse},
#endif
#ifdef HAVE_CJSON
    {"cJSON", parse_cjson},
#endif
#ifdef HAVE_JANSSON
    {"jansson", parse_jansson},
#endif
};

/* ---- samples ---------------------------------------------------------------------------------------- */

static void add(struct sample *s, const char *text)
{
    size_t n = strlen(text);
    if (s->len + n > TEXT_MAX)
        abort();
    memcpy(s->text + s->len, text, n + 1);
    s->len += n;
}

static uint32_t next_random(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

static void make_task(struct sample *s)
{
    s->name = "task";
    add(s,
        "{\"task_id\":\"6f1c2b9e-58a4-4c55-9d7e-0b1f6a7c9e21\",\"intent\":\"urn:iicp:intent:llm:chat:v1\","
        "\"payload\":{\"model\":\"llama-3.1-8b\",\"messages\":[{\"role\":\"system\",\"content\":\"You are a "
        "careful assistant.\"},{\"role\":\"user\",\"content\":\"Name three rivers of Europe and say in one "
        "line\\neach where they end.\"}],\"temperature\":0.7,\"top_p\":0.95,\"max_tokens\":256,\"stream\":"
        "false},\"constraints\":{\"timeout_ms\":30000,\"max_cost\":0.0025,\"region\":\"eu-central\",\"qos\":"
        "\"interactive\"},\"auth\":{\"nonce\":\"b7d1a6f09c3e4d52\",\"timestamp\":1763647200,\"token\":null}"
        ",");
    add(s, "\"trace\":[\"");
    while (s->len < 637 - 3)
        add(s, "0");
    add(s, "\"]}");
}

static void make_chat(struct sample *s)
{
    static const char *const turns[] = {
        "{\"role\":\"user\",\"content\":\"Could you explain how the scheduler decides which of the waiting "
        "tasks "
        "goes first, what \\\"fair\\\" means when two tenants share one device, and why a queue that looks "
        "short can "
        "still hold a request back for longer than its deadline allows?\"},",
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"Certainly.\\n\\nThe queue is "
        "kept by "
        "class first; within a class the earliest deadline wins. A tenant\xe2\x80\x99s weight bounds its "
        "share over a "
        "window, so nobody starves, and a tenant that was silent may catch up, though never by more than one "
        "window. "
        "Caf\xc3\xa9 orders work the same way: one barista, several lines, and the line that waited longest "
        "is looked at "
        "first.\\n\\nA short queue says little by itself. What counts is the work already on the device: a "
        "batch that was "
        "launched cannot be taken back, so a request that arrives just behind it waits for all of it, and "
        "its own "
        "service time comes on top. The gateway therefore estimates both and refuses at once what cannot be "
        "done in "
        "time, since an early refusal is worth more to the caller than a late answer.\"}],"
        "\"meta\":{\"id\":18232,\"tokens\":177,\"logprob\":-0.34217,\"edited\":false}},",
        ("{\"role\":\"tool\",\"name\":\"lookup\",\"content\":{\"path\":\"C:\\\\data\\\\runs\",\"score\":0."
         "98125,"
         "\"hits\":[3,17,204,1999],\"title\":\"日本語\",\"next\":null}},"),
    };
    s->name = "chat";
    add(s, "{\"model\":\"llama-3.1-8b\",\"messages\":[");
    for (unsigned i = 0; s->len < 15800; i++)
        add(s, turns[i % TG_ARRAY_SIZE(turns)]);
    add(s, "{\"role\":\"user\",\"content\":\"Thank you.\"}],\"temperature\":0.2,\"max_tokens\":512,\"stop\":["
           "\"###\"],\"user\":\"tenant-7\"}");
}

/* Short turns, many names, an escape or a non-ASCII letter every few words: the harder kind of chat. */
static void make_dense(struct sample *s)
{
    static const char *const turns[] = {
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Could you explain how the scheduler "
        "decides "
        "which of the waiting tasks goes first, and what \\\"fair\\\" means when two tenants share one "
        "device?\"}],"
        "\"meta\":{\"id\":18231,\"tokens\":41,\"edited\":false}},",
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"Certainly.\\n\\nThe queue is "
        "kept by "
        "class first; within a class the earliest deadline wins. A tenant\xe2\x80\x99s weight bounds its "
        "share over "
        "a window, so nobody starves. Caf\xc3\xa9 orders work the same way: one barista, several queues.\"}],"
        "\"meta\":{\"id\":18232,\"tokens\":77,\"logprob\":-0.34217,\"edited\":false}},",
        ("{\"role\":\"tool\",\"name\":\"lookup\",\"content\":{\"path\":\"C:\\\\data\\\\runs\",\"score\":0."
         "98125,"
         "\"hits\":[3,17,204,1999],\"title\":\"日本語\",\"next\":null}},"),
    };
    s->name = "dense";
    add(s, "{\"model\":\"llama-3.1-8b\",\"messages\":[");
    for (unsigned i = 0; s->len < 16400; i++)
        add(s, turns[i % TG_ARRAY_SIZE(turns)]);
    add(s, "{\"role\":\"user\",\"content\":\"Thank you.\"}],\"temperature\":0.2,\"max_tokens\":512}");
}

static void make_floats(struct sample *s)
{
    char text[32];
    s->name = "floats";
    add(s, "[");
    for (int i = 0; i < 1024; i++) {
        double v = (double)(int32_t)next_random() / 2147483648.0;
        snprintf(text, sizeof(text), "%s%.*f", i ? "," : "", 5 + (int)(next_random() % 5), v);
        add(s, text);
    }
    add(s, "]");
}

/* ---- measuring -------------------------------------------------------------------------------------- */

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double round_ns(const struct contender *c, const struct sample *s, int calls)
{
    double start = now_ns();
    for (int i = 0; i < calls; i++) {
        if (!c->parse(s->text, s->len))
            abort();
    }
    return (now_ns() - start) / calls;
}

static int compare_doubles(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

static double rounds[TG_ARRAY_SIZE(contenders)][ROUNDS];

static int calls_per_round(const struct contender *c, const struct sample *s)
{
    double once = round_ns(c, s, 20);
    return once > ROUND_NS ? 1 : (int)(ROUND_NS / once) + 1;
}

static void run_rounds(const struct sample *s)
{
    int calls[TG_ARRAY_SIZE(contenders)];
    for (size_t k = 0; k < TG_ARRAY_SIZE(contenders); k++)
        calls[k] = calls_per_round(&contenders[k], s);
    for (int i = 0; i < ROUNDS; i++)
        for (size_t k = 0; k < TG_ARRAY_SIZE(contenders); k++)
            rounds[k][i] = round_ns(&contenders[k], s, calls[k]);
}

static void report(const struct sample *s)
{
    for (size_t k = 0; k < TG_ARRAY_SIZE(contenders); k++) {
        qsort(rounds[k], ROUNDS, sizeof(rounds[k][0]), compare_doubles);
        double best = rounds[k][0], median = rounds[k][ROUNDS / 2];
        printf("%-8s %8zu %-10s %10.0f %10.0f %8.2f\n", s->name, s->len, contenders[k].name, best, median,
               (double)s->len / median);
    }
}

int main(void)
{
    static struct sample samples[4];
    make_task(&samples[0]);
    make_chat(&samples[1]);
    make_dense(&samples[2]);
    make_floats(&samples[3]);
    printf("%-8s %8s %-10s %10s %10s %8s\n", "text", "bytes", "parser", "best ns", "median ns", "GB/s");
    for (size_t i = 0; i < TG_ARRAY_SIZE(samples); i++) {
        run_rounds(&samples[i]);
        report(&samples[i]);
    }
    return 0;
}
