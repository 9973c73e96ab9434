/* SPDX-License-Identifier: Apache-2.0 */
/* A runner instance with lanes and no executor: asks it a payload and keeps the answer's text. */
#ifndef TEST_RUNNER_FIXTURE_H
#define TEST_RUNNER_FIXTURE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "runner.h"

#define FIXTURE_ROWS 512
#define FIXTURE_ANSWER_BYTES (8u << 20)

struct fixture {
    struct tg_instance *instance;
    struct tg_arena arena;
    struct tg_lane *lanes[TG_SIZE_CLASSES_MAX];
    struct tg_problems problems;
    struct tg_error err;
    struct tg_rows rows;
    uint64_t ready_ns; /* of the last batch */
    char *text;        /* the last answer, terminated */
    size_t len;
};

static uint64_t fixture_now_ns = 1000;

__attribute__((format(printf, 2, 3))) static inline void fixture_log(enum tg_log_level level,
                                                                     const char *format, ...)
{
}

static inline uint64_t fixture_clock(void)
{
    return fixture_now_ns;
}

static const struct tg_host fixture_host = {
    .abi = TG_RUNNER_ABI, .size = sizeof(struct tg_host), .log = fixture_log, .now_ns = fixture_clock};

/* @settings ends with a NULL key. Returns tg_instance_create()'s answer. */
static inline int fixture_create(struct fixture *f, const struct tg_setting *settings)
{
    uint32_t n = 0;
    while (settings[n].key)
        n++;
    *f = (struct fixture){0};
    struct tg_instance_options o = {.name = "t", .at = "f.toml:1", .settings = settings, .setting_count = n};
    return tg_instance_create(&fixture_host, &o, &f->instance, &f->problems);
}

static inline void fixture_lanes(struct fixture *f)
{
    const struct tg_shape *s = &f->instance->shape;
    cr_assert_eq(tg_arena_init(&f->arena, 64u << 20, TG_ARENA_PRIVATE), 0);
    for (uint32_t c = 0; c < s->size_classes; c++) {
        uint32_t in = TG_MAX(64, (s->in_bytes[c] + 63) / 64 * 64),
                 out = TG_MAX(64, (s->out_bytes[c] + 63) / 64 * 64);
        struct tg_lane_options o = {.rows = in >= 65536 ? 4 : FIXTURE_ROWS,
                                    .in_stride = in,
                                    .out_stride = out,
                                    .size_class = (uint8_t)c};
        f->lanes[c] = tg_lane_create(&f->arena, &o);
        cr_assert_not_null(f->lanes[c]);
    }
    f->text = malloc(FIXTURE_ANSWER_BYTES);
}

/* Instance and lanes, or the test fails with what was wrong. */
static inline void fixture_open(struct fixture *f, const struct tg_setting *settings)
{
    cr_assert_eq(fixture_create(f, settings), 0, "%s", f->problems.text);
    fixture_lanes(f);
}

static inline void fixture_close(struct fixture *f)
{
    free(f->text);
    if (f->arena.base)
        tg_arena_finish(&f->arena);
    tg_instance_destroy(f->instance);
}

static inline enum tg_status fixture_decode(struct fixture *f, const char *payload)
{
    struct tg_json_doc doc = {.capacity = (uint32_t)strlen(payload) / 2 + 1};
    struct tg_json_error json_err;
    doc.nodes = malloc(doc.capacity * sizeof(*doc.nodes));
    cr_assert_eq(tg_json_parse(&doc, payload, strlen(payload), &json_err), 0, "%.80s", payload);
    struct tg_request req = {.doc = &doc, .payload = doc.nodes};
    f->rows = (struct tg_rows){.lanes = f->lanes, .lane_count = f->instance->shape.size_classes};
    f->err = (struct tg_error){.message = ""};
    enum tg_status status = f->instance->runner->decode(f->instance->self, &req, &f->rows, &f->err);
    free(doc.nodes);
    if (status != TG_OK && f->rows.lane)
        tg_lane_unclaim(f->rows.lane, f->rows.count);
    return status;
}

static inline void fixture_run(struct fixture *f)
{
    struct tg_segment segments[FIXTURE_ROWS];
    struct tg_batch b = {.segments = segments,
                         .segment_count = f->rows.count,
                         .count = f->rows.count,
                         .in_stride = f->rows.lane->in_stride,
                         .out_stride = f->rows.lane->out_stride};
    for (uint32_t i = 0; i < f->rows.count; i++) {
        struct tg_row *row = tg_rows_row(&f->rows, i);
        row->status = TG_OK;
        row->out_len = f->rows.lane->out_stride;
        segments[i] = (struct tg_segment){tg_rows_in(&f->rows, i),
                                          tg_lane_out(f->rows.lane, f->rows.first + i), row, 1};
    }
    cr_assert_eq(f->instance->runner->run_batch(f->instance->self, &b), 0);
    f->ready_ns = b.ready_ns;
}

static inline void fixture_encode(struct fixture *f)
{
    struct tg_json_writer w;
    tg_json_writer_init(&w, f->text, FIXTURE_ANSWER_BYTES - 1);
    f->instance->runner->encode(f->instance->self, &f->rows, &w);
    cr_assert(!w.overflow);
    f->len = w.len;
    f->text[w.len] = '\0';
    for (uint32_t i = 0; i < f->rows.count; i++)
        tg_lane_retire(f->rows.lane, f->rows.first + i);
}

/* The whole way. The answer is in f->text when TG_OK comes back, else the complaint in f->err. */
static inline enum tg_status fixture_ask(struct fixture *f, const char *payload)
{
    enum tg_status status = fixture_decode(f, payload);
    if (status != TG_OK)
        return status;
    fixture_run(f);
    fixture_encode(f);
    return TG_OK;
}

#define SETTINGS(...) ((const struct tg_setting[]){__VA_ARGS__, {NULL, NULL, NULL}})

#endif
