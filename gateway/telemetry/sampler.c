/* SPDX-License-Identifier: Apache-2.0 */
/* The thread: opens the library, samples, waits for events until the next sample is due, and opens it anew after losses. */
#include "gateway/base/thread.h"
#include "sampler.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include "gateway/base/clock.h"
#include "gateway/base/log.h"

#define REOPEN_NS (10 * NS_PER_S)      /* without a driver, or with a GPU lost: how often to begin anew */
#define SLICE_NS (200 * NS_PER_MS)     /* longest wait for events: how soon the end is noticed */
#define FAREWELL_NS (1000 * NS_PER_MS) /* so long is waited for the thread's end */

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

/* ---- the thread -------------------------------------------------------------------------------------------- */

/* Until then, or until told to end. Returns false when told to end. */
static bool pause_until(struct telemetry *t, uint64_t until_ns)
{
    struct timespec until = timespec_of(until_ns);
    int rc = 0;
    pthread_mutex_lock(&t->lock);
    while (!t->ending && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&t->news, &t->lock, &until);
    bool go_on = !t->ending;
    pthread_mutex_unlock(&t->lock);
    return go_on;
}

/* An event ends the wait early; whatever else it says, the slice is slept to its end. */
static bool watch_until(struct telemetry *t, uint64_t until_ns)
{
    for (uint64_t now = clock_now_ns(); now < until_ns; now = clock_now_ns()) {
        uint64_t slice = TG_MIN(until_ns - now, SLICE_NS);
        struct nvml_event e = {0};
        int rc = t->events ? nvml_call(&t->nvml, events_wait, t->events, &e, (unsigned)(slice / NS_PER_MS)) : NVML_TIMEOUT;
        if (rc == NVML_OK)
            gpus_note_event(t, &e);
        if (!pause_until(t, rc == NVML_OK ? now : now + slice))
            return false;
    }
    return true;
}

/* Once: it is read by others as soon as there is a GPU, and no other driver can come while we have this library. */
static void read_driver(struct telemetry *t)
{
    if (atomic_load_explicit(&t->gpu_count, memory_order_relaxed) > 0) /* our own */
        return;
    if (nvml_call(&t->nvml, driver, t->driver, (unsigned)sizeof(t->driver)) != NVML_OK)
        t->driver[0] = '\0';
    telemetry_make_plain(t->driver);
}

static int open_library(struct telemetry *t)
{
    int rc = t->nvml.init();
    if (rc != NVML_OK)
        return rc;
    t->open = true;
    read_driver(t);
    if (nvml_call(&t->nvml, events_create, &t->events) != NVML_OK)
        t->events = NULL;
    return gpus_find(t);
}

static void close_library(struct telemetry *t)
{
    if (t->open && t->events)
        nvml_call(&t->nvml, events_free, t->events);
    if (t->open)
        t->nvml.shutdown();
    t->events = NULL;
    t->open = false;
}

static void say_failure(struct telemetry *t, int rc)
{
    if (rc != t->failure && rc != NVML_OK)
        log_warn("no GPU can be watched: %s (%d)", nvml_reason(rc), rc);
    t->failure = rc;
}

/* Until told to end (false), or until a GPU has been lost for so long that it is time to look anew. */
static bool sample_on(struct telemetry *t)
{
    uint64_t good_ns = clock_now_ns();
    for (;;) {
        uint64_t begin = clock_now_ns();
        if (gpus_sample(t))
            good_ns = begin;
        atomic_store_explicit(&t->sampled_ns, clock_now_ns(), memory_order_release); /* T5 */
        if (begin - good_ns >= REOPEN_NS)
            return true;
        if (!watch_until(t, begin + t->options.interval_ns))
            return false;
    }
}

/* Called with the lock, which is gone afterwards. */
static void leave(struct telemetry *t)
{
    bool last = --t->users == 0;
    pthread_mutex_unlock(&t->lock);
    if (!last)
        return;
    pthread_cond_destroy(&t->news);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static void *sampler_main(void *argument)
{
    struct telemetry *t = argument;
    bool go_on = true;
    pthread_setname_np(pthread_self(), "telemetry");
    while (go_on) {
        int rc = open_library(t);
        say_failure(t, rc);
        go_on = rc == NVML_OK ? sample_on(t) : pause_until(t, clock_now_ns() + REOPEN_NS);
        close_library(t);
    }
    nvml_unload(&t->nvml);
    pthread_mutex_lock(&t->lock);
    t->ended = true;
    pthread_cond_broadcast(&t->news);
    leave(t);
    return NULL;
}

/* ---- the owner --------------------------------------------------------------------------------------------- */

static void init_lock(struct telemetry *t)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->news, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

int telemetry_create(const struct telemetry_options *o, struct telemetry **out, char *why, size_t cap)
{
    struct nvml nvml;
    int rc = nvml_load(o->library, &nvml, why, cap);
    if (rc < 0)
        return rc;
    struct telemetry *t = calloc(1, sizeof(*t));
    if (!t) {
        nvml_unload(&nvml);
        return -ENOMEM;
    }
    t->options = *o;
    t->options.library = NULL; /* the caller's text, not needed any more */
    t->nvml = nvml;
    t->users = 2;
    t->started_ns = clock_now_ns();
    init_lock(t);
    rc = thread_start_detached(sampler_main, t);
    if (rc < 0) {
        nvml_unload(&t->nvml);
        t->users = 1;
        pthread_mutex_lock(&t->lock);
        leave(t);
        return rc;
    }
    *out = t;
    return 0;
}

void telemetry_destroy(struct telemetry *t)
{
    if (!t)
        return;
    struct timespec until = timespec_of(clock_now_ns() + FAREWELL_NS);
    int rc = 0;
    pthread_mutex_lock(&t->lock);
    t->ending = true;
    pthread_cond_broadcast(&t->news);
    while (!t->ended && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&t->news, &t->lock, &until);
    if (!t->ended)
        log_warn("the GPU library hangs: its thread is left behind");
    leave(t);
}
