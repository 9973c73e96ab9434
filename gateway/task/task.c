/* SPDX-License-Identifier: Apache-2.0 */
/* A task's life from slot to outcome. */
#include <errno.h>
#include "gateway/base/clock.h"
#include "ready.h"
#include "task.h"

/* The size is hidden from the compiler: knowing it, gcc 12 chooses a string instruction that starts slowly. */
static inline void clear_hot(struct task *t)
{
    size_t size = offsetof(struct task, qos);
    __asm__("" : "+r"(size));
    memset(t, 0, size);
}

struct task *task_open(struct tasks *ts, const struct task_door *door, uint32_t owner)
{
    tg_handle handle;
    struct task *t = tg_pool_get(&ts->pool, &handle);
    if (!t)
        return NULL;
    clear_hot(t);
    t->handle = handle;
    t->door = door;
    t->owner = owner;
    t->timer.kind = TIMER_TASK;
    t->intent_slot = (uint16_t)ts->instance_count;
    t->priority = TG_BEST_EFFORT;
    t->arrival_ns = ts->now_ns;
    return t;
}

/* ---- waiting ----------------------------------------------------------------------------------------- */

/* Behind the others of its class, or in front of them if it had been waiting and found no room after all. */
static void wait_insert(struct tasks *ts, struct task *t, bool in_front)
{
    struct task *before = in_front ? NULL : ts->waiting[t->priority].tail;
    struct task *after = in_front ? ts->waiting[t->priority].head : NULL;
    t->wait_prev = before;
    t->wait_next = after;
    *(before ? &before->wait_next : &ts->waiting[t->priority].head) = t;
    *(after ? &after->wait_prev : &ts->waiting[t->priority].tail) = t;
    t->state = TASK_WAITING;
    if (ts->waiting_count++ == 0)
        admission_set_waiting(ts->admission, ts->worker, true);
}

static void wait_remove(struct tasks *ts, struct task *t)
{
    if (t->wait_prev)
        t->wait_prev->wait_next = t->wait_next;
    else
        ts->waiting[t->priority].head = t->wait_next;
    if (t->wait_next)
        t->wait_next->wait_prev = t->wait_prev;
    else
        ts->waiting[t->priority].tail = t->wait_prev;
    t->state = TASK_OPEN;
    if (--ts->waiting_count == 0)
        admission_set_waiting(ts->admission, ts->worker, false);
}

/* Only the quick classes wait for a slot; a full lane is a burst that passes, and every class waits for that. */
static uint64_t wait_ns(const struct tasks *ts, const struct task *t)
{
    if (t->priority > TG_INTERACTIVE && !t->wants_lane)
        return 0;
    return atomic_load_explicit(&ts->admission->wait_ms, memory_order_relaxed) * NS_PER_MS;
}

static void refuse_capacity(struct tasks *ts, struct task *t)
{
    t->retry_after_ms = atomic_load_explicit(&ts->admission->retry_after_s, memory_order_relaxed) * 1000;
    task_finish(ts, t, TG_CAPACITY);
}

/* Wait for room if the class may, its time is not up and its body can be kept; else refuse. */
static void wait_or_refuse(struct tasks *ts, struct task *t, struct tg_str body)
{
    uint64_t until = t->arrival_ns + wait_ns(ts, t);
    if (ts->now_ns >= until) {
        refuse_capacity(ts, t);
        return;
    }
    bool again = t->body != NULL;
    if (!again) {
        t->body = buffer_get(ts->buffers, body.len);
        if (!t->body) {
            refuse_capacity(ts, t);
            return;
        }
        memcpy(t->body->data, body.ptr, body.len);
        t->body->len = (uint32_t)body.len;
        metrics_add(ts->metrics, METRIC_TASKS_WAITED, 1);
    }
    wait_insert(ts, t, again);
    timer_arm(ts->wheel, &t->timer, TG_MIN(until, t->deadline_ns));
}

static void slot_release(struct tasks *ts, struct task *t)
{
    if (!t->holds_slot)
        return;
    t->holds_slot = false;
    admission_release(ts->admission);
}

bool task_admit(struct tasks *ts, struct task *t, struct tg_str body)
{
    /* Nobody overtakes those of its own class or above who wait already, except when being resumed. */
    bool queue = false;
    if (TG_UNLIKELY(ready_reasons(ts->admission) & READY_REFUSES)) {
        task_finish(ts, t, TG_DEVICE);
        return false;
    }
    for (uint32_t p = 0; !t->body && p <= t->priority; p++) {
        const struct task *first = ts->waiting[p].head;
        queue |= first != NULL;
        t->wants_lane |= first && first->wants_lane; /* the same burst */
    }
    if (!queue && admission_claim(ts->admission)) {
        t->holds_slot = true;
        return true;
    }
    wait_or_refuse(ts, t, body);
    return false;
}

static bool room_for(const struct tasks *ts, const struct task *t)
{
    return t->wants_lane ? ts->rows_retired : admission_has_room(ts->admission);
}

bool tasks_have_room(const struct tasks *ts)
{
    for (uint32_t p = 0; p < TG_PRIORITIES && ts->waiting_count > 0; p++)
        if (ts->waiting[p].head && room_for(ts, ts->waiting[p].head))
            return true;
    return false;
}

void tasks_retry(struct tasks *ts)
{
    for (uint32_t p = 0; p < TG_PRIORITIES && ts->waiting_count > 0; p++) {
        struct task *t;
        while ((t = ts->waiting[p].head)) {
            if (!room_for(ts, t))
                break;
            wait_remove(ts, t);
            t->wants_lane = false;
            ts->resume(ts->context, t);
            if (ts->waiting[p].head == t) /* no luck; the others would fare no better */
                break;
        }
    }
    ts->rows_retired = false;
}

static void body_release(struct tasks *ts, struct task *t)
{
    if (t->body)
        buffer_put(ts->buffers, t->body);
    t->body = NULL;
}

/* ---- running ----------------------------------------------------------------------------------------- */

static void mark_unpublished(struct tasks *ts, const struct tg_lane *lane)
{
    ts->unpublished[lane->bit / 64] |= 1ull << (lane->bit % 64);
}

static void run(struct tasks *ts, struct task *t)
{
    for (uint32_t i = 0; i < t->rows.count; i++) {
        struct tg_row *row = tg_rows_row(&t->rows, i);
        row->task = t->handle;
        row->arrival_ns = t->arrival_ns;
        row->deadline_ns = t->deadline_ns;
        row->marks = 0;
    }
    body_release(ts, t);
    t->rows_left = t->rows.count;
    t->state = TASK_RUNNING;
    mark_unpublished(ts, t->rows.lane);
    timer_arm(ts->wheel, &t->timer, t->deadline_ns);
    metrics_add(ts->metrics, METRIC_TASKS_ACCEPTED, 1);
}

void task_start(struct tasks *ts, struct task *t, const struct tg_json_doc *doc, const struct tg_json_node *payload,
                struct tg_str body)
{
    const struct tg_instance *in = t->instance;
    struct task_lanes *lanes = &ts->lanes[t->intent_slot * TG_PRIORITIES + t->priority];
    t->rows = (struct tg_rows){.lanes = lanes->by_class, .lane_count = in->shape.size_classes};
    struct tg_request req = {.doc = doc, .payload = payload};
    enum tg_status status = in->runner->decode(in->self, &req, &t->rows, &t->error);
    if (TG_LIKELY(status == TG_OK && t->rows.count > 0)) {
        run(ts, t);
        return;
    }
    if (t->rows.count > 0)
        tg_lane_unclaim(t->rows.lane, t->rows.count);
    t->rows.count = 0;
    if (status == TG_CAPACITY) {
        slot_release(ts, t);
        t->wants_lane = true;
        wait_or_refuse(ts, t, body);
        return;
    }
    task_refuse(ts, t, status == TG_OK ? TG_INTERNAL : status);
}

static struct tg_doorbell *executor_of(const struct tasks *ts, const struct tg_lane *lane)
{
    return ts->gpu_executor && ts->instances[lane->runner]->on_gpu ? ts->gpu_executor : ts->executor;
}

void tasks_publish(struct tasks *ts)
{
    for (uint32_t word = 0; word < ts->bit_words; word++) {
        uint64_t bits = ts->unpublished[word];
        ts->unpublished[word] = 0;
        for (; bits; bits &= bits - 1) {
            uint32_t bit = word * 64 + (uint32_t)__builtin_ctzll(bits);
            tg_lane_publish(ts->by_bit[bit]);
            tg_doorbell_ring(executor_of(ts, ts->by_bit[bit]), ts->worker, bit);
        }
    }
}

/* ---- coming back -------------------------------------------------------------------------------------- */

static void retire(struct tasks *ts, struct tg_lane *lane, uint32_t cursor)
{
    tg_lane_retire(lane, cursor);
    ts->rows_retired = true;
}

/* Give back whatever rows have come home; those still out are retired by reap_row(), which will not find the task. */
static void release_rows(struct tasks *ts, struct task *t)
{
    for (uint32_t i = 0; i < t->rows.count; i++)
        if (tg_rows_row(&t->rows, i)->marks & TG_ROW_REAPED)
            retire(ts, t->rows.lane, t->rows.first + i);
    t->rows.count = 0;
}

/* What never started has cost nothing; what nobody waits for any more has. */
static __attribute__((noinline)) void charge_row(struct tasks *ts, const struct tg_lane *lane, const struct tg_row *row,
                                                 const struct task *t)
{
    if (row->start_ns != 0)
        tenants_count(ts->tenants, t ? t->tenant : TENANT_OTHER, lane->runner);
}

static void reap_row(struct tasks *ts, struct tg_lane *lane, uint32_t cursor)
{
    struct tg_row *row = tg_lane_row(lane, cursor);
    struct task *t = tg_pool_at(&ts->pool, row->task);
    if (TG_UNLIKELY(ts->tenants != NULL))
        charge_row(ts, lane, row, t);
    if (!t || t->rows.count == 0) { /* cancelled or timed out meanwhile */
        retire(ts, lane, cursor);
        return;
    }
    row->marks |= TG_ROW_REAPED;
    if (row->status != TG_OK)
        t->status = (enum tg_status)row->status;
    if (--t->rows_left == 0)
        task_finish(ts, t, t->status);
}

static bool reap_lane(struct tasks *ts, struct tg_lane *lane)
{
    uint32_t cursors[64], n, total = 0;
    while ((n = tg_lane_reap(lane, cursors, TG_ARRAY_SIZE(cursors))) > 0) {
        for (uint32_t i = 0; i < n; i++)
            reap_row(ts, lane, cursors[i]);
        total += n;
    }
    return total > 0;
}

static bool reap_line(struct tasks *ts, uint32_t line)
{
    bool any = false;
    for (uint32_t word = 0; word < ts->bit_words; word++) {
        uint64_t bits = tg_doorbell_take(ts->doorbell, line, word);
        for (; bits; bits &= bits - 1)
            any |= reap_lane(ts, ts->by_bit[word * 64 + (uint32_t)__builtin_ctzll(bits)]);
    }
    return any;
}

bool tasks_reap(struct tasks *ts)
{
    bool any = reap_line(ts, 0);
    if (ts->gpu_executor)
        any |= reap_line(ts, TASKS_GPU_LINE);
    return any;
}

/* ---- the end ------------------------------------------------------------------------------------------ */

/* @ran: it was accepted, so whatever ended it is no refusal. */
static enum task_outcome outcome_of(enum tg_status status, bool ran)
{
    switch (status) {
    case TG_OK:
        return OUTCOME_SUCCESS;
    case TG_TIMEOUT:
        return OUTCOME_TIMEOUT;
    case TG_BACKEND:
    case TG_INTERNAL:
        return OUTCOME_ERROR;
    default:
        return ran ? OUTCOME_ERROR : OUTCOME_REFUSED;
    }
}

void task_finish(struct tasks *ts, struct task *t, enum tg_status status)
{
    bool ran = t->state == TASK_RUNNING;
    timer_cancel(ts->wheel, &t->timer);
    if (t->state == TASK_WAITING)
        wait_remove(ts, t);
    t->state = TASK_FINAL;
    t->status = status;
    t->finished_ns = ts->now_ns;
    slot_release(ts, t);
    if (status != TG_OK)
        release_rows(ts, t);
    if (status == TG_DEVICE)
        t->retry_after_ms = atomic_load_explicit(&ts->admission->device_retry_ms, memory_order_relaxed);
    if (t->counted)
        metrics_task(ts->metrics, t->intent_slot, t->priority, outcome_of(status, ran),
                     (t->finished_ns - t->arrival_ns) / NS_PER_US);
    t->door->ready(t->door, t);
}

void task_refuse(struct tasks *ts, struct task *t, enum tg_status status)
{
    t->has_error = true;
    task_finish(ts, t, status);
}

void task_close(struct tasks *ts, struct task *t)
{
    timer_cancel(ts->wheel, &t->timer);
    if (t->state == TASK_WAITING)
        wait_remove(ts, t);
    if (t->state == TASK_RUNNING)
        metrics_add(ts->metrics, METRIC_TASKS_CANCELLED, 1);
    if (TG_UNLIKELY(t->special))
        ts->forget(ts->context, t);
    slot_release(ts, t);
    release_rows(ts, t);
    body_release(ts, t);
    tg_pool_put(&ts->pool, t->handle);
}

void task_timer_fired(struct tasks *ts, struct timer *timer)
{
    struct task *t = TG_CONTAINER_OF(timer, struct task, timer);
    if (t->state == TASK_WAITING && ts->now_ns < t->deadline_ns)
        refuse_capacity(ts, t);
    else
        task_finish(ts, t, TG_TIMEOUT);
}
