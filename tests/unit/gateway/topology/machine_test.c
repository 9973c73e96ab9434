/* SPDX-License-Identifier: Apache-2.0 */
/* Machines as hwloc describes them, and as this one is. */
#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "machine_rig.h"

static struct machine *read_from(const char *description)
{
    struct machine *m = calloc(1, sizeof(*m));
    char why[MACHINE_WHY_BYTES] = "";
    cr_assert(m);
    cr_assert_eq(machine_read(description, m, why), 0, "%s", why);
    return m;
}

Test(machine, words_describe_one)
{
    struct machine *m = read_from("synthetic:package:2 numa:2 core:3 pu:2");
    cr_assert(!m->is_ours);
    cr_assert_eq(m->package_count, 2);
    cr_assert_eq(m->node_count, 4);
    cr_assert_eq(m->core_count, 12);
    cr_assert_eq(m->cpu_count, 24);
    cr_assert_eq(m->nodes[3].package, 1);
    cr_assert_eq(m->quota_milli, 0);
    const struct machine_cpu *last = &m->cpus[23];
    cr_assert_eq(last->core, 11);
    cr_assert_eq(last->thread, 1);
    cr_assert_eq(last->node, 3);
    free(m);
}

Test(machine, xml_describes_one_with_its_devices)
{
    struct machine *m = read_from(TG_GPU_HOST_XML);
    uint32_t gpus = 0;
    cr_assert_eq(m->cpu_count, 256);
    cr_assert_eq(m->core_count, 128);
    cr_assert_eq(m->nodes[1].bytes, UINT64_C(1024) << 30);
    for (uint32_t i = 0; i < m->device_count; i++)
        gpus += m->devices[i].kind == MACHINE_GPU;
    cr_assert_eq(gpus, 8);
    cr_assert_eq(m->device_count, 10);
    cr_assert_str_eq(m->devices[0].bus, "0000:01:00.0");
    cr_assert_str_eq(m->devices[0].name, "NVIDIA H200");
    cr_assert_eq(m->devices[0].nodes, 1);
    cr_assert_eq(m->devices[7].nodes, 2);
    cr_assert_str_eq(m->devices[9].name, "eth1");
    cr_assert_eq(m->devices[9].nodes, 2);
    cr_assert_eq(machine_cpu_find(m, 128)->core, 0, "the second sibling of the first core");
    cr_assert_eq(machine_cpu_find(m, 128)->thread, 1);
    free(m);
}

Test(machine, what_is_not_allowed_there_is_seen_and_not_used)
{
    struct machine *m = read_from(TG_SIX_CPUS_XML);
    cpu_set_t allowed;
    char text[64];
    machine_allowed(m, &allowed);
    cr_assert_eq(m->cpu_count, 256);
    cr_assert_str_eq(cpu_list_format(&allowed, text, sizeof(text)), "0-5");
    cr_assert_eq(machine_capacity(m), 6);
    free(m);
}

Test(machine, what_describes_none_is_refused_with_a_reason)
{
    static const char *const wrong[] = {"/nowhere/m.xml", TG_NO_XML, "synthetic:", "synthetic:cheese:3"};
    struct machine *m = calloc(1, sizeof(*m));
    for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++) {
        char why[MACHINE_WHY_BYTES] = "";
        cr_assert_lt(machine_read(wrong[i], m, why), 0, "%s", wrong[i]);
        cr_assert(why[0], "%s", wrong[i]);
    }
    free(m);
}

Test(machine, this_one_allows_what_the_affinity_does)
{
    struct machine *m = read_from(NULL);
    cpu_set_t allowed, ours;
    machine_allowed(m, &allowed);
    cr_assert_eq(sched_getaffinity(0, sizeof(ours), &ours), 0);
    cr_assert(m->is_ours);
    cr_assert(CPU_EQUAL(&allowed, &ours));
    free(m);
}

Test(machine, of_this_one_only_the_cpu_we_are_bound_to_is_allowed)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((unsigned)sched_getcpu(), &one);
    cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
    struct machine *m = read_from(NULL), *flat = read_from(NULL);
    machine_flat(flat);
    cr_assert_eq(machine_cores_allowed(m), 1);
    cr_assert_eq(machine_capacity(m), 1);
    cr_assert_eq(flat->cpu_count, 1);
    cr_assert_eq(machine_capacity(flat), 1);
    free(m), free(flat);
}

Test(machine, a_machine_of_which_nothing_is_known_still_gets_a_plan)
{
    struct machine *m = calloc(1, sizeof(*m));
    machine_flat(m);
    struct topology_wish w = wish_for(1, 0);
    struct topology_plan *plan = plan_for(m, &w);
    cr_assert_gt(CPU_COUNT(&plan->others), 0);
    free(plan), free(m);
}

/* Every shape, with every number of threads: what check_wish() lets through has a plan, and nobody sits twice. */
Test(machine, no_shape_and_no_number_of_threads_is_too_odd)
{
    for (uint32_t cores = 1; cores <= 5; cores++)
        for (uint32_t smt = 1; smt <= 4; smt++)
            for (uint32_t workers = 1; workers <= 6; workers++)
                for (uint32_t executors = 0; executors <= 3; executors++) {
                    struct machine *m = machine_made(2, 1, cores, smt);
                    struct topology_wish w = wish_for(workers, executors);
                    struct topology_plan *plan = plan_for(m, &w);
                    bool room = cores > 2 && workers + executors <= 2 * cores && workers + executors < 2 * cores * smt;
                    cr_assert_eq(plan->pinned, room, "%u %u %u %u", cores, smt, workers, executors);
                    cr_assert_gt(CPU_COUNT(&plan->others), 0);
                    free(plan), free(m);
                }
}
