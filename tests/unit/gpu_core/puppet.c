/* SPDX-License-Identifier: Apache-2.0 */
/* The scripted device. It takes the place of the backend list, so that the executor finds it by name. */
#include "puppet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct tg_device {
    const struct tg_backend *backend;
    const struct tg_host *host;
    struct {
        struct tg_job *job;
        enum tg_device_fault fault;
        uint64_t end_ns;
    } streams[64];
};

struct puppet puppet;

static int puppet_probe(struct tg_error *why)
{
    return 0;
}

static int puppet_open(const struct tg_device_options *o, struct tg_device **device, struct tg_error *why)
{
    puppet.opens++;
    if (puppet.open_rc) {
        tg_error_set(why, "", "the script says so");
        return puppet.open_rc;
    }
    struct tg_device *d = calloc(1, sizeof(*d));
    TG_ASSERT(d && o->streams <= TG_ARRAY_SIZE(d->streams));
    d->host = o->host;
    *device = d;
    return 0;
}

static void puppet_close(struct tg_device *d)
{
    puppet.closes++;
    free(d);
}

static void puppet_describe(const struct tg_device *d, struct tg_device_info *info)
{
    *info = (struct tg_device_info){.name = "puppet"};
}

static int puppet_attach(struct tg_device *d, void *base, size_t bytes)
{
    return 0;
}

static int puppet_load(struct tg_device *d, const struct tg_runner *runner, void *self, struct tg_error *why)
{
    puppet.loads++;
    return 0;
}

static void scribble(const struct tg_batch *b)
{
    for (uint32_t s = 0; s < b->segment_count; s++)
        for (uint32_t r = 0; r < b->segments[s].count; r++) {
            b->segments[s].rows[r].status = TG_INVALID;
            b->segments[s].rows[r].out_len = 3;
        }
}

static int puppet_submit(struct tg_device *d, struct tg_job *job)
{
    uint32_t step = TG_MIN(puppet.submissions, PUPPET_STEPS - 1u);
    puppet.submissions++;
    TG_ASSERT(!d->streams[job->stream].job);
    if (puppet.refuse[step]) {
        job->fault = puppet.refuse_fault[step];
        return puppet.refuse[step];
    }
    d->streams[job->stream].job = job;
    d->streams[job->stream].fault = puppet.end_fault[step];
    d->streams[job->stream].end_ns = d->host->now_ns() + puppet.service_ns;
    if (puppet.end_fault[step] == TG_FAULT_NONE)
        TG_ASSERT(job->runner->run_batch(job->self, &job->batch) == 0);
    else if (puppet.scribble)
        scribble(&job->batch);
    return 0;
}

static int puppet_poll(struct tg_device *d, uint32_t stream, uint64_t now_ns, uint64_t *wake_ns)
{
    puppet.polls++;
    struct tg_job *job = d->streams[stream].job;
    TG_ASSERT(job != NULL);
    if (puppet.hold)
        return -EAGAIN;
    if (now_ns < d->streams[stream].end_ns) {
        *wake_ns = TG_MIN(*wake_ns, puppet.eager ? now_ns : d->streams[stream].end_ns);
        return -EAGAIN;
    }
    job->fault = d->streams[stream].fault;
    job->error = job->fault ? -EIO : 0;
    d->streams[stream].job = NULL;
    return 0;
}

static const struct tg_backend puppet_backend = {
    .name = "puppet",
    .probe = puppet_probe,
    .open = puppet_open,
    .close = puppet_close,
    .describe = puppet_describe,
    .attach = puppet_attach,
    .load = puppet_load,
    .submit = puppet_submit,
    .poll = puppet_poll,
};

const struct tg_backend *tg_backend_find(const char *name)
{
    const struct tg_backend *all[] = {&puppet_backend, &tg_backend_cpu, &tg_backend_null, &tg_backend_fault};
    for (size_t i = 0; i < TG_ARRAY_SIZE(all); i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}
