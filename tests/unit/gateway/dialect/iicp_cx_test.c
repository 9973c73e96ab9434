/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confidential tasks: the contract's test vectors, whose full values Python's cryptography package gave as
 * well, and everything that must not open.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "gateway/base/base64.h"
#include "gateway/base/hex.h"
#include "gateway/dialect/iicp_cx.h"

#define TASK_ID "t-1"
#define INTENT "urn:iicp:intent:llm:chat:v1"
#define KEY_ID "cx-d19bf3f082782c87"
#define EPHEMERAL "D6poTtKIZ7l_Smot7l34zpdOdrcBjj8iocTPJnhXDyA"
#define NONCE "AAECAwQFBgcICQoL"
#define AAD "dC0xfHVybjppaWNwOmludGVudDpsbG06Y2hhdDp2MQ"
#define BODY "2FHHN3xYYaFkj4hU_TvdJzWcmQiYD5N-c1s0D3dPag"

static struct crypto *c;
static struct iicp_keys keys;
static struct iicp_cx_opened opened;
static char plain[4096];

static void set_up(void)
{
    uint8_t private_key[32];
    memset(private_key, 0x11, sizeof(private_key));
    c = crypto_create();
    cr_assert_not_null(c);
    cr_assert_eq(iicp_cx_key_set(c, &keys, private_key), 0);
}

static void tear_down(void)
{
    crypto_destroy(c);
}

TestSuite(iicp_cx, .init = set_up, .fini = tear_down);

static enum iicp_cx_result open_for(const char *conf, struct tg_str task_id, struct tg_str intent, size_t cap)
{
    static struct tg_json_node nodes[256];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    struct tg_json_error err;
    cr_assert_eq(tg_json_parse(&doc, conf, strlen(conf), &err), 0, "%s", conf);
    return iicp_cx_open(c, &keys, &doc, doc.nodes, task_id, intent, plain, cap, &opened);
}

/* The good envelope with one member, as JSON text, put in place of its own. */
static const char *with(const char *member, const char *value)
{
    static const char *const members[][2] = {{"version", "1"},
                                             {"recipient_key_id", "\"" KEY_ID "\""},
                                             {"kem_ciphertext", "\"" EPHEMERAL "\""},
                                             {"nonce", "\"" NONCE "\""},
                                             {"aad", "\"" AAD "\""},
                                             {"encrypted_body", "\"" BODY "\""},
                                             {"plaintext_size", "15"}};
    static char text[8192];
    int len = 0;
    for (size_t i = 0; i < TG_ARRAY_SIZE(members); i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len, "%s\"%s\":%s", len ? "," : "{", members[i][0],
                        strcmp(member, members[i][0]) == 0 ? value : members[i][1]);
    snprintf(text + len, sizeof(text) - (size_t)len, "}");
    return text;
}

static void expect_with(const char *member, const char *value, enum iicp_cx_result wanted)
{
    enum iicp_cx_result r = open_for(with(member, value), TG_STR(TASK_ID), TG_STR(INTENT), sizeof(plain));
    cr_expect_eq(r, wanted, "%s %s: %s", member, value, iicp_cx_reason(r).ptr);
}

/* ---- the vectors -------------------------------------------------------------------------------------- */

Test(iicp_cx, vector_public_key_and_key_id)
{
    char text[64];
    size_t len = base64_write(text, keys.cx_public, 32);
    cr_expect(tg_str_eq((struct tg_str){text, len}, TG_STR("e06Qm75__kTEZaIgA31gjuNYl9Me-XLwf3SJLLD3PxM")));
    cr_expect_str_eq(keys.cx_key_id, KEY_ID);
}

Test(iicp_cx, vector_ephemeral_public_key)
{
    uint8_t private_key[32], public_key[32];
    char text[64];
    memset(private_key, 0x22, sizeof(private_key));
    crypto_x25519_public(c, private_key, public_key);
    size_t len = base64_write(text, public_key, 32);
    cr_expect(tg_str_eq((struct tg_str){text, len}, TG_STR(EPHEMERAL)));
}

Test(iicp_cx, vector_shared_secret_and_request_key)
{
    uint8_t ephemeral[32], nonce[12], secret[32], key[32];
    char text[64];
    base64_read(ephemeral, 32, TG_STR(EPHEMERAL));
    base64_read(nonce, 12, TG_STR(NONCE));
    cr_assert_eq(crypto_x25519(c, keys.cx_private, ephemeral, secret), 0);
    hex_write(text, secret, 32);
    cr_expect(tg_str_eq((struct tg_str){text, 64},
                        TG_STR("9e004098efc091d4ec2663b4e9f5cfd4d7064571690b4bea97ab146ab9f35056")));
    crypto_hkdf(c, (struct tg_str){(char *)secret, 32}, (struct tg_str){(char *)nonce, 12},
                TG_STR("IICP-CX-v1" TASK_ID INTENT), key, 32);
    hex_write(text, key, 32);
    cr_expect(tg_str_eq((struct tg_str){text, 64},
                        TG_STR("6cf4f6eca8ded47a59b5739d96a61975039707786ddd20a3230826b29714e83f")));
}

Test(iicp_cx, vector_request_opens)
{
    char secret[64];
    cr_assert_eq(open_for(with("", ""), TG_STR(TASK_ID), TG_STR(INTENT), sizeof(plain)), IICP_CX_DONE);
    cr_expect(tg_str_eq(opened.plain, TG_STR("{\"messages\":[]}")));
    hex_write(secret, opened.secret, 32);
    cr_expect(tg_str_eq((struct tg_str){secret, 64},
                        TG_STR("9e004098efc091d4ec2663b4e9f5cfd4d7064571690b4bea97ab146ab9f35056")));
}

Test(iicp_cx, vector_reply_is_sealed)
{
    char text[27] = "{\"ok\":true}", out[512];
    uint8_t nonce[12];
    struct tg_json_writer w;
    for (uint8_t i = 0; i < sizeof(nonce); i++)
        nonce[i] = (uint8_t)(0x10 + i);
    cr_assert_eq(open_for(with("", ""), TG_STR(TASK_ID), TG_STR(INTENT), sizeof(plain)), IICP_CX_DONE);
    tg_json_writer_init(&w, out, sizeof(out));
    struct iicp_cx_reply reply = {opened.secret, TG_STR(TASK_ID), text, 11, sizeof(text)};
    cr_assert_eq(iicp_cx_seal_with(c, &reply, nonce, &w), IICP_CX_DONE);
    cr_expect(
        tg_str_eq(
            (struct tg_str){w.buf, w.len},
            TG_STR(
                "{\"task_id\":\"t-1\",\"status\":\"encrypted\",\"generated_by_ai\":true,\"iicp_conf_resp\":"
                "{\"version\":1,\"nonce\":\"EBESExQVFhcYGRob\","
                "\"encrypted_body\":\"1eBRHlSzuWjj9Hs8jWy_RKcP7K_eIf3WuKam\"}}")),
        "%.*s", (int)w.len, w.buf);
}

/* ---- what must not open ------------------------------------------------------------------------------- */

Test(iicp_cx, a_node_without_key_says_so)
{
    keys.has_cx = false;
    expect_with("", "", IICP_CX_NO_KEY);
    cr_expect_eq(iicp_cx_status(IICP_CX_NO_KEY), TG_CX_NO_KEY);
    cr_expect(tg_str_eq(tg_status_info(TG_CX_NO_KEY)->code, TG_STR("IICP-CX-01")));
}

Test(iicp_cx, every_refusal_of_an_envelope_has_the_code_for_undecryptable)
{
    for (int r = IICP_CX_MALFORMED; r <= IICP_CX_SEALED; r++)
        cr_expect_eq(iicp_cx_status((enum iicp_cx_result)r), TG_CX_UNDECRYPTABLE);
    cr_expect(tg_str_eq(tg_status_info(TG_CX_UNDECRYPTABLE)->code, TG_STR("IICP-CX-02")));
    cr_expect_eq(tg_status_info(TG_CX_UNDECRYPTABLE)->http, 400);
}

Test(iicp_cx, another_version)
{
    expect_with("version", "2", IICP_CX_VERSION);
    expect_with("version", "0", IICP_CX_VERSION);
    expect_with("version", "\"1\"", IICP_CX_VERSION);
    expect_with("version", "null", IICP_CX_VERSION);
}

Test(iicp_cx, another_recipient)
{
    expect_with("recipient_key_id", "\"cx-0000000000000000\"", IICP_CX_RECIPIENT);
    expect_with("recipient_key_id", "\"\"", IICP_CX_RECIPIENT);
    expect_with("recipient_key_id", "null", IICP_CX_RECIPIENT);
    expect_with("recipient_key_id", "7", IICP_CX_RECIPIENT);
}

Test(iicp_cx, an_envelope_lifted_onto_another_task_or_intent)
{
    cr_expect_eq(open_for(with("", ""), TG_STR("t-2"), TG_STR(INTENT), sizeof(plain)), IICP_CX_AAD);
    cr_expect_eq(
        open_for(with("", ""), TG_STR(TASK_ID), TG_STR("urn:iicp:intent:llm:chat:v2"), sizeof(plain)),
        IICP_CX_AAD);
    cr_expect_eq(open_for(with("", ""), TG_STR(TASK_ID "|urn"), TG_STR(INTENT), sizeof(plain)), IICP_CX_AAD);
}

/* "t-2|..." agrees with the request around it, but the tag was made over another text. */
Test(iicp_cx, a_tampered_aad_that_agrees_with_a_tampered_request)
{
    const char *conf = with("aad", "\"dC0yfHVybjppaWNwOmludGVudDpsbG06Y2hhdDp2MQ\"");
    cr_expect_eq(open_for(conf, TG_STR("t-2"), TG_STR(INTENT), sizeof(plain)), IICP_CX_SEALED);
    cr_expect_eq(open_for(conf, TG_STR(TASK_ID), TG_STR(INTENT), sizeof(plain)), IICP_CX_AAD);
}

Test(iicp_cx, an_aad_that_is_missing_empty_too_long_or_no_base64)
{
    char huge[2100];
    memset(huge, 'A', sizeof(huge));
    huge[0] = huge[2001] = '"';
    huge[2002] = '\0';
    expect_with("aad", huge, IICP_CX_AAD);
    expect_with("aad", "null", IICP_CX_AAD);
    expect_with("aad", "\"\"", IICP_CX_AAD);
    expect_with("aad", "\"" AAD "==\"", IICP_CX_AAD);
    expect_with("aad", "\"dC0x\"", IICP_CX_AAD);
}

Test(iicp_cx, a_body_too_short_for_its_tag)
{
    expect_with("encrypted_body", "\"\"", IICP_CX_SHORT);
    expect_with("encrypted_body", "\"AAAAAAAAAAAAAAAAAAAA\"", IICP_CX_SHORT); /* 15 bytes */
    expect_with("encrypted_body", "null", IICP_CX_MALFORMED);
    expect_with("encrypted_body", "[]", IICP_CX_MALFORMED);
}

Test(iicp_cx, a_tag_cut_short)
{
    char cut[64];
    snprintf(cut, sizeof(cut), "\"%.*s\"", (int)sizeof(BODY) - 3,
             BODY); /* 30 bytes of 31; the size no longer fits */
    expect_with("encrypted_body", cut, IICP_CX_SIZE);
    const char *conf = "{\"version\":1,\"recipient_key_id\":\"" KEY_ID "\",\"kem_ciphertext\":\"" EPHEMERAL
                       "\",\"nonce\":\"" NONCE "\",\"aad\":\"" AAD
                       "\",\"encrypted_body\":\"2FHHN3xYYaFkj4hU_TvdJzWcmQiYD5N-c1s0D3dP\"}";
    cr_expect_eq(open_for(conf, TG_STR(TASK_ID), TG_STR(INTENT), sizeof(plain)), IICP_CX_SEALED);
}

Test(iicp_cx, any_changed_character_of_the_body)
{
    for (size_t i = 0; i < sizeof(BODY) - 2; i++) {
        char changed[64] = "\"" BODY "\"";
        changed[i + 1] = changed[i + 1] == 'A' ? 'B' : 'A';
        expect_with("encrypted_body", changed, IICP_CX_SEALED);
    }
}

Test(iicp_cx, a_nonce_or_key_that_was_changed)
{
    expect_with("nonce", "\"AAECAwQFBgcICQoM\"", IICP_CX_SEALED);
    expect_with("kem_ciphertext", "\"E6poTtKIZ7l_Smot7l34zpdOdrcBjj8iocTPJnhXDyA\"", IICP_CX_SEALED);
}

Test(iicp_cx, a_nonce_or_key_of_another_size)
{
    expect_with("nonce", "\"AAECAwQFBgcICQo\"", IICP_CX_MALFORMED);
    expect_with("nonce", "\"AAECAwQFBgcICQoLDA\"", IICP_CX_MALFORMED);
    expect_with("nonce", "12", IICP_CX_MALFORMED);
    expect_with("kem_ciphertext", "\"D6poTtKIZ7l_Smot7l34zpdOdrcBjj8iocTPJnhXDw\"", IICP_CX_MALFORMED);
    expect_with("kem_ciphertext", "null", IICP_CX_MALFORMED);
}

Test(iicp_cx, a_client_key_that_makes_every_secret_the_same)
{
    expect_with("kem_ciphertext", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"", IICP_CX_KEY);
}

Test(iicp_cx, a_plaintext_size_that_lies)
{
    expect_with("plaintext_size", "14", IICP_CX_SIZE);
    expect_with("plaintext_size", "31", IICP_CX_SIZE);
    expect_with("plaintext_size", "-1", IICP_CX_SIZE);
    expect_with("plaintext_size", "15.0", IICP_CX_SIZE);
    expect_with("plaintext_size", "\"15\"", IICP_CX_SIZE);
    expect_with("plaintext_size", "null", IICP_CX_DONE); /* not stated */
}

Test(iicp_cx, a_body_over_the_room_there_is)
{
    cr_expect_eq(open_for(with("", ""), TG_STR(TASK_ID), TG_STR(INTENT), 30), IICP_CX_TOO_LARGE);
    cr_expect_eq(open_for(with("", ""), TG_STR(TASK_ID), TG_STR(INTENT), 31), IICP_CX_DONE);
    cr_expect_eq(iicp_cx_status(IICP_CX_TOO_LARGE), TG_TOO_LARGE);
}

Test(iicp_cx, something_that_is_no_envelope)
{
    cr_expect_eq(open_for("[]", TG_STR(TASK_ID), TG_STR(INTENT), sizeof(plain)), IICP_CX_MALFORMED);
    cr_expect_eq(open_for("\"x\"", TG_STR(TASK_ID), TG_STR(INTENT), sizeof(plain)), IICP_CX_MALFORMED);
    cr_expect_eq(open_for("{}", TG_STR(TASK_ID), TG_STR(INTENT), sizeof(plain)), IICP_CX_VERSION);
}

Test(iicp_cx, a_member_that_comes_twice)
{
    char text[1024];
    snprintf(text, sizeof(text), "{\"nonc\\u0065\":\"" NONCE "\",%s", with("", "") + 1);
    cr_expect_eq(open_for(text, TG_STR(TASK_ID), TG_STR(INTENT), sizeof(plain)), IICP_CX_MALFORMED);
}

Test(iicp_cx, names_longer_than_a_task_may_have)
{
    static char name[IICP_CX_TASK_ID_MAX + 1];
    memset(name, 'x', sizeof(name));
    cr_expect_eq(open_for(with("", ""), (struct tg_str){name, sizeof(name)}, TG_STR(INTENT), sizeof(plain)),
                 IICP_CX_MALFORMED);
    cr_expect_eq(
        open_for(with("", ""), (struct tg_str){name, sizeof(name) - 1}, TG_STR(INTENT), sizeof(plain)),
        IICP_CX_AAD);
}

Test(iicp_cx, what_is_opened_is_set_on_success_only)
{
    memset(&opened, 0, sizeof(opened));
    expect_with("nonce", "\"AAECAwQFBgcICQoM\"", IICP_CX_SEALED);
    cr_expect_null(opened.plain.ptr);
    cr_expect_eq(memcmp(plain, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15), 0, "the failed plaintext was wiped");
}

/* ---- what must open all the same ----------------------------------------------------------------------- */

Test(iicp_cx, unknown_members_and_escapes_do_not_matter)
{
    char text[1024];
    snprintf(text, sizeof(text), "{\"hint\":[1,2],\"hint\":3,%s",
             with("nonce", "\"\\u0041AECAwQFBgcICQoL\"") + 1);
    cr_expect_eq(open_for(text, TG_STR(TASK_ID), TG_STR(INTENT), sizeof(plain)), IICP_CX_DONE);
    expect_with("encrypted_body", "\"\\u0032FHHN3xYYaFkj4hU_TvdJzWcmQiYD5N-c1s0D3dPag\"", IICP_CX_DONE);
    cr_expect(tg_str_eq(opened.plain, TG_STR("{\"messages\":[]}")));
}

/* ---- replies ------------------------------------------------------------------------------------------ */

/* Opens a reply as its client does. */
static struct tg_str open_reply(struct tg_str reply, struct tg_str task_id)
{
    static struct tg_json_node nodes[256];
    static char body[2048];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    struct tg_json_error err;
    uint8_t nonce[12], key[32];
    char info[512], aad[512];
    cr_assert_eq(tg_json_parse(&doc, reply.ptr, reply.len, &err), 0, "%.*s", (int)reply.len, reply.ptr);
    const struct tg_json_node *conf = tg_json_get(&doc, doc.nodes, TG_STR("iicp_conf_resp"));
    cr_assert(tg_json_string_eq(&doc, tg_json_get(&doc, doc.nodes, TG_STR("task_id")), task_id));
    cr_assert_eq(base64_read(nonce, 12, tg_json_string(&doc, tg_json_get(&doc, conf, TG_STR("nonce")))), 12);
    int64_t len = base64_read(body, sizeof(body),
                              tg_json_string(&doc, tg_json_get(&doc, conf, TG_STR("encrypted_body"))));
    int info_len = snprintf(info, sizeof(info), "IICP-CX-RESP-v1%.*s", (int)task_id.len, task_id.ptr);
    int aad_len = snprintf(aad, sizeof(aad), "%.*s|resp", (int)task_id.len, task_id.ptr);
    crypto_hkdf(c, (struct tg_str){(char *)opened.secret, 32}, (struct tg_str){(char *)nonce, 12},
                (struct tg_str){info, (size_t)info_len}, key, 32);
    cr_assert_eq(crypto_open(c, key, nonce, (struct tg_str){aad, (size_t)aad_len},
                             (struct tg_str){body, (size_t)len}, (uint8_t *)body),
                 0);
    return (struct tg_str){body, (size_t)len - 16};
}

static struct tg_str seal(struct tg_str task_id, struct tg_str text, char *out, size_t cap)
{
    static char copy[1024];
    struct tg_json_writer w;
    memcpy(copy, text.ptr, text.len);
    tg_json_writer_init(&w, out, cap);
    struct iicp_cx_reply reply = {opened.secret, task_id, copy, text.len, sizeof(copy)};
    enum iicp_cx_result r = iicp_cx_seal(c, &reply, &w);
    cr_expect_eq(w.len == 0, r != IICP_CX_DONE);
    return (struct tg_str){w.buf, r == IICP_CX_DONE ? w.len : 0};
}

Test(iicp_cx, a_reply_opens_for_the_client_whatever_the_task_is_called)
{
    char out[2048];
    static const struct tg_str names[] = {TG_STR_INIT("t-1"), TG_STR_INIT(""), TG_STR_INIT("a\"b\\c\n"),
                                          TG_STR_INIT("\xc3\xa9")};
    for (size_t i = 0; i < TG_ARRAY_SIZE(names); i++) {
        struct tg_str sealed = seal(names[i], TG_STR("{\"task_id\":1}"), out, sizeof(out));
        cr_expect(tg_str_eq(open_reply(sealed, names[i]), TG_STR("{\"task_id\":1}")));
    }
}

Test(iicp_cx, no_two_replies_share_a_nonce)
{
    char one[512], two[512];
    struct tg_str a = seal(TG_STR(TASK_ID), TG_STR("{}"), one, sizeof(one));
    struct tg_str b = seal(TG_STR(TASK_ID), TG_STR("{}"), two, sizeof(two));
    cr_expect_not(tg_str_eq(a, b));
}

Test(iicp_cx, the_overhead_of_a_reply_is_what_the_header_says)
{
    char out[IICP_CX_REPLY_OVERHEAD(3) + BASE64_CHARS(2 + CRYPTO_TAG_BYTES)];
    cr_expect_neq(seal(TG_STR(TASK_ID), TG_STR("{}"), out, sizeof(out)).len, 0);
}

Test(iicp_cx, a_reply_without_room_is_refused_and_leaves_nothing)
{
    char out[512];
    size_t whole = seal(TG_STR(TASK_ID), TG_STR("{}"), out, sizeof(out)).len;
    cr_assert_neq(whole, 0);
    for (size_t cap = 0; cap < whole; cap++)
        cr_expect_eq(seal(TG_STR(TASK_ID), TG_STR("{}"), out, cap).len, 0);
    cr_expect_eq(seal(TG_STR(TASK_ID), TG_STR("{}"), out, whole).len, whole);
    cr_expect_eq(iicp_cx_status(IICP_CX_SEAL_FAILED), TG_CX_SEAL_FAILED);
    cr_expect(tg_str_eq(tg_status_info(TG_CX_SEAL_FAILED)->code, TG_STR("IICP-CX-04")));
}

Test(iicp_cx, a_text_without_room_for_its_tag_is_refused)
{
    char text[18] = "{}", out[512];
    struct tg_json_writer w;
    tg_json_writer_init(&w, out, sizeof(out));
    struct iicp_cx_reply reply = {opened.secret, TG_STR(TASK_ID), text, 2, 17};
    cr_expect_eq(iicp_cx_seal(c, &reply, &w), IICP_CX_SEAL_FAILED);
    cr_expect_eq(memcmp(text, "{}", 2), 0);
    reply.cap = 18;
    cr_expect_eq(iicp_cx_seal(c, &reply, &w), IICP_CX_DONE);
}
