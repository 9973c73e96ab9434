/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks of one worker, whatever door they came through: a slot each, admission, the way into a lane and back.
 *
 *   task_open -> task_admit -> task_start -> (executor) -> tasks_reap -> door->ready -> task_close
 *
 * A door (HTTP connection, lease, native frame) owns the reply; it is told once, by ready(), that a task has its
 * final status, and closes the task when the answer is written or nobody wants it any more.
 * Thread: the worker that owns `struct tasks`. Shared pieces (admission, windows) say so themselves.
 */
#ifndef TG_TASK_H
#define TG_TASK_H

#include <stdalign.h>
#include "gateway/base/buffers.h"
#include "gateway/base/metrics.h"
#include "gateway/base/timer.h"
#include "tg/gpu.h"
#include "tg/pool.h"
#include "admission.h"
#include "spread.h"
#include "tenants.h"

#define TASK_ID_BYTES_MAX 256
#define TASK_QOS_BYTES_MAX 32

struct task;

/* How the side that asked learns the outcome. Embedded in the door, which finds itself by it. */
struct task_door {
    /** The status is final: answer when its turn comes, then task_close(). */
    void (*ready)(const struct task_door *door, struct task *t);
};

/** A place may be free for a task that waited: offer it again from its stored body. */
typedef void task_resume_fn(void *context, struct task *t);

enum task_state {
    TASK_OPEN,    /* being looked at */
    TASK_WAITING, /* for admission, body stored */
    TASK_RUNNING, /* rows in a lane */
    TASK_FINAL,   /* status decided, not yet answered */
};

/* What one writes into an answer, beside the runner's own part. */
struct task_reply;

/* What few tasks carry, for the dialect that set it. Meant only where task->special says so. */
#define TASK_SECRET_BYTES 32
#define TASK_SESSION_BYTES_MAX 128
#define TASK_REQUESTER_BYTES_MAX 128

struct task_special {
    void *dialect;
    bool sealed;   /* the answer goes out encrypted, by `secret` */
    bool part;     /* of another node's task: holds one of the places for those */
    bool reported; /* its end has been told */
    uint8_t secret[TASK_SECRET_BYTES];
    uint16_t session_len, requester_len;
    char session[TASK_SESSION_BYTES_MAX];     /* JSON text */
    char requester[TASK_REQUESTER_BYTES_MAX]; /* escapes resolved */
    char parent_span[16];                     /* hex; [0] == 0: none */
};

/*
 * The first four lines of memory and the beginning of the id are all that an ordinary task touches; what only those
 * need that wait or fail lies behind.
 */
struct task {
    alignas(64) tg_handle handle;
    enum task_state state;
    enum tg_status status;
    /* the door's */
    const struct task_door *door;
    uint32_t owner;          /* index of the connection */
    uint8_t minor;           /* HTTP/1.minor of the request */
    bool close_after, head_only;
    bool gzip;               /* the client takes a compressed answer */
    struct task *next;       /* in the door's order of answers */
    const struct task_reply *reply; /* NULL: no body */
    const char *allow;       /* 405: methods of the path */
    /* the request's */
    const struct tg_instance *instance; /* NULL until known */
    uint16_t intent_slot;    /* instance number for metrics, tasks->instance_count: other */
    uint16_t id_len, qos_len;
    bool holds_slot, wants_lane; /* admission's. wants_lane: waits for rows, not for a slot */
    bool windows_passed;         /* its nonce and id are noted already */
    bool counted;            /* in iicp_tasks_total, whatever becomes of it; health and the like are not */
    bool has_id;
    bool special;            /* more is in `more` */
    bool has_error;          /* `error` says more than the status */
    bool has_error_offset;
    uint16_t tenant;         /* who is charged, by tasks->tenants */
    enum tg_priority priority;
    uint64_t arrival_ns, deadline_ns, finished_ns;
    struct buffer *body;     /* stored while waiting */
    char trace_id[32];
    struct timer timer;
    /* the lane's */
    struct tg_rows rows;
    uint32_t rows_left;
    uint32_t retry_after_ms;
    /* from here on nothing is read that was not written: task_open() clears no more */
    char qos[TASK_QOS_BYTES_MAX]; /* as JSON text without quotes */
    char id[TASK_ID_BYTES_MAX];   /* likewise */
    struct tg_error error;
    uint32_t error_offset;
    struct task *wait_next, *wait_prev;
    struct task_special more;
};
_Static_assert(offsetof(struct task, id) == 4 * 64, "the lines of an ordinary task");

struct task_reply {
    const char *content_type;
    /** Write the body. Thread: worker. */
    void (*write)(void *context, struct task *t, struct tg_json_writer *w);
};

/* Where the lanes of one executor, instance and priority are, by size class. */
struct task_lanes {
    struct tg_lane *by_class[TG_SIZE_CLASSES_MAX];
};

/* Waiting tasks, oldest first. */
struct task_queue {
    struct task *head, *tail;
};

/* Those of one instance that have found its lanes full. */
struct task_crowd {
    struct task_queue by_priority[TG_PRIORITIES];
    bool rows_retired; /* since tasks_retry() looked last: one may fit now */
};

/* A worker's side of what lies between it and one executor. */
struct task_link {
    alignas(64) struct tg_doorbell *doorbell; /* the executor's */
    struct tg_lane **by_bit;      /* doorbell bit -> lane */
    uint32_t bit_words;           /* 0: nothing lies between them */
    uint64_t unpublished[TG_DOORBELL_WORDS]; /* lanes with claimed rows this turn */
};

struct tasks {
    struct tg_pool pool;
    struct timer_wheel *wheel;
    struct buffer_pool *buffers;
    struct admission *admission; /* shared */
    struct metrics *metrics;
    struct tenants *tenants;     /* NULL: nobody asks who sent a task */
    task_resume_fn *resume;      /* how a waiting task is offered again */
    task_resume_fn *forget;      /* a special task is about to be closed; NULL: nobody makes any */
    void *context;               /* their first argument */
    uint32_t worker;
    uint64_t now_ns;             /* of this turn */
    /* lanes */
    struct tg_instance *const *instances;
    uint32_t instance_count;
    struct task_lanes *lanes;     /* [executor][instance][priority] */
    struct tg_doorbell *doorbell; /* where completions ring, a line for each executor: ours */
    uint32_t link_count;
    struct task_link links[TG_EXECUTORS_MAX]; /* by number of the executor */
    struct spread *spread;        /* NULL: no instance has two devices */
    /* waiting: for admission, by rank, and for rows of their instance */
    struct task_queue waiting[TG_PRIORITIES];
    struct task_crowd *crowds; /* [instance] */
    uint32_t waiting_count, crowded_count; /* all, and those for rows */
    bool rows_retired;         /* of any instance, since tasks_retry() looked last */
    const struct task_queue *retried; /* whose first is being offered again */
};

/** A slot for a new request, or NULL if all are taken. The task belongs to the door until task_close(). */
struct task *task_open(struct tasks *ts, const struct task_door *door, uint32_t owner);

/** Forget the task: its rows, slot and timer are given back. Any state; a running one finishes unseen. */
void task_close(struct tasks *ts, struct task *t);

/** Decide the outcome and tell the door. */
void task_finish(struct tasks *ts, struct task *t, enum tg_status status);

/** The same with an explanation already in t->error. */
void task_refuse(struct tasks *ts, struct task *t, enum tg_status status);

/**
 * Claim an admission slot (docs/ARCHITECTURE: admission). Returns true if the task holds one now. Otherwise the task
 * either waits (its @body stored; resume() follows) or has been finished with TG_CAPACITY.
 */
bool task_admit(struct tasks *ts, struct task *t, struct tg_str body);

/**
 * Decode @payload into rows of the instance's lane. The task runs from here on, or has been finished with the
 * runner's refusal; on a full lane it waits, whatever its class: a burst passes.
 */
void task_start(struct tasks *ts, struct task *t, const struct tg_json_doc *doc, const struct tg_json_node *payload,
                struct tg_str body);

/** Let the executor see what was decoded this turn. */
void tasks_publish(struct tasks *ts);

/** Is there anything for tasks_publish() to show? */
static inline bool tasks_unpublished(const struct tasks *ts)
{
    uint64_t any = 0;
    for (uint32_t n = 0; n < ts->link_count; n++)
        for (uint32_t i = 0; i < ts->links[n].bit_words; i++)
            any |= ts->links[n].unpublished[i];
    return any != 0;
}

/** Collect completed rows. Returns true if there were any. */
bool tasks_reap(struct tasks *ts);

/** Offer waiting tasks again if room has appeared. */
void tasks_retry(struct tasks *ts);

/** Would tasks_retry() find room now? To be asked between tg_doorbell_arm() and sleeping (see admission_has_room()). */
bool tasks_have_room(const struct tasks *ts);

/** The wheel's callback for timers of kind TIMER_TASK. */
void task_timer_fired(struct tasks *ts, struct timer *timer);

/** Result rows of a finished task, for the reply. */
static inline void task_encode(const struct task *t, struct tg_json_writer *w)
{
    t->instance->runner->encode(t->instance->self, &t->rows, w);
}

enum { TIMER_CONN, TIMER_TASK, TIMER_TLS };

#endif
