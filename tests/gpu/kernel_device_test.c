/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User kernels from payload to JSON: compiled, loaded, launched. Built twice: with a double of NVRTC on the emulated
 * runtime, which runs everywhere, and with NVRTC on a real device (suite gpu).
 */
#include "stage.h"

#include <math.h>
#include <unistd.h>

static char source_path[64];

static void forget_source(void)
{
    unlink(source_path);
}

TestSuite(gpu_kernels, .timeout = 240, .fini = forget_source);

#define KERNEL(source, ...)                                                                                        \
    SETTINGS({"type", "kernel", NULL}, {"source", source, NULL}, {"nvrtc", NVRTC, NULL}, __VA_ARGS__)

/* A file with this text, which need not outlive the instance. */
static const char *source_of(const char *text)
{
    snprintf(source_path, sizeof(source_path), "/tmp/kernel-%d.cu", (int)getpid());
    FILE *to = fopen(source_path, "w");
    cr_assert_not_null(to);
    fputs(text, to);
    cr_assert_eq(fclose(to), 0);
    return source_path;
}

/* All tasks in one batch; each answer's text. */
static void answer(struct stage *s, char (*text)[TEXT_BYTES])
{
    uint32_t first = take_rows(s);
    memset(tg_lane_out(s->lane, 0), TEST_CANARY, (size_t)ROWS * s->lane->out_stride);
    run_on_device(s);
    for (uint32_t t = 0; t < s->task_count; t++)
        encode(s, t, text[t]);
    test_rows_retire(s->lane, first, s->job.batch.count);
    s->task_count = 0;
}

static const char *ask(struct stage *s, const char *payload)
{
    static char text[1][TEXT_BYTES];
    add_task(s, payload);
    answer(s, text);
    return text[0];
}

#define HAVERSINE                                                                                                  \
    KERNEL(EXAMPLES "/haversine.cu", {"function", "distance", NULL}, {"in", "f64:4", NULL}, {"out", "f64:1", NULL}, \
           {"params", "radius:f64=6371.0088", NULL})

static double first_number(const char *text)
{
    const char *at = strpbrk(text, "-0123456789");
    cr_assert_not_null(at, "%s", text);
    return strtod(at, NULL);
}

Test(gpu_kernels, a_thread_a_row_knows_the_distance_from_paris_to_new_york)
{
    struct stage s;
    open_stage(&s, HAVERSINE, ways[0]);
    double km = first_number(ask(&s, "{\"row\":[48.8566,2.3522,40.7128,-74.006]}"));
    cr_assert_float_eq(km, 5837.2, 1, "%f", km);
    double miles = first_number(ask(&s, "{\"row\":[48.8566,2.3522,40.7128,-74.006],\"radius\":3958.7613}"));
    cr_assert_float_eq(miles, km / 1.609344, 0.1, "%f", miles);
    close_stage(&s);
}

/* Which way a batch goes, and how many rows it has, changes nothing. */
Test(gpu_kernels, every_row_of_every_batch_is_computed_once)
{
    static char text[ROWS][TEXT_BYTES];
    struct stage s;
    for (size_t w = 0; w < TG_ARRAY_SIZE(ways); w++) {
        open_stage(&s, HAVERSINE, ways[w]);
        for (uint32_t tasks = 1; tasks <= ROWS; tasks = tasks * 3 + 1) {
            for (uint32_t t = 0; t < tasks; t++) {
                char payload[100];
                snprintf(payload, sizeof(payload), "{\"row\":[0,0,0,%u],\"radius\":%u}", t, t + 1);
                add_task(&s, payload);
            }
            answer(&s, text);
            for (uint32_t t = 0; t < tasks; t++)
                cr_assert_float_eq(first_number(text[t]), t * (t + 1) * M_PI / 180, 1e-9 * (t + 1), "%s", text[t]);
        }
        close_stage(&s);
    }
}

Test(gpu_kernels, a_block_a_row_shares_the_work_on_a_softmax)
{
    struct stage s;
    for (size_t w = 0; w < TG_ARRAY_SIZE(ways); w++) {
        open_stage(&s,
                   KERNEL(EXAMPLES "/softmax.cu", {"function", "softmax", NULL}, {"in", "f32:100", NULL},
                          {"out", "f32:100", NULL}, {"params", "temperature:f32=1", NULL}, {"threads", "64", NULL}),
                   ways[w]);
        char payload[2000];
        int len = snprintf(payload, sizeof(payload), "{\"temperature\":50,\"rows\":[[0");
        for (int i = 1; i < 100; i++)
            len += snprintf(payload + len, sizeof(payload) - (size_t)len, ",%d", i);
        len += snprintf(payload + len, sizeof(payload) - (size_t)len, "],[7");
        for (int i = 1; i < 100; i++)
            len += snprintf(payload + len, sizeof(payload) - (size_t)len, ",7");
        snprintf(payload + len, sizeof(payload) - (size_t)len, "]]}");
        const char *text = ask(&s, payload);
        double least = (exp(0.02) - 1) / (exp(2) - 1); /* a geometric row */
        cr_assert_float_eq(first_number(text), least, 1e-6, "%s", text);
        const char *second = strstr(text, "],[");
        cr_assert_float_eq(first_number(second), 0.01, 1e-7, "%s", second);
        close_stage(&s);
    }
}

/* Of a block, one thread's word is enough. */
static void refuse_the_thirteenth(const char *threads)
{
    struct stage s;
    open_stage(&s,
               KERNEL(source_of("__device__ int run(const int *in, int *out)\n"
                                "{ out[0] = 2 * in[0];\n"
                                "  return in[0] == 13 && (TG_THREADS == 1 || threadIdx.x == TG_THREADS - 1); }\n"),
                      {"in", "i32:1", NULL}, {"out", "i32:1", NULL}, {"threads", threads, NULL}),
               ways[0]);
    for (uint32_t t = 0; t < 20; t++) {
        char payload[40];
        snprintf(payload, sizeof(payload), "{\"row\":[%u]}", t);
        add_task(&s, payload);
    }
    uint32_t first = take_rows(&s);
    run_on_device(&s);
    for (uint32_t t = 0; t < 20; t++) {
        char text[TEXT_BYTES];
        cr_assert_eq(tg_lane_row(s.lane, first + t)->status, t == 13 ? TG_INVALID : TG_OK, "row %u", t);
        encode(&s, t, text);
        cr_assert(t == 13 || first_number(text) == 2.0 * t, "%s", text);
    }
    test_rows_retire(s.lane, first, 20);
    close_stage(&s);
}

Test(gpu_kernels, a_function_that_does_not_return_zero_refuses_its_task_alone)
{
    refuse_the_thirteenth("1");
    refuse_the_thirteenth("64");
}

Test(gpu_kernels, what_a_function_leaves_out_is_zero_and_nobody_elses)
{
    struct stage s;
    for (size_t w = 0; w < TG_ARRAY_SIZE(ways); w++) {
        open_stage(&s,
                   KERNEL(source_of("__device__ int run(const float *in, float *out) { out[2] = in[0]; return 0; }"),
                          {"in", "f32:1", NULL}, {"out", "f32:5", NULL}),
                   ways[w]);
        cr_assert_str_eq(ask(&s, "{\"row\":[1.5]}"), "{\"row\":[0,0,1.5,0,0]}");
        close_stage(&s);
    }
}

Test(gpu_kernels, numbers_of_every_type_arrive_and_come_back)
{
    static const struct {
        const char *type, *cuda, *row, *answer;
    } types[] = {
        {"f32:3", "float", "[0.1,-3.4e38,1e-45]", "[0.1,-3.4e38,1e-45]"},
        {"f64:3", "double", "[0.1,-1.7e308,5e-324]", "[0.1,-1.7e308,5e-324]"},
        {"i8:3", "signed char", "[-128,127,0]", "[-128,127,0]"},
        {"u8:3", "unsigned char", "[0,255,1e2]", "[0,255,100]"},
        {"i16:3", "short", "[-32768,32767,-1]", "[-32768,32767,-1]"},
        {"u16:3", "unsigned short", "[0,65535,3.0]", "[0,65535,3]"},
        {"i32:3", "int", "[-2147483648,2147483647,-1]", "[-2147483648,2147483647,-1]"},
        {"u32:3", "unsigned int", "[0,4294967295,7]", "[0,4294967295,7]"},
        {"i64:3", "long long", "[-9223372036854775808,9223372036854775807,-0]",
         "[-9223372036854775808,9223372036854775807,0]"},
        {"u64:3", "unsigned long long", "[0,18446744073709551615,1]", "[0,18446744073709551615,1]"},
    };
    struct stage s;
    for (size_t i = 0; i < TG_ARRAY_SIZE(types); i++) {
        char source[300], payload[200], expected[200];
        snprintf(source, sizeof(source),
                 "__device__ int run(const %s *in, %s *out) { for (int i = 0; i < 3; i++) out[i] = in[i]; return 0; }",
                 types[i].cuda, types[i].cuda);
        open_stage(&s, KERNEL(source_of(source), {"in", types[i].type, NULL}, {"out", types[i].type, NULL}),
                   ways[i % TG_ARRAY_SIZE(ways)]);
        snprintf(payload, sizeof(payload), "{\"rows\":[%s,%s]}", types[i].row, types[i].row);
        snprintf(expected, sizeof(expected), "{\"rows\":[%s,%s]}", types[i].answer, types[i].answer);
        cr_assert_str_eq(ask(&s, payload), expected);
        close_stage(&s);
    }
}

Test(gpu_kernels, parameters_lie_where_the_source_sees_them)
{
    struct stage s;
    open_stage(&s,
               KERNEL(source_of("__device__ int run(const float *in, double *out, const tg_params &p)\n"
                                "{ out[0] = p.a; out[1] = p.b; out[2] = p.c; out[3] = p.d; out[4] = *in; return 0; }"),
                      {"in", "f32:1", NULL}, {"out", "f64:5", NULL},
                      {"params", "a:i8 b:f64=0.5, c:u16 d:f32=-1", NULL}),
               ways[0]);
    cr_assert_str_eq(ask(&s, "{\"row\":[9],\"a\":-7,\"c\":65535}"), "{\"row\":[-7,0.5,65535,-1,9]}");
    cr_assert_str_eq(ask(&s, "{\"row\":[9],\"a\":1,\"b\":2,\"c\":3,\"d\":4}"), "{\"row\":[1,2,3,4,9]}");
    close_stage(&s);
}

Test(gpu_kernels, macros_of_the_configuration_reach_the_source)
{
    struct stage s;
    open_stage(&s,
               KERNEL(source_of("#ifdef WITH\n__device__ int run(const int *in, int *out)\n"
                                "{ out[0] = in[0] + WITH + TG_IN_COUNT * 100 + TG_OUT_COUNT * 1000; return 0; }\n"
                                "#endif"),
                      {"in", "i32:2", NULL}, {"out", "i32:3", NULL}, {"defines", "WITH=7 OTHER", NULL}),
               ways[0]);
    cr_assert_str_eq(ask(&s, "{\"row\":[1,2]}"), "{\"row\":[3208,0,0]}");
    close_stage(&s);
}

Test(gpu_kernels, what_no_json_number_can_say_is_null)
{
    struct stage s;
    open_stage(&s,
               KERNEL(source_of("__device__ int run(const float *in, float *out)\n"
                                "{ out[0] = 1 / in[0]; out[1] = -1 / in[0]; out[2] = in[0] / in[0]; return 0; }"),
                      {"in", "f32:1", NULL}, {"out", "f32:3", NULL}),
               ways[0]);
    cr_assert_str_eq(ask(&s, "{\"row\":[0]}"), "{\"row\":[null,null,null]}");
    close_stage(&s);
}
