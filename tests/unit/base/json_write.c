/* SPDX-License-Identifier: Apache-2.0 */
/* The writer: commas, escapes, numbers, and what it does when the buffer ends. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include "json_rig.h"

static char buf[4096];

static struct tg_json_writer start(void)
{
    struct tg_json_writer w;
    tg_json_writer_init(&w, buf, sizeof(buf));
    return w;
}

static void expect_written(const struct tg_json_writer *w, struct tg_str expected)
{
    cr_expect_not(w->overflow);
    cr_expect(tg_str_eq((struct tg_str){w->buf, w->len}, expected), "%.*s", (int)w->len, w->buf);
}

/* Something of everything; used for the overflow tests too. */
static void write_sample(struct tg_json_writer *w)
{
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "a");
    tg_json_write_begin_array(w);
    tg_json_write_i64(w, -1);
    tg_json_write_u64(w, UINT64_MAX);
    tg_json_write_f64(w, 0.1);
    tg_json_write_f32(w, 0.1f);
    tg_json_write_bool(w, true);
    tg_json_write_bool(w, false);
    tg_json_write_null(w);
    tg_json_write_begin_array(w);
    tg_json_write_end_array(w);
    tg_json_write_begin_object(w);
    tg_json_write_end_object(w);
    tg_json_write_end_array(w);
    TG_JSON_KEY(w, "b");
    tg_json_write_string(w, TG_STR("x\"[{:,\n\xc3\xa9\xff"));
    TG_JSON_KEY(w, "c");
    tg_json_write_raw(w, TG_STR("{\"d\":1}"));
    tg_json_write_end_object(w);
}

static const struct tg_str sample =
    TG_STR_INIT("{\"a\":[-1,18446744073709551615,0.1,0.1,true,false,null,[],{}],"
                "\"b\":\"x\\\"[{:,\\n\xc3\xa9\xef\xbf\xbd\",\"c\":{\"d\":1}}");

Test(json_write, commas_stand_where_they_belong_and_nowhere_else)
{
    struct tg_json_writer w = start();
    write_sample(&w);
    expect_written(&w, sample);
}

Test(json_write, what_it_writes_is_json)
{
    struct tg_json_writer w = start();
    write_sample(&w);
    struct rig r = rig_parse((struct tg_str){buf, w.len});
    cr_expect_eq(r.status, 0);
    rig_finish(&r);
}

Test(json_write, a_string_that_ends_like_an_opening_is_still_followed_by_a_comma)
{
    struct tg_json_writer w = start();
    tg_json_write_begin_array(&w);
    tg_json_write_string(&w, TG_STR("["));
    tg_json_write_string(&w, TG_STR(":"));
    tg_json_write_string(&w, TG_STR(""));
    tg_json_write_end_array(&w);
    expect_written(&w, TG_STR("[\"[\",\":\",\"\"]"));
}

Test(json_write, every_size_too_small_sets_overflow_and_touches_nothing_behind)
{
    for (size_t cap = 0; cap <= sample.len; cap++) {
        char *small = malloc(cap ? cap : 1);
        struct tg_json_writer w;
        tg_json_writer_init(&w, small, cap);
        write_sample(&w);
        cr_expect_eq(w.overflow, cap < sample.len, "cap %zu", cap);
        cr_expect_leq(w.len, cap);
        cr_expect_eq(memcmp(small, sample.ptr, w.len), 0, "cap %zu", cap);
        free(small);
    }
}

Test(json_write, nothing_is_written_after_an_overflow_even_if_it_would_fit)
{
    char small[8];
    struct tg_json_writer w;
    tg_json_writer_init(&w, small, sizeof(small));
    tg_json_write_begin_array(&w);
    tg_json_write_string(&w, TG_STR("too long for this"));
    tg_json_write_u64(&w, 1);
    tg_json_write_end_array(&w);
    cr_expect(w.overflow);
    cr_expect_eq(w.len, 1);
}

Test(json_write, every_byte_survives_a_trip_through_a_string)
{
    for (size_t lead = 0; lead < 20; lead++) {
        for (int c = 0; c < 128; c++) {
            char bytes[64], out[64];
            memset(bytes, 'x', sizeof(bytes));
            bytes[lead] = (char)c;
            struct tg_json_writer w = start();
            tg_json_write_string(&w, (struct tg_str){bytes, lead + 20});
            struct rig r = rig_parse((struct tg_str){buf, w.len});
            cr_assert_eq(r.status, 0, "byte %d", c);
            int64_t len = tg_json_unescape(&r.doc, r.doc.nodes, out, sizeof(out));
            cr_assert_eq(len, (int64_t)lead + 20);
            cr_assert_eq(memcmp(out, bytes, (size_t)len), 0, "byte %d", c);
            rig_finish(&r);
        }
    }
}

Test(json_write, control_characters_get_their_short_escape_or_hex)
{
    struct tg_json_writer w = start();
    tg_json_write_string(&w, TG_STR("\b\f\n\r\t\"\\/\x01\x1f\x7f"));
    expect_written(&w, TG_STR("\"\\b\\f\\n\\r\\t\\\"\\\\/\\u0001\\u001f\x7f\""));
}

Test(json_write, invalid_utf8_becomes_one_replacement_for_each_broken_piece)
{
    static const struct {
        struct tg_str in;
        int replacements;
    } cases[] = {
        {TG_STR_INIT("\xff"), 1},
        {TG_STR_INIT("\x80\x80"), 2},
        {TG_STR_INIT("\xc0\xaf"), 2},
        {TG_STR_INIT("\xe0\x80\x80"), 3},
        {TG_STR_INIT("\xed\xa0\x80"), 3},
        {TG_STR_INIT("\xe2\x82"), 1},
        {TG_STR_INIT("\xf0\x9f\x98"), 1},
        {TG_STR_INIT("\xf0\x9f\xff"), 2},
        {TG_STR_INIT("\xf4\x90\x80\x80"), 4},
        {TG_STR_INIT("\xf0\x80\x80\x80"), 4},
        {TG_STR_INIT("\xe2\xe2\x82\xac"), 1},
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
        struct tg_json_writer w = start();
        tg_json_write_string(&w, cases[i].in);
        int count = 0;
        for (size_t k = 0; k + 3 <= w.len; k++)
            count += memcmp(buf + k, "\xef\xbf\xbd", 3) == 0;
        struct rig r = rig_parse((struct tg_str){buf, w.len});
        cr_expect_eq(r.status, 0, "case %zu", i);
        cr_expect_eq(count, cases[i].replacements, "case %zu: %d", i, count);
        rig_finish(&r);
    }
}

Test(json_write, not_finite_is_null)
{
    struct tg_json_writer w = start();
    tg_json_write_begin_array(&w);
    tg_json_write_f64(&w, (double)NAN);
    tg_json_write_f64(&w, (double)INFINITY);
    tg_json_write_f64(&w, -(double)INFINITY);
    tg_json_write_f32(&w, NAN);
    tg_json_write_f32(&w, -INFINITY);
    tg_json_write_end_array(&w);
    expect_written(&w, TG_STR("[null,null,null,null,null]"));
}

Test(json_write, numbers_look_as_a_person_would_write_them)
{
    struct tg_json_writer w = start();
    tg_json_write_begin_array(&w);
    tg_json_write_f64(&w, 1);
    tg_json_write_f64(&w, -0.0);
    tg_json_write_f64(&w, 100);
    tg_json_write_f64(&w, 99999999999999984);
    tg_json_write_f64(&w, 1e21);
    tg_json_write_f64(&w, 1.5e-7);
    tg_json_write_f64(&w, DBL_MAX);
    tg_json_write_f32(&w, FLT_MAX);
    tg_json_write_f32(&w, 16777216);
    tg_json_write_i64(&w, INT64_MIN);
    tg_json_write_end_array(&w);
    expect_written(
        &w, TG_STR("[1,-0,100,99999999999999980,1e21,1.5e-7,1.7976931348623157e308,3.4028235e38,16777216,"
                   "-9223372036854775808]"));
}
