/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in runners' parts for this device: what they bring along, and which kernels a batch is. */
#include <errno.h>
#include <stdlib.h>
#include "../runners/builtin.h"
#include "../runners/knn.h"
#include "../runners/saxpy.h"
#include "kernels.h"
#include "plan.h"

_Static_assert(sizeof(struct knn_hit) == sizeof(struct tg_cuda_knn_hit), "kernels write what encode reads");
_Static_assert(offsetof(struct knn_hit, index) == offsetof(struct tg_cuda_knn_hit, index), "in the same order");
_Static_assert(KNN_K_MAX == TG_CUDA_KNN_K_MAX && KNN_LANES == TG_CUDA_KNN_CHUNK, "as the kernels have it");

/* ---- echo and saxpy -------------------------------------------------------------------------------------- */

static int echo_launch(void *self, const void *state, const struct tg_cuda_batch *b)
{
    return tg_cuda_echo(b);
}

const struct tg_runner_cuda tg_runner_cuda_echo = {.size = sizeof(struct tg_runner_cuda), .launch = echo_launch};

static int saxpy_launch(void *self, const void *state, const struct tg_cuda_batch *b)
{
    const struct saxpy *s = self;
    return tg_cuda_saxpy(b, s->n);
}

const struct tg_runner_cuda tg_runner_cuda_saxpy = {
    .size = sizeof(struct tg_runner_cuda),
    .batch_rows = 4096,
    .launch = saxpy_launch,
};

/* ---- knn ------------------------------------------------------------------------------------------------- */

#define STAGE_BYTES ((size_t)32 << 20) /* rows on their way into the kernels' layout */
#define KNN_BATCH_ROWS 4096

struct knn_state {
    struct tg_cuda_knn set;
    struct tg_cuda_knn_tensor tensor; /* no bounds: not used */
    uint32_t k_room; /* hits that an output row has room for */
};

static uint32_t k_room(const struct knn *knn)
{
    uint32_t bytes = (knn->k_max * (uint32_t)sizeof(struct knn_hit) + 63) / 64 * 64;
    return TG_MIN(bytes / (uint32_t)sizeof(struct knn_hit), (uint32_t)KNN_K_MAX);
}

/* Row by row would be a call a row, all at once twice the memory: in stages. */
static int upload_rows(struct knn_state *s, const struct knn_set *from, struct tg_cuda_loader *loader, void *to,
                       float *stage, uint32_t stage_rows)
{
    int rc = 0;
    for (uint32_t first = 0; rc == 0 && first < from->rows; first += stage_rows) {
        uint32_t count = TG_MIN(stage_rows, from->rows - first);
        const float *rows = from->vectors + (size_t)first * from->stride;
        rc = loader->upload(loader, stage, rows, (size_t)count * from->stride * sizeof(float));
        if (rc == 0)
            rc = tg_cuda_knn_pack(&s->set, to, stage, first, count, loader->stream);
    }
    return rc;
}

static int upload_set(struct knn_state *s, const struct knn_set *from, struct tg_cuda_loader *loader,
                      struct tg_error *why)
{
    size_t row_bytes = from->stride * sizeof(float), values = (size_t)from->rows * from->stride;
    uint32_t stage_rows = (uint32_t)TG_MIN(TG_MAX(STAGE_BYTES / row_bytes, 1), (size_t)from->rows);
    void *to = loader->alloc(loader, values * (s->set.half ? 2 : sizeof(float)));
    float *stage = loader->alloc(loader, stage_rows * row_bytes);
    if (!to || !stage) {
        tg_error_set(why, "data", "%u vectors of %u do not fit into the device's memory", from->rows, from->dim);
        return -ENOMEM;
    }
    s->set.vectors = to;
    return upload_rows(s, from, loader, to, stage, stage_rows);
}

static int upload_groups(struct knn_state *s, const struct knn_set *from, struct tg_cuda_loader *loader,
                         struct tg_error *why)
{
    size_t bytes = from->rows * sizeof(*from->groups);
    uint32_t *groups = from->groups ? loader->alloc(loader, bytes) : NULL;
    s->set.groups = groups;
    if (!from->groups)
        return 0;
    if (groups)
        return loader->upload(loader, groups, from->groups, bytes);
    tg_error_set(why, "labels", "no room for them in the device's memory");
    return -ENOMEM;
}

/*
 * With 32-bit storage half as much memory again, and 16 bytes a row in any case. Where there is no room for that the
 * search goes without: it finds the same.
 */
static int prepare_tensor(struct knn_state *s, struct tg_cuda_loader *loader)
{
    size_t values = (size_t)s->set.rows * s->set.stride;
    struct tg_cuda_knn_tensor t = {
        .peak = loader->alloc(loader, sizeof(uint32_t)),
        .bounds = loader->alloc(loader, (size_t)s->set.rows * TG_CUDA_KNN_BOUND_BYTES),
        .halves = s->set.half ? (void *)s->set.vectors : loader->alloc(loader, values * 2),
    };
    if (!t.halves || !t.bounds || !t.peak)
        return 0;
    s->tensor = t;
    int rc = loader->upload(loader, t.peak, &(uint32_t){0}, sizeof(uint32_t));
    return rc == 0 ? tg_cuda_knn_tensor_prepare(&s->set, &t, loader->stream) : rc;
}

static int knn_load(void *self, struct tg_cuda_loader *loader, void **state, struct tg_error *why)
{
    const struct knn *knn = self;
    struct knn_state *s = malloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    *s = (struct knn_state){
        .set = {.rows = knn->set.rows,
                .stride = knn->set.stride,
                .half = knn->set.half,
                .dot = knn->set.metric != KNN_L2},
        .k_room = k_room(knn),
    };
    *state = s;
    int rc = upload_set(s, &knn->set, loader, why);
    if (rc == 0)
        rc = upload_groups(s, &knn->set, loader, why);
    if (rc == 0 && knn->tensor && tg_cuda_knn_tensor_pays(knn->set.rows, knn->set.stride, KNN_BATCH_ROWS))
        rc = prepare_tensor(s, loader);
    return rc;
}

static void knn_unload(void *state)
{
    free(state);
}

static bool uses_tensor(const struct knn_state *s, uint32_t capacity)
{
    return s->tensor.bounds && tg_cuda_knn_tensor_pays(s->set.rows, s->set.stride, capacity);
}

static size_t knn_scratch_bytes(const void *state, uint32_t capacity, uint32_t multiprocessors)
{
    const struct knn_state *s = state;
    if (uses_tensor(s, capacity))
        return tg_cuda_knn_tensor_scratch(&s->set, s->k_room, capacity,
                                          tg_cuda_knn_tensor_splits(s->set.rows, capacity, multiprocessors),
                                          multiprocessors);
    uint32_t splits = tg_cuda_knn_splits(s->set.rows, capacity, multiprocessors);
    return (size_t)splits * capacity * s->k_room * sizeof(struct knn_hit);
}

static int knn_launch(void *self, const void *state, const struct tg_cuda_batch *b)
{
    const struct knn_state *s = state;
    if (uses_tensor(s, b->capacity))
        return tg_cuda_knn_tensor_search(&s->set, &s->tensor, b,
                                         tg_cuda_knn_tensor_splits(s->set.rows, b->capacity, b->multiprocessors));
    uint32_t splits = tg_cuda_knn_splits(s->set.rows, b->capacity, b->multiprocessors);
    return tg_cuda_knn_search(&s->set, b, splits, tg_cuda_knn_small(b->capacity));
}

const struct tg_runner_cuda tg_runner_cuda_knn = {
    .size = sizeof(struct tg_runner_cuda),
    .batch_rows = KNN_BATCH_ROWS,
    .load = knn_load,
    .unload = knn_unload,
    .scratch_bytes = knn_scratch_bytes,
    .launch = knn_launch,
};
