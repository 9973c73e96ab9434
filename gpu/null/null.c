/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The null device: accepts every batch, computes nothing, answers rows of no bytes. What remains is the cost
 * of forming batches. It can pretend to take time: "service_us=N,per_row_ns=M" lets each batch end N us plus
 * M ns per row after its submission, all streams side by side.
 */
#include <errno.h>
#include <stdlib.h>
#include "../backend.h"
#include "../spec.h"

struct tg_device {
    const struct tg_backend *backend;
    const struct tg_host *host;
    uint64_t service_us, per_row_ns;
    uint32_t streams;
    struct tg_job *jobs[]; /* by stream, NULL: free */
};

static int null_probe(struct tg_error *why)
{
    return 0;
}

static int setting(struct tg_device *d, const struct tg_spec_item *item, struct tg_error *why)
{
    uint64_t *value = tg_spec_is(item->key, "service_us")   ? &d->service_us
                      : tg_spec_is(item->key, "per_row_ns") ? &d->per_row_ns
                                                            : NULL;

    if (!value)
        tg_error_set(why, "", "null: unknown setting \"" TG_STR_FMT "\"; it has service_us and per_row_ns",
                     TG_STR_ARG(item->key));
    else if (tg_spec_number(item->value, 0, 1000000000, value) != 0)
        tg_error_set(why, "",
                     "null: " TG_STR_FMT " needs a whole number from 0 to 1000000000, got \"" TG_STR_FMT "\"",
                     TG_STR_ARG(item->key), TG_STR_ARG(item->value));
    else
        return 0;
    return -EINVAL;
}

static int settings(struct tg_device *d, const char *spec, struct tg_error *why)
{
    struct tg_str rest = {spec, spec ? __builtin_strlen(spec) : 0};
    struct tg_spec_item item;
    int rc = 0;

    while (rc == 0 && tg_spec_next(&rest, ',', &item))
        rc = setting(d, &item, why);
    return rc;
}

static int null_open(const struct tg_device_options *o, struct tg_device **device, struct tg_error *why)
{
    if (o->streams == 0) {
        tg_error_set(why, "streams", "at least one stream is needed");
        return -EINVAL;
    }
    struct tg_device *d = calloc(1, sizeof(*d) + o->streams * sizeof(d->jobs[0]));
    if (!d)
        return -ENOMEM;
    d->backend = &tg_backend_null;
    d->host = o->host;
    d->streams = o->streams;
    int rc = settings(d, o->spec, why);
    if (rc != 0)
        free(d);
    else
        *device = d;
    return rc;
}

static void null_close(struct tg_device *d)
{
    free(d);
}

static void null_describe(const struct tg_device *d, struct tg_device_info *info)
{
    *info = (struct tg_device_info){.name = "null"};
}

static int null_attach(struct tg_device *d, void *base, size_t bytes)
{
    return 0;
}

static int null_load(struct tg_device *d, const struct tg_runner *runner, void *self, struct tg_error *why)
{
    return 0;
}

static void answer(const struct tg_batch *batch)
{
    for (uint32_t i = 0; i < batch->segment_count; i++)
        for (uint32_t r = 0; r < batch->segments[i].count; r++) {
            batch->segments[i].rows[r].status = TG_OK;
            batch->segments[i].rows[r].out_len = 0;
        }
}

/*
 * The clock is not read unless time is pretended: it would be a good part of what this device is to
 * measure.
 */
static uint64_t end_ns(const struct tg_device *d, uint32_t rows)
{
    uint64_t service_ns = d->service_us * 1000 + d->per_row_ns * rows;

    return service_ns > 0 ? d->host->now_ns() + service_ns : 0;
}

static int null_submit(struct tg_device *d, struct tg_job *job)
{
    TG_ASSERT(job->stream < d->streams && !d->jobs[job->stream] && job->batch.count > 0);
    answer(&job->batch);
    job->batch.ready_ns = end_ns(d, job->batch.count);
    d->jobs[job->stream] = job;
    return 0;
}

static int null_poll(struct tg_device *d, uint32_t stream, uint64_t now_ns, uint64_t *wake_ns)
{
    TG_ASSERT(stream < d->streams && d->jobs[stream]);
    struct tg_job *job = d->jobs[stream];

    if (now_ns < job->batch.ready_ns) {
        *wake_ns = TG_MIN(*wake_ns, job->batch.ready_ns);
        return -EAGAIN;
    }
    job->fault = TG_FAULT_NONE;
    job->error = 0;
    d->jobs[stream] = NULL;
    return 0;
}

const struct tg_backend tg_backend_null = {
    .name = "null",
    .probe = null_probe,
    .open = null_open,
    .close = null_close,
    .describe = null_describe,
    .attach = null_attach,
    .load = null_load,
    .submit = null_submit,
    .poll = null_poll,
};
