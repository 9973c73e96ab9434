/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The built-in runners on a GPU against the same runners on the cpu: payloads in, JSON out, the same text. Built
 * twice: on the emulated runtime, which runs everywhere, and on a real device (suite gpu).
 */
#include "stage.h"

#include <errno.h>

TestSuite(gpu_runners, .timeout = 900);

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

/* No device has so much: a thousand batches in flight with buffers of 4 GiB each way. */
Test(gpu_runners, memory_that_is_not_there_is_a_reason_and_no_harm)
{
    struct tg_error why = {0};
    struct tg_device_options o = {.host = &host, .streams = 1024, .spec = "direct_kib=4,buffer_kib=4194304"};
    struct tg_device *device = NULL;
    const struct tg_backend *b = tg_backend_find("cuda");
    cr_assert_eq(b->open(&o, &device, &why), -ENOMEM);
    cr_assert_null(device);
    cr_assert_not_null(strstr(why.message, "cudaErrorMemoryAllocation"), "%s", why.message);
    search_all(SETTINGS({"type", "knn", NULL}, {"data", "builtin:digits", NULL}, {"rows", "1-300", NULL}), ways[0], "");
}
