/* SPDX-License-Identifier: Apache-2.0 */
/* The key file of a node, and what it registers. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "gateway/dialect/iicp_cx.h"

#define PUBLIC                                                                                               \
    "{\"algorithm\":\"X25519\",\"encoding\":\"base64url\",\"key\":\"e06Qm75__kTEZaIgA31gjuNYl9Me-"           \
    "XLwf3SJLLD3PxM\","                                                                                      \
    "\"key_id\":\"cx-d19bf3f082782c87\",\"features\":[\"response_encryption_v1\"]}"
#define PRIVATE "ERERERERERERERERERERERERERERERERERERERERERE"
#define FILE_OF(version, algorithm, private_key, public_key)                                                 \
    "{\"version\":" version ",\"algorithm\":\"" algorithm "\",\"private_key\":\"" private_key                \
    "\",\"public_key\":" public_key "}"

static struct crypto *c;
static struct iicp_keys keys;
static char out[IICP_CX_FILE_BYTES_MAX];

static void set_up(void)
{
    c = crypto_create();
    cr_assert_not_null(c);
}

static void tear_down(void)
{
    crypto_destroy(c);
}

TestSuite(iicp_cx_key, .init = set_up, .fini = tear_down);

static void set_ones(void)
{
    uint8_t private_key[32];
    memset(private_key, 0x11, sizeof(private_key));
    cr_assert_eq(iicp_cx_key_set(c, &keys, private_key), 0);
}

static void refuses(struct tg_str text)
{
    struct iicp_keys before = keys;
    cr_expect_eq(iicp_cx_key_read(c, &keys, text), -EINVAL, "%.*s", (int)text.len, text.ptr);
    cr_expect_eq(memcmp(&before, &keys, sizeof(keys)), 0);
}

Test(iicp_cx_key, file_name_is_a_hash_of_the_node_id)
{
    char name[IICP_CX_FILE_NAME_BYTES + 1];
    cr_expect_eq(iicp_cx_file_name(c, TG_STR("n1"), name), 0);
    cr_expect_str_eq(name, "676b8bb84ce7267dd520deca.json");
    cr_expect_eq(iicp_cx_file_name(c, TG_STR("b8a1f3d0-7c52-4a5e-9b1a-2d3c4e5f6071"), name), 0);
    cr_expect_str_eq(name, "1447be1ebb04903933d7906e.json");
}

Test(iicp_cx_key, what_is_registered)
{
    struct tg_json_writer w;
    set_ones();
    tg_json_writer_init(&w, out, sizeof(out));
    iicp_cx_public_write(&keys, &w);
    cr_expect(tg_str_eq((struct tg_str){w.buf, w.len}, TG_STR(PUBLIC)), "%.*s", (int)w.len, w.buf);
}

Test(iicp_cx_key, what_is_written_to_the_file)
{
    struct tg_json_writer w;
    set_ones();
    tg_json_writer_init(&w, out, sizeof(out));
    iicp_cx_key_write(&keys, &w);
    cr_expect(tg_str_eq((struct tg_str){w.buf, w.len}, TG_STR(FILE_OF("1", "X25519", PRIVATE, PUBLIC))),
              "%.*s", (int)w.len, w.buf);
}

Test(iicp_cx_key, a_generated_key_comes_back_from_its_file)
{
    struct iicp_keys read = {0};
    struct tg_json_writer w;
    cr_assert_eq(iicp_cx_key_generate(c, &keys), 0);
    cr_expect(keys.has_cx);
    tg_json_writer_init(&w, out, sizeof(out));
    iicp_cx_key_write(&keys, &w);
    cr_assert_eq(iicp_cx_key_read(c, &read, (struct tg_str){w.buf, w.len}), 0);
    cr_expect_eq(memcmp(&read, &keys, sizeof(keys)), 0);
}

Test(iicp_cx_key, two_generated_keys_differ)
{
    struct iicp_keys other = {0};
    iicp_cx_key_generate(c, &keys);
    iicp_cx_key_generate(c, &other);
    cr_expect_neq(memcmp(keys.cx_private, other.cx_private, 32), 0);
    cr_expect_str_neq(keys.cx_key_id, other.cx_key_id);
}

Test(iicp_cx_key, reading_leaves_the_other_credentials_alone)
{
    strcpy(keys.node_token, "token");
    cr_expect_eq(iicp_cx_key_read(c, &keys, TG_STR(" " FILE_OF("1", "X25519", PRIVATE, PUBLIC) "\n")), 0);
    cr_expect_str_eq(keys.node_token, "token");
    cr_expect_str_eq(keys.cx_key_id, "cx-d19bf3f082782c87");
}

Test(iicp_cx_key, files_that_are_none)
{
    refuses(TG_STR(""));
    refuses(TG_STR("{}"));
    refuses(TG_STR("[1]"));
    refuses(TG_STR("7"));
    refuses(TG_STR(FILE_OF("2", "X25519", PRIVATE, PUBLIC)));
    refuses(TG_STR(FILE_OF("1", "X448", PRIVATE, PUBLIC)));
    refuses(TG_STR(FILE_OF("1", "X25519", PRIVATE "=", PUBLIC)));
    refuses(TG_STR(FILE_OF("1", "X25519", "EREREQ", PUBLIC)));
    refuses(TG_STR(FILE_OF("1", "X25519", PRIVATE, "null")));
    refuses(TG_STR(FILE_OF("1", "X25519", PRIVATE, PUBLIC) "x"));
}

Test(iicp_cx_key, halves_that_do_not_belong_together)
{
    refuses(TG_STR(FILE_OF("1", "X25519", "IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiI", PUBLIC)));
    refuses(TG_STR(FILE_OF(
        "1", "X25519", PRIVATE,
        "{\"key\":\"e06Qm75__kTEZaIgA31gjuNYl9Me-XLwf3SJLLD3PxM\",\"key_id\":\"cx-0000000000000000\"}")));
}
