/* SPDX-License-Identifier: Apache-2.0 */
/* knn: from payload to query rows, from hits to JSON. */
#include "knn.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "builtin.h"

/* ---- decode ---------------------------------------------------------------------------------- */

/* The name of what is wrong: "payload.vector", "payload.vectors[3]", with [17] behind it if it is one number.
 */
static void name_field(char *field, size_t size, int vector, int64_t element)
{
    int n = vector < 0 ? snprintf(field, size, "payload.vector")
                       : snprintf(field, size, "payload.vectors[%d]", vector);
    if (element >= 0 && n > 0 && (size_t)n < size)
        snprintf(field + n, size - (size_t)n, "[%" PRId64 "]", element);
}

__attribute__((cold)) static enum tg_status bad_vector(const struct knn *knn, const struct tg_json_node *node,
                                                       int vector, struct tg_error *err)
{
    char field[64];
    name_field(field, sizeof(field), vector, -1);
    if (node->type != TG_JSON_ARRAY)
        tg_error_set(err, field, "must be an array of %u numbers, not %s", knn->set.dim, runner_kind(node));
    else
        tg_error_set(err, field, "expected %u numbers, got %u", knn->set.dim, tg_json_count(node));
    return TG_INVALID;
}

__attribute__((cold)) static enum tg_status bad_number(const struct knn *knn, const struct tg_json_node *node,
                                                       int vector, uint32_t element, struct tg_error *err)
{
    char field[64];
    name_field(field, sizeof(field), vector, element);
    if (tg_json_is_number(node))
        tg_error_set(err, field, "must be from %g to %g", -(double)knn->set.limit, (double)knn->set.limit);
    else
        tg_error_set(err, field, "must be a number, not %s", runner_kind(node));
    return TG_INVALID;
}

/* Write one query; the array's length has been checked. */
static enum tg_status decode_vector(const struct knn *knn, const struct tg_json_node *array, int vector,
                                    float *to, struct tg_error *err)
{
    const struct tg_json_node *node = tg_json_first(array);
    double limit = (double)knn->set.limit;
    for (uint32_t i = 0; i < knn->set.dim; i++, node = tg_json_next(node)) {
        double v = tg_json_is_number(node) ? tg_json_number(node) : HUGE_VAL;
        if (TG_UNLIKELY(fabs(v) > limit))
            return bad_number(knn, node, vector, i, err);
        to[i] = (float)v;
    }
    memset(to + knn->set.dim, 0, (knn->set.stride - knn->set.dim) * sizeof(float));
    if (knn->set.metric == KNN_COSINE)
        knn_normalise(to, knn->set.dim);
    return TG_OK;
}

static enum tg_status check_vector(const struct knn *knn, const struct tg_json_node *node, int vector,
                                   struct tg_error *err)
{
    if (TG_LIKELY(node->type == TG_JSON_ARRAY && tg_json_count(node) == knn->set.dim))
        return TG_OK;
    return bad_vector(knn, node, vector, err);
}

/* Room for the queries; what they ask for goes into each row's param. */
static enum tg_status claim(const struct knn *knn, struct tg_rows *rows, uint32_t count, uint64_t param)
{
    enum tg_status s = tg_rows_claim(rows, count, knn->set.stride * (uint32_t)sizeof(float));
    for (uint32_t i = 0; s == TG_OK && i < count; i++)
        tg_rows_row(rows, i)->param = param;
    return s;
}

static enum tg_status decode_one(const struct knn *knn, const struct tg_json_node *vector, uint64_t param,
                                 struct tg_rows *rows, struct tg_error *err)
{
    enum tg_status s = check_vector(knn, vector, -1, err);
    if (s == TG_OK)
        s = claim(knn, rows, 1, param);
    return s == TG_OK ? decode_vector(knn, vector, -1, tg_rows_in(rows, 0), err) : s;
}

static enum tg_status check_list(const struct knn *knn, const struct tg_json_node *list, struct tg_error *err)
{
    if (list->type != TG_JSON_ARRAY) {
        tg_error_set(err, "payload.vectors", "must be an array of vectors, not %s", runner_kind(list));
        return TG_INVALID;
    }
    if (tg_json_count(list) < 1 || tg_json_count(list) > knn->vectors_max) {
        tg_error_set(err, "payload.vectors", "expected 1 to %u vectors, got %u", knn->vectors_max,
                     tg_json_count(list));
        return TG_INVALID;
    }
    return TG_OK;
}

static enum tg_status decode_many(const struct knn *knn, const struct tg_json_node *list, uint64_t param,
                                  struct tg_rows *rows, struct tg_error *err)
{
    int n = 0;
    enum tg_status s = check_list(knn, list, err);
    if (s != TG_OK)
        return s;
    TG_JSON_FOREACH(vector, list)
    {
        if ((s = check_vector(knn, vector, n++, err)) != TG_OK)
            return s;
    }
    if ((s = claim(knn, rows, (uint32_t)n, param | KNN_PARAM_MANY)) != TG_OK)
        return s;
    n = 0;
    TG_JSON_FOREACH(vector, list)
    {
        if ((s = decode_vector(knn, vector, n, tg_rows_in(rows, (uint32_t)n), err)) != TG_OK)
            return s;
        n++;
    }
    return TG_OK;
}

static enum tg_status invalid(struct tg_error *err, const char *field, const char *what)
{
    tg_error_set(err, field, "%s", what);
    return TG_INVALID;
}

/* Rows of one label only, if the task asks for that; a label that no row has leaves none. */
static enum tg_status decode_label(const struct knn *knn, const struct tg_json_node *node, uint64_t *param,
                                   struct tg_error *err)
{
    int64_t label = 0;
    if (!node)
        return TG_OK;
    if (!knn->set.labels)
        return invalid(err, "payload.label", "the vectors here have no labels");
    enum tg_status s = runner_integer(node, "payload.label", INT64_MIN, INT64_MAX, &label, err);
    *param |= (uint64_t)knn_set_group(&knn->set, label) << KNN_PARAM_GROUP_SHIFT;
    return s;
}

enum tg_status knn_decode(void *self, const struct tg_request *req, struct tg_rows *rows,
                          struct tg_error *err)
{
    const struct knn *knn = self;
    if (!req->payload)
        return invalid(err, "payload", "is missing");
    if (req->payload->type != TG_JSON_OBJECT)
        return invalid(err, "payload", "must be an object");
    const struct tg_json_node *vector = tg_json_get(req->doc, req->payload, TG_STR("vector"));
    const struct tg_json_node *vectors = tg_json_get(req->doc, req->payload, TG_STR("vectors"));
    int64_t k = 1;
    if (!vector && !vectors)
        return invalid(err, "payload.vector", "is missing (or \"vectors\", an array of them)");
    if (vector && vectors)
        return invalid(err, "payload.vectors", "give \"vector\" or \"vectors\", not both");
    enum tg_status s =
        runner_integer(tg_json_get(req->doc, req->payload, TG_STR("k")), "payload.k", 1, knn->k_max, &k, err);
    uint64_t param = (uint64_t)k;
    if (s == TG_OK)
        s = decode_label(knn, tg_json_get(req->doc, req->payload, TG_STR("label")), &param, err);
    if (s != TG_OK)
        return s;
    return vector ? decode_one(knn, vector, param, rows, err) : decode_many(knn, vectors, param, rows, err);
}

/* ---- encode ---------------------------------------------------------------------------------- */

/* What a person calls the key: the distance itself, or the score with its own sign. */
static void write_measure(const struct knn_set *set, float key, struct tg_json_writer *w)
{
    switch (set->metric) {
    case KNN_L2:
        TG_JSON_KEY(w, "distance");
        tg_json_write_f32(w, sqrtf(key));
        return;
    case KNN_IP:
        TG_JSON_KEY(w, "score");
        tg_json_write_f32(w, 0 - key); /* and not -key: a score of 0 has no sign */
        return;
    default:
        TG_JSON_KEY(w, "similarity");
        tg_json_write_f32(w, fminf(fmaxf(0 - key, -1), 1)); /* rounding may step over one */
        return;
    }
}

static void write_hit(const struct knn_set *set, const struct knn_hit *hit, struct tg_json_writer *w)
{
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "index");
    tg_json_write_u64(w, (uint64_t)set->first_row + hit->index);
    write_measure(set, hit->key, w);
    if (set->labels) {
        TG_JSON_KEY(w, "label");
        tg_json_write_i64(w, set->labels[hit->index]);
    }
    tg_json_write_end_object(w);
}

/* The label most hits have; of several, the one whose nearest hit is nearest. k is small: count as we go. */
static int64_t majority(const struct knn_set *set, const struct knn_hit *hits, uint32_t count)
{
    uint32_t best = 0;
    int64_t label = set->labels[hits[0].index];
    for (uint32_t i = 0; i < count && count - i > best; i++) { /* too few are left to win */
        uint32_t votes = 0;
        for (uint32_t j = i; j < count; j++)
            votes += set->labels[hits[j].index] == set->labels[hits[i].index];
        if (votes > best) {
            best = votes;
            label = set->labels[hits[i].index];
        }
    }
    return label;
}

static void write_answer(const struct knn_set *set, const struct tg_rows *rows, uint32_t i,
                         struct tg_json_writer *w)
{
    const struct knn_hit *hits = tg_rows_out(rows, i);
    uint32_t count = tg_rows_row(rows, i)->out_len / (uint32_t)sizeof(*hits);
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "neighbors");
    tg_json_write_begin_array(w);
    for (uint32_t h = 0; h < count; h++)
        write_hit(set, &hits[h], w);
    tg_json_write_end_array(w);
    if (set->labels && count > 0) {
        TG_JSON_KEY(w, "label");
        tg_json_write_i64(w, majority(set, hits, count));
    }
    tg_json_write_end_object(w);
}

void knn_encode(void *self, const struct tg_rows *rows, struct tg_json_writer *w)
{
    const struct knn *knn = self;
    if (!(tg_rows_row(rows, 0)->param & KNN_PARAM_MANY)) {
        write_answer(&knn->set, rows, 0, w);
        return;
    }
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "results");
    tg_json_write_begin_array(w);
    for (uint32_t i = 0; i < rows->count; i++)
        write_answer(&knn->set, rows, i, w);
    tg_json_write_end_array(w);
    tg_json_write_end_object(w);
}
