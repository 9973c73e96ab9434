/* SPDX-License-Identifier: Apache-2.0 */
/* The executor's round: finish batches, collect rung lanes, form and submit batches. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "executor.h"

/* After a lost device, how long to leave it alone before opening it again. */
#define REOPEN_INTERVAL_NS (1000 * 1000000ull)
/* A batch that dies with its device twice takes its tasks with it. */
#define ATTEMPTS_MAX 2
/* A device that is full for the moment is asked again after so long. */
#define REFUSED_RETRY_NS (100 * 1000ull)
/* Batches one round may start for one instance before the others have their turn. */
#define BATCHES_PER_ROUND 16

static void ring_worker(void *context, struct tg_lane *lane)
{
    struct tg_executor *ex = context;
    tg_doorbell_ring(ex->workers[lane->worker], ex->options.number, lane->bit);
}

/* ---- the device ------------------------------------------------------------------------------------- */

/* Instances of other executors keep their place, so that lanes find theirs, but have nothing here. */
static bool serves(const struct tg_executor *ex, uint32_t instance)
{
    return tg_instance_served_by(ex->options.instances[instance], ex->options.number);
}

static int attach_lanes(struct tg_executor *ex)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < ex->options.lane_count; i++) {
        struct tg_lane *l = ex->options.lanes[i];
        struct tg_lane_options o = {.rows = l->mask + 1, .in_stride = l->in_stride, .out_stride = l->out_stride};
        rc = ex->backend->attach(ex->device, l, tg_lane_bytes(&o));
    }
    return rc;
}

static int device_open(struct tg_executor *ex, struct tg_error *why)
{
    struct tg_device_options o = {
        .host = ex->options.host,
        .streams = ex->stream_count,
        .threads = ex->options.threads,
        .doorbell = ex->threaded ? ex->options.doorbell : ex->options.device_doorbell,
        .spec = ex->options.backend_spec,
    };
    int rc = ex->backend->open(&o, &ex->device, why);
    if (rc < 0)
        return rc;
    rc = attach_lanes(ex);
    for (uint32_t i = 0; rc == 0 && i < ex->options.instance_count; i++) {
        const struct tg_instance *in = ex->options.instances[i];
        if (serves(ex, i))
            rc = ex->backend->load(ex->device, in->runner, in->self, why);
    }
    if (rc < 0) {
        ex->backend->close(ex->device);
        ex->device = NULL;
        return rc;
    }
    if (!ex->info.name[0]) /* opened again it is the same, and others read it */
        ex->backend->describe(ex->device, &ex->info);
    return 0;
}

static struct executor_instance *instance_of(const struct tg_executor *ex, const struct stream *s)
{
    return &ex->instances[s->batch.spans[0].lane->runner];
}

/* A process's last words are its keeper's to pass on; a thread says it itself. Only a loss is one: what a
 * sticky error leaves behind is a sound device. */
static void say_lost(const struct tg_executor *ex, const struct stream *s)
{
    bool lost = s->job.fault == TG_FAULT_LOST;
    const char *what = lost ? "the device is lost" : "a sticky error", *why = strerror(-s->job.error);
    const char *runner = instance_of(ex, s)->instance->name;
    if (ex->options.life)
        tg_error_set(&ex->options.life->why, lost ? "device_lost" : "", "%s while running %s: %s", what,
                     runner, why);
    else
        ex->options.host->log(TG_LOG_ERROR, "device %s: %s while running %s: %s", ex->backend->name, what,
                              runner, why);
}

/*
 * The device is gone: whatever ran on it runs once more on its successor, or fails. Where the executor has a
 * process of its own, that ends too: nothing less gets rid of a sticky error, and the next one finds the rows
 * in their lanes. Else it is opened again at once, unless it has lived no longer than a failing one is left
 * alone for.
 */
static void device_lost(struct tg_executor *ex, const struct stream *s, uint64_t now_ns)
{
    say_lost(ex, s);
    if (ex->options.life) {
        ex->gone = true;
        return;
    }
    ex->backend->close(ex->device);
    ex->device = NULL;
    atomic_store_explicit(&ex->lost, 1, memory_order_relaxed);
    ex->reopen_ns = TG_MAX(now_ns, ex->opened_ns + REOPEN_INTERVAL_NS);
    for (uint32_t i = 0; i < ex->stream_count; i++)
        if (ex->streams[i].state == STREAM_RUNNING)
            ex->streams[i].state = STREAM_REDO;
}

static inline bool usable(const struct tg_executor *ex)
{
    return ex->device && !ex->gone;
}

static bool device_usable(struct tg_executor *ex, uint64_t now_ns, uint64_t *wake_ns)
{
    if (ex->device)
        return !ex->gone;
    if (now_ns < ex->reopen_ns) {
        *wake_ns = TG_MIN(*wake_ns, ex->reopen_ns);
        return false;
    }
    struct tg_error why = {0};
    if (device_open(ex, &why) == 0) {
        ex->options.host->log(TG_LOG_WARN, "device %s is back", ex->backend->name);
        ex->opened_ns = now_ns;
        atomic_store_explicit(&ex->lost, 0, memory_order_relaxed);
        return true;
    }
    ex->options.host->log(TG_LOG_ERROR, "device %s cannot be opened: %s", ex->backend->name, why.message);
    ex->reopen_ns = now_ns + REOPEN_INTERVAL_NS;
    *wake_ns = TG_MIN(*wake_ns, ex->reopen_ns);
    return false;
}

/* ---- batches ending --------------------------------------------------------------------------------- */

/* Before the rows go home: who sends the next ones may ask at once. */
static void note_pace(struct tg_executor *ex, struct executor_instance *ei, const struct stream *s, uint64_t ns,
                      bool well)
{
    struct tg_pace *to = &ex->options.pace[ei - ex->instances];
    if (well)
        pace_note(&ei->pace, to, s->batch.count, ns, ex->share.now_ns);
    else
        pace_note_failure(&ei->pace, to, ex->share.now_ns);
}

static void finish(struct tg_executor *ex, struct executor_instance *ei, struct stream *s, bool well)
{
    uint64_t ns = device_share_end(&ex->share, s->share_from);
    stat_add(&ex->stats->rows, s->batch.count);
    stream_charge(s, ns);
    if (ex->options.pace)
        note_pace(ex, ei, s, ns, well);
    stream_complete(s, ring_worker, ex);
    ei->running--;
    ex->inflight--;
    atomic_store_explicit(&ex->stats->inflight, ex->inflight, memory_order_relaxed);
}

static void fail(struct tg_executor *ex, struct executor_instance *ei, struct stream *s)
{
    stat_add(&ex->stats->rows_failed, s->batch.count);
    stream_fail_rows(s, TG_BACKEND);
    finish(ex, ei, s, false);
}

/* The first of its kind in a row: a device that fails every batch must not fill the log. */
static void say_fault(const struct tg_executor *ex, const struct stream *s)
{
    struct executor_instance *ei = instance_of(ex, s);
    if (ei->fault_told == s->job.error)
        return;
    ei->fault_told = s->job.error;
    ex->options.host->log(TG_LOG_WARN,
                          "runner.%s: a batch failed on device %s: %s (more of these are only counted)",
                          ei->instance->name, ex->backend->name, strerror(-s->job.error));
}

/* The device answered for a batch with a fault: decide between another try and the end. */
static void settle_fault(struct tg_executor *ex, struct executor_instance *ei, struct stream *s, uint64_t now_ns)
{
    stat_add(&ex->stats->faults, 1);
    switch (s->job.fault) {
    case TG_FAULT_STICKY:
    case TG_FAULT_LOST:
        device_lost(ex, s, now_ns);
        break;
    case TG_FAULT_RETRY:
        say_fault(ex, s);
        s->state = STREAM_REDO;
        break;
    default:
        say_fault(ex, s);
        fail(ex, ei, s);
    }
}

static bool poll_stream(struct tg_executor *ex, struct executor_instance *ei, struct stream *s, uint64_t now_ns,
                        uint64_t *wake_ns)
{
    if (s->state != STREAM_RUNNING || ex->backend->poll(ex->device, s->job.stream, now_ns, wake_ns) == -EAGAIN)
        return false;
    if (TG_LIKELY(s->job.fault == TG_FAULT_NONE))
        finish(ex, ei, s, true);
    else
        settle_fault(ex, ei, s, now_ns);
    return true;
}

static bool poll_streams(struct tg_executor *ex, uint64_t now_ns, uint64_t *wake_ns)
{
    bool moved = false;
    for (uint32_t i = 0; ex->inflight > 0 && i < ex->options.instance_count; i++) {
        struct executor_instance *ei = &ex->instances[i];
        for (uint32_t n = 0; ei->running > 0 && usable(ex) && n < ei->instance->streams; n++)
            moved |= poll_stream(ex, ei, &ei->streams[n], now_ns, wake_ns);
    }
    return moved;
}

/* ---- batches starting ------------------------------------------------------------------------------- */

/* The device did not take the batch: not now (-EAGAIN, which costs it no try), or not at all. */
static void settle_refusal(struct tg_executor *ex, struct stream *s, int rc, uint64_t now_ns, uint64_t *wake_ns)
{
    s->state = STREAM_REDO;
    s->job.error = rc;
    *wake_ns = TG_MIN(*wake_ns, now_ns + REFUSED_RETRY_NS); /* nothing else would bring us back here */
    if (rc == -EAGAIN) {
        s->attempts--;
        return;
    }
    stat_add(&ex->stats->faults, 1);
    if (s->job.fault == TG_FAULT_STICKY || s->job.fault == TG_FAULT_LOST)
        device_lost(ex, s, now_ns);
    else
        say_fault(ex, s);
}

static void launch(struct tg_executor *ex, struct stream *s, uint64_t now_ns, uint64_t *wake_ns)
{
    s->job.fault = TG_FAULT_NONE;
    s->job.error = 0;
    s->job.batch.ready_ns = 0;
    s->attempts++;
    s->submitted_ns = now_ns;
    s->state = STREAM_RUNNING;
    int rc = ex->backend->submit(ex->device, &s->job);
    if (TG_LIKELY(rc == 0))
        stat_add(&ex->stats->batches, 1);
    else
        settle_refusal(ex, s, rc, now_ns, wake_ns);
}

static void redo(struct tg_executor *ex, struct executor_instance *ei, struct stream *s, uint64_t now_ns,
                 uint64_t *wake_ns)
{
    if (s->attempts >= ATTEMPTS_MAX) {
        fail(ex, ei, s);
    } else {
        stream_reset_rows(s); /* the failed run may have written them half */
        launch(ex, s, now_ns, wake_ns);
    }
}

static struct stream *free_stream(struct executor_instance *ei)
{
    for (uint32_t i = 0; i < ei->instance->streams; i++)
        if (ei->streams[i].state == STREAM_FREE)
            return &ei->streams[i];
    return NULL;
}

static void start_batch(struct tg_executor *ex, struct executor_instance *ei, struct stream *s, uint64_t now_ns,
                        uint64_t *wake_ns)
{
    stream_prepare(s, ei->instance, (uint32_t)(s - ex->streams));
    stat_max(&ex->stats->batch_rows_max, s->batch.count);
    ei->running++;
    ex->inflight++;
    atomic_store_explicit(&ex->stats->inflight, ex->inflight, memory_order_relaxed);
    s->share_from = device_share_begin(&ex->share);
    launch(ex, s, now_ns, wake_ns);
    device_share_now(&ex->share, ex->options.host->now_ns(), true); /* submit() may have computed it all */
}

/* Form and launch until rows or streams run out. A device that computes in submit() is polled at once. */
static bool feed(struct tg_executor *ex, struct executor_instance *ei, uint64_t now_ns, uint64_t *wake_ns)
{
    bool moved = false;
    for (uint32_t n = 0; n < BATCHES_PER_ROUND && usable(ex) && ei->former.lanes > 0; n++) {
        struct stream *s = ei->running < ei->instance->streams ? free_stream(ei) : NULL;
        if (!s)
            break;
        struct batch_outcome outcome;
        uint32_t rows = batch_form(&ei->former, now_ns, &s->batch, &outcome, ring_worker, ex);
        stat_add(&ex->stats->rows_expired, outcome.expired);
        moved |= rows > 0 || outcome.expired > 0;
        if (outcome.hold_until_ns)
            *wake_ns = TG_MIN(*wake_ns, outcome.hold_until_ns);
        if (rows == 0)
            break;
        start_batch(ex, ei, s, now_ns, wake_ns);
        poll_stream(ex, ei, s, now_ns, wake_ns);
    }
    return moved;
}

static bool redo_streams(struct tg_executor *ex, struct executor_instance *ei, uint64_t now_ns, uint64_t *wake_ns)
{
    bool moved = false;
    for (uint32_t n = 0; ex->inflight > 0 && n < ei->instance->streams; n++) {
        if (ei->streams[n].state == STREAM_REDO && usable(ex)) {
            redo(ex, ei, &ei->streams[n], now_ns, wake_ns);
            moved |= ei->streams[n].state != STREAM_REDO;
        }
    }
    return moved;
}

static void collect_word(struct tg_executor *ex, uint32_t worker, uint32_t word)
{
    uint64_t bits = tg_doorbell_take(ex->options.doorbell, worker, word);
    while (bits) {
        uint32_t lane = word * 64 + (uint32_t)__builtin_ctzll(bits);
        bits &= bits - 1;
        struct batch_lane *bl = ex->by_bit[worker * TG_DOORBELL_LANES + lane];
        if (bl)
            batch_lane_ready(&ex->instances[bl->lane->runner].former, bl);
    }
}

static void collect(struct tg_executor *ex)
{
    for (uint32_t w = 0; w < ex->options.worker_count; w++)
        for (uint32_t word = 0; word < ex->bit_words; word++)
            collect_word(ex, w, word);
}

/*
 * What a dead process left runs alone, some rows at a time: if it kills this one too, then the fewer rows were with it
 * the fewer are taken for poison.
 */
static void start_recovered(struct tg_executor *ex, struct tg_lane *lane, uint64_t now_ns, uint64_t *wake_ns)
{
    struct executor_instance *ei = &ex->instances[lane->runner];
    struct stream *s = &ei->streams[0];
    struct batch_span span = recovery_next(&ex->recovery, now_ns, ei->former.max_batch);
    batch_of_span(&s->batch, span.lane, span.first, span.count, now_ns);
    start_batch(ex, ei, s, now_ns, wake_ns);
    poll_stream(ex, ei, s, now_ns, wake_ns);
}

static bool feed_recovered(struct tg_executor *ex, uint64_t now_ns, uint64_t *wake_ns)
{
    struct recovery_counts counts = {0};
    if (ex->inflight > 0)
        return false;
    struct tg_lane *lane = recovery_lane(&ex->recovery, now_ns, &counts);
    stat_add(&ex->stats->rows_expired, counts.expired);
    for (uint32_t i = 0; i < ex->options.lane_count && counts.expired > 0; i++)
        ring_worker(ex, ex->options.lanes[i]); /* rare enough not to ask whose they were */
    if (lane)
        start_recovered(ex, lane, now_ns, wake_ns);
    ex->recovering = lane != NULL;
    return true;
}

bool tg_executor_turn(struct tg_executor *ex, uint64_t now_ns, uint64_t *wake_ns)
{
    device_share_now(&ex->share, now_ns, ex->device != NULL);
    bool moved = poll_streams(ex, now_ns, wake_ns);
    collect(ex);
    if (!device_usable(ex, now_ns, wake_ns))
        return moved;
    if (TG_UNLIKELY(ex->recovering))
        moved |= feed_recovered(ex, now_ns, wake_ns);
    for (uint32_t i = 0; i < ex->options.instance_count; i++) {
        struct executor_instance *ei = &ex->instances[(ex->first_instance + i) % ex->options.instance_count];
        if (ei->running > 0)
            moved |= redo_streams(ex, ei, now_ns, wake_ns);
        if (ei->former.lanes > 0 && TG_LIKELY(!ex->recovering))
            moved |= feed(ex, ei, now_ns, wake_ns);
    }
    ex->first_instance++;
    return moved;
}

void executor_beat(struct tg_executor *ex, uint64_t now_ns)
{
    uint64_t oldest = UINT64_MAX;
    for (uint32_t i = 0; ex->inflight > 0 && i < ex->stream_count; i++)
        if (ex->streams[i].state == STREAM_RUNNING)
            oldest = TG_MIN(oldest, ex->streams[i].submitted_ns);
    atomic_store_explicit(&ex->options.life->oldest_ns, oldest == UINT64_MAX ? 0 : oldest, memory_order_relaxed);
    atomic_store_explicit(&ex->options.life->beat_ns, now_ns, memory_order_relaxed);
}

bool tg_executor_busy(const struct tg_executor *ex)
{
    return ex->inflight > 0;
}

/* ---- life cycle ------------------------------------------------------------------------------------- */

/* The cpu takes no batches of a size that only devices can. */
static uint32_t max_batch(const struct tg_executor *ex, const struct tg_instance *in)
{
    bool spare = ex->options.number == 0 && tg_instance_devices(in);
    return spare ? in->spare_batch : in->max_batch;
}

static void instances_init(struct tg_executor *ex)
{
    struct stream *s = ex->streams;
    for (uint32_t i = 0; i < ex->options.instance_count; i++) {
        struct executor_instance *ei = &ex->instances[i];
        ei->instance = ex->options.instances[i];
        ei->former.instance = ei->instance;
        ei->former.max_batch = max_batch(ex, ei->instance);
        ei->streams = s;
        s += serves(ex, i) ? ei->instance->streams : 0;
    }
}

static void lanes_init(struct tg_executor *ex)
{
    uint32_t highest = 0;
    for (uint32_t i = 0; i < ex->options.lane_count; i++) {
        struct tg_lane *lane = ex->options.lanes[i];
        ex->lanes[i].lane = lane;
        ex->by_bit[lane->worker * TG_DOORBELL_LANES + lane->bit] = &ex->lanes[i];
        highest = TG_MAX(highest, lane->bit);
    }
    ex->bit_words = highest / 64 + 1;
}

static void say_taken_over(const struct tg_executor *ex, const struct recovery_counts *counts)
{
    if (ex->recovery.rows + counts->poisoned + counts->expired > 0)
        ex->options.host->log(
            TG_LOG_WARN,
            "device %s: of the rows that its last process had, %u run once more, %u were in two deaths and "
            "are refused as poison, %u are too late",
            ex->backend->name, ex->recovery.rows, counts->poisoned, counts->expired);
}

/* Every lane may have rows whose bit was taken by a process that came no further, or answers that nobody rang for. */
static int take_over(struct tg_executor *ex)
{
    struct recovery_counts counts = {0};
    uint64_t now_ns = ex->options.host->now_ns();
    tg_doorbell_disarm(ex->options.doorbell);
    int rc = recovery_init(&ex->recovery, ex->options.lanes, ex->options.lane_count, now_ns, &counts);
    for (uint32_t i = 0; rc == 0 && i < ex->options.lane_count; i++) {
        struct batch_lane *bl = &ex->lanes[i];
        batch_lane_ready(&ex->instances[bl->lane->runner].former, bl);
        ring_worker(ex, bl->lane);
    }
    for (uint32_t w = 0; rc == 0 && w < ex->options.worker_count; w++)
        tg_doorbell_wake(ex->workers[w]); /* a bit that stood already wakes nobody, and its wake-up may have been lost */
    ex->recovering = ex->recovery.rows > 0;
    stat_add(&ex->stats->rows_requeued, ex->recovery.rows);
    stat_add(&ex->stats->rows_poisoned, counts.poisoned);
    stat_add(&ex->stats->rows_expired, counts.expired);
    atomic_store_explicit(&ex->stats->inflight, 0, memory_order_relaxed);
    say_taken_over(ex, &counts);
    return rc;
}

int tg_executor_create(const struct tg_executor_options *options, struct tg_executor **out, struct tg_error *why)
{
    const struct tg_backend *backend = tg_backend_find(options->backend);
    if (!backend) {
        tg_error_set(why, "executor.device", "no backend is called \"%s\"", options->backend);
        return -EINVAL;
    }
    struct tg_executor *ex = aligned_alloc(TG_CACHE_SEPARATION, sizeof(*ex));
    if (!ex)
        return -ENOMEM;
    *ex = (struct tg_executor){.options = *options, .backend = backend, .threaded = options->threaded};
    ex->stats = options->life ? &options->life->stats : &ex->own_stats;
    for (uint32_t i = 0; i < options->instance_count; i++)
        ex->stream_count += serves(ex, i) ? options->instances[i]->streams : 0;
    ex->instances = calloc(options->instance_count, sizeof(*ex->instances));
    ex->streams = calloc(ex->stream_count, sizeof(*ex->streams));
    ex->lanes = calloc(options->lane_count, sizeof(*ex->lanes));
    ex->by_bit = calloc((size_t)options->worker_count * TG_DOORBELL_LANES, sizeof(*ex->by_bit));
    ex->workers = calloc(options->worker_count, sizeof(struct tg_doorbell *));
    int rc = -ENOMEM;
    if (!ex->workers || !ex->instances || !ex->streams || !ex->lanes || !ex->by_bit)
        goto fail;
    memcpy(ex->workers, options->workers, options->worker_count * sizeof(struct tg_doorbell *));
    instances_init(ex);
    lanes_init(ex);
    rc = device_open(ex, why);
    if (rc == 0 && options->life)
        rc = take_over(ex);
    if (rc < 0)
        goto fail;
    *out = ex;
    return 0;
fail:
    tg_executor_destroy(ex);
    return rc;
}

void tg_executor_destroy(struct tg_executor *ex)
{
    if (!ex)
        return;
    tg_executor_stop(ex);
    if (ex->device)
        ex->backend->close(ex->device);
    recovery_finish(&ex->recovery);
    free(ex->workers);
    free(ex->by_bit);
    free(ex->lanes);
    free(ex->streams);
    free(ex->instances);
    free(ex);
}

void tg_executor_stats(const struct tg_executor *ex, struct tg_executor_stats *stats)
{
    executor_stats_read(ex->stats, stats);
}

void executor_stats_read(const struct executor_stats *s, struct tg_executor_stats *stats)
{
    *stats = (struct tg_executor_stats){
        .batches = atomic_load_explicit(&s->batches, memory_order_relaxed),
        .rows = atomic_load_explicit(&s->rows, memory_order_relaxed),
        .rows_expired = atomic_load_explicit(&s->rows_expired, memory_order_relaxed),
        .rows_failed = atomic_load_explicit(&s->rows_failed, memory_order_relaxed),
        .rows_requeued = atomic_load_explicit(&s->rows_requeued, memory_order_relaxed),
        .rows_poisoned = atomic_load_explicit(&s->rows_poisoned, memory_order_relaxed),
        .faults = atomic_load_explicit(&s->faults, memory_order_relaxed),
        .batch_rows_max = atomic_load_explicit(&s->batch_rows_max, memory_order_relaxed),
        .sleeps = atomic_load_explicit(&s->sleeps, memory_order_relaxed),
        .inflight = atomic_load_explicit(&s->inflight, memory_order_relaxed),
    };
}

bool tg_executor_lost(const struct tg_executor *ex)
{
    return atomic_load_explicit(&ex->lost, memory_order_relaxed);
}

void tg_executor_describe(const struct tg_executor *ex, struct tg_executor_info *info)
{
    *info = (struct tg_executor_info){.backend = ex->backend->name, .threads = ex->info.threads};
    memcpy(info->device, ex->info.name, sizeof(info->device));
    memcpy(info->gpu, ex->info.gpu, sizeof(info->gpu));
}
