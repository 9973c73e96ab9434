/* SPDX-License-Identifier: Apache-2.0 */
/* What the control thread does for this node, beside the way out: each a part of its loop. */
#include <errno.h>
#include <string.h>
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/control/health_file.h"
#include "gateway/control/store.h"
#include "gateway/task/ready.h"
#include "gateway.h"

/* ---- progress ---------------------------------------------------------------------------------------------- */

/* Since when the worker has made no turn. An idle one is woken, so that by the next look it has made one. */
static uint64_t still_ns(struct worker *w, struct gateway_watch *watch, uint64_t now)
{
    uint64_t turns = atomic_load_explicit(&w->metrics.counters[METRIC_TURNS], memory_order_relaxed); /* a counter */
    if (atomic_load_explicit(&w->state, memory_order_acquire) != WORKER_SERVING)
        return 0; /* through with its work */
    if (turns != watch->turns[w->index] || watch->moved_ns[w->index] == 0) {
        watch->turns[w->index] = turns;
        watch->moved_ns[w->index] = now;
    } else {
        worker_wake(w);
    }
    return now - watch->moved_ns[w->index];
}

static uint64_t progress_age_ms(struct gateway *g)
{
    uint64_t longest = 0, now = clock_now_ns();
    for (uint32_t i = 0; i < g->worker_count; i++)
        longest = TG_MAX(longest, still_ns(&g->workers[i], &g->watch, now));
    return longest / NS_PER_MS;
}

/* ---- the health file ---------------------------------------------------------------------------------------- */

static void look(void *context, struct health_inputs *in)
{
    struct gateway *g = context;
    uint32_t reasons = ready_reasons(&g->admission);
    in->lifecycle = reasons & READY_DRAINING ? HEALTH_DRAINING : HEALTH_SERVING;
    in->progress_age_ms = progress_age_ms(g);
    in->reasons[HEALTH_REASON_NO_CAPACITY] = admission_active(&g->admission) >= admission_max(&g->admission);
    in->reasons[HEALTH_REASON_DIRECTORY_UNAVAILABLE] = membership_directory_away(g);
    in->reasons[HEALTH_REASON_PROVIDER_UNAVAILABLE] = membership_backend_away(g) || (reasons & READY_REFUSES);
}

/* NULL, or why there is none. */
static const char *open_health_file(struct gateway *g)
{
    char folder[STORE_PATH_MAX], path[STORE_PATH_MAX];
    struct health_file *h;
    if (!store_dir(g->config.node_state_dir, folder))
        return "there is no node.state_dir and no home";
    if (!health_file_path(folder, g->config.node_name, path, sizeof(path)))
        return "node.name is no name for a folder";
    struct health_file_options o = {control_host(g->control), path, look, g};
    int rc = health_file_create(&o, &h);
    if (rc < 0)
        return rc == -EBUSY ? "another process has a node of this node.name" : strerror(-rc);
    struct control_part part = health_file_part(h);
    rc = control_add(g->control, &part);
    TG_ASSERT(rc == 0); /* there is room for all parts that there are */
    return NULL;
}

void parts_add(struct gateway *g)
{
    const char *why = g->config.node_health_file ? open_health_file(g) : NULL;
    if (why)
        log_warn("no health file is written: %s", why);
}
