/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cpu device, the reference for all others. Without threads of its own submit() computes in the caller
 * and poll() reports; with threads it hands jobs to the pool. A runner may ask that a batch not count as done
 * before some instant (ready_ns, simulated time): poll() honours that in both cases.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "part.h"
#include "pool.h"

#define THREADS_MAX 1024
#define STREAMS_MAX 4096

/* What submit() must know of a runner instance, so that it need not ask the runner each time. */
struct loaded {
    const void *self;
    const struct tg_runner *runner;
    uint32_t row_ns;
};

struct tg_device {
    const struct tg_backend *backend;
    uint32_t threads, streams;
    struct tg_cpu_pool *pool; /* NULL without threads */
    struct tg_job **jobs;     /* by stream, NULL: free */
    struct loaded *loaded;
    uint32_t loaded_count;
};

static int cpu_probe(struct tg_error *why)
{
    return 0;
}

static int check(const struct tg_device_options *o, struct tg_error *why)
{
    if (o->spec && o->spec[0] != '\0')
        tg_error_set(why, "", "the cpu device takes no settings of its own");
    else if (o->streams == 0 || o->streams > STREAMS_MAX)
        tg_error_set(why, "streams", "%u streams: 1 to %u are possible", o->streams, STREAMS_MAX);
    else if (o->threads > THREADS_MAX)
        tg_error_set(why, "threads", "%u compute threads: at most %u are possible", o->threads, THREADS_MAX);
    else
        return 0;
    return -EINVAL;
}

static int start_pool(struct tg_device *d, const struct tg_device_options *o)
{
    struct tg_cpu_pool_options options = {o->threads, o->streams, o->doorbell};

    return o->threads > 0 ? tg_cpu_pool_create(&options, &d->pool) : 0;
}

static void cpu_close(struct tg_device *d)
{
    tg_cpu_pool_destroy(d->pool);
    free(d->loaded);
    free(d->jobs);
    free(d);
}

static int start(struct tg_device *d, const struct tg_device_options *o, struct tg_error *why)
{
    int rc = d->jobs ? start_pool(d, o) : -ENOMEM;

    if (rc != 0)
        tg_error_set(why, "", "cannot start %u compute threads: %s", o->threads, strerror(-rc));
    return rc;
}

static int cpu_open(const struct tg_device_options *o, struct tg_device **device, struct tg_error *why)
{
    int rc = check(o, why);
    if (rc != 0)
        return rc;
    struct tg_device *d = calloc(1, sizeof(*d));
    if (!d)
        return -ENOMEM;
    *d = (struct tg_device){.backend = &tg_backend_cpu, .threads = o->threads, .streams = o->streams};
    d->jobs = calloc(o->streams, sizeof(*d->jobs));
    rc = start(d, o, why);
    if (rc != 0)
        cpu_close(d);
    else
        *device = d;
    return rc;
}

static void cpu_describe(const struct tg_device *d, struct tg_device_info *info)
{
    *info = (struct tg_device_info){.name = "cpu", .threads = d->threads};
}

static int cpu_attach(struct tg_device *d, void *base, size_t bytes)
{
    return 0;
}

static int remember(struct tg_device *d, const struct tg_runner *runner, void *self)
{
    struct tg_shape shape = {0};
    struct loaded *more = realloc(d->loaded, (d->loaded_count + 1) * sizeof(*more));

    if (!more)
        return -ENOMEM;
    runner->shape(self, &shape);
    d->loaded = more;
    d->loaded[d->loaded_count++] = (struct loaded){self, runner, shape.row_ns};
    return 0;
}

static int cpu_load(struct tg_device *d, const struct tg_runner *runner, void *self, struct tg_error *why)
{
    int rc = runner->warm_up ? runner->warm_up(self) : 0;

    if (rc == 0)
        rc = remember(d, runner, self);
    if (rc < 0)
        tg_error_set(why, "", "runner %s cannot be loaded on the cpu: %s", runner->type, strerror(-rc));
    return rc;
}

/* A handful of instances at most: walking them beats anything cleverer. */
static uint32_t row_ns_of(const struct tg_device *d, const struct tg_job *job)
{
    for (uint32_t i = 0; i < d->loaded_count; i++)
        if (d->loaded[i].self == job->self && d->loaded[i].runner == job->runner)
            return d->loaded[i].row_ns;
    TG_ASSERT(!"the runner was not loaded on this device");
    return 0;
}

static int cpu_submit(struct tg_device *d, struct tg_job *job)
{
    TG_ASSERT(job->stream < d->streams && !d->jobs[job->stream] && job->batch.count > 0);
    uint32_t row_ns = row_ns_of(d, job);

    d->jobs[job->stream] = job;
    if (d->pool)
        tg_cpu_pool_submit(d->pool, job, tg_cpu_part_rows(job->batch.count, row_ns, d->threads));
    else
        job->error = tg_cpu_part_run(job, 0, job->batch.count, &job->batch.ready_ns);
    return 0;
}

static int cpu_poll(struct tg_device *d, uint32_t stream, uint64_t now_ns, uint64_t *wake_ns)
{
    TG_ASSERT(stream < d->streams && d->jobs[stream]);
    struct tg_job *job = d->jobs[stream];

    if (d->pool && !tg_cpu_pool_ended(d->pool, stream, &job->error, &job->batch.ready_ns))
        return -EAGAIN;
    if (now_ns < job->batch.ready_ns) {
        *wake_ns = TG_MIN(*wake_ns, job->batch.ready_ns);
        return -EAGAIN;
    }
    job->fault = job->error < 0 ? TG_FAULT_TASK : TG_FAULT_NONE;
    d->jobs[stream] = NULL;
    return 0;
}

const struct tg_backend tg_backend_cpu = {
    .name = "cpu",
    .probe = cpu_probe,
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .attach = cpu_attach,
    .load = cpu_load,
    .submit = cpu_submit,
    .poll = cpu_poll,
};
