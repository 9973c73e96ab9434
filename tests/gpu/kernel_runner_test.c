/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel runner without a device: what its configuration may say, and what payloads it takes. NVRTC is a double. */
#include "../unit/gpu/runner_fixture.h"

#include <unistd.h>
#include "gpu/runners/kernel.h"

static char source_path[64];

static void forget_source(void)
{
    unlink(source_path);
}

TestSuite(kernel, .timeout = 120, .fini = forget_source);

static struct fixture f;

#define SOURCE "__device__ int run(const float *in, float *out) { return 0; }\n"

static const char *source_of(const char *text)
{
    snprintf(source_path, sizeof(source_path), "/tmp/kernel-%d.cu", (int)getpid());
    FILE *to = fopen(source_path, "w");
    cr_assert_not_null(to);
    fputs(text, to);
    cr_assert_eq(fclose(to), 0);
    return source_path;
}

#define KERNEL(...)                                                                                                \
    SETTINGS({"type", "kernel", NULL}, {"source", source_of(SOURCE), NULL}, {"nvrtc", NVRTC, NULL}, __VA_ARGS__)
#define PLAIN {"in", "f32:2", NULL}, {"out", "f32:1", NULL}

static void expect_refused(const struct tg_setting *settings, const char *problem)
{
    cr_assert_neq(fixture_create(&f, settings), 0, "%s", problem);
    cr_assert_not_null(strstr(f.problems.text, problem), "%s", f.problems.text);
}

static void expect_invalid(const char *payload, const char *field, const char *message)
{
    cr_assert_eq(fixture_decode(&f, payload), TG_INVALID, "%s", payload);
    cr_assert_str_eq(f.err.field, field, "%s", payload);
    cr_assert_not_null(strstr(f.err.message, message), "%s: %s", payload, f.err.message);
}

/* ---- configuration ---------------------------------------------------------------------------------------- */

Test(kernel, rows_are_a_type_and_a_count)
{
    expect_refused(KERNEL({"in", "f32", NULL}, {"out", "f32:1", NULL}), "t.in: the count must be from 1 to 65536");
    expect_refused(KERNEL({"in", "f32:", NULL}, {"out", "f32:1", NULL}), "t.in: the count");
    expect_refused(KERNEL({"in", "f32:0", NULL}, {"out", "f32:1", NULL}), "t.in: the count");
    expect_refused(KERNEL({"in", "f32:65537", NULL}, {"out", "f32:1", NULL}), "t.in: the count");
    expect_refused(KERNEL({"in", "f32:99999999999999999999", NULL}, {"out", "f32:1", NULL}), "t.in: the count");
    expect_refused(KERNEL({"in", "f32:1x", NULL}, {"out", "f32:1", NULL}), "t.in: the count");
    expect_refused(KERNEL({"in", "f32:-1", NULL}, {"out", "f32:1", NULL}), "t.in: the count");
    expect_refused(KERNEL({"in", "f16:4", NULL}, {"out", "f32:1", NULL}), "t.in: must be a type and a count");
    expect_refused(KERNEL({"in", "f32:1", NULL}, {"out", "", NULL}), "t.out: must be a type and a count");
}

Test(kernel, an_answer_has_room_for_all_its_rows)
{
    expect_refused(KERNEL({"in", "f32:1", NULL}, {"out", "f32:65536", NULL}, {"rows_max", "5", NULL}),
                   "t.rows_max: at most 4 rows of 65536 numbers");
    cr_assert_eq(fixture_create(&f, KERNEL({"in", "f32:1", NULL}, {"out", "f32:65536", NULL})), 0);
    cr_assert_eq(f.instance->shape.rows_per_task_max, 4);
    tg_instance_destroy(f.instance);
    cr_assert_eq(fixture_create(&f, KERNEL(PLAIN)), 0);
    cr_assert_eq(f.instance->shape.rows_per_task_max, 64);
    tg_instance_destroy(f.instance);
}

Test(kernel, parameters_have_a_name_of_their_own_and_a_type)
{
    expect_refused(KERNEL(PLAIN, {"params", "gain", NULL}), "t.params: \"gain\" must be a name and a type");
    expect_refused(KERNEL(PLAIN, {"params", "1st:f32", NULL}), "must be a name and a type");
    expect_refused(KERNEL(PLAIN, {"params", "a;b:f32", NULL}), "must be a name and a type");
    expect_refused(KERNEL(PLAIN, {"params", "gain:float", NULL}), "has no type that there is");
    expect_refused(KERNEL(PLAIN, {"params", "gain:f32 gain:i32", NULL}), "\"gain:i32\" has a name that is taken");
    expect_refused(KERNEL(PLAIN, {"params", "rows:f32", NULL}), "has a name that is taken");
    expect_refused(KERNEL(PLAIN, {"params", "k:u8=256", NULL}), "has a default that is no number of its type");
    expect_refused(KERNEL(PLAIN, {"params", "k:u8=", NULL}), "has a default that is no number of its type");
    expect_refused(KERNEL(PLAIN, {"params", "a:f32 b:f32 c:f32 d:f32 e:f32 f:f32 g:f32 h:f32 i:f32 j:f32 k:f32 l:f32 "
                                            "m:f32 n:f32 o:f32 p:f32 q:f32", NULL}),
                   "\"q:f32\" is one too many");
}

Test(kernel, the_compiler_takes_no_options_but_ours)
{
    expect_refused(KERNEL(PLAIN, {"arch", "native", NULL}), "t.arch: must be like compute_75 or sm_90");
    expect_refused(KERNEL(PLAIN, {"arch", "sm_90 -I/", NULL}), "t.arch: must be like");
    expect_refused(KERNEL(PLAIN, {"arch", "sm_1234", NULL}), "t.arch: must be like");
    expect_refused(KERNEL(PLAIN, {"function", "run()", NULL}), "t.function: must be the plain name");
    expect_refused(KERNEL(PLAIN, {"defines", "A=f()", NULL}), "t.defines: \"A=f()\" has a value with other characters");
    expect_refused(KERNEL(PLAIN, {"defines", "-I/etc", NULL}), "t.defines: \"-I/etc\" must be like NAME or NAME=VALUE");
    expect_refused(KERNEL(PLAIN, {"defines", "TG_THREADS=2", NULL}), "must not begin with TG_");
    expect_refused(KERNEL(PLAIN, {"threads", "48", NULL}), "must be one of 1|32|64");
}

Test(kernel, there_is_no_place_for_it_on_a_cpu)
{
    expect_refused(KERNEL(PLAIN, {"device", "cpu", NULL}), "t.device: a kernel runner computes on a GPU only");
    cr_assert_null(tg_runner_find("kernel")->run_batch);
}

Test(kernel, a_library_that_is_not_there_is_named)
{
    expect_refused(SETTINGS({"type", "kernel", NULL}, {"source", source_of(SOURCE), NULL},
                            {"nvrtc", "/nowhere/libnvrtc.so", NULL}, PLAIN),
                   "t.nvrtc: /nowhere/libnvrtc.so");
    expect_refused(SETTINGS({"type", "kernel", NULL}, {"source", source_of(SOURCE), NULL},
                            {"nvrtc", "libm.so.6", NULL}, PLAIN),
                   "t.nvrtc: the library has no nvrtc");
}

/* ---- payloads --------------------------------------------------------------------------------------------- */

Test(kernel, bad_payloads_name_their_field)
{
    fixture_open(&f, KERNEL(PLAIN, {"params", "gain:f32", NULL}, {"rows_max", "3", NULL}));
    expect_invalid("[]", "payload", "must be an object");
    expect_invalid("{\"gain\":1}", "payload.row", "is missing (or \"rows\"");
    expect_invalid("{\"row\":[1,2]}", "payload.gain", "is missing");
    expect_invalid("{\"row\":[1,2],\"gain\":\"1\"}", "payload.gain", "must be a number, not a string");
    expect_invalid("{\"row\":[1,2],\"gain\":1e39}", "payload.gain", "is too large for a 32-bit float");
    expect_invalid("{\"row\":[1,2],\"rows\":[[1,2]],\"gain\":1}", "payload.rows", "not both");
    expect_invalid("{\"row\":[1],\"gain\":1}", "payload.row", "expected 2 numbers, got 1");
    expect_invalid("{\"row\":3,\"gain\":1}", "payload.row", "must be an array of 2 numbers, not a number");
    expect_invalid("{\"row\":[1,null],\"gain\":1}", "payload.row[1]", "must be a number, not null");
    expect_invalid("{\"row\":[1e39,2],\"gain\":1}", "payload.row[0]", "is too large");
    expect_invalid("{\"rows\":[],\"gain\":1}", "payload.rows", "expected 1 to 3 rows, got 0");
    expect_invalid("{\"rows\":[[1,2],[1,2],[1,2],[1,2]],\"gain\":1}", "payload.rows", "expected 1 to 3 rows, got 4");
    expect_invalid("{\"rows\":{},\"gain\":1}", "payload.rows", "must be an array of rows, not an object");
    expect_invalid("{\"rows\":[[1,2],[1,2,3]],\"gain\":1}", "payload.rows[1]", "expected 2 numbers, got 3");
    expect_invalid("{\"rows\":[[1,2],[1,true]],\"gain\":1}", "payload.rows[1][1]", "not a boolean");
    fixture_close(&f);
}

Test(kernel, integers_are_checked_against_their_type)
{
    static const struct {
        const char *type, *fits, *not;
    } types[] = {
        {"i8:1", "-128", "-129"}, {"i8:1", "127", "128"},
        {"u8:1", "255", "256"}, {"u8:1", "0", "-1"},
        {"i16:1", "-32768", "-32769"}, {"u16:1", "65535", "65536"},
        {"i32:1", "2147483647", "2147483648"}, {"u32:1", "4294967295", "-1"},
        {"i64:1", "9223372036854775807", "9223372036854775808"},
        {"u64:1", "18446744073709551615", "18446744073709551616"},
        {"i32:1", "1e3", "1.5"}, {"u64:1", "9007199254740992.0", "1e300"},
    };
    char payload[64];
    for (size_t i = 0; i < TG_ARRAY_SIZE(types); i++) {
        fixture_open(&f, KERNEL({"in", types[i].type, NULL}, {"out", "f32:1", NULL}));
        snprintf(payload, sizeof(payload), "{\"row\":[%s]}", types[i].fits);
        cr_assert_eq(fixture_decode(&f, payload), TG_OK, "%s", payload);
        snprintf(payload, sizeof(payload), "{\"row\":[%s]}", types[i].not);
        expect_invalid(payload, "payload.row[0]", "must be an integer from ");
        fixture_close(&f);
    }
}

/* Each row has the task's parameters before its numbers, and nothing of another task between them. */
Test(kernel, rows_are_laid_out_as_the_wrapper_reads_them)
{
    fixture_open(&f, KERNEL({"in", "i16:3", NULL}, {"out", "u8:1", NULL}, {"params", "a:u8 b:f64=2", NULL}));
    memset(tg_lane_in(f.lanes[0], 0), 0xee, f.lanes[0]->in_stride * 2);
    cr_assert_eq(fixture_decode(&f, "{\"a\":5,\"rows\":[[1,2,3],[-1,0,7]]}"), TG_OK, "%s", f.err.message);
    static const unsigned char first[] = {5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 1, 0, 2, 0, 3, 0};
    static const unsigned char second[] = {5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0xff, 0xff, 0, 0, 7, 0};
    cr_assert_arr_eq(tg_rows_in(&f.rows, 0), first, sizeof(first));
    cr_assert_arr_eq(tg_rows_in(&f.rows, 1), second, sizeof(second));
    cr_assert_eq(tg_rows_row(&f.rows, 0)->in_len, sizeof(first));
    fixture_close(&f);
}

Test(kernel, answers_have_the_form_of_their_question)
{
    fixture_open(&f, KERNEL({"in", "f32:1", NULL}, {"out", "i8:2", NULL}));
    cr_assert_eq(fixture_decode(&f, "{\"row\":[1]}"), TG_OK);
    memcpy(tg_lane_out(f.lanes[0], f.rows.first), "\xff\x05", 2);
    fixture_encode(&f);
    cr_assert_str_eq(f.text, "{\"row\":[-1,5]}");
    cr_assert_eq(fixture_decode(&f, "{\"rows\":[[1]]}"), TG_OK);
    memcpy(tg_lane_out(f.lanes[0], f.rows.first), "\x7f\x80", 2);
    fixture_encode(&f);
    cr_assert_str_eq(f.text, "{\"rows\":[[127,-128]]}");
    fixture_close(&f);
}
