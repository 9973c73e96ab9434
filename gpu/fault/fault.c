/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault device: wraps another one and lets chosen submissions fail, hang, be refused or come late.
 * README.md says how to ask for it. After a sticky fault or a loss the device stays broken, as a real one
 * would: what is still in flight ends with the same fault, and further submissions are refused.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "settings.h"

enum state {
    FREE,
    RUNNING, /* on the wrapped device */
    ENDED,   /* nothing more to wait for but the delay */
    HUNG,
};

enum death { LIVES, ABORTS, EXITS, SEGFAULTS, STICKS };

struct stream {
    struct tg_job *job;
    enum state state;
    enum tg_device_fault fault; /* injected, else NONE */
    uint64_t not_before_ns;
    enum death death; /* when the batch ends */
};

struct tg_device {
    const struct tg_backend *backend;
    const struct tg_host *host;
    struct tg_fault_settings settings;
    struct tg_device *wrapped;
    uint64_t submissions; /* offered so far, refused ones included */
    uint64_t random;
    enum tg_device_fault broken; /* STICKY or LOST once that has happened */
    uint32_t stream_count;
    struct stream streams[];
};

static int fault_probe(struct tg_error *why)
{
    return 0;
}

/* ---- what goes wrong ----------------------------------------------------------------------------------- */

static bool hits(const struct tg_device *d, uint64_t at)
{
    if (at == 0)
        return false;
    return d->settings.every ? d->submissions % at == 0 : d->submissions == at;
}

/* SplitMix64: any seed will do, and each call moves on by one step. */
static uint64_t next_random(struct tg_device *d)
{
    uint64_t z = d->random += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static bool unlucky(struct tg_device *d)
{
    return d->settings.chance_ppm > 0 && next_random(d) % 1000000 < d->settings.chance_ppm;
}

static int injected_error(const struct tg_device *d)
{
    return -(int)d->settings.error;
}

static enum death death_of(const struct tg_device *d, const struct tg_job *job)
{
    const struct tg_fault_settings *s = &d->settings;
    for (uint32_t i = 0; i < job->batch.segment_count && s->poison_bytes > 0; i++)
        for (uint32_t r = 0; r < job->batch.segments[i].count; r++)
            if (job->batch.segments[i].rows[r].in_len == s->poison_bytes)
                return ABORTS;
    return hits(d, s->abort)      ? ABORTS
           : hits(d, s->exit)     ? EXITS
           : hits(d, s->segfault) ? SEGFAULTS
           : hits(d, s->stuck)    ? STICKS
                                  : LIVES;
}

/* As a process of its own would die of a real device: at once, and without a core or a sanitizer's report on it. */
static void die(enum death how)
{
    static const int signals[] = {[ABORTS] = SIGABRT, [SEGFAULTS] = SIGSEGV};
    const struct rlimit no_core = {0, 0};
    if (how == LIVES)
        return;
    setrlimit(RLIMIT_CORE, &no_core);
    while (how == STICKS)
        pause();
    if (how == EXITS)
        _exit(7);
    signal(signals[how], SIG_DFL);
    raise(signals[how]);
}

/* ---- life cycle ---------------------------------------------------------------------------------------- */

static int open_wrapped(struct tg_device *d, const struct tg_device_options *o, struct tg_error *why)
{
    struct tg_device_options options = *o;

    options.spec = d->settings.wrapped_spec[0] ? d->settings.wrapped_spec : NULL;
    return d->settings.wrapped->open(&options, &d->wrapped, why);
}

static struct tg_device *allocate(const struct tg_device_options *o, const struct tg_fault_settings *settings)
{
    struct tg_device *d = calloc(1, sizeof(*d) + o->streams * sizeof(d->streams[0]));

    if (!d)
        return NULL;
    d->backend = &tg_backend_fault;
    d->host = o->host;
    d->settings = *settings;
    d->random = settings->seed;
    d->stream_count = o->streams;
    return d;
}

static void take_time(uint64_t ms)
{
    const struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000 * 1000000)};
    nanosleep(&t, NULL);
}

static int fault_open(const struct tg_device_options *o, struct tg_device **device, struct tg_error *why)
{
    struct tg_fault_settings settings;
    int rc = tg_fault_settings_parse(o->spec, &settings, why);

    if (rc == 0 && settings.open_ms > 0)
        take_time(settings.open_ms);
    if (rc == 0 && settings.open_fail) {
        tg_error_set(why, "", "fault: open_fail is set");
        rc = -(int)settings.error;
    }
    if (rc != 0)
        return rc;
    struct tg_device *d = allocate(o, &settings);
    rc = d ? open_wrapped(d, o, why) : -ENOMEM;
    if (rc != 0)
        free(d);
    else
        *device = d;
    return rc;
}

static void fault_close(struct tg_device *d)
{
    d->settings.wrapped->close(d->wrapped);
    free(d);
}

static void fault_describe(const struct tg_device *d, struct tg_device_info *info)
{
    char name[sizeof(info->name)];

    d->settings.wrapped->describe(d->wrapped, info);
    snprintf(name, sizeof(name), "fault(%.*s)", (int)sizeof(name) - 8, info->name);
    memcpy(info->name, name, sizeof(name));
}

static int fault_attach(struct tg_device *d, void *base, size_t bytes)
{
    if (d->settings.attach_fail)
        return injected_error(d);
    return d->settings.wrapped->attach(d->wrapped, base, bytes);
}

static int fault_load(struct tg_device *d, const struct tg_runner *runner, void *self, struct tg_error *why)
{
    if (d->settings.load_fail) {
        tg_error_set(why, "", "fault: load_fail is set");
        return injected_error(d);
    }
    return d->settings.wrapped->load(d->wrapped, runner, self, why);
}

/* ---- submit and poll ----------------------------------------------------------------------------------- */

/* The executor learns the class of a refusal where it learns that of a failure. */
static int refuse(struct tg_job *job, enum tg_device_fault fault, int error)
{
    job->fault = fault;
    job->error = error;
    return error;
}

static int start(struct tg_device *d, struct tg_job *job)
{
    struct stream *s = &d->streams[job->stream];
    enum death death = death_of(d, job);
    if (!d->settings.at_end)
        die(death);
    bool fails = unlucky(d) || hits(d, d->settings.fail); /* chances step on in any case */
    bool hangs = !fails && hits(d, d->settings.hang);
    int rc = fails || hangs ? 0 : d->settings.wrapped->submit(d->wrapped, job);

    if (rc != 0)
        return rc;
    s->job = job;
    s->death = death;
    s->state = fails ? ENDED : hangs ? HUNG : RUNNING;
    s->fault = fails ? (enum tg_device_fault)d->settings.class_ : TG_FAULT_NONE;
    s->not_before_ns = d->settings.delay_ms > 0 ? d->host->now_ns() + d->settings.delay_ms * 1000000 : 0;
    return 0;
}

static int fault_submit(struct tg_device *d, struct tg_job *job)
{
    TG_ASSERT(job->stream < d->stream_count && d->streams[job->stream].state == FREE);
    if (d->broken)
        return refuse(job, d->broken, injected_error(d));
    d->submissions++;
    if (hits(d, d->settings.submit_again))
        return refuse(job, TG_FAULT_NONE, -EAGAIN);
    return start(d, job);
}

/* Moves the stream to ENDED if there is nothing left to wait for. A broken device ends even what hangs. */
static int advance(struct tg_device *d, struct stream *s, uint64_t now_ns, uint64_t *wake_ns)
{
    int rc = 0;

    if (s->state == RUNNING)
        rc = d->settings.wrapped->poll(d->wrapped, s->job->stream, now_ns, wake_ns);
    else if (s->state == HUNG && !d->broken)
        rc = -EAGAIN;
    if (rc == 0)
        s->state = ENDED;
    return rc;
}

static void finish(struct tg_device *d, struct stream *s)
{
    enum tg_device_fault fault = d->broken ? d->broken : s->fault;

    if (fault != TG_FAULT_NONE) {
        s->job->fault = fault;
        s->job->error = injected_error(d);
    }
    if (fault == TG_FAULT_STICKY || fault == TG_FAULT_LOST)
        d->broken = fault;
    *s = (struct stream){.state = FREE};
}

static int fault_poll(struct tg_device *d, uint32_t stream, uint64_t now_ns, uint64_t *wake_ns)
{
    TG_ASSERT(stream < d->stream_count && d->streams[stream].state != FREE);
    struct stream *s = &d->streams[stream];
    uint64_t again_ns = UINT64_MAX;
    int rc = advance(d, s, now_ns, &again_ns);

    if (rc == 0 && now_ns >= s->not_before_ns) {
        die(s->death);
        finish(d, s);
        return 0;
    }
    if (rc == 0)
        again_ns = s->not_before_ns;
    *wake_ns = TG_MIN(*wake_ns, TG_MAX(again_ns, s->not_before_ns));
    return -EAGAIN;
}

const struct tg_backend tg_backend_fault = {
    .name = "fault",
    .probe = fault_probe,
    .open = fault_open,
    .close = fault_close,
    .describe = fault_describe,
    .attach = fault_attach,
    .load = fault_load,
    .submit = fault_submit,
    .poll = fault_poll,
};
