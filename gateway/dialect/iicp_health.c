/* SPDX-License-Identifier: Apache-2.0 */
/* GET /iicp/health (contract section 2.1). Always 200: the body says how the node is. */
#include "iicp.h"

static struct tg_str text(const char *s)
{
    return (struct tg_str){s, strlen(s)};
}

static void write_names(const struct iicp_node *node, struct tg_json_writer *w)
{
    TG_JSON_KEY(w, "model");
    tg_json_write_string(w, text(node->model));
    TG_JSON_KEY(w, "models");
    tg_json_write_begin_array(w);
    if (node->model[0])
        tg_json_write_string(w, text(node->model));
    for (uint32_t i = 0; i < node->instance_count; i++)
        if (strcmp(node->instances[i]->name, node->model) != 0)
            tg_json_write_string(w, text(node->instances[i]->name));
    tg_json_write_end_array(w);
    TG_JSON_KEY(w, "intent");
    tg_json_write_string(w, text(node->instance_count ? node->instances[0]->intent : ""));
    TG_JSON_KEY(w, "intents");
    tg_json_write_begin_array(w);
    for (uint32_t i = 0; i < node->instance_count; i++)
        tg_json_write_string(w, text(node->instances[i]->intent));
    tg_json_write_end_array(w);
}

static void write_load(const struct admission *a, struct tg_json_writer *w)
{
    uint32_t active = admission_active(a), max = admission_max(a);
    uint32_t base = atomic_load_explicit(&a->base_concurrent, memory_order_relaxed); /* a number that stands alone */
    TG_JSON_KEY(w, "load");
    tg_json_write_f64(w, (double)active / TG_MAX(base, 1u));
    TG_JSON_KEY(w, "active_jobs");
    tg_json_write_u64(w, active);
    TG_JSON_KEY(w, "max_concurrent");
    tg_json_write_u64(w, base);
    TG_JSON_KEY(w, "effective_max_concurrent");
    tg_json_write_u64(w, max);
    TG_JSON_KEY(w, "available");
    tg_json_write_bool(w, active < max && !atomic_load_explicit(&a->not_ready, memory_order_relaxed));
}

void iicp_write_health(const struct iicp *ic, struct tg_json_writer *w)
{
    bool leaving = atomic_load_explicit(&ic->tasks->admission->not_ready, memory_order_relaxed);
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "status");
    tg_json_write_string(w, leaving ? TG_STR("degraded") : TG_STR("ok"));
    TG_JSON_KEY(w, "node_id");
    tg_json_write_string(w, iicp_node_id(ic));
    TG_JSON_KEY(w, "region");
    tg_json_write_string(w, text(ic->node->region));
    write_load(ic->tasks->admission, w);
    write_names(ic->node, w);
    TG_JSON_KEY(w, "pinhole_state");
    tg_json_write_raw(w, TG_STR("{\"active\":false}"));
    TG_JSON_KEY(w, "backend_stability");
    iicp_backend_write(iicp_backend_unpack(atomic_load_explicit(&ic->shared->backend, memory_order_relaxed)), w);
    TG_JSON_KEY(w, "device");
    tg_json_write_string(w, text(ic->node->device));
    TG_JSON_KEY(w, "io");
    tg_json_write_string(w, text(ic->node->io));
    TG_JSON_KEY(w, "version");
    tg_json_write_string(w, TG_STR(TASKGATE_VERSION));
    tg_json_write_end_object(w);
}
