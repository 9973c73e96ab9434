/* SPDX-License-Identifier: Apache-2.0 */
/* Who is put where, on machines of many shapes. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "machine_rig.h"

#define GPUS 8

static const char *others_of(const struct topology_plan *plan)
{
    static char text[256];
    return cpu_list_format(&plan->others, text, sizeof(text));
}

static uint32_t node_of(const struct machine *m, const struct topology_seat *seat)
{
    const struct machine_cpu *c = machine_cpu_find(m, (uint32_t)seat->cpu);
    cr_assert(c, "there is no cpu %d", seat->cpu);
    return c->node;
}

static uint32_t core_of(const struct machine *m, const struct topology_seat *seat)
{
    return machine_cpu_find(m, (uint32_t)seat->cpu)->core;
}

/* What holds for every plan that pins: allowed, a core each, something left over. */
static void check_pinned(const struct machine *m, const struct topology_plan *plan)
{
    bool taken[MACHINE_CPUS_MAX] = {0};
    cr_assert(plan->pinned, "%s", plan->reason);
    for (uint32_t i = 0; i < plan->worker_count + plan->executor_count; i++) {
        const struct topology_seat *seat =
            i < plan->worker_count ? &plan->workers[i] : &plan->executors[i - plan->worker_count];
        cr_assert_geq(seat->cpu, 0);
        cr_assert(machine_cpu_find(m, (uint32_t)seat->cpu)->allowed);
        cr_assert(!taken[core_of(m, seat)], "two sit on the core of cpu %d", seat->cpu);
        taken[core_of(m, seat)] = true;
        cr_assert(seat->reason[0]);
    }
    cr_assert_gt(CPU_COUNT(&plan->others), 0);
}

static void check_unpinned(const struct machine *m, const struct topology_plan *plan, const char *why)
{
    cpu_set_t allowed;
    machine_allowed(m, &allowed);
    cr_assert(!plan->pinned);
    cr_assert(strstr(plan->reason, why), "%s", plan->reason);
    for (uint32_t i = 0; i < plan->worker_count; i++)
        cr_assert_eq(plan->workers[i].cpu, -1);
    for (uint32_t i = 0; i < plan->executor_count; i++)
        cr_assert_eq(plan->executors[i].cpu, -1);
    cr_assert(CPU_EQUAL(&plan->others, &allowed));
}

/* ---- few cores -------------------------------------------------------------------------------------------- */

Test(plan, one_core_is_left_to_the_kernel)
{
    struct machine *m = machine_made(1, 1, 1, 1);
    struct topology_wish w = wish_for(1, 0);
    struct topology_plan *plan = plan_for(m, &w);
    check_unpinned(m, plan, "1 core: too few");
    free(plan), free(m);
}

Test(plan, four_cores_are_left_to_the_kernel)
{
    struct machine *m = machine_made(1, 1, 4, 2);
    struct topology_wish w = wish_for(2, 1);
    struct topology_plan *plan = plan_for(m, &w);
    check_unpinned(m, plan, "4 cores: too few to tie threads to");
    free(plan), free(m);
}

Test(plan, every_core_without_siblings_is_more_than_workers_may_have)
{
    struct machine *m = machine_made(1, 1, 6, 1);
    struct topology_wish w = wish_for(6, 0);
    struct topology_plan *plan = plan_for(m, &w);
    check_unpinned(m, plan, "6 threads for 6 cores");
    free(plan), free(m);
}

Test(plan, siblings_are_no_cores_of_their_own)
{
    struct machine *m = machine_made(1, 1, 6, 2);
    struct topology_wish w = wish_for(6, 1);
    struct topology_plan *plan = plan_for(m, &w);
    check_unpinned(m, plan, "7 threads for 6 cores");
    free(plan), free(m);
}

Test(plan, one_worker_leaves_cpu_0_to_the_kernel)
{
    struct machine *m = machine_made(1, 1, 5, 1);
    struct topology_wish w = wish_for(1, 0);
    struct topology_plan *plan = plan_for(m, &w);
    check_pinned(m, plan);
    cr_assert_eq(plan->workers[0].cpu, 1);
    cr_assert_str_eq(others_of(plan), "0,2-4");
    free(plan), free(m);
}

Test(plan, as_many_threads_as_cores_are_pinned_if_siblings_are_left_for_the_rest)
{
    struct machine *m = machine_made(1, 1, 5, 2);
    struct topology_wish w = wish_for(4, 1);
    struct topology_plan *plan = plan_for(m, &w);
    check_pinned(m, plan);
    cr_assert_str_eq(others_of(plan), "5-9");
    cr_assert(strstr(plan->others_reason, "siblings"));
    free(plan), free(m);
}

Test(plan, compute_threads_float_where_the_cpus_left_are_fewer_than_they)
{
    struct machine *m = machine_made(1, 1, 8, 1);
    struct topology_wish w = wish_for(4, 1);
    w.compute = 4;
    struct topology_plan *plan = plan_for(m, &w);
    check_pinned(m, plan);
    cr_assert_str_eq(others_of(plan), "0-7");
    free(plan);
    w.compute = 3;
    plan = plan_for(m, &w);
    cr_assert_eq(CPU_COUNT(&plan->others), 3);
    free(plan), free(m);
}

Test(plan, off_pins_nobody)
{
    struct machine *m = machine_made(2, 1, 8, 1);
    struct topology_wish w = wish_for(4, 1);
    w.pin = false;
    w.gpu[0] = machine_add(m, MACHINE_GPU, "", "0000:01:00.0", 1);
    struct topology_plan *plan = plan_for(m, &w);
    check_unpinned(m, plan, "topology.mode is off");
    cr_assert_eq(plan->executors[0].node, -1);
    free(plan), free(m);
}

/* ---- what this process may use ----------------------------------------------------------------------------- */

Test(plan, within_a_cpuset_of_six_everyone_sits_inside)
{
    struct machine *m = machine_made(2, 1, 64, 2);
    machine_allow(m, "10-15");
    struct topology_wish w = wish_for(3, 1);
    struct topology_plan *plan = plan_for(m, &w);
    check_pinned(m, plan);
    cr_assert_eq(CPU_COUNT(&plan->others), 2);
    free(plan), free(m);
}

Test(plan, a_cpuset_of_sibling_pairs_counts_cores)
{
    struct machine *m = machine_made(1, 1, 8, 2);
    machine_allow(m, "2-6,10-14");
    cr_assert_eq(machine_cores_allowed(m), 5);
    cr_assert_eq(machine_capacity(m), 10);
    struct topology_wish w = wish_for(5, 1);
    struct topology_plan *plan = plan_for(m, &w);
    check_unpinned(m, plan, "6 threads for 5 cores");
    free(plan), free(m);
}

Test(plan, where_only_second_siblings_are_allowed_they_serve_as_well)
{
    struct machine *m = machine_made(1, 1, 8, 2);
    machine_allow(m, "8-15");
    struct topology_wish w = wish_for(2, 1);
    struct topology_plan *plan = plan_for(m, &w);
    check_pinned(m, plan);
    free(plan), free(m);
}

Test(plan, a_quota_counts_and_ties_nobody_to_a_cpu_that_others_share)
{
    struct machine *m = machine_made(2, 1, 64, 2);
    m->quota_milli = 5500;
    cr_assert_eq(machine_capacity(m), 6);
    struct topology_wish w = wish_for(3, 1);
    struct topology_plan *plan = plan_for(m, &w);
    check_unpinned(m, plan, "a quota of 5.50 cpus over 256");
    free(plan), free(m);
}

Test(plan, a_quota_of_all_cpus_is_none)
{
    struct machine *m = machine_made(1, 1, 8, 1);
    m->quota_milli = 8000;
    struct topology_wish w = wish_for(3, 1);
    struct topology_plan *plan = plan_for(m, &w);
    check_pinned(m, plan);
    free(plan), free(m);
}

Test(plan, a_quota_below_one_cpu_still_leaves_one)
{
    struct machine *m = machine_made(1, 1, 8, 1);
    m->quota_milli = 100;
    cr_assert_eq(machine_capacity(m), 1);
    free(m);
}

/* ---- near to devices --------------------------------------------------------------------------------------- */

/* Two packages with four GPUs and a card each. */
static struct machine *gpu_host(struct topology_wish *w)
{
    struct machine *m = machine_made(2, 1, 64, 2);
    *w = wish_for(8, GPUS);
    for (int i = 0; i < GPUS; i++) {
        char bus[16];
        snprintf(bus, sizeof(bus), "0000:%02x:00.0", 16 * (i + 1));
        w->gpu[i] = machine_add(m, MACHINE_GPU, "H200", bus, i / 4);
    }
    machine_add(m, MACHINE_NIC, "eth0", "0000:c1:00.0", 0);
    machine_add(m, MACHINE_NIC, "eth1", "0000:c2:00.0", 1);
    return m;
}

Test(plan, each_executor_sits_on_the_node_of_its_gpu_and_has_its_memory_there)
{
    struct topology_wish w;
    struct machine *m = gpu_host(&w);
    struct topology_plan *plan = plan_for(m, &w);
    check_pinned(m, plan);
    for (int i = 0; i < GPUS; i++) {
        cr_assert_eq(node_of(m, &plan->executors[i]), (uint32_t)i / 4);
        cr_assert_eq(plan->executors[i].node, i / 4);
        cr_assert_eq(plan->executors[i].device, w.gpu[i]);
        cr_assert(strstr(plan->executors[i].reason, m->devices[w.gpu[i]].bus));
    }
    free(plan), free(m);
}

Test(plan, workers_take_turns_beside_the_cards_that_are_listened_on)
{
    struct topology_wish w;
    struct machine *m = gpu_host(&w);
    w.nics = (struct machine_nics){2, {GPUS, GPUS + 1}};
    struct topology_plan *plan = plan_for(m, &w);
    check_pinned(m, plan);
    for (uint32_t i = 0; i < plan->worker_count; i++) {
        cr_assert_eq(node_of(m, &plan->workers[i]), i % 2);
        cr_assert_eq(plan->workers[i].device, GPUS + (int)i % 2);
    }
    free(plan), free(m);
}

Test(plan, workers_of_one_card_all_sit_on_its_node)
{
    struct topology_wish w;
    struct machine *m = gpu_host(&w);
    w.nics = (struct machine_nics){1, {GPUS + 1}};
    struct topology_plan *plan = plan_for(m, &w);
    for (uint32_t i = 0; i < plan->worker_count; i++)
        cr_assert_eq(node_of(m, &plan->workers[i]), 1u);
    free(plan), free(m);
}

Test(plan, workers_that_only_loopback_calls_sit_near_the_executors)
{
    struct machine *m = machine_made(2, 1, 16, 1);
    struct topology_wish w = wish_for(4, 1);
    w.gpu[0] = machine_add(m, MACHINE_GPU, "", "0000:81:00.0", 1);
    struct topology_plan *plan = plan_for(m, &w);
    check_pinned(m, plan);
    for (uint32_t i = 0; i < plan->worker_count; i++)
        cr_assert_eq(node_of(m, &plan->workers[i]), 1u);
    free(plan), free(m);
}

Test(plan, a_worker_for_whom_its_executors_node_has_no_core_left_is_not_said_to_be_near)
{
    struct machine *m = machine_made(2, 1, 4, 2);
    struct topology_wish w = wish_for(4, 1);
    w.gpu[0] = machine_add(m, MACHINE_GPU, "", "0000:81:00.0", 1);
    struct topology_plan *plan = plan_for(m, &w);
    check_pinned(m, plan);
    for (uint32_t i = 0; i < plan->worker_count; i++) {
        bool near = node_of(m, &plan->workers[i]) == 1;
        cr_assert_eq(near, i < 3);
        cr_assert(
            strstr(plan->workers[i].reason, near ? ", near its executor" : "none is left near its executor"),
            "%s", plan->workers[i].reason);
    }
    free(plan), free(m);
}

Test(plan, siblings_of_our_cores_stay_idle)
{
    struct topology_wish w;
    struct machine *m = gpu_host(&w);
    struct topology_plan *plan = plan_for(m, &w);
    for (uint32_t i = 0; i < m->cpu_count; i++) {
        const struct machine_cpu *c = &m->cpus[i];
        for (uint32_t e = 0; e < plan->executor_count; e++)
            if (c->core == core_of(m, &plan->executors[e]))
                cr_assert(!CPU_ISSET(c->number, &plan->others));
    }
    free(plan), free(m);
}

Test(plan, with_the_gpus_node_full_the_next_in_its_package_comes_before_the_other_package)
{
    struct machine *m = machine_made(2, 2, 2, 1);
    struct topology_wish w = wish_for(1, 3);
    for (int i = 0; i < 3; i++)
        w.gpu[i] = machine_add(m, MACHINE_GPU, "", "0000:01:00.0", 3);
    struct topology_plan *plan = plan_for(m, &w);
    check_pinned(m, plan);
    cr_assert_eq(node_of(m, &plan->executors[0]), 3u);
    cr_assert_eq(node_of(m, &plan->executors[1]), 3u);
    cr_assert_eq(node_of(m, &plan->executors[2]), 2u);
    cr_assert(strstr(plan->executors[2].reason, "no core left"));
    free(plan), free(m);
}

Test(plan, a_gpus_node_outside_of_our_cpuset_is_said_to_be_full)
{
    struct machine *m = machine_made(2, 1, 8, 1);
    machine_allow(m, "0-7");
    struct topology_wish w = wish_for(2, 1);
    w.gpu[0] = machine_add(m, MACHINE_GPU, "", "0000:81:00.0", 1);
    struct topology_plan *plan = plan_for(m, &w);
    check_pinned(m, plan);
    cr_assert(strstr(plan->executors[0].reason, "no core left in the package of GPU 0000:81:00.0"), "%s",
              plan->executors[0].reason);
    free(plan), free(m);
}

Test(plan, a_device_near_to_all_nodes_goes_with_any)
{
    struct machine *m = machine_made(2, 1, 8, 1);
    struct topology_wish w = wish_for(2, 1);
    w.gpu[0] = machine_add(m, MACHINE_GPU, "", "0000:01:00.0", -1);
    struct topology_plan *plan = plan_for(m, &w);
    check_pinned(m, plan);
    cr_assert(strstr(plan->executors[0].reason, "near to every core"));
    free(plan), free(m);
}

Test(plan, with_one_node_memory_needs_no_choice)
{
    struct machine *m = machine_made(1, 1, 8, 1);
    struct topology_wish w = wish_for(2, 1);
    w.gpu[0] = machine_add(m, MACHINE_GPU, "", "0000:01:00.0", 0);
    struct topology_plan *plan = plan_for(m, &w);
    cr_assert_eq(plan->executors[0].node, -1);
    cr_assert_eq(plan->workers[0].node, -1);
    free(plan), free(m);
}

Test(plan, rows_lie_by_the_gpu_even_if_its_executor_is_not_pinned)
{
    struct machine *m = machine_made(2, 1, 8, 1);
    m->quota_milli = 4000;
    struct topology_wish w = wish_for(2, 1);
    w.gpu[0] = machine_add(m, MACHINE_GPU, "", "0000:81:00.0", 1);
    struct topology_plan *plan = plan_for(m, &w);
    cr_assert_eq(plan->executors[0].cpu, -1);
    cr_assert_eq(plan->executors[0].node, 1);
    free(plan), free(m);
}

Test(plan, the_largest_numbers_of_threads_fit)
{
    struct machine *m = machine_made(2, 4, 64, 2);
    struct topology_wish w = wish_for(TOPOLOGY_WORKERS_MAX, TOPOLOGY_EXECUTORS_MAX);
    struct topology_plan *plan = plan_for(m, &w);
    check_pinned(m, plan);
    free(plan), free(m);
}

/* ---- the operator's lists ---------------------------------------------------------------------------------- */

static struct cpu_list listed(const char *text)
{
    struct cpu_list list;
    char why[CPU_LIST_WHY_BYTES] = "";
    cr_assert_eq(cpu_list_parse(text, &list, why), 0, "%s", why);
    return list;
}

static void check_refused(const struct machine *m, const struct topology_wish *w, const char *key, const char *why)
{
    static struct topology_plan plan;
    const char *wrong = "";
    char said[TOPOLOGY_WHY_BYTES] = "";
    cr_assert_eq(topology_plan_make(m, w, &plan, &wrong, said), -EINVAL);
    cr_assert_str_eq(wrong, key);
    cr_assert_str_eq(said, why);
}

Test(lists, workers_and_executors_sit_where_they_say_in_their_order)
{
    struct machine *m = machine_made(1, 1, 8, 1);
    struct topology_wish w = wish_for(2, 1);
    w.worker_cpus = listed("5,3");
    w.executor_cpus = listed("0");
    struct topology_plan *plan = plan_for(m, &w);
    cr_assert_eq(plan->workers[0].cpu, 5);
    cr_assert_eq(plan->workers[1].cpu, 3);
    cr_assert_eq(plan->executors[0].cpu, 0);
    cr_assert_str_eq(others_of(plan), "1-2,4,6-7");
    free(plan), free(m);
}

Test(lists, what_they_leave_open_is_chosen_elsewhere)
{
    struct machine *m = machine_made(1, 1, 8, 2);
    struct topology_wish w = wish_for(1, 1);
    w.worker_cpus = listed("1");
    struct topology_plan *plan = plan_for(m, &w);
    check_pinned(m, plan);
    cr_assert_eq(plan->workers[0].cpu, 1);
    cr_assert_neq(core_of(m, &plan->executors[0]), core_of(m, &plan->workers[0]));
    free(plan), free(m);
}

Test(lists, they_count_where_the_mode_is_off)
{
    struct machine *m = machine_made(1, 1, 4, 1);
    struct topology_wish w = wish_for(1, 1);
    w.pin = false;
    w.worker_cpus = listed("2");
    struct topology_plan *plan = plan_for(m, &w);
    cr_assert_eq(plan->workers[0].cpu, 2);
    cr_assert_eq(plan->executors[0].cpu, -1);
    cr_assert(!plan->pinned);
    free(plan), free(m);
}

Test(lists, they_count_under_a_quota_and_on_few_cores)
{
    struct machine *m = machine_made(1, 1, 2, 1);
    m->quota_milli = 1000;
    struct topology_wish w = wish_for(1, 1);
    w.worker_cpus = listed("1");
    w.executor_cpus = listed("0");
    struct topology_plan *plan = plan_for(m, &w);
    cr_assert(plan->pinned);
    cr_assert_eq(plan->workers[0].cpu, 1);
    cr_assert_eq(plan->executors[0].cpu, 0);
    cr_assert_str_eq(others_of(plan), "0-1");
    free(plan), free(m);
}

Test(lists, a_sibling_that_is_taken_is_mentioned)
{
    struct machine *m = machine_made(1, 1, 4, 2);
    struct topology_wish w = wish_for(1, 1);
    w.worker_cpus = listed("5");
    w.executor_cpus = listed("1");
    struct topology_plan *plan = plan_for(m, &w);
    cr_assert(strstr(plan->workers[0].reason, "sibling"));
    cr_assert(!strstr(plan->executors[0].reason, "sibling"));
    free(plan), free(m);
}

Test(lists, a_cpu_that_is_not_there_is_refused)
{
    struct machine *m = machine_made(1, 1, 4, 1);
    struct topology_wish w = wish_for(1, 1);
    w.worker_cpus = listed("4");
    check_refused(m, &w, "worker_cpus", "there is no cpu 4 on this machine (allowed: 0-3)");
    free(m);
}

Test(lists, a_cpu_outside_of_the_cpuset_is_refused_even_if_it_goes_unused)
{
    struct machine *m = machine_made(1, 1, 8, 1);
    machine_allow(m, "0-2,6");
    struct topology_wish w = wish_for(1, 1);
    w.executor_cpus = listed("2,5");
    check_refused(m, &w, "executor_cpus", "cpu 5 is not allowed to this process (allowed: 0-2,6)");
    free(m);
}

Test(lists, too_short_a_list_is_refused)
{
    struct machine *m = machine_made(1, 1, 8, 1);
    struct topology_wish w = wish_for(3, 1);
    w.worker_cpus = listed("2");
    check_refused(m, &w, "worker_cpus", "names 1 cpu for 3 workers");
    free(m);
}

Test(lists, worker_and_executor_on_one_cpu_are_refused)
{
    struct machine *m = machine_made(1, 1, 8, 1);
    struct topology_wish w = wish_for(2, 1);
    w.worker_cpus = listed("2-3");
    w.executor_cpus = listed("3");
    check_refused(m, &w, "executor_cpus", "cpu 3 is in topology.worker_cpus too");
    free(m);
}
