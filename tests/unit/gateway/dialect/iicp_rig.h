/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IICP dialect over a task layer of its own, with one intent whose runner takes any payload but `null`
 * and whose rows nobody computes unless the test says so.
 */
#ifndef IICP_RIG_H
#define IICP_RIG_H

#include <criterion/criterion.h>
#include <stdio.h>
#include "gateway/base/clock.h"
#include "gateway/dialect/iicp_envelope.h"

#define RIG_INTENT "urn:iicp:intent:x.test:any:v1"
#define RIG_BODY(members) "{\"task_id\":\"t-1\",\"intent\":\"" RIG_INTENT "\",\"payload\":1" members "}"

struct rig {
    struct tasks ts;
    struct task_crowd crowd;
    struct iicp ic;
    struct iicp_node node;
    struct iicp_settings settings;
    struct iicp_shared shared;
    struct iicp_room room;
    struct tg_instance instance;
    struct tg_instance *instances[1];
    struct tg_arena arena;
    struct timer_wheel wheel;
    struct buffer_pool buffers;
    struct admission admission;
    struct metrics metrics;
    struct window nonces, ids;
    struct rate origins;
    struct tg_lane *lane[TG_PRIORITIES];
    struct task_door door;
    struct task *task; /* of the last post */
    uint32_t ready_calls;
    char answer[4096];
};

extern struct rig rig;

void rig_open(void);
void rig_close(void);

/** Post a body as application/json; the task before is closed first. */
struct task *rig_post(const char *body);
struct task *rig_post_request(const struct iicp_request *req);
/** The row comes back from the device. */
void rig_complete(enum tg_status status);
/** The answer's text. */
const char *rig_answer(void);

/** The body is refused with @status; @field is what is named, or NULL. */
void rig_expect(const char *body, enum tg_status status, const char *field);
/** The body is accepted and runs. */
void rig_expect_runs(const char *body);

#endif
