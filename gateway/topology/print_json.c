/* SPDX-License-Identifier: Apache-2.0 */
/* The plan as one JSON object. Numbers of cpus and nodes are the kernel's, null is "none" or "any". */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "print.h"
#include "tg/json.h"

#define JSON_BYTES (1u << 20) /* a cpu takes about 90, and 1,024 are the most there can be */
#define LIST_BYTES 8192       /* every second cpu of them */

static void put_text(struct tg_json_writer *w, const char *key, const char *text)
{
    tg_json_write_key(w, (struct tg_str){key, strlen(key)});
    tg_json_write_string(w, (struct tg_str){text, strlen(text)});
}

static void put_number(struct tg_json_writer *w, const char *key, uint64_t n)
{
    tg_json_write_key(w, (struct tg_str){key, strlen(key)});
    tg_json_write_u64(w, n);
}

/* A negative number is none. */
static void put_maybe(struct tg_json_writer *w, const char *key, int n)
{
    tg_json_write_key(w, (struct tg_str){key, strlen(key)});
    if (n < 0)
        tg_json_write_null(w);
    else
        tg_json_write_i64(w, n);
}

static void put_cpus(struct tg_json_writer *w, const char *key, const cpu_set_t *cpus)
{
    char list[LIST_BYTES];
    put_text(w, key, CPU_COUNT(cpus) ? cpu_list_format(cpus, list, sizeof(list)) : "");
}

static void put_cpu(struct tg_json_writer *w, const struct machine *m, const struct machine_cpu *c)
{
    tg_json_write_begin_object(w);
    put_number(w, "cpu", c->number);
    put_number(w, "core", c->core);
    put_number(w, "sibling", c->thread);
    put_number(w, "package", c->package);
    put_number(w, "node", m->nodes[c->node].number);
    TG_JSON_KEY(w, "allowed");
    tg_json_write_bool(w, c->allowed);
    tg_json_write_end_object(w);
}

static void put_node(struct tg_json_writer *w, const struct machine *m, uint32_t index)
{
    cpu_set_t cpus;
    topology_cpus(m, (int)index, -1, &cpus);
    tg_json_write_begin_object(w);
    put_number(w, "node", m->nodes[index].number);
    put_number(w, "package", m->nodes[index].package);
    put_number(w, "bytes", m->nodes[index].bytes);
    put_cpus(w, "cpus", &cpus);
    tg_json_write_end_object(w);
}

static void put_device(struct tg_json_writer *w, const struct machine *m, const struct machine_device *d)
{
    tg_json_write_begin_object(w);
    put_text(w, "kind", topology_kind_name(d->kind));
    put_text(w, "bus", d->bus);
    put_text(w, "name", d->name);
    TG_JSON_KEY(w, "nodes");
    tg_json_write_begin_array(w);
    for (uint32_t i = 0; i < m->node_count; i++)
        if (d->nodes >> i & 1)
            tg_json_write_u64(w, m->nodes[i].number);
    tg_json_write_end_array(w);
    tg_json_write_end_object(w);
}

static void put_lists(struct tg_json_writer *w, const struct machine *m)
{
    TG_JSON_KEY(w, "nodes");
    tg_json_write_begin_array(w);
    for (uint32_t i = 0; i < m->node_count; i++)
        put_node(w, m, i);
    tg_json_write_end_array(w);
    TG_JSON_KEY(w, "cpus");
    tg_json_write_begin_array(w);
    for (uint32_t i = 0; i < m->cpu_count; i++)
        put_cpu(w, m, &m->cpus[i]);
    tg_json_write_end_array(w);
    TG_JSON_KEY(w, "devices");
    tg_json_write_begin_array(w);
    for (uint32_t i = 0; i < m->device_count; i++)
        put_device(w, m, &m->devices[i]);
    tg_json_write_end_array(w);
}

static void put_machine(struct tg_json_writer *w, const struct machine *m)
{
    TG_JSON_KEY(w, "machine");
    tg_json_write_begin_object(w);
    put_text(w, "model", m->model);
    put_number(w, "packages", m->package_count);
    put_number(w, "cores", m->core_count);
    put_number(w, "capacity", machine_capacity(m));
    TG_JSON_KEY(w, "quota_cpus");
    if (m->quota_milli)
        tg_json_write_f64(w, m->quota_milli / 1000.0);
    else
        tg_json_write_null(w);
    put_lists(w, m);
    tg_json_write_end_object(w);
}

static void put_seats(struct tg_json_writer *w, const struct machine *m, const char *key,
                      const struct topology_seat *seats, uint32_t count)
{
    tg_json_write_key(w, (struct tg_str){key, strlen(key)});
    tg_json_write_begin_array(w);
    for (uint32_t i = 0; i < count; i++) {
        tg_json_write_begin_object(w);
        put_maybe(w, "cpu", seats[i].cpu);
        put_maybe(w, "node", seats[i].node < 0 ? -1 : (int)m->nodes[seats[i].node].number);
        TG_JSON_KEY(w, "device");
        if (seats[i].device < 0)
            tg_json_write_null(w);
        else
            tg_json_write_string(w, (struct tg_str){m->devices[seats[i].device].bus,
                                                    strlen(m->devices[seats[i].device].bus)});
        put_text(w, "reason", seats[i].reason);
        tg_json_write_end_object(w);
    }
    tg_json_write_end_array(w);
}

static void put_plan(struct tg_json_writer *w, const struct machine *m, const struct topology_plan *plan)
{
    TG_JSON_KEY(w, "plan");
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "pinned");
    tg_json_write_bool(w, plan->pinned);
    put_text(w, "reason", plan->reason);
    put_seats(w, m, "workers", plan->workers, plan->worker_count);
    put_seats(w, m, "executors", plan->executors, plan->executor_count);
    TG_JSON_KEY(w, "others");
    tg_json_write_begin_object(w);
    put_cpus(w, "cpus", &plan->others);
    put_text(w, "reason", plan->others_reason);
    tg_json_write_end_object(w);
    tg_json_write_end_object(w);
}

int topology_print_json(FILE *out, const struct machine *m, const struct topology_plan *plan)
{
    char *text = malloc(JSON_BYTES);
    struct tg_json_writer w;
    if (!text)
        return -ENOMEM;
    tg_json_writer_init(&w, text, JSON_BYTES);
    tg_json_write_begin_object(&w);
    put_machine(&w, m);
    put_plan(&w, m, plan);
    tg_json_write_end_object(&w);
    TG_ASSERT(!w.overflow);
    fwrite(w.buf, 1, w.len, out);
    fputc('\n', out);
    free(text);
    return 0;
}
