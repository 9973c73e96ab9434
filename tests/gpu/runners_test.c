/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The built-in runners on a GPU against the same runners on the cpu: payloads in, JSON out, the same text. Built
 * twice: on the emulated runtime, which runs everywhere, and on a real device (suite gpu).
 */
#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include "../support/rows.h"
#include "gpu/backend.h"
#include "gpu/runner.h"

TestSuite(gpu_runners, .timeout = 900);

#define STREAMS 2
#define ROWS 128
#define TEXT_BYTES 65536

static __attribute__((format(printf, 2, 3))) void quiet(enum tg_log_level level, const char *format, ...)
{
}

static const struct tg_host host = {TG_RUNNER_ABI, sizeof(struct tg_host), quiet, test_now_ns};

struct stage {
    struct tg_instance *instance;
    const struct tg_backend *backend;
    struct tg_device *device;
    struct tg_arena arena;
    struct tg_lane *lane; /* of the first size class */
    struct tg_rows tasks[ROWS];
    uint32_t task_count;
    struct tg_segment segments[ROWS];
    struct tg_job job;
};

static void open_stage(struct stage *s, const struct tg_setting *settings, const char *spec)
{
    struct tg_problems problems = {0};
    struct tg_instance_options o = {.name = "t", .settings = settings};
    struct tg_error why = {0};
    *s = (struct stage){.backend = tg_backend_find("cuda")};
    while (settings[o.setting_count].key)
        o.setting_count++;
    cr_assert_eq(tg_instance_create(&host, &o, &s->instance, &problems), 0, "%s", problems.text);
    const struct tg_shape *shape = &s->instance->shape;
    struct tg_lane_options lane = {.rows = ROWS,
                                   .in_stride = (shape->in_bytes[0] + 63) / 64 * 64,
                                   .out_stride = (shape->out_bytes[0] + 63) / 64 * 64};
    cr_assert_eq(tg_arena_init(&s->arena, tg_lane_bytes(&lane) + 8192, TG_ARENA_PRIVATE), 0);
    s->lane = tg_lane_create(&s->arena, &lane);
    struct tg_device_options device = {.host = &host, .streams = STREAMS, .spec = spec};
    cr_assert_eq(s->backend->open(&device, &s->device, &why), 0, "%s", why.message);
    cr_assert_eq(s->backend->attach(s->device, s->lane, tg_lane_bytes(&lane)), 0);
    cr_assert_eq(s->backend->load(s->device, s->instance->runner, s->instance->self, &why), 0, "%s", why.message);
}

static void close_stage(struct stage *s)
{
    s->backend->close(s->device);
    tg_arena_finish(&s->arena);
    tg_instance_destroy(s->instance);
}

static void add_task(struct stage *s, const char *payload)
{
    struct tg_json_doc doc = {.capacity = (uint32_t)strlen(payload) / 2 + 1};
    struct tg_json_error json_err;
    struct tg_error err = {0};
    struct tg_rows *rows = &s->tasks[s->task_count++];
    *rows = (struct tg_rows){.lanes = &s->lane, .lane_count = 1};
    doc.nodes = malloc(doc.capacity * sizeof(*doc.nodes));
    cr_assert_eq(tg_json_parse(&doc, payload, strlen(payload), &json_err), 0, "%.80s", payload);
    struct tg_request req = {.doc = &doc, .payload = doc.nodes};
    cr_assert_eq(s->instance->runner->decode(s->instance->self, &req, rows, &err), TG_OK, "%s", err.message);
    free(doc.nodes);
}

static uint32_t take_rows(struct stage *s)
{
    uint32_t first, count = 0;
    for (uint32_t t = 0; t < s->task_count; t++)
        count += s->tasks[t].count;
    tg_lane_publish(s->lane);
    first = tg_lane_take(s->lane, count);
    test_rows_start(s->lane, first, count, 1);
    s->job = (struct tg_job){.runner = s->instance->runner, .self = s->instance->self};
    s->job.batch = (struct tg_batch){.count = count,
                                     .in_stride = s->lane->in_stride,
                                     .out_stride = s->lane->out_stride,
                                     .segment_count = test_rows_segments(s->lane, first, count, s->segments),
                                     .segments = s->segments};
    return first;
}

static void run_on_device(struct stage *s)
{
    uint64_t wake_ns = 0;
    cr_assert_eq(s->backend->submit(s->device, &s->job), 0);
    while (s->backend->poll(s->device, 0, test_now_ns(), &wake_ns) != 0)
        sched_yield();
    cr_assert_eq(s->job.fault, TG_FAULT_NONE);
}

static void encode(struct stage *s, uint32_t task, char *text)
{
    struct tg_json_writer w;
    tg_json_writer_init(&w, text, TEXT_BYTES - 1);
    s->instance->runner->encode(s->instance->self, &s->tasks[task], &w);
    cr_assert(!w.overflow);
    text[w.len] = '\0';
}

/* Every task's answer from the device and then, over the same rows, from the cpu. */
static void expect_same(struct stage *s)
{
    static char on_device[ROWS][TEXT_BYTES], on_cpu[TEXT_BYTES];
    uint32_t first = take_rows(s);
    run_on_device(s);
    for (uint32_t t = 0; t < s->task_count; t++)
        encode(s, t, on_device[t]);
    memset(tg_lane_out(s->lane, 0), TEST_CANARY, (size_t)ROWS * s->lane->out_stride);
    test_rows_start(s->lane, first, s->job.batch.count, 1);
    cr_assert_eq(s->instance->runner->run_batch(s->instance->self, &s->job.batch), 0);
    for (uint32_t t = 0; t < s->task_count; t++) {
        encode(s, t, on_cpu);
        cr_assert_str_eq(on_device[t], on_cpu, "task %u of %u", t, s->task_count);
    }
    test_rows_retire(s->lane, first, s->job.batch.count);
    s->task_count = 0;
}

static const char *const ways[] = {"direct_kib=1024", "direct_kib=0", "direct_kib=1024,graphs=0", "pin_mib=0"};

#define SETTINGS(...) ((const struct tg_setting[]){__VA_ARGS__, {NULL, NULL, NULL}})

Test(gpu_runners, echo_gives_back_what_came)
{
    struct stage s;
    for (size_t w = 0; w < TG_ARRAY_SIZE(ways); w++) {
        open_stage(&s, SETTINGS({"type", "echo", NULL}), ways[w]);
        for (uint32_t n = 1; n < 60; n = n * 2 + 1) {
            char payload[300];
            for (uint32_t i = 0; i < n; i++) {
                snprintf(payload, sizeof(payload), "{\"n\":%u,\"text\":\"%.*s\"}", i, (int)(i * 3), "abcdefghijklmnopq"
                         "rstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefgh"
                         "ijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
                add_task(&s, payload);
            }
            expect_same(&s);
        }
        close_stage(&s);
    }
}

Test(gpu_runners, saxpy_gives_the_cpus_bits)
{
    struct stage s;
    for (size_t w = 0; w < TG_ARRAY_SIZE(ways); w++) {
        open_stage(&s, SETTINGS({"type", "saxpy", NULL}, {"n", "5", NULL}), ways[w]);
        for (uint32_t i = 0; i < 50; i++) {
            char payload[200];
            snprintf(payload, sizeof(payload), "{\"a\":%d.3,\"x\":[1,%u,-3.5,1e-7,0.1],\"y\":[%u,2,1e6,0.1,-0.3]}",
                     (int)i - 20, i, i * i);
            add_task(&s, payload);
        }
        expect_same(&s);
        close_stage(&s);
    }
}

/* Queries of small integers. Among the digits, integers too, ties are frequent and every distance is exact. */
static void search_all(const struct tg_setting *settings, const char *way, const char *more)
{
    struct stage s;
    uint64_t seed = 88172645463325252u;
    open_stage(&s, settings, way);
    for (uint32_t tasks = 1; tasks <= 45; tasks += 22) {
        for (uint32_t t = 0; t < tasks; t++) {
            char payload[600];
            int len = snprintf(payload, sizeof(payload), "{\"k\":%u%s,\"vector\":[", 1 + t * 3 % 60, more);
            for (int i = 0; i < 64; i++)
                len += snprintf(payload + len, sizeof(payload) - (size_t)len, "%s%u", i ? "," : "",
                                test_random(&seed, 17));
            snprintf(payload + len, sizeof(payload) - (size_t)len, "]}");
            add_task(&s, payload);
        }
        expect_same(&s);
    }
    close_stage(&s);
}

Test(gpu_runners, knn_finds_the_cpus_neighbours_by_every_metric)
{
    static const char *const metrics[] = {"l2", "ip", "cosine"};
    for (size_t m = 0; m < TG_ARRAY_SIZE(metrics); m++)
        search_all(SETTINGS({"type", "knn", NULL}, {"data", "builtin:digits", NULL}, {"rows", "1-300", NULL},
                               {"metric", metrics[m], NULL}, {"k_max", "64", NULL}),
                      ways[m], "");
}

Test(gpu_runners, knn_finds_the_cpus_neighbours_in_halves_and_among_labels)
{
    search_all(SETTINGS({"type", "knn", NULL}, {"data", "builtin:digits", NULL}, {"rows", "1-300", NULL},
                           {"storage", "fp16", NULL}, {"metric", "cosine", NULL}),
                  ways[0], "");
    search_all(SETTINGS({"type", "knn", NULL}, {"data", "builtin:digits", NULL}, {"rows", "1-300", NULL}),
                  ways[1], ",\"label\":7");
    search_all(SETTINGS({"type", "knn", NULL}, {"data", "builtin:digits", NULL}, {"rows", "1-300", NULL}),
                  ways[0], ",\"label\":77");
}

/* Enough rows and queries for tensor cores; with few values a component some queries cannot be proven. */
Test(gpu_runners, knn_finds_the_cpus_neighbours_on_tensor_cores)
{
    static const char *const metrics[] = {"l2", "ip", "cosine"};
    static const char *const storages[] = {"fp32", "fp16"};
    for (size_t m = 0; m < TG_ARRAY_SIZE(metrics); m++)
        search_all(SETTINGS({"type", "knn", NULL}, {"data", "builtin:digits", NULL}, {"rows", "1-1100", NULL},
                               {"metric", metrics[m], NULL}, {"k_max", "60", NULL}, {"storage", storages[m % 2], NULL}),
                      ways[m], m == 1 ? ",\"label\":3" : "");
}

Test(gpu_runners, knn_finds_the_cpus_neighbours_among_random_vectors_on_tensor_cores)
{
    for (size_t w = 0; w < 2; w++)
        search_all(SETTINGS({"type", "knn", NULL}, {"data", "random:1500x64", NULL}, {"k_max", "60", NULL},
                            {"storage", w ? "fp16" : "fp32", NULL}),
                   ways[w], "");
}

Test(gpu_runners, knn_without_tensor_cores_finds_the_same)
{
    search_all(SETTINGS({"type", "knn", NULL}, {"data", "builtin:digits", NULL}, {"rows", "1-1100", NULL},
                           {"tensor", "off", NULL}),
                  ways[0], "");
}

Test(gpu_runners, noop_has_no_part_for_a_gpu_and_is_refused_with_a_reason)
{
    struct tg_error why = {0};
    struct tg_device_options o = {.host = &host, .streams = 1, .spec = "direct_kib=4"};
    struct tg_device *device;
    const struct tg_backend *b = tg_backend_find("cuda");
    cr_assert_null(tg_runner_cuda_part(tg_runner_find("noop")));
    cr_assert_eq(b->open(&o, &device, &why), 0, "%s", why.message);
    cr_assert_neq(b->load(device, tg_runner_find("noop"), NULL, &why), 0);
    cr_assert_not_null(strstr(why.message, "noop"));
    b->close(device);
}
