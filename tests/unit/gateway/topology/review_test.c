/* SPDX-License-Identifier: Apache-2.0 */
/* What is said against plans, on machines of many shapes. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include "gateway/topology/review.h"
#include "machine_rig.h"

static void name_cpus(struct cpu_list *list, const char *text)
{
    char why[CPU_LIST_WHY_BYTES] = "";
    cr_assert_eq(cpu_list_parse(text, list, why), 0, "%s", why);
}

static struct topology_review review_of(const struct machine *m, const struct topology_wish *w)
{
    struct topology_plan *plan = plan_for(m, w);
    struct topology_review r;
    topology_review(m, w, plan, &r);
    free(plan);
    return r;
}

static void assert_concern(const struct machine *m, const struct topology_wish *w, const char *what,
                           const char *todo)
{
    struct topology_review r = review_of(m, w);
    cr_assert_gt(r.concerns, 0u, "%s", r.what);
    cr_expect(strstr(r.what, what), "%s", r.what);
    cr_expect(strstr(r.todo, todo), "%s", r.todo);
}

/* Two packages, a GPU on each node, a card on the second. */
static struct machine *gpu_host(void)
{
    struct machine *m = machine_made(2, 1, 16, 2);
    machine_add(m, MACHINE_GPU, "NVIDIA H200", "0000:18:00.0", 0);
    machine_add(m, MACHINE_GPU, "NVIDIA H200", "0000:98:00.0", 1);
    machine_add(m, MACHINE_NIC, "eth0", "0000:9a:00.0", 1);
    return m;
}

static struct topology_wish gpu_wish(uint32_t workers)
{
    struct topology_wish w = wish_for(workers, 2);
    w.gpu[0] = 0;
    w.gpu[1] = 1;
    w.nics = (struct machine_nics){.count = 1, .device = {2}};
    return w;
}

Test(review, a_plan_with_everybody_near_is_fine_and_told_in_short)
{
    struct machine *m = gpu_host();
    struct topology_wish w = gpu_wish(4);
    struct topology_review r = review_of(m, &w);
    cr_expect_eq(r.concerns, 0u, "%s", r.what);
    cr_expect_str_eq(
        r.what, "4 workers by the network card, 2 executors, 2 by their GPUs, 32 cores on 2 nodes; pinned: each "
                "worker and executor has a core of its own");
    cr_expect_str_eq(r.todo, "");
    free(m);
}

Test(review, inline_on_few_cores_is_fine)
{
    struct machine *m = machine_made(1, 1, 2, 1);
    struct topology_wish w = wish_for(2, 0);
    struct topology_review r = review_of(m, &w);
    cr_expect_eq(r.concerns, 0u, "%s", r.what);
    cr_expect(strstr(r.what, "2 workers, executors inline, 2 cores on 1 node; not pinned: "), "%s", r.what);
    free(m);
}

Test(review, more_threads_than_cores_that_a_cpuset_allows)
{
    struct machine *m = machine_made(1, 1, 8, 2);
    struct topology_wish w = wish_for(2, 1);
    machine_allow(m, "0-1,8-9");
    assert_concern(m, &w, "3 workers and executors for 2 cores (cpus 0-1,8-9 of 16 are allowed)",
                   "server.workers");
    free(m);
}

Test(review, a_quota_below_the_threads)
{
    struct machine *m = machine_made(1, 1, 8, 1);
    struct topology_wish w = wish_for(2, 1);
    m->quota_milli = 3000;
    cr_expect_eq(review_of(m, &w).concerns, 0u, "it pays for all three");
    m->quota_milli = 1500;
    assert_concern(m, &w, "a quota of 1.50 cpus for 3 threads", "CPUQuota=");
    struct topology_wish alone = wish_for(1, 0);
    m->quota_milli = 500;
    assert_concern(m, &alone, "a quota of 0.50 cpus for 1 thread:", "raise the quota");
    free(m);
}

Test(review, siblings_by_the_operators_lists_share_a_core)
{
    struct machine *m = machine_made(1, 1, 8, 2);
    struct topology_wish w = wish_for(2, 1);
    name_cpus(&w.worker_cpus, "2,3");
    name_cpus(&w.executor_cpus, "10");
    assert_concern(m, &w, "executor 0 on cpu 10 and worker 0 on cpu 2 share a core", "different cores");
    free(m);
}

Test(review, an_executor_on_another_node_than_its_gpu)
{
    struct machine *m = gpu_host();
    struct topology_wish w = gpu_wish(2);
    name_cpus(&w.executor_cpus, "20,21");
    assert_concern(m, &w,
                   "executor 0 on cpu 20 and its rows are on node 1, its GPU 0000:18:00.0 is on node 0",
                   "topology.executor_cpus");
    free(m);
}

Test(review, a_worker_on_another_node_than_its_card)
{
    struct machine *m = gpu_host();
    struct topology_wish w = gpu_wish(2);
    name_cpus(&w.worker_cpus, "17,2");
    assert_concern(m, &w, "worker 1 on cpu 2 is on node 0, its network card on node 1",
                   "topology.worker_cpus");
    free(m);
}

Test(review, workers_that_fill_the_node_of_their_card_spill_over)
{
    struct machine *m = gpu_host();
    struct topology_wish w = gpu_wish(18);
    assert_concern(m, &w, "is on node 0, its network card on node 1", "server.workers");
    free(m);
}

Test(review, nobody_pinned_on_a_machine_of_several_nodes)
{
    struct machine *m = gpu_host();
    struct topology_wish w = gpu_wish(2);
    w.pin = false;
    assert_concern(m, &w, "2 nodes and nobody is pinned (topology.mode is off)", "topology.mode");
    free(m);
}

Test(review, the_most_pressing_concern_is_told_and_the_others_are_counted)
{
    struct machine *m = gpu_host();
    struct topology_wish w = gpu_wish(2);
    name_cpus(&w.executor_cpus, "20,52");
    name_cpus(&w.worker_cpus, "2,17");
    struct topology_review r = review_of(m, &w);
    cr_expect(strstr(r.what, "share a core"), "%s", r.what);
    cr_expect_eq(r.concerns, 3u, "siblings, a far executor, a far worker: %u", r.concerns);
    free(m);
}
