/* SPDX-License-Identifier: Apache-2.0 */
/* A runner instance loaded on the cuda device, with one lane: payloads in, JSON out, no executor. */
#ifndef TG_TEST_GPU_STAGE_H
#define TG_TEST_GPU_STAGE_H

#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include "../support/rows.h"
#include "gpu/backend.h"
#include "gpu/runner.h"

#define STREAMS 2
#define ROWS 128
#define TEXT_BYTES 65536

static __attribute__((format(printf, 2, 3), unused)) void quiet(enum tg_log_level level, const char *format, ...)
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

static inline void open_stage(struct stage *s, const struct tg_setting *settings, const char *spec)
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

static inline void close_stage(struct stage *s)
{
    s->backend->close(s->device);
    tg_arena_finish(&s->arena);
    tg_instance_destroy(s->instance);
}

static inline void add_task(struct stage *s, const char *payload)
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

static inline uint32_t take_rows(struct stage *s)
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

static inline void run_on_device(struct stage *s)
{
    uint64_t wake_ns = 0;
    cr_assert_eq(s->backend->submit(s->device, &s->job), 0);
    while (s->backend->poll(s->device, 0, test_now_ns(), &wake_ns) != 0)
        sched_yield();
    cr_assert_eq(s->job.fault, TG_FAULT_NONE);
}

static inline void encode(struct stage *s, uint32_t task, char *text)
{
    struct tg_json_writer w;
    tg_json_writer_init(&w, text, TEXT_BYTES - 1);
    s->instance->runner->encode(s->instance->self, &s->tasks[task], &w);
    cr_assert(!w.overflow);
    text[w.len] = '\0';
}

/* The ways a batch can take to the device and back. */
static const char *const ways[] = {"direct_kib=1024", "direct_kib=0", "direct_kib=1024,graphs=0", "pin_mib=0"};

#define SETTINGS(...) ((const struct tg_setting[]){__VA_ARGS__, {NULL, NULL, NULL}})

#endif
