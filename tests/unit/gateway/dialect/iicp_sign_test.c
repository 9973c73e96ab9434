/* SPDX-License-Identifier: Apache-2.0 */
/* What a node signs, by the contract's test vectors; Python's hmac gave the same, and those the contract
 * lacks. */
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "gateway/base/hex.h"
#include "gateway/dialect/iicp_sign.h"

#define KEY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct crypto *c;
static char out[IICP_SIGNATURE_CHARS];

static void set_up(void)
{
    c = crypto_create();
    cr_assert_not_null(c);
}

static void tear_down(void)
{
    crypto_destroy(c);
}

TestSuite(iicp_sign, .init = set_up, .fini = tear_down);

static void expect_signature(const char *wanted)
{
    cr_expect(tg_str_eq((struct tg_str){out, sizeof(out)}, (struct tg_str){wanted, strlen(wanted)}), "%.*s",
              (int)sizeof(out), out);
}

/* ---- challenges --------------------------------------------------------------------------------------- */

Test(iicp_sign, vector_challenge_response)
{
    cr_expect_eq(iicp_sign_challenge(c, TG_STR(KEY), TG_STR("00112233445566778899aabbccddeeff"), out), 0);
    expect_signature("030ffc11ec49be148af4e692ad06ac01633f5fcae141bab99873e78ab06db975");
}

Test(iicp_sign, nothing_is_signed_without_a_key)
{
    struct iicp_receipt r = {
        TG_STR("t"), 1, TG_STR("0123456789abcdef0123456789abcdef"), TG_STR(KEY), {NULL, 0}};
    cr_expect_eq(iicp_sign_challenge(c, TG_STR(""), TG_STR("x"), out), -EINVAL);
    cr_expect_eq(iicp_sign_pricing(c, TG_STR(""), 1, TG_STR("per_token"), out), -EINVAL);
    cr_expect_eq(iicp_sign_receipt(c, TG_STR(""), &r, out), -EINVAL);
}

/* ---- pricing ------------------------------------------------------------------------------------------ */

Test(iicp_sign, vector_pricing_at_one)
{
    cr_expect_eq(iicp_sign_pricing(c, TG_STR(KEY), 1.0, TG_STR("per_token"), out), 0);
    expect_signature("745f4a4f5cbabc2e4d70d4e85eebca936386513ef26e589abe61442aab1bb088");
}

Test(iicp_sign, vector_pricing_at_one_and_a_half)
{
    cr_expect_eq(iicp_sign_pricing(c, TG_STR(KEY), 1.5, TG_STR("per_token"), out), 0);
    expect_signature("253328f762171ac84cf4546f285c130425d05464e8cf909044588f0149b6fbb5");
}

static void expect_multiplier(double v, const char *wanted)
{
    char text[128], all[128];
    struct tg_json_writer w;
    tg_json_writer_init(&w, text, sizeof(text));
    iicp_pricing_text(v, TG_STR("per_token"), &w);
    int len =
        snprintf(all, sizeof(all), "{\"credit_cost_multiplier\":%s,\"pricing_model\":\"per_token\"}", wanted);
    cr_expect(tg_str_eq((struct tg_str){w.buf, w.len}, (struct tg_str){all, (size_t)len}), "%.*s", (int)w.len,
              w.buf);
}

Test(iicp_sign, integral_multipliers_are_integers_and_others_as_short_as_can_be)
{
    expect_multiplier(0, "0");
    expect_multiplier(-0.0, "0");
    expect_multiplier(1, "1");
    expect_multiplier(1000, "1000");
    expect_multiplier(0.1, "0.1");
    expect_multiplier(2.5, "2.5");
    expect_multiplier(0.1 + 0.2, "0.30000000000000004");
    expect_multiplier(999999999999999.0, "999999999999999");
}

Test(iicp_sign, a_multiplier_that_is_no_number_is_not_signed)
{
    cr_expect_eq(iicp_sign_pricing(c, TG_STR(KEY), (double)NAN, TG_STR("per_token"), out), -EINVAL);
    cr_expect_eq(iicp_sign_pricing(c, TG_STR(KEY), (double)INFINITY, TG_STR("per_token"), out), -EINVAL);
}

/* ---- receipts ----------------------------------------------------------------------------------------- */

static struct iicp_receipt receipt(void)
{
    return (struct iicp_receipt){TG_STR("t-1"),
                                 9,
                                 TG_STR("0123456789abcdef0123456789abcdef"),
                                 TG_STR("4062edaf750fb8074e7e83e0c9028c94e32468a8b6f1614774328ef045150f93"),
                                 {NULL, 0}};
}

Test(iicp_sign, a_receipt_without_requester)
{
    struct iicp_receipt r = receipt();
    cr_expect_eq(iicp_sign_receipt(c, TG_STR(KEY), &r, out), 0);
    expect_signature("f0532ae2f4983254b84fe7a522b6fab707fa4bd26adae6bbd975e045a84e5c00");
}

Test(iicp_sign, a_receipt_with_requester)
{
    struct iicp_receipt r = receipt();
    r.requester = TG_STR("n-2");
    cr_expect_eq(iicp_sign_receipt(c, TG_STR(KEY), &r, out), 0);
    expect_signature("d1cbcbae9373a8a749767f336a227a14e24a6c5638cb6b72baff3f7862e4e66d");
}

Test(iicp_sign, a_receipt_whose_parts_are_of_the_wrong_size_is_not_signed)
{
    static char name[1024];
    struct iicp_receipt r = receipt();
    memset(name, 'x', sizeof(name));
    r.nonce.len = 31;
    cr_expect_eq(iicp_sign_receipt(c, TG_STR(KEY), &r, out), -EINVAL);
    r = receipt();
    r.response_hash.len = 63;
    cr_expect_eq(iicp_sign_receipt(c, TG_STR(KEY), &r, out), -EINVAL);
    r = receipt();
    r.task_id = (struct tg_str){name, sizeof(name)};
    cr_expect_eq(iicp_sign_receipt(c, TG_STR(KEY), &r, out), -EINVAL);
}

Test(iicp_sign, the_longest_receipt_fits)
{
    static char name[256];
    struct iicp_receipt r = receipt();
    memset(name, 'x', sizeof(name));
    r.task_id = r.requester = (struct tg_str){name, sizeof(name)};
    r.tokens = UINT64_MAX;
    cr_expect_eq(iicp_sign_receipt(c, TG_STR(KEY), &r, out), 0);
}

Test(iicp_sign, a_receipt_is_worth_a_thousandth_of_each_token)
{
    cr_expect_eq(iicp_receipt_amount(0), 0.001);
    cr_expect_eq(iicp_receipt_amount(1), 0.001);
    cr_expect_eq(iicp_receipt_amount(1234), 1.234);
}

/* ---- results ------------------------------------------------------------------------------------------ */

static void expect_hash(const char *text, const char *wanted)
{
    struct tg_json_node nodes[64];
    uint32_t members[JSON_CANONICAL_ROOM(64)];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = 64};
    struct tg_json_error err;
    uint8_t hash[32];
    cr_assert_eq(tg_json_parse(&doc, text, strlen(text), &err), 0);
    cr_expect_eq(iicp_result_hash(c, &doc, doc.nodes, (struct json_canonical_room){members, 33}, hash), 0);
    hex_write(out, hash, sizeof(hash));
    expect_signature(wanted);
}

Test(iicp_sign, a_result_is_hashed_as_python_would_write_it)
{
    expect_hash("{ \"ok\" : true }", "4062edaf750fb8074e7e83e0c9028c94e32468a8b6f1614774328ef045150f93");
    expect_hash("{\"b\":[1.0,\"\xc3\xa9\"],\"a\":null}",
                "9cd3565086db8ad35168a97da921423f01bbdc1fc689c78cecaf72bf88ff58cb");
}

Test(iicp_sign, a_result_with_more_members_than_room_has_no_hash)
{
    struct tg_json_node nodes[64];
    uint32_t members[1];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = 64};
    struct tg_json_error err;
    uint8_t hash[32];
    tg_json_parse(&doc, "{\"a\":1,\"b\":2}", 13, &err);
    cr_expect_eq(iicp_result_hash(c, &doc, doc.nodes, (struct json_canonical_room){members, 1}, hash),
                 -ENOSPC);
}
