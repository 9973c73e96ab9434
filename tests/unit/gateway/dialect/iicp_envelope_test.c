/* SPDX-License-Identifier: Apache-2.0 */
/* The envelope, member by member: missing, of the wrong type, twice, spelled with escapes. */
#include <stdlib.h>
#include <string.h>
#include "iicp_rig.h"

TestSuite(envelope, .init = rig_open, .fini = rig_close);

#define ID "\"task_id\":\"t-1\""
#define INTENT "\"intent\":\"" RIG_INTENT "\""
#define PAYLOAD "\"payload\":{}"
#define ALPHABET "abcdefghijklmnopqrstuvwxyz"

static const struct {
    const char *body;
    enum tg_status status;
    const char *field;
} table[] = {
    /* not an object */
    {"", TG_BAD_JSON, NULL},
    {"{", TG_BAD_JSON, NULL},
    {"[]", TG_INVALID, ""},
    {"\"text\"", TG_INVALID, ""},
    {"null", TG_INVALID, ""},
    {"{}", TG_INVALID, "task_id"},
    /* task_id */
    {"{" INTENT "," PAYLOAD "}", TG_INVALID, "task_id"},
    {"{\"task_id\":null," INTENT "," PAYLOAD "}", TG_INVALID, "task_id"},
    {"{\"task_id\":7," INTENT "," PAYLOAD "}", TG_INVALID, "task_id"},
    {"{\"task_id\":[\"a\"]," INTENT "," PAYLOAD "}", TG_INVALID, "task_id"},
    /* intent */
    {"{" ID "," PAYLOAD "}", TG_INVALID, "intent"},
    {"{" ID ",\"intent\":null," PAYLOAD "}", TG_INVALID, "intent"},
    {"{" ID ",\"intent\":{}," PAYLOAD "}", TG_INVALID, "intent"},
    {"{" ID ",\"intent\":\"\"," PAYLOAD "}", TG_BAD_URN, NULL},
    {"{" ID ",\"intent\":\"knn\"," PAYLOAD "}", TG_BAD_URN, NULL},
    {"{" ID ",\"intent\":\"" RIG_INTENT " \"," PAYLOAD "}", TG_BAD_URN, NULL},
    {"{" ID ",\"intent\":\"urn:iicp:intent:x.test:any:v2\"," PAYLOAD "}", TG_UNKNOWN_INTENT, NULL},
    {"{" ID ",\"intent\":\"urn:iicp:intent:x.test:an:v1\"," PAYLOAD "}", TG_UNKNOWN_INTENT, NULL},
    {"{" ID ",\"intent\":\"urn:iicp:intent:x.test:any:v11\"," PAYLOAD "}", TG_UNKNOWN_INTENT, NULL},
    {"{" ID ",\"intent\":\"urn:iicp:intent:tool:shell:v1\"," PAYLOAD "}", TG_TOOL_DENIED, NULL},
    {"{" ID ",\"intent\":\"" RIG_INTENT "\\u0000\"," PAYLOAD "}", TG_BAD_URN, NULL},
    {"{" ID ",\"intent\":\"urn:iicp:intent:x.test:" ALPHABET ALPHABET ALPHABET ALPHABET ":v1\"," PAYLOAD "}", TG_BAD_URN,
     NULL},
    /* names that only look like ours */
    {"{\"taskXid\":\"t\"," INTENT "," PAYLOAD "}", TG_INVALID, "task_id"},
    {"{\"task_i\":\"t\"," INTENT "," PAYLOAD "}", TG_INVALID, "task_id"},
    {"{" ID ",\"intend\":\"" RIG_INTENT "\"," PAYLOAD "}", TG_INVALID, "intent"},
    {"{" ID "," INTENT ",\"Payload\":{}}", TG_INVALID, "payload"},
    /* payload */
    {"{" ID "," INTENT "}", TG_INVALID, "payload"},
    {"{" ID "," INTENT ",\"payload\":null}", TG_INVALID, "payload"},
    /* constraints */
    {RIG_BODY(",\"constraints\":7"), TG_INVALID, "constraints"},
    {RIG_BODY(",\"constraints\":[]"), TG_INVALID, "constraints"},
    {RIG_BODY(",\"constraints\":{\"qos\":1}"), TG_INVALID, "constraints.qos"},
    {RIG_BODY(",\"constraints\":{\"qos_class\":true,\"qos\":\"batch\"}"), TG_INVALID,
     "constraints.qos_class"},
    {RIG_BODY(",\"constraints\":{\"timeout_ms\":\"100\"}"), TG_INVALID, "constraints.timeout_ms"},
    {RIG_BODY(",\"constraints\":{\"timeout_ms\":99}"), TG_INVALID, "constraints.timeout_ms"},
    {RIG_BODY(",\"constraints\":{\"timeout_ms\":99.999}"), TG_INVALID, "constraints.timeout_ms"},
    {RIG_BODY(",\"constraints\":{\"timeout_ms\":300001}"), TG_INVALID, "constraints.timeout_ms"},
    {RIG_BODY(",\"constraints\":{\"timeout_ms\":-5}"), TG_INVALID, "constraints.timeout_ms"},
    {RIG_BODY(",\"constraints\":{\"timeout_ms\":1e300}"), TG_INVALID, "constraints.timeout_ms"},
    {RIG_BODY(",\"constraints\":{\"timeout_ms\":18446744073709551615}"), TG_INVALID,
     "constraints.timeout_ms"},
    /* nonce */
    {RIG_BODY(",\"nonce\":4711"), TG_INVALID, "nonce"},
    {RIG_BODY(",\"nonce\":{}"), TG_INVALID, "nonce"},
    /* confidential */
    {RIG_BODY(",\"iicp_conf\":{\"version\":1}"), TG_CX_NO_KEY, NULL},
    {"{" ID "," INTENT ",\"iicp_conf\":{}}", TG_CX_NO_KEY, NULL},
    {RIG_BODY(",\"cx_response_encryption\":\"required\""), TG_CX_PLAIN, NULL},
    /* twice */
    {"{" ID "," ID "," INTENT "," PAYLOAD "}", TG_BAD_JSON, NULL},
    {"{" ID "," INTENT "," PAYLOAD ",\"payload\":null}", TG_BAD_JSON, NULL},
    {"{" ID "," INTENT "," PAYLOAD ",\"nonce\":null,\"nonce\":\"n\"}", TG_BAD_JSON, NULL},
    {"{" ID ",\"\\u0074ask_id\":\"t-2\"," INTENT "," PAYLOAD "}", TG_BAD_JSON, NULL},
    {"{" ID "," INTENT "," PAYLOAD ",\"other\":1,\"other\":2}", TG_BAD_JSON, NULL},
    {"{" ID "," INTENT "," PAYLOAD ",\"o\\u0074her\":1,\"other\":2}", TG_BAD_JSON, NULL},
    {"{" ID "," INTENT "," PAYLOAD ",\"\":1,\"\":2}", TG_BAD_JSON, NULL},
};

Test(envelope, what_is_missing_or_wrong_is_named)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(table); i++)
        rig_expect(table[i].body, table[i].status, table[i].field);
}

Test(envelope, what_is_right_runs)
{
    static const char *const bodies[] = {
        RIG_BODY(""),
        "{" ID "," INTENT ",\"payload\":[]}",
        "{" ID "," INTENT ",\"payload\":false}",
        "{" ID "," INTENT ",\"payload\":\"\"}",
        " \n{" PAYLOAD "," INTENT "," ID "}\t",
        "{\"task_id\":\"\"," INTENT "," PAYLOAD "}",
        "{\"\\u0074ask_id\":\"t\",\"int\\u0065nt\":\"urn:iicp\\u003aintent:x.test:any:v1\"," PAYLOAD "}",
        RIG_BODY(",\"constraints\":null,\"nonce\":null,\"trace\":null,\"auth\":null"),
        RIG_BODY(",\"constraints\":{}"),
        RIG_BODY(",\"constraints\":{\"timeout_ms\":null,\"qos\":null,\"qos_class\":null}"),
        RIG_BODY(",\"constraints\":{\"timeout_ms\":100}"),
        RIG_BODY(",\"constraints\":{\"timeout_ms\":3e5}"),
        RIG_BODY(",\"auth\":{\"node_token\":\"x\"},\"source_node_id\":\"n\",\"trace\":{}"),
        RIG_BODY(",\"cx_response_encryption\":\"no\""),
        RIG_BODY(",\"something_new\":{\"task_id\":1},\"else\":[1,2]"),
        RIG_BODY(",\"nonce\":\"\""),
        RIG_BODY(",\"\":1,\"\\u0070\":2"),
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(bodies); i++)
        rig_expect_runs(bodies[i]);
}

Test(envelope, malformed_json_names_the_byte)
{
    struct task *t = rig_post("{\"task_id\":\"t\",}");
    cr_assert_eq(t->status, TG_BAD_JSON);
    cr_assert(t->has_error_offset);
    cr_assert_eq(t->error_offset, 15);
    t = rig_post("{" ID "," INTENT "," ID "}");
    cr_assert_eq(t->error_offset, strlen("{" ID "," INTENT ","), "the second key");
}

/* A body with one member of @n letters between @before and @after. */
static void expect_long(const char *before, size_t n, const char *after, enum tg_status status)
{
    size_t len = strlen(before) + n + strlen(after);
    char *body = malloc(len + 1);
    strcpy(body, before);
    memset(body + strlen(before), 'a', n);
    strcpy(body + strlen(before) + n, after);
    if (status == TG_OK)
        rig_expect_runs(body);
    else
        rig_expect(body, status, NULL);
    free(body);
}

Test(envelope, names_may_have_256_bytes)
{
    const char *rest = "\"," INTENT "," PAYLOAD "}";
    expect_long("{\"task_id\":\"", 256, rest, TG_OK);
    expect_long("{\"task_id\":\"", 257, rest, TG_INVALID);
    expect_long("{" ID "," INTENT "," PAYLOAD ",\"nonce\":\"", 256, "\"}", TG_OK);
    expect_long("{" ID "," INTENT "," PAYLOAD ",\"nonce\":\"", 257, "\"}", TG_INVALID);
    expect_long("{" ID "," PAYLOAD ",\"intent\":\"urn:iicp:intent:x.test:", 5000, ":v1\"}", TG_BAD_URN);
    expect_long("{" ID "," INTENT "," PAYLOAD ",\"", 5000, "\":1}", TG_OK);
}

Test(envelope, a_probe_of_many_members_is_refused)
{
    char body[4096];
    int n = snprintf(body, sizeof(body), "{" ID "," INTENT "," PAYLOAD);
    for (int i = 0; i < 62; i++)
        n += snprintf(body + n, sizeof(body) - (size_t)n, ",\"m%d\":0", i);
    snprintf(body + n, sizeof(body) - (size_t)n, "}");
    rig_expect(body, TG_INVALID, "");
}

/* ---- what is taken over ---------------------------------------------------------------------------- */

static const struct {
    const char *constraints;
    enum tg_priority priority;
    const char *echo;
} classes[] = {
    {"{}", TG_BEST_EFFORT, ""},
    {"{\"qos\":\"realtime\"}", TG_REALTIME, "realtime"},
    {"{\"qos\":\"interactive\"}", TG_INTERACTIVE, "interactive"},
    {"{\"qos_class\":\"batch\"}", TG_BATCH, "batch"},
    {"{\"qos_class\":\"batch\",\"qos\":\"realtime\"}", TG_BATCH, "batch"},
    {"{\"qos_class\":null,\"qos\":\"realtime\"}", TG_REALTIME, "realtime"},
    {"{\"qos\":\"best-effort\"}", TG_BEST_EFFORT, "best-effort"},
    {"{\"qos\":\"best_effort\"}", TG_BEST_EFFORT, "best_effort"},
    {"{\"qos\":\"REALTIME\"}", TG_BEST_EFFORT, "REALTIME"},
    {"{\"qos\":\"re\\u0061ltime\"}", TG_REALTIME, "re\\u0061ltime"},
    {"{\"qos\":\"\"}", TG_BEST_EFFORT, ""},
    {"{\"q\\u006fs\":\"batch\"}", TG_BATCH, "batch"},
    {"{\"qos\":\"batch\",\"timeout_ms\":500,\"qos\":\"realtime\"}", TG_BATCH, "batch"},
    {"{\"qos\":\"a-class-name-longer-than-there-is-room-for\"}", TG_BEST_EFFORT, ""},
};

Test(envelope, the_qos_class_becomes_a_priority_and_its_spelling_is_kept)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(classes); i++) {
        char body[512];
        snprintf(body, sizeof(body), RIG_BODY(",\"constraints\":%s"), classes[i].constraints);
        struct task *t = rig_post(body);
        cr_assert_eq(t->priority, classes[i].priority, "%s", body);
        cr_assert(tg_str_eq((struct tg_str){t->qos, t->qos_len},
                            (struct tg_str){classes[i].echo, strlen(classes[i].echo)}),
                  "%s", body);
    }
}

Test(envelope, the_timeout_is_the_clients_within_ours)
{
    struct task *t = rig_post(RIG_BODY(""));
    cr_assert_eq(t->deadline_ns, t->arrival_ns + 30000 * NS_PER_MS, "the default");
    t = rig_post(RIG_BODY(",\"constraints\":{\"timeout_ms\":1234.9}"));
    cr_assert_eq(t->deadline_ns, t->arrival_ns + 1234 * NS_PER_MS);
    rig.settings.timeout_max_ms = 5000;
    t = rig_post(RIG_BODY(",\"constraints\":{\"timeout_ms\":300000}"));
    cr_assert_eq(t->deadline_ns, t->arrival_ns + 5000 * NS_PER_MS);
}

Test(envelope, the_tool_gate_opens_when_allowed)
{
    rig.settings.allow_tool_execution = true;
    rig_expect("{" ID ",\"intent\":\"urn:iicp:intent:tool:shell:v1\"," PAYLOAD "}", TG_UNKNOWN_INTENT, NULL);
    rig.settings.allow_tool_execution = false;
    rig_expect("{" ID ",\"intent\":\"urn:iicp:intent:tool_x:shell:v1\"," PAYLOAD "}", TG_UNKNOWN_INTENT,
               NULL);
}
