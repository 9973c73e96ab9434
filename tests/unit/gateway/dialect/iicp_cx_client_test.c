/* SPDX-License-Identifier: Apache-2.0 */
/* Confidential tasks from the client's side: the contract's known answers, and the node's side as the other
 * end. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "gateway/base/hex.h"
#include "gateway/dialect/iicp_cx_client.h"

#define KEY "e06Qm75__kTEZaIgA31gjuNYl9Me-XLwf3SJLLD3PxM"
#define CHAT "urn:iicp:intent:llm:chat:v1"

static struct crypto *crypto;
static struct tg_json_node nodes[512];

static void open_crypto(void)
{
    crypto = crypto_create();
    cr_assert_not_null(crypto);
}

static void close_crypto(void)
{
    crypto_destroy(crypto);
}

TestSuite(cx_client, .init = open_crypto, .fini = close_crypto);

static struct tg_json_doc parse(struct tg_str text)
{
    struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    struct tg_json_error err;
    cr_assert_eq(tg_json_parse(&doc, text.ptr, text.len, &err), 0);
    return doc;
}

static void fill(uint8_t *out, size_t n, uint8_t first, uint8_t step)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(first + i * step);
}

static const struct iicp_cx_names names = {TG_STR_INIT("t-1"), TG_STR_INIT(CHAT)};

/* A request as the contract's example has it; @secret for the reply. */
static struct tg_str seal(char *text, size_t cap, uint8_t secret[IICP_CX_SECRET_BYTES])
{
    uint8_t ephemeral[32], nonce[12], room[64];
    struct iicp_cx_peer peer;
    struct tg_json_writer w;
    fill(ephemeral, sizeof(ephemeral), 0x22, 0);
    fill(nonce, sizeof(nonce), 0, 1);
    cr_assert_eq(iicp_cx_peer_from_key(crypto, TG_STR(KEY), &peer), 0);
    cr_assert_str_eq(peer.key_id, "cx-d19bf3f082782c87");
    tg_json_writer_init(&w, text, cap);
    cr_assert_eq(iicp_cx_request_seal_with(crypto, &peer, &names, TG_STR("{\"messages\":[]}"), room,
                                           ephemeral, nonce, &w, secret),
                 0);
    return (struct tg_str){text, w.len};
}

Test(cx_client, the_sealed_request_is_the_contract_s)
{
    char text[1024];
    uint8_t secret[IICP_CX_SECRET_BYTES];
    struct tg_str conf = seal(text, sizeof(text), secret);
    static const char wanted[] =
        "{\"version\":1,\"recipient_key_id\":\"cx-d19bf3f082782c87\","
        "\"kem_ciphertext\":\"D6poTtKIZ7l_Smot7l34zpdOdrcBjj8iocTPJnhXDyA\",\"nonce\":\"AAECAwQFBgcICQoL\","
        "\"aad\":\"dC0xfHVybjppaWNwOmludGVudDpsbG06Y2hhdDp2MQ\","
        "\"encrypted_body\":\"2FHHN3xYYaFkj4hU_TvdJzWcmQiYD5N-c1s0D3dPag\",\"plaintext_size\":15}";
    cr_assert(tg_str_eq(conf, (struct tg_str){wanted, sizeof(wanted) - 1}), "%.*s", (int)conf.len, conf.ptr);
}

Test(cx_client, the_sealed_reply_of_the_contract_opens)
{
    char text[1024], out[256];
    uint8_t secret[IICP_CX_SECRET_BYTES];
    struct tg_str plain;
    seal(text, sizeof(text), secret);
    static const char reply[] =
        "{\"task_id\":\"t-1\",\"status\":\"encrypted\",\"iicp_conf_resp\":{\"version\":1,"
        "\"nonce\":\"EBESExQVFhcYGRob\","
        "\"encrypted_body\":\"1eBRHlSzuWjj9Hs8jWy_RKcP7K_eIf3WuKam\"}}";
    struct tg_json_doc doc = parse((struct tg_str){reply, sizeof(reply) - 1});
    cr_assert_eq(iicp_cx_reply_open(crypto, secret, &doc, TG_STR("t-1"), out, sizeof(out), &plain), 0);
    cr_assert(tg_str_eq(plain, TG_STR("{\"ok\":true}")));
}

Test(cx_client, a_reply_to_another_task_or_changed_does_not_open)
{
    char text[1024], out[256];
    uint8_t secret[IICP_CX_SECRET_BYTES];
    struct tg_str plain;
    seal(text, sizeof(text), secret);
    char reply[] = "{\"task_id\":\"t-1\",\"iicp_conf_resp\":{\"version\":1,\"nonce\":\"EBESExQVFhcYGRob\","
                   "\"encrypted_body\":\"1eBRHlSzuWjj9Hs8jWy_RKcP7K_eIf3WuKam\"}}";
    struct tg_json_doc doc = parse((struct tg_str){reply, sizeof(reply) - 1});
    cr_assert_eq(iicp_cx_reply_open(crypto, secret, &doc, TG_STR("t-2"), out, sizeof(out), &plain), -EBADMSG);
    *strstr(reply, "1eBR") = '2';
    cr_assert_eq(iicp_cx_reply_open(crypto, secret, &doc, TG_STR("t-1"), out, sizeof(out), &plain), -EBADMSG);
    static const char open_one[] = "{\"task_id\":\"t-1\",\"status\":\"success\",\"result\":{}}";
    doc = parse((struct tg_str){open_one, sizeof(open_one) - 1});
    cr_assert_eq(iicp_cx_reply_open(crypto, secret, &doc, TG_STR("t-1"), out, sizeof(out), &plain), -EBADMSG);
}

Test(cx_client, the_node_s_side_opens_what_this_side_seals_and_the_other_way_round)
{
    char text[2048], plain_room[1024], sealed[1024], out[1024];
    uint8_t private_key[32], room[256], secret[IICP_CX_SECRET_BYTES];
    struct iicp_keys keys = {.has_cx = false};
    struct iicp_cx_peer peer;
    struct tg_json_writer w;
    fill(private_key, sizeof(private_key), 0x31, 7); /* any 32 bytes are a key */
    cr_assert_eq(iicp_cx_key_set(crypto, &keys, private_key), 0);
    tg_json_writer_init(&w, text, sizeof(text));
    iicp_cx_public_write(&keys, &w);
    struct tg_json_doc doc = parse((struct tg_str){text, w.len});
    cr_assert_eq(iicp_cx_peer_read(crypto, &doc, nodes, &peer), 0);
    cr_assert(peer.seals_replies);
    tg_json_writer_init(&w, text, sizeof(text));
    cr_assert_eq(iicp_cx_request_seal(crypto, &peer, &names, TG_STR("{\"messages\":[1]}"), room, &w, secret),
                 0);
    doc = parse((struct tg_str){text, w.len});
    struct iicp_cx_opened opened;
    cr_assert_eq(iicp_cx_open(crypto, &keys, &doc, nodes, names.task_id, names.intent, plain_room,
                              sizeof(plain_room), &opened),
                 IICP_CX_DONE);
    cr_assert(tg_str_eq(opened.plain, TG_STR("{\"messages\":[1]}")));
    strcpy(plain_room, "{\"task_id\":\"t-1\"}");
    struct iicp_cx_reply reply = {.secret = opened.secret,
                                  .task_id = names.task_id,
                                  .text = plain_room,
                                  .len = strlen(plain_room),
                                  .cap = sizeof(plain_room)};
    tg_json_writer_init(&w, sealed, sizeof(sealed));
    cr_assert_eq(iicp_cx_seal(crypto, &reply, &w), IICP_CX_DONE);
    doc = parse((struct tg_str){sealed, w.len});
    struct tg_str plain;
    cr_assert_eq(iicp_cx_reply_open(crypto, secret, &doc, names.task_id, out, sizeof(out), &plain), 0);
    cr_assert(tg_str_eq(plain, TG_STR("{\"task_id\":\"t-1\"}")));
}

Test(cx_client, peers_whose_key_and_name_do_not_belong_together_are_refused)
{
    static const char *const wrong[] = {
        "{}",
        "[]",
        "null",
        "{\"algorithm\":\"X448\",\"encoding\":\"base64url\",\"key\":\"" KEY
        "\",\"key_id\":\"cx-d19bf3f082782c87\"}",
        "{\"algorithm\":\"X25519\",\"encoding\":\"hex\",\"key\":\"" KEY
        "\",\"key_id\":\"cx-d19bf3f082782c87\"}",
        "{\"algorithm\":\"X25519\",\"encoding\":\"base64url\",\"key\":\"" KEY
        "\",\"key_id\":\"cx-0000000000000000\"}",
        "{\"algorithm\":\"X25519\",\"encoding\":\"base64url\",\"key\":\"e06Qm75\",\"key_id\":\"cx-"
        "d19bf3f082782c87\"}",
        "{\"algorithm\":\"X25519\",\"encoding\":\"base64url\",\"key\":7,\"key_id\":\"cx-d19bf3f082782c87\"}",
    };
    struct iicp_cx_peer peer;
    for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++) {
        struct tg_json_doc doc = parse((struct tg_str){wrong[i], strlen(wrong[i])});
        cr_expect_eq(iicp_cx_peer_read(crypto, &doc, nodes, &peer), -EINVAL, "%s", wrong[i]);
    }
}

Test(cx_client, what_does_not_fit_leaves_the_text_as_it_was)
{
    uint8_t room[64], secret[IICP_CX_SECRET_BYTES];
    char text[64], long_id[IICP_CX_TASK_ID_MAX + 1];
    struct iicp_cx_peer peer;
    struct tg_json_writer w;
    memset(long_id, 'x', sizeof(long_id));
    struct iicp_cx_names too_long = {{long_id, sizeof(long_id)}, names.intent};
    cr_assert_eq(iicp_cx_peer_from_key(crypto, TG_STR(KEY), &peer), 0);
    tg_json_writer_init(&w, text, sizeof(text));
    cr_assert_eq(iicp_cx_request_seal(crypto, &peer, &names, TG_STR("{}"), room, &w, secret), -ENOSPC);
    cr_assert_eq(w.len, 0);
    cr_assert_not(w.overflow);
    cr_assert_eq(iicp_cx_request_seal(crypto, &peer, &too_long, TG_STR("{}"), room, &w, secret), -EINVAL);
}
