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

static struct task_queue *queue_of(struct tasks *ts, const struct task *t)
{
    return t->wants_lane ? &ts->crowds[t->intent_slot].by_priority[t->priority] : &ts->waiting[t->priority];
}

/* Behind all who came no later, but in front of them if it was the first of them and found no room after all. */
static void wait_insert(struct tasks *ts, struct task *t)
{
    struct task_queue *q = queue_of(ts, t);
    struct task *before = q == ts->retried ? NULL : q->tail;
    while (before && before->arrival_ns > t->arrival_ns) /* it comes from another queue */
        before = before->wait_prev;
    struct task *after = before ? before->wait_next : q->head;
    t->wait_prev = before;
    t->wait_next = after;
    *(before ? &before->wait_next : &q->head) = t;
    *(after ? &after->wait_prev : &q->tail) = t;
    t->state = TASK_WAITING;
    ts->crowded_count += t->wants_lane;
    if (ts->waiting_count++ == 0)
        admission_set_waiting(ts->admission, ts->worker, true);
}

static void wait_remove(struct tasks *ts, struct task *t)
{
    struct task_queue *q = queue_of(ts, t);
    *(t->wait_prev ? &t->wait_prev->wait_next : &q->head) = t->wait_next;
    *(t->wait_next ? &t->wait_next->wait_prev : &q->tail) = t->wait_prev;
    t->state = TASK_OPEN;
    ts->crowded_count -= t->wants_lane;
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
    if (!t->body) {
        t->body = buffer_get(ts->buffers, body.len);
        if (!t->body) {
            refuse_capacity(ts, t);
            return;
        }
        memcpy(t->body->data, body.ptr, body.len);
        t->body->len = (uint32_t)body.len;
        metrics_add(ts->metrics, METRIC_TASKS_WAITED, 1);
    }
    wait_insert(ts, t);
    timer_arm(ts->wheel, &t->timer, TG_MIN(until, t->deadline_ns));
}

/*
 * Those that a task of @in may go to now, a bit each by number; 0: nobody is left. A device whose process is being
 * replaced is waited for where no other is up; the cpu stands in only when all of them are withdrawn, or @gone.
 */
static uint32_t executors_of(const struct tasks *ts, const struct tg_instance *in, uint32_t gone)
{
    uint32_t devices = tg_instance_devices(in);
    if (TG_LIKELY(devices == 0))
        return 1;
    gone |= atomic_load_explicit(&ts->admission->devices_out, memory_order_relaxed); /* bits that stand alone */
    devices &= ~gone;
    uint32_t up = devices & ~atomic_load_explicit(&ts->admission->devices_waiting, memory_order_relaxed);
    return up ? up : devices ? devices : in->executors & 1;
}

static void slot_release(struct tasks *ts, struct task *t)
{
    if (!t->holds_slot)
        return;
    t->holds_slot = false;
    admission_release(ts->admission);
}

/* Does somebody of its class or above wait already, for a slot or for rows of the same instance? Nobody is overtaken. */
static bool must_queue(const struct tasks *ts, struct task *t)
{
    bool queue = false;
    for (uint32_t p = 0; p <= t->priority; p++) {
        queue |= ts->waiting[p].head != NULL;
        t->wants_lane |= ts->crowds[t->intent_slot].by_priority[p].head != NULL; /* the same burst */
    }
    return queue || t->wants_lane;
}

bool task_admit(struct tasks *ts, struct task *t, struct tg_str body)
{
    if (TG_UNLIKELY(executors_of(ts, t->instance, 0) == 0)) {
        task_finish(ts, t, TG_DEVICE);
        return false;
    }
    bool resumed = t->body != NULL;
    bool queue = TG_UNLIKELY(ts->waiting_count > 0) && !resumed && must_queue(ts, t);
    if (!queue && admission_claim(ts->admission)) {
        t->holds_slot = true;
        return true;
    }
    wait_or_refuse(ts, t, body);
    return false;
}

bool tasks_have_room(const struct tasks *ts)
{
    if (ts->waiting_count == 0)
        return false;
    bool slots = ts->waiting_count > ts->crowded_count && admission_has_room(ts->admission);
    return slots || (ts->crowded_count > 0 && ts->rows_retired);
}

/* Offer the first again and again, until one finds no room: those behind it would fare no better. */
static void retry_queue(struct tasks *ts, const struct task_queue *q)
{
    struct task *t;
    ts->retried = q;
    while ((t = q->head)) {
        wait_remove(ts, t);
        t->wants_lane = false;
        ts->resume(ts->context, t);
        if (q->head == t)
            break;
    }
    ts->retried = NULL;
}

static void retry_crowds(struct tasks *ts)
{
    for (uint32_t p = 0; p < TG_PRIORITIES; p++)
        for (uint32_t i = 0; i < ts->instance_count; i++)
            if (ts->crowds[i].rows_retired)
                retry_queue(ts, &ts->crowds[i].by_priority[p]);
    for (uint32_t i = 0; i < ts->instance_count; i++)
        ts->crowds[i].rows_retired = false;
}

void tasks_retry(struct tasks *ts)
{
    for (uint32_t p = 0; p < TG_PRIORITIES && ts->waiting_count > ts->crowded_count; p++)
        if (admission_has_room(ts->admission))
            retry_queue(ts, &ts->waiting[p]);
    if (ts->crowded_count > 0 && ts->rows_retired)
        retry_crowds(ts);
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
    ts->links[lane->executor].unpublished[lane->bit / 64] |= 1ull << (lane->bit % 64);
}

/* Of an instance that has devices: it went to one of several, or to the cpu for want of any. */
static void note_executor(struct tasks *ts, const struct task *t)
{
    uint32_t number = t->rows.lane->executor;
    if (number == 0)
        metrics_add(ts->metrics, METRIC_TASKS_FALLBACK, 1);
    else if (ts->spread)
        spread_sent(ts->spread, number, t->rows.lane->runner, t->rows.count, ts->now_ns);
}

/* Its rows to the executor, with the next tasks_publish(). */
static inline __attribute__((always_inline)) void hand_over(struct tasks *ts, struct task *t)
{
    for (uint32_t i = 0; i < t->rows.count; i++) {
        struct tg_row *row = tg_rows_row(&t->rows, i);
        row->task = t->handle;
        row->arrival_ns = t->arrival_ns;
        row->deadline_ns = t->deadline_ns;
        row->marks = 0;
    }
    t->rows_left = t->rows.count;
    mark_unpublished(ts, t->rows.lane);
    if (t->instance->executors)
        note_executor(ts, t);
}

static void run(struct tasks *ts, struct task *t)
{
    hand_over(ts, t);
    body_release(ts, t);
    t->state = TASK_RUNNING;
    timer_arm(ts->wheel, &t->timer, t->deadline_ns);
    metrics_add(ts->metrics, METRIC_TASKS_ACCEPTED, 1);
}

static uint32_t choose(struct tasks *ts, const struct task *t, uint32_t among)
{
    if (TG_LIKELY((among & (among - 1)) == 0))
        return (uint32_t)__builtin_ctz(among);
    return spread_choose(ts->spread, t->intent_slot, among, ts->now_ns);
}

/* By size class. */
static struct tg_lane **lanes_of(const struct tasks *ts, const struct task *t, uint32_t number)
{
    uint32_t place = number * ts->instance_count + t->intent_slot;
    return ts->lanes[place * TG_PRIORITIES + t->priority].by_class;
}

static enum tg_status decode_for(struct tasks *ts, struct task *t, uint32_t number, const struct tg_json_doc *doc,
                                 const struct tg_json_node *payload)
{
    const struct tg_instance *in = t->instance;
    struct tg_request req = {.doc = doc, .payload = payload};
    t->rows = (struct tg_rows){.lanes = lanes_of(ts, t, number), .lane_count = in->shape.size_classes};
    return in->runner->decode(in->self, &req, &t->rows, &t->error);
}

/* TG_OK: it runs there. */
static inline __attribute__((always_inline)) enum tg_status start_on(struct tasks *ts, struct task *t, uint32_t number,
                                                                     const struct tg_json_doc *doc,
                                                                     const struct tg_json_node *payload)
{
    enum tg_status status = decode_for(ts, t, number, doc, payload);
    if (TG_LIKELY(status == TG_OK && t->rows.count > 0)) {
        run(ts, t);
        return TG_OK;
    }
    if (t->rows.count > 0)
        tg_lane_unclaim(t->rows.lane, t->rows.count);
    t->rows.count = 0;
    return status == TG_OK ? TG_INTERNAL : status;
}

/* On the best of those that it may go to; a full lane of one says nothing of the others'. */
static __attribute__((noinline)) enum tg_status start_on_devices(struct tasks *ts, struct task *t,
                                                                 const struct tg_json_doc *doc,
                                                                 const struct tg_json_node *payload)
{
    uint32_t among = executors_of(ts, t->instance, 0);
    enum tg_status status = among ? TG_CAPACITY : TG_DEVICE;
    while (among && status == TG_CAPACITY) {
        uint32_t number = choose(ts, t, among);
        status = start_on(ts, t, number, doc, payload);
        among &= ~(1u << number);
    }
    return status;
}

/* It could not be started: it waits for room, or that was its outcome. */
static void settle(struct tasks *ts, struct task *t, enum tg_status status, struct tg_str body)
{
    if (status == TG_CAPACITY) {
        slot_release(ts, t);
        t->wants_lane = true;
        wait_or_refuse(ts, t, body);
    } else if (status == TG_DEVICE) {
        task_finish(ts, t, status);
    } else {
        task_refuse(ts, t, status);
    }
}

void task_start(struct tasks *ts, struct task *t, const struct tg_json_doc *doc, const struct tg_json_node *payload,
                struct tg_str body)
{
    bool devices = tg_instance_devices(t->instance) != 0;
    enum tg_status status = devices ? start_on_devices(ts, t, doc, payload) : start_on(ts, t, 0, doc, payload);
    if (TG_UNLIKELY(status != TG_OK))
        settle(ts, t, status, body);
}

static void publish_link(struct task_link *link, uint32_t worker)
{
    for (uint32_t word = 0; word < link->bit_words; word++) {
        uint64_t bits = link->unpublished[word];
        link->unpublished[word] = 0;
        for (; bits; bits &= bits - 1) {
            uint32_t bit = word * 64 + (uint32_t)__builtin_ctzll(bits);
            tg_lane_publish(link->by_bit[bit]);
            tg_doorbell_ring(link->doorbell, worker, bit);
        }
    }
}

void tasks_publish(struct tasks *ts)
{
    for (uint32_t n = 0; n < ts->link_count; n++)
        publish_link(&ts->links[n], ts->worker);
    if (ts->spread)
        spread_tell(ts->spread, ts->now_ns);
}

/* ---- coming back -------------------------------------------------------------------------------------- */

static void retire(struct tasks *ts, struct tg_lane *lane, uint32_t cursor)
{
    tg_lane_retire(lane, cursor);
    ts->crowds[lane->runner].rows_retired = ts->rows_retired = true;
}

/* Give back whatever rows have come home; those still out are retired by reap_row(), which will not find the task. */
static void release_rows(struct tasks *ts, struct task *t)
{
    for (uint32_t i = 0; i < t->rows.count; i++)
        if (tg_rows_row(&t->rows, i)->marks & TG_ROW_REAPED)
            retire(ts, t->rows.lane, t->rows.first + i);
    t->rows.count = 0;
}

/* Its device was withdrawn before any of its rows had been there. */
static bool is_untouched(const struct task *t)
{
    bool untouched = t->status == TG_DEVICE;
    for (uint32_t i = 0; i < t->rows.count; i++)
        untouched &= tg_rows_row(&t->rows, i)->attempts == 0;
    return untouched;
}

/* The same rows in another lane of their size. Returns false if that is full. */
static bool copy_rows(struct task *t, struct tg_lane *const *lanes)
{
    struct tg_rows to = t->rows;
    to.lanes = lanes;
    to.lane = lanes[t->rows.lane->size_class];
    if (tg_lane_claim(to.lane, to.count, &to.first) < 0)
        return false;
    for (uint32_t i = 0; i < to.count; i++) {
        const struct tg_row *from = tg_rows_row(&t->rows, i);
        struct tg_row *row = tg_rows_row(&to, i);
        row->param = from->param;
        row->in_len = from->in_len;
        row->part = from->part;
        memcpy(tg_rows_in(&to, i), tg_rows_in(&t->rows, i), from->in_len);
    }
    t->rows = to;
    return true;
}

/* What only waited for a device that was withdrawn goes to another executor, if there is one and it has room. */
static __attribute__((noinline)) bool send_elsewhere(struct tasks *ts, struct task *t)
{
    struct tg_rows old = t->rows;
    uint32_t from = 1u << old.lane->executor;
    uint32_t among = is_untouched(t) ? executors_of(ts, t->instance, from) & ~from : 0;
    bool copied = false;
    while (among && !copied) {
        uint32_t number = choose(ts, t, among);
        copied = copy_rows(t, lanes_of(ts, t, number));
        among &= ~(1u << number);
    }
    if (!copied)
        return false;
    for (uint32_t i = 0; i < old.count; i++)
        retire(ts, old.lane, old.first + i);
    t->status = TG_OK;
    hand_over(ts, t);
    metrics_add(ts->metrics, METRIC_TASKS_MOVED, 1);
    return true;
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
    if (--t->rows_left == 0 && !(TG_UNLIKELY(t->status == TG_DEVICE) && send_elsewhere(ts, t)))
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
    if (ts->spread && lane->executor)
        spread_back(ts->spread, lane->executor, lane->runner, total);
    return total > 0;
}

/* The executor's line on our doorbell has its number. */
static bool reap_link(struct tasks *ts, uint32_t number)
{
    bool any = false;
    const struct task_link *link = &ts->links[number];
    for (uint32_t word = 0; word < link->bit_words; word++) {
        uint64_t bits = tg_doorbell_take(ts->doorbell, number, word);
        for (; bits; bits &= bits - 1)
            any |= reap_lane(ts, link->by_bit[word * 64 + (uint32_t)__builtin_ctzll(bits)]);
    }
    return any;
}

bool tasks_reap(struct tasks *ts)
{
    bool any = false;
    for (uint32_t n = 0; n < ts->link_count; n++)
        any |= reap_link(ts, n);
    if (ts->spread)
        spread_tell(ts->spread, ts->now_ns);
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
