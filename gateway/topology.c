/* SPDX-License-Identifier: Apache-2.0 */
/* From configuration to wishes, and from the plan to threads and memory. */
#include "topology.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "gateway.h"
#include "gateway/base/log.h"
#include "gateway/control/config_row.h"
#include "topology/memory.h"

/* ---- reading ---------------------------------------------------------------------------------------------- */

/* As the loader does: with the place where the value was written. */
static int complain(const struct config *c, enum config_row_id row, const char *why)
{
    char env[CONFIG_ENV_NAME_MAX], flag[CONFIG_ENV_NAME_MAX];
    struct config_place place = {(enum config_source)c->source[row], c->path, c->line[row]};
    struct config_text at;
    config_row_env(&config_rows[row], env);
    snprintf(flag, sizeof(flag), "--%s", config_keys[row]);
    if (place.source == CONFIG_FROM_FLAG)
        place.name = flag;
    else if (place.source == CONFIG_FROM_ENV)
        place.name = env;
    config_place_print(&place, config_keys[row], &at);
    fprintf(stderr, "%s%s\n", at.text, why);
    return -EINVAL;
}

static int read_lists(struct gateway *g)
{
    struct topology_wish *w = &g->topology->wish;
    char why[CPU_LIST_WHY_BYTES];
    if (cpu_list_parse(g->config.topology_worker_cpus, &w->worker_cpus, why) < 0)
        return complain(&g->config, CONFIG_ROW_topology_worker_cpus, why);
    if (cpu_list_parse(g->config.topology_executor_cpus, &w->executor_cpus, why) < 0)
        return complain(&g->config, CONFIG_ROW_topology_executor_cpus, why);
    return 0;
}

/* Without a picture of the host there is still a gateway: it only pins nothing. */
static int read_machine(struct machine *m, const char *description)
{
    char why[MACHINE_WHY_BYTES] = "";
    int rc = machine_read(description, m, why);
    if (rc == 0)
        return 0;
    if (description) {
        fprintf(stderr, "%s\n", why);
        return rc;
    }
    log_warn("%s: cpus are taken as all alike", why);
    machine_flat(m);
    return 0;
}

int topology_open(struct gateway *g, const char *description)
{
    g->topology = calloc(1, sizeof(*g->topology));
    if (!g->topology)
        return -ENOMEM;
    int rc = read_machine(&g->topology->machine, description);
    return rc == 0 ? read_lists(g) : rc;
}

/* ---- planning --------------------------------------------------------------------------------------------- */

/* The cpu's executor has no place of its own where it runs as turns of the workers, or only stands in for devices. */
static bool cpu_has_seat(const struct gateway *g)
{
    bool needed = false;
    for (uint32_t i = 0; i < g->instance_count; i++)
        needed |= g->instances[i]->executors == 0;
    return needed && !g->inline_executors;
}

/* In the order of their numbers. -1: none. */
static int seat_of(const struct gateway *g, uint32_t number)
{
    int first = cpu_has_seat(g);
    return number > 0 ? (int)number - 1 + first : first - 1;
}

/* The GPU of a device as the machine has it, or -1. */
static int find_gpu(const struct machine *m, const struct device *d)
{
    for (uint32_t i = 0; i < m->device_count && d->bus[0]; i++)
        if (m->devices[i].kind == MACHINE_GPU && strcasecmp(m->devices[i].bus, d->bus) == 0)
            return (int)i;
    return -1;
}

static void wish_executors(const struct gateway *g, struct topology_wish *w)
{
    uint32_t computing = !g->inline_executors && layout_cpu_needed(g);
    memset(w->gpu, -1, sizeof(w->gpu));
    w->executors = cpu_has_seat(g) + g->devices.count;
    for (uint32_t i = 0; i < g->devices.count; i++) {
        const struct device *d = &g->devices.list[i];
        w->gpu[seat_of(g, d->number)] = find_gpu(&g->topology->machine, d);
        computing += strcmp(d->backend, "cuda") != 0;
    }
    w->compute = computing * layout_compute_threads(g);
}

static void wish_cards(const struct gateway *g, struct machine_nics *nics)
{
    const struct config_listen *lists[] = {&g->config.server_listen, &g->config.server_tls_listen};
    *nics = (struct machine_nics){0};
    for (uint32_t l = 0; l < TG_ARRAY_SIZE(lists); l++)
        for (uint32_t i = 0; i < lists[l]->count; i++)
            machine_nics_of_address(&g->topology->machine, lists[l]->address[i], nics);
}

int topology_place(struct gateway *g)
{
    struct topology *t = g->topology;
    char why[TOPOLOGY_WHY_BYTES] = "";
    const char *key = "";
    t->wish.pin = g->config.topology_mode == CONFIG_TOPOLOGY_AUTO;
    t->wish.workers = g->worker_count;
    wish_executors(g, &t->wish);
    wish_cards(g, &t->wish.nics);
    if (topology_plan_make(&t->machine, &t->wish, &t->plan, &key, why) == 0)
        return 0;
    bool workers = strcmp(key, "worker_cpus") == 0;
    return complain(&g->config, workers ? CONFIG_ROW_topology_worker_cpus : CONFIG_ROW_topology_executor_cpus, why);
}

/* ---- applying --------------------------------------------------------------------------------------------- */

void topology_settle(struct gateway *g)
{
    struct topology *t = g->topology;
    pthread_t self = pthread_self();
    log_info("topology: %s: %s", t->plan.pinned ? "pinned" : "not pinned", t->plan.reason);
    if (!t->plan.pinned || pthread_getaffinity_np(self, sizeof(t->before), &t->before) != 0)
        return;
    t->settled = pthread_setaffinity_np(self, sizeof(t->plan.others), &t->plan.others) == 0;
}

void topology_close(struct gateway *g)
{
    struct topology *t = g->topology;
    if (t && t->settled)
        pthread_setaffinity_np(pthread_self(), sizeof(t->before), &t->before);
    free(t);
    g->topology = NULL;
}

int topology_worker_cpu(const struct gateway *g, uint32_t worker)
{
    return g->topology->plan.workers[worker].cpu;
}

/* Inline executors sit where their workers do. */
int topology_executor_cpu(const struct gateway *g, uint32_t number)
{
    int seat = seat_of(g, number);
    return seat < 0 ? -1 : g->topology->plan.executors[seat].cpu;
}

static void place_memory(struct gateway *g, const struct topology_seat *seat, void *base, size_t bytes)
{
    struct topology *t = g->topology;
    int rc = seat->node < 0 ? 0 : memory_prefer_node(base, bytes, t->machine.nodes[seat->node].number);
    const char *what = "memory near its threads";
    if (rc == 0 && g->config.topology_huge_pages) {
        rc = memory_huge_pages(base, bytes);
        what = "huge pages";
    }
    if (rc < 0 && !t->warned)
        log_warn("topology: no %s: %s", what, strerror(-rc));
    t->warned = t->warned || rc < 0;
}

void topology_worker_memory(struct gateway *g, uint32_t worker, void *base, size_t bytes)
{
    place_memory(g, &g->topology->plan.workers[worker], base, bytes);
}

/* Rows are written once by the worker and moved to the device from where they lie: the device's side decides. */
void topology_lane_memory(struct gateway *g, uint32_t worker, uint32_t number, void *base, size_t bytes)
{
    const struct topology_plan *plan = &g->topology->plan;
    int seat = seat_of(g, number);
    place_memory(g, seat < 0 ? &plan->workers[worker] : &plan->executors[seat], base, bytes);
}

/* Pinned blocks and the driver's own are touched before the executor has taken its seat. Where that is
 * refused, the rows have said so. */
void topology_own_memory(const struct gateway *g, uint32_t number)
{
    const struct topology *t = g->topology;
    int seat = seat_of(g, number), node = seat < 0 ? -1 : t->plan.executors[seat].node;
    if (node >= 0)
        memory_prefer_node_always(t->machine.nodes[node].number);
}
