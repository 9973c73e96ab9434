/* SPDX-License-Identifier: Apache-2.0 */
/* A world for the control thread's parts: a clock that jumps to what happens next, and a network that is one
 * function. */
#ifndef TG_SIM_HOST_H
#define TG_SIM_HOST_H

#include "gateway/control/host.h"

#define SIM_REQUESTS_MAX 64
#define SIM_BODY_MAX 8192

struct sim_ask {
    char method[8], url[512], authorization[300], body[SIM_BODY_MAX];
};

struct sim_reply {
    int error;
    uint32_t status, retry_after_s, latency_ms;
    char body[SIM_BODY_MAX];
};

typedef void sim_answer(void *context, const struct sim_ask *ask, struct sim_reply *reply);

struct sim_request {
    uint64_t id, due_ns; /* id 0: free */
    client_done *done;
    void *done_context;
    struct sim_reply reply;
};

struct sim {
    struct control_host host;
    uint64_t now_ns, last_id, dice;
    int64_t wall_offset_ms;
    struct sim_request requests[SIM_REQUESTS_MAX];
    sim_answer *answer;
    void *answer_context;
};

void sim_init(struct sim *s, sim_answer *answer, void *context);
/** Run @turn and deliver replies until the clock has advanced by @ns. */
void sim_run(struct sim *s, uint64_t (*turn)(void *self, uint64_t now_ns), void *self, uint64_t ns);
uint32_t sim_in_flight(const struct sim *s);

#endif
