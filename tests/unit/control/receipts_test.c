/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts: signed, delivered once, across outages, new keys and the end of the process. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "directory_rig.h"

static void join(void)
{
    rig_init();
    rig_start();
    rig_run(SECOND);
}

TestSuite(receipts, .init = join, .fini = rig_finish);

static uint64_t count(enum directory_counter which)
{
    return atomic_load_explicit(&directory_metrics(rig.node)->counters[which], memory_order_relaxed);
}

static void finish_task(uint32_t number)
{
    struct iicp_event e = rig_task(number);
    directory_task_finished(rig.node, &e);
}

static void be_ill(enum sim_fault fault, uint32_t status)
{
    rig.far.fault = fault;
    rig.far.fault_path = "/v1/credits/award";
    rig.far.fault_status = status;
}

Test(receipts, each_task_is_awarded_once)
{
    for (uint32_t i = 0; i < 50; i++)
        finish_task(i);
    rig_run(2 * SECOND);
    cr_assert_eq(rig.far.awards, 50);
    cr_assert_eq(rig.far.bad_signatures, 0);
    cr_assert_eq(count(DIRECTORY_COUNTER_RECEIPTS_SENT), 50);
    cr_assert_str_eq(rig.far.last_award.authorization, "Bearer token-1");
    cr_assert(strstr(rig.far.last_award.body, "\"reason\":\"task_completion\""));
}

Test(receipts, a_page_with_status_200_is_no_award)
{
    be_ill(SIM_GARBAGE, 0);
    finish_task(1);
    rig_run(10 * SECOND);
    cr_assert_eq(count(DIRECTORY_COUNTER_RECEIPTS_SENT), 0);
    rig.far.fault = SIM_WELL;
    rig_run(60 * SECOND);
    cr_assert_eq(count(DIRECTORY_COUNTER_RECEIPTS_SENT), 1);
    cr_assert_eq(rig.far.awards, 1);
}

Test(receipts, an_outage_is_waited_out)
{
    be_ill(SIM_STATUS, 503);
    for (uint32_t i = 0; i < 20; i++)
        finish_task(i);
    uint64_t before = rig.sim.last_id;
    rig_run(60 * SECOND);
    cr_assert_lt(rig.sim.last_id - before, 24, "a pause, not a storm");
    cr_assert_eq(rig.far.awards, 0);
    rig.far.fault = SIM_WELL;
    rig_run(40 * SECOND);
    cr_assert_eq(rig.far.awards, 20);
}

Test(receipts, an_answer_that_was_lost_costs_nothing)
{
    be_ill(SIM_LOST_REPLY, 0);
    finish_task(1);
    rig_run(8 * SECOND);
    rig.far.fault = SIM_WELL;
    rig_run(10 * SECOND);
    cr_assert_eq(rig.far.awards, 1);
    cr_assert_eq(rig.far.award_conflicts, 1, "the second time it was known");
    cr_assert_eq(count(DIRECTORY_COUNTER_RECEIPTS_SENT), 1);
}

Test(receipts, after_five_minutes_they_are_void)
{
    be_ill(SIM_DOWN, 0);
    finish_task(1);
    rig_run(299 * SECOND);
    cr_assert_eq(count(DIRECTORY_COUNTER_RECEIPTS_EXPIRED), 0);
    rig_run(60 * SECOND);
    cr_assert_eq(count(DIRECTORY_COUNTER_RECEIPTS_EXPIRED), 1);
    rig.far.fault = SIM_WELL;
    rig_run(60 * SECOND);
    cr_assert_eq(rig.far.awards, 0);
}

Test(receipts, a_refusal_is_final)
{
    be_ill(SIM_STATUS, 422);
    finish_task(1);
    rig_run(60 * SECOND);
    cr_assert_eq(count(DIRECTORY_COUNTER_RECEIPTS_REFUSED), 1);
}

Test(receipts, a_new_key_signs_what_the_old_one_could_not_deliver)
{
    be_ill(SIM_STATUS, 503);
    finish_task(1);
    rig_run(SECOND);
    rig.far.registered = rig.far.listed = false;
    rig_run(60 * SECOND);
    rig.far.fault = SIM_WELL;
    rig_run(60 * SECOND);
    cr_assert_str_eq(rig.keys->hmac_key, "key-2");
    cr_assert_eq(rig.far.awards, 1);
    cr_assert_eq(rig.far.bad_signatures, 0);
}

Test(receipts, the_oldest_make_room)
{
    be_ill(SIM_DOWN, 0);
    for (uint32_t i = 0; i < 70; i++)
        finish_task(i);
    cr_assert_eq(count(DIRECTORY_COUNTER_RECEIPTS_DROPPED), 6, "64 are kept");
    rig.far.fault = SIM_WELL;
    rig_run(60 * SECOND);
    cr_assert_eq(rig.far.awards, 64);
}

Test(receipts, they_survive_the_process)
{
    be_ill(SIM_DOWN, 0);
    for (uint32_t i = 0; i < 10; i++)
        finish_task(i);
    rig_run(3 * SECOND);
    rig_restart();
    rig.far.fault = SIM_WELL;
    rig_run(60 * SECOND);
    cr_assert_eq(rig.far.awards, 10);
    rig_restart();
    rig_run(60 * SECOND);
    cr_assert_eq(rig.far.awards + rig.far.award_conflicts, 10, "delivered is delivered");
}

Test(receipts, what_was_delivered_before_its_end_was_noted_is_known_to_the_directory)
{
    be_ill(SIM_LOST_REPLY, 0);
    finish_task(1);
    rig_run(SECOND);
    rig_restart();
    rig.far.fault = SIM_WELL;
    rig_run(60 * SECOND);
    cr_assert_eq(rig.far.awards, 1);
    cr_assert_eq(rig.far.award_conflicts, 1);
}

static const char *file_of_receipts(void)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/receipts/default.log", rig.state_dir);
    return path;
}

Test(receipts, a_torn_last_line_costs_only_itself)
{
    struct stat st;
    be_ill(SIM_DOWN, 0);
    finish_task(1);
    finish_task(2);
    cr_assert_eq(stat(file_of_receipts(), &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600);
    cr_assert_eq(truncate(file_of_receipts(), st.st_size - 5), 0);
    rig_restart();
    rig.far.fault = SIM_WELL;
    rig_run(60 * SECOND);
    cr_assert_eq(rig.far.awards, 1);
}

Test(receipts, a_damaged_file_is_survived)
{
    int fd = open(file_of_receipts(), O_WRONLY | O_TRUNC);
    static const char junk[] =
        "{}\n[1]\nnot "
        "json\n{\"nonce\":5}\n{\"nonce\":\"00112233445566778899aabbccddeeff\",\"tokens\":-1}\n\n";
    cr_assert_eq(write(fd, junk, sizeof(junk) - 1), (ssize_t)sizeof(junk) - 1);
    close(fd);
    rig_restart();
    finish_task(3);
    rig_run(30 * SECOND);
    cr_assert_eq(rig.far.awards, 1);
}

Test(receipts, the_file_does_not_grow_with_what_is_delivered)
{
    struct stat st;
    for (uint32_t i = 0; i < 4000; i++) {
        finish_task(i % 100);
        rig.far.nonce_count = 0;
        rig_run(SECOND / 10);
    }
    cr_assert_eq(stat(file_of_receipts(), &st), 0);
    cr_assert_lt(st.st_size, 400000);
    cr_assert_eq(rig.far.awards, 4000);
}

Test(receipts, hostile_ids_are_carried_whole)
{
    struct iicp_event e = rig_task(1);
    e.id_len = IICP_EVENT_ID_MAX;
    memset(e.id, '"', sizeof(e.id));
    e.requester_len = IICP_EVENT_NODE_MAX;
    memset(e.requester, '\\', sizeof(e.requester));
    be_ill(SIM_DOWN, 0);
    directory_task_finished(rig.node, &e);
    rig_run(SECOND);
    rig_restart();
    rig.far.fault = SIM_WELL;
    rig_run(30 * SECOND);
    cr_assert_eq(rig.far.awards, 1);
    cr_assert_eq(rig.far.bad_signatures, 0);
}
