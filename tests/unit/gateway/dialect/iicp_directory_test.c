/* SPDX-License-Identifier: Apache-2.0 */
/* The wire between a node and a directory: requests byte for byte, replies in every shape that directories
 * send. */
#include <criterion/criterion.h>
#include <errno.h>
#include "gateway/dialect/iicp_directory.h"

#define TEXTS(...)                                                                                           \
    {                                                                                                        \
        (const struct tg_str[]){__VA_ARGS__},                                                                \
            sizeof((const struct tg_str[]){__VA_ARGS__}) / sizeof(struct tg_str)                             \
    }

static char buf[16384];
static struct tg_json_writer w;
static struct tg_json_node nodes[4096];
static struct tg_json_doc doc;

static void begin(void)
{
    tg_json_writer_init(&w, buf, sizeof(buf) - 1);
}

static void expect(const char *expected)
{
    cr_assert_not(w.overflow);
    buf[w.len] = '\0';
    cr_expect_str_eq(buf, expected);
}

static const struct tg_json_doc *parse(const char *text)
{
    struct tg_json_error err;
    doc = (struct tg_json_doc){.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    cr_assert_eq(tg_json_parse(&doc, text, strlen(text), &err), 0, "%s", text);
    return &doc;
}

TestSuite(directory, .init = begin);

/* ---- addresses -------------------------------------------------------------------------------------- */

static void expect_url(const char *base, const char *expected)
{
    char out[256];
    cr_expect_eq(iicp_directory_url((struct tg_str){base, strlen(base)}, "/v1/heartbeat", out, sizeof(out)),
                 strlen(expected));
    cr_expect_str_eq(out, expected);
}

Test(directory, bases_in_every_spelling_lead_to_the_same_place)
{
    expect_url("https://iicp.network/api", "https://iicp.network/api/v1/heartbeat");
    expect_url("https://iicp.network/api/", "https://iicp.network/api/v1/heartbeat");
    expect_url("https://iicp.network/api//", "https://iicp.network/api/v1/heartbeat");
    expect_url("https://iicp.network/api/v1", "https://iicp.network/api/v1/heartbeat");
    expect_url("https://iicp.network/api/v1/", "https://iicp.network/api/v1/heartbeat");
    expect_url("https://iicp.network/api/api/", "https://iicp.network/api/v1/heartbeat");
    expect_url("http://127.0.0.1:9480", "http://127.0.0.1:9480/v1/heartbeat");
}

Test(directory, an_address_that_does_not_fit_is_refused)
{
    char out[20];
    cr_expect_eq(iicp_directory_url(TG_STR("https://iicp.network/api"), "/v1/register", out, sizeof(out)), 0);
}

Test(directory, the_registry_knows_uuids_by_their_first_eight)
{
    cr_expect(
        tg_str_eq(iicp_registry_prefix(TG_STR("b8a1f3d0-7c52-4a5e-9b1a-2d3c4e5f6071")), TG_STR("b8a1f3d0")));
    cr_expect(tg_str_eq(iicp_registry_prefix(TG_STR("gpu-node-7")), TG_STR("gpu-node-7")));
    cr_expect(tg_str_eq(iicp_registry_prefix(TG_STR("b8a1f3d0-7c52-4a5e-9b1a-2d3c4e5f607x")),
                        TG_STR("b8a1f3d0-7c52-4a5e-9b1a-2d3c4e5f607x")));
}

/* ---- registration ----------------------------------------------------------------------------------- */

static struct iicp_capability capability(void)
{
    static const struct tg_str models[] = {TG_STR_INIT("demo")};
    return (struct iicp_capability){
        .intent = TG_STR("urn:iicp:intent:llm:chat:v1"), .models = {models, 1}, .max_tokens = 8192};
}

static struct iicp_registration minimal(const struct iicp_capability *c)
{
    return (struct iicp_registration){.node_id = TG_STR("b8a1f3d0-7c52-4a5e-9b1a-2d3c4e5f6071"),
                                      .endpoint = TG_STR("https://gpu7.example.net:9484"),
                                      .region = TG_STR("eu-central"),
                                      .capabilities = c,
                                      .capability_count = 1,
                                      .max_concurrent = 4,
                                      .tokens_per_min = 10000,
                                      .sdk_language = TG_STR("c"),
                                      .sdk_version = TG_STR("0.1.0")};
}

Test(directory, the_minimal_registration_is_the_contracts)
{
    struct iicp_capability c = capability();
    struct iicp_registration r = minimal(&c);
    cr_expect_null(iicp_registration_check(&r));
    iicp_write_registration(&r, &w);
    expect("{\"node_id\":\"b8a1f3d0-7c52-4a5e-9b1a-2d3c4e5f6071\",\"endpoint\":\"https://"
           "gpu7.example.net:9484\","
           "\"region\":\"eu-central\",\"capabilities\":[{\"intent\":\"urn:iicp:intent:llm:chat:v1\","
           "\"models\":[\"demo\"],"
           "\"max_tokens\":8192}],\"limits\":{\"max_concurrent\":4,\"tokens_per_min\":10000},\"sdk_"
           "language\":\"c\","
           "\"sdk_version\":\"0.1.0\"}");
}

Test(directory, a_registration_with_everything)
{
    struct iicp_capability c = {.intent = TG_STR("urn:iicp:intent:llm:chat:v1"),
                                .models = TEXTS(TG_STR("a"), TG_STR("b\"c")),
                                .max_tokens = 1,
                                .input_modalities = TEXTS(TG_STR("text"), TG_STR("image")),
                                .output_modalities = TEXTS(TG_STR("text")),
                                .supported_profiles = TEXTS(TG_STR("urn:p")),
                                .quantization = TG_STR("q4"),
                                .inference_engine = TG_STR("knn")};
    struct iicp_registration r = {.endpoint = TG_STR("http://h"),
                                  .region = TG_STR("r"),
                                  .current_node_token = TG_STR("tok"),
                                  .capabilities = &c,
                                  .capability_count = 1,
                                  .max_concurrent = 16384,
                                  .tokens_per_min = 0,
                                  .relay_capable = true,
                                  .relay_accept_port = 9485,
                                  .transport_endpoint = TG_STR("iicp://h:9484"),
                                  .transport_method = TG_STR("direct"),
                                  .nat_type = TG_STR("full_cone"),
                                  .transport_metadata = TG_STR("{\"tier\":0}"),
                                  .transport_candidates = TG_STR("[]"),
                                  .relay_endpoint = TG_STR("http://r"),
                                  .exposure_mode = TG_STR("ipv4_public_direct"),
                                  .public_key = TG_STR("pk"),
                                  .backend = TG_STR("ollama"),
                                  .node_hmac_key = TG_STR("hk"),
                                  .cx_public_key = TG_STR("{\"key\":\"k\"}"),
                                  .policy_manifest = TG_STR("{}"),
                                  .sdk_language = TG_STR("c"),
                                  .sdk_version = TG_STR("1"),
                                  .implementation_name = TG_STR("taskgate"),
                                  .implementation_version = TG_STR("1"),
                                  .supported_receipt_profiles = {(const struct tg_str[]){TG_STR_INIT("x")}, 1},
                                  .operator_delegation = TG_STR("{\"sig\":\"s\"}"),
                                  .operator_display_name = TG_STR("Op"),
                                  .cip = {.enabled = true, .allow_worker = true},
                                  .pricing = {.declared = true,
                                              .multiplier = 1,
                                              .model = IICP_FLAT,
                                              .signature = TG_STR("ab"),
                                              .effective_from = TG_STR("f"),
                                              .effective_until = TG_STR("u")},
                                  .availability = {1, {{540, 1020, 0.75}}}};
    iicp_write_registration(&r, &w);
    expect(
        "{\"endpoint\":\"http://"
        "h\",\"region\":\"r\",\"current_node_token\":\"tok\",\"capabilities\":[{\"intent\":"
        "\"urn:iicp:intent:llm:chat:v1\",\"models\":[\"a\",\"b\\\"c\"],\"max_tokens\":1,\"input_modalities\":"
        "[\"text\",\"image\"],"
        "\"output_modalities\":[\"text\"],\"supported_profiles\":[\"urn:p\"],\"quantization\":\"q4\","
        "\"inference_engine\":\"knn\"}],"
        "\"limits\":{\"max_concurrent\":256,\"tokens_per_min\":1},\"relay_capable\":true,\"relay_accept_"
        "port\":9485,"
        "\"transport_endpoint\":\"iicp://h:9484\",\"transport_method\":\"direct\",\"nat_type\":\"full_cone\","
        "\"transport_metadata\":{\"tier\":0},\"transport_candidates\":[],\"relay_endpoint\":\"http://r\","
        "\"exposure_mode\":\"ipv4_public_direct\",\"public_key\":\"pk\",\"backend\":\"ollama\",\"node_hmac_"
        "key\":\"hk\","
        "\"cx_public_key\":{\"key\":\"k\"},\"policy_manifest\":{},\"sdk_language\":\"c\",\"sdk_version\":"
        "\"1\","
        "\"implementation_name\":\"taskgate\",\"implementation_version\":\"1\",\"supported_receipt_"
        "profiles\":[\"x\"],"
        "\"operator_delegation\":{\"sig\":\"s\"},\"operator_display_name\":\"Op\",\"policy\":{\"allow_remote_"
        "inference\":true,"
        "\"allow_tool_execution\":false},\"pricing\":{\"credit_cost_multiplier\":1,\"pricing_model\":"
        "\"flat\","
        "\"declaration_signature\":\"ab\",\"effective_from\":\"f\",\"effective_until\":\"u\"},"
        "\"availability\":[{\"start\":\"09:00\",\"end\":\"17:00\",\"share\":0.75}]}");
}

static void expect_objection(struct iicp_registration r, const char *begins)
{
    const char *wrong = iicp_registration_check(&r);
    cr_assert_not_null(wrong, "%s", begins);
    cr_expect_eq(strncmp(wrong, begins, strlen(begins)), 0, "%s, not %s", wrong, begins);
}

Test(directory, what_directories_refuse_is_found_here)
{
    struct iicp_capability c = capability();
    struct iicp_registration r = minimal(&c);
#define WITH(change, begins)                                                                                 \
    do {                                                                                                     \
        struct iicp_registration x = r;                                                                      \
        x.change;                                                                                            \
        expect_objection(x, begins);                                                                         \
    } while (0)
    WITH(endpoint = TG_STR("ftp://h"), "endpoint");
    WITH(endpoint = TG_STR(""), "endpoint");
    WITH(region = TG_STR("1st"), "region");
    WITH(region = TG_STR("eu central"), "region");
    WITH(node_id = TG_STR("b8a1f3d0-7c52-4a5e-9b1a-2d3c4e5f60711"), "node_id");
    WITH(node_id = TG_STR("-x"), "node_id");
    WITH(capability_count = 0, "capabilities");
    WITH(pricing = ((struct iicp_pricing){.declared = true, .multiplier = 1001}), "pricing");
    WITH(pricing = ((struct iicp_pricing){.declared = true, .multiplier = __builtin_nan("")}), "pricing");
    c.intent = TG_STR("urn:iicp:intent:x.a:social-scoring:v1");
    expect_objection(r, "capabilities");
}

Test(directory, a_registration_reply)
{
    struct iicp_registered r;
    cr_assert_eq(
        iicp_read_registered(
            parse("{\"node_id\":\"n1\",\"node_token\":\"t\",\"proxy_token\":\"p\",\"node_hmac_key\":\"k\","
                  "\"expires_at\":null,\"recovered\":true}"),
            &r),
        0);
    cr_expect_str_eq(r.node_id, "n1");
    cr_expect_str_eq(r.node_token, "t");
    cr_expect_str_eq(r.hmac_key, "k");
    cr_expect(r.recovered);
    cr_assert_eq(iicp_read_registered(parse("{\"token\":\"older\"}"), &r), 0);
    cr_expect_str_eq(r.node_token, "older");
    cr_expect_str_eq(r.hmac_key, "");
}

Test(directory, a_token_that_could_forge_a_header_is_no_token)
{
    static const char *const wrong[] = {"{}",
                                        "[]",
                                        "5",
                                        "{\"node_token\":\"\"}",
                                        "{\"node_token\":5}",
                                        "{\"node_token\":\"a\\r\\nX: y\"}",
                                        "{\"node_token\":\"a b\"}",
                                        "{\"node_token\":\"\\u0000\"}",
                                        "{\"node_token\":\"\\u00e9\"}"};
    struct iicp_registered r;
    for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++)
        cr_expect_eq(iicp_read_registered(parse(wrong[i]), &r), -EBADMSG, "%s", wrong[i]);
    char text[400] = "{\"node_token\":\"";
    memset(text + strlen(text), 'a', IICP_TOKEN_MAX + 1);
    strcat(text, "\"}");
    cr_expect_eq(iicp_read_registered(parse(text), &r), -EBADMSG, "too long");
}

/* ---- refusals --------------------------------------------------------------------------------------- */

static void expect_refusal(const char *body, const char *code, const char *message, const char *fields,
                           uint32_t retry_after_s)
{
    struct iicp_refusal r;
    iicp_read_refusal(body ? parse(body) : NULL, &r);
    cr_expect_str_eq(r.code, code);
    cr_expect_str_eq(r.message, message);
    cr_expect_str_eq(r.fields, fields);
    cr_expect_eq(r.retry_after_s, retry_after_s);
}

Test(directory, refusals_come_in_many_shapes)
{
    expect_refusal(NULL, "", "", "", 0);
    expect_refusal("[]", "", "", "", 0);
    expect_refusal("{\"error\":\"IICP-E034\",\"message\":\"slow\",\"retry_after\":60}", "IICP-E034", "slow",
                   "", 60);
    expect_refusal("{\"error\":{\"code\":\"IICP-E049\",\"message\":\"key changed\"}}", "IICP-E049",
                   "key changed", "", 0);
    expect_refusal("{\"code\":\"liveness_failed\",\"message\":\"m\"}", "liveness_failed", "m", "", 0);
    expect_refusal(
        "{\"message\":\"The given data was "
        "invalid.\",\"errors\":{\"region\":[\"bad\\nline\",\"x\"],\"limits.max_concurrent\":[\"too big\"]}}",
        "", "The given data was invalid.", "region: bad line; limits.max_concurrent: too big", 0);
    expect_refusal("{\"error\":{\"code\":5},\"errors\":{\"a\":[]},\"retry_after\":-1}", "", "", "a: ", 0);
}

static enum iicp_verdict verdict(uint32_t status, const char *code)
{
    struct iicp_refusal r = {0};
    memcpy(r.code, code, strlen(code) + 1);
    return iicp_register_verdict(status, &r);
}

Test(directory, what_answers_mean)
{
    cr_expect_eq(verdict(201, ""), IICP_ACCEPTED);
    cr_expect_eq(verdict(200, ""), IICP_ACCEPTED);
    cr_expect_eq(verdict(403, "IICP-E049"), IICP_NEVER);
    cr_expect_eq(verdict(403, "IICP-E050"), IICP_NEVER);
    cr_expect_eq(verdict(422, ""), IICP_NEVER);
    cr_expect_eq(verdict(422, "IICP-E035"), IICP_NEVER);
    cr_expect_eq(verdict(422, "IICP-E036"), IICP_LATER);
    cr_expect_eq(verdict(422, "liveness_failed"), IICP_LATER);
    cr_expect_eq(verdict(429, "IICP-E034"), IICP_LATER);
    cr_expect_eq(verdict(500, ""), IICP_LATER);
    cr_expect_eq(verdict(302, ""), IICP_LATER);
    cr_expect_eq(iicp_heartbeat_verdict(200), IICP_ACCEPTED);
    cr_expect_eq(iicp_heartbeat_verdict(401), IICP_STRANGER);
    cr_expect_eq(iicp_heartbeat_verdict(404), IICP_STRANGER);
    cr_expect_eq(iicp_heartbeat_verdict(410), IICP_STRANGER);
    cr_expect_eq(iicp_heartbeat_verdict(429), IICP_LATER);
    cr_expect_eq(iicp_heartbeat_verdict(503), IICP_LATER);
}

/* ---- heartbeat -------------------------------------------------------------------------------------- */

Test(directory, a_heartbeat_with_everything)
{
    struct iicp_beat b = {.node_id = TG_STR("b8a1"),
                          .node_token = TG_STR("tok"),
                          .available = true,
                          .active = 1,
                          .base_concurrent = 4,
                          .effective_concurrent = 4,
                          .batch = {12, 0, 38.5, TG_STR("c1f0-17")},
                          .models = TEXTS(TG_STR("demo")),
                          .has_backend = true,
                          .challenge_response = TG_STR("00ff"),
                          .pricing = {.declared = true, .multiplier = 1.5, .signature = TG_STR("aa")}};
    iicp_write_heartbeat(&b, &w);
    expect(
        "{\"node_id\":\"b8a1\",\"node_token\":\"tok\",\"status\":\"available\",\"available\":true,\"load\":0."
        "25,\"active_jobs\":1,"
        "\"max_concurrent\":4,\"metrics\":{\"tasks_success\":12,\"tasks_failed\":0,\"avg_latency_ms\":38.5},"
        "\"metrics_batch_id\":\"c1f0-17\",\"health_models\":[\"demo\"],\"backend_stability\":{\"backend_"
        "state\":\"ok\","
        "\"reason_class\":\"ok\"},\"challenge_response\":\"00ff\",\"pricing\":{\"credit_cost_multiplier\":1."
        "5,"
        "\"pricing_model\":\"per_token\",\"declaration_signature\":\"aa\"}}");
}

Test(directory, a_heartbeat_says_only_what_is_known)
{
    static char long_name[IICP_HEALTH_MODEL_MAX + 1];
    memset(long_name, 'm', sizeof(long_name));
    struct tg_str names[] = {{long_name, sizeof(long_name)}};
    struct iicp_beat b = {.node_id = TG_STR("n"),
                          .active = 9,
                          .base_concurrent = 4,
                          .effective_concurrent = 2,
                          .models = {names, 1}};
    iicp_write_heartbeat(&b, &w);
    expect("{\"node_id\":\"n\",\"status\":\"busy\",\"available\":false,\"load\":1,\"active_jobs\":9,\"max_"
           "concurrent\":2}");
}

Test(directory, backend_stability_of_a_draining_backend)
{
    iicp_backend_write(iicp_backend_unpack(iicp_backend_pack((struct iicp_backend){
                           IICP_BACKEND_DRAINING, IICP_REASON_UNSTABLE, 60, 4000000000u})),
                       &w);
    expect("{\"backend_state\":\"draining\",\"reason_class\":\"backend_unstable\",\"retry_after_s\":60,"
           "\"drain_until\":4000000000}");
}

Test(directory, a_heartbeat_reply)
{
    struct iicp_beat_reply r;
    cr_assert_eq(iicp_read_heartbeat(parse("{\"ok\":true,\"next_heartbeat_ms\":30000,\"reputation_score\":0."
                                           "75,\"metrics_batch_accepted\":"
                                           "\"c1f0-17\",\"challenge\":\"0011\"}"),
                                     &r),
                 0);
    cr_expect_eq(r.next_heartbeat_ms, 30000);
    cr_expect_str_eq(r.batch, "c1f0-17");
    cr_expect(r.has_batch);
    cr_expect_str_eq(r.challenge, "0011");
    cr_expect_float_eq(r.reputation, 0.75, 0);
    cr_assert_eq(
        iicp_read_heartbeat(
            parse("{\"metrics_batch_accepted\":null,\"next_heartbeat_ms\":\"soon\",\"challenge\":7}"), &r),
        0);
    cr_expect_not(r.has_batch);
    cr_expect_eq(r.next_heartbeat_ms, 0);
    cr_expect_str_eq(r.challenge, "");
    cr_expect_eq(iicp_read_heartbeat(parse("[]"), &r), -EBADMSG);
    cr_expect_eq(iicp_read_heartbeat(parse("{\"ok\":false}"), &r), -EBADMSG);
}

Test(directory, goodbye_names_the_node)
{
    iicp_write_deregistration(TG_STR("n1"), &w);
    expect("{\"node_id\":\"n1\"}");
}

Test(directory, an_award_as_the_contract_has_it)
{
    struct iicp_award a = {.node_id = TG_STR("n1"),
                           .task_id = TG_STR(""),
                           .nonce = TG_STR("00"),
                           .expires_at = TG_STR("2026-11-20T15:04:15Z"),
                           .signature = TG_STR("ab"),
                           .response_hash = TG_STR("cd"),
                           .querying_node_id = TG_STR("q"),
                           .tokens = 9,
                           .amount = 0.009};
    iicp_write_award(&a, &w);
    expect("{\"node_id\":\"n1\",\"task_id\":\"\",\"tokens_used\":9,\"amount\":0.009,\"nonce\":\"00\","
           "\"expires_at\":\"2026-11-20T15:04:15Z\","
           "\"signature\":\"ab\",\"response_hash\":\"cd\",\"reason\":\"task_completion\",\"querying_node_"
           "id\":\"q\"}");
}

/* ---- the key, and others ---------------------------------------------------------------------------- */

Test(directory, the_directorys_key)
{
    uint8_t key[CRYPTO_KEY_BYTES] = {0};
    cr_assert_eq(
        iicp_read_directory_key(
            parse("{\"public_key\":\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\","
                  "\"algorithm\":\"ed25519\"}"),
            key),
        0);
    cr_expect_eq(key[1], 0x11);
    cr_expect_eq(iicp_read_directory_key(parse("{\"public_key\":\"0011\",\"algorithm\":\"ed25519\"}"), key),
                 -EBADMSG);
    cr_expect_eq(
        iicp_read_directory_key(
            parse("{\"public_key\":\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\","
                  "\"algorithm\":\"rsa\"}"),
            key),
        -EBADMSG);
    cr_expect_eq(iicp_read_directory_key(parse("{\"public_key\":null}"), key), -EBADMSG);
}

Test(directory, a_discover_query)
{
    char out[512];
    struct iicp_discover d = {.intent = TG_STR("urn:iicp:intent:llm:chat:v1"),
                              .qos = TG_STR("best-effort"),
                              .model = TG_STR("a b&c"),
                              .limit = 50,
                              .min_reputation = 0.5,
                              .max_multiplier = -1,
                              .cip_capable = true};
    cr_assert_gt(iicp_discover_path(&d, out, sizeof(out)), 0);
    cr_expect_str_eq(
        out,
        "/v1/discover?intent=urn%3Aiicp%3Aintent%3Allm%3Achat%3Av1&qos=best-effort&limit=50&model=a%20b%26c"
        "&min_reputation=0.5&cip_capable=true");
    cr_expect_eq(iicp_discover_path(&d, out, 40), 0);
}

Test(directory, discovered_nodes)
{
    struct iicp_found f[2];
    cr_assert_eq(iicp_read_discovered(
                     parse("{\"nodes\":[5,{\"node_id\":\"x\"},{\"node_id\":\"n1\",\"endpoint\":\"http://"
                           "h\",\"score\":0.9,"
                           "\"available\":false,\"models\":[\"m\"],\"cx_public_key\":{\"key\":\"k\"}},"
                           "{\"node_id\":\"n2\",\"endpoint\":\"http://"
                           "i\"},{\"node_id\":\"n3\",\"endpoint\":\"http://j\"}],\"count\":5}"),
                     f, 2),
                 2);
    cr_expect_str_eq(f[0].node_id, "n1");
    cr_expect_not(f[0].available);
    cr_expect_float_eq(f[0].score, 0.9, 0);
    cr_expect(f[0].models && f[0].cx_public_key);
    cr_expect_str_eq(f[1].node_id, "n2");
    cr_expect(f[1].available);
    cr_expect_eq(iicp_read_discovered(parse("{\"nodes\":null}"), f, 2), -EBADMSG);
    cr_expect_eq(iicp_read_discovered(parse("[]"), f, 2), -EBADMSG);
}
