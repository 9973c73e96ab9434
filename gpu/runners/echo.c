/* SPDX-License-Identifier: Apache-2.0 */
/* echo: the result is the payload, byte for byte, after a trip to the device and back. */
#include "builtin.h"

static int echo_create(const struct tg_host *host, const union tg_value *values, void **self,
                       struct tg_error *err)
{
    *self = NULL;
    return 0;
}

static void echo_destroy(void *self)
{
}

/* Small texts must not pay for the room of large ones, hence the classes. */
static void echo_shape(void *self, struct tg_shape *shape)
{
    *shape = (struct tg_shape){
        .size_classes = 4,
        .in_bytes = {256, 4096, 65536, 2 << 20},
        .out_bytes = {256, 4096, 65536, 2 << 20},
        .rows_per_task_max = 1,
        .max_batch = 256,
        .row_ns = 20,
    };
}

static enum tg_status echo_decode(void *self, const struct tg_request *req, struct tg_rows *rows,
                                  struct tg_error *err)
{
    if (!req->payload) {
        tg_error_set(err, "payload", "is missing");
        return TG_INVALID;
    }
    struct tg_str text = tg_json_text(req->doc, req->payload);
    if (text.len > UINT32_MAX)
        return TG_TOO_LARGE;
    enum tg_status s = tg_rows_claim(rows, 1, (uint32_t)text.len);
    if (s == TG_OK)
        memcpy(tg_rows_in(rows, 0), text.ptr, text.len);
    return s;
}

static int echo_run_batch(void *self, struct tg_batch *batch)
{
    for (uint32_t s = 0; s < batch->segment_count; s++) {
        const struct tg_segment *segment = &batch->segments[s];
        for (uint32_t i = 0; i < segment->count; i++) {
            struct tg_row *row = &segment->rows[i];
            memcpy((char *)segment->out + (size_t)i * batch->out_stride,
                   (const char *)segment->in + (size_t)i * batch->in_stride, row->in_len);
            row->out_len = row->in_len;
        }
    }
    return 0;
}

static void echo_encode(void *self, const struct tg_rows *rows, struct tg_json_writer *w)
{
    tg_json_write_raw(w, (struct tg_str){tg_rows_out(rows, 0), tg_rows_row(rows, 0)->out_len});
}

const struct tg_runner tg_runner_echo = {
    .abi = TG_RUNNER_ABI,
    .size = sizeof(struct tg_runner),
    .type = "echo",
    .doc = "gives the payload back as it came",
    .intent = "urn:iicp:intent:x.taskgate:echo:v1",
    .create = echo_create,
    .destroy = echo_destroy,
    .shape = echo_shape,
    .decode = echo_decode,
    .run_batch = echo_run_batch,
    .encode = echo_encode,
    .cuda = &tg_runner_cuda_echo,
};
