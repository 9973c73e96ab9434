/* SPDX-License-Identifier: Apache-2.0 */
/* Staying in: heartbeats, self-healing, batches that reconcile, a day of trouble in no time. */
#include "directory_rig.h"

TestSuite(beat, .init = rig_init, .fini = rig_finish);

static uint64_t failures(enum beat_failure reason)
{
    return atomic_load_explicit(&directory_metrics(rig.node)->failures[reason], memory_order_relaxed);
}

static void be_ill(enum sim_fault fault, const char *path, uint32_t status)
{
    rig.far.fault = fault;
    rig.far.fault_path = path;
    rig.far.fault_status = status;
}

static void finish_tasks(uint64_t success, uint64_t failed)
{
    rig.load.tasks.success += success;
    rig.load.tasks.failed += failed;
    rig.load.tasks.latency_us += (success + failed) * 38500;
}

Test(beat, one_every_half_minute_with_load_and_challenge)
{
    rig.load.active = 1;
    rig_start();
    rig_run(10 * 30 * SECOND + SECOND);
    cr_assert_eq(rig.far.beats, 11);
    cr_assert_eq(rig.far.challenges_right, 10);
    cr_assert_eq(rig.far.challenges_wrong, 0);
    cr_assert(strstr(rig.far.last_beat.body, "\"load\":0.25,\"active_jobs\":1,\"max_concurrent\":4"));
    cr_assert(strstr(rig.far.last_beat.body, "\"status\":\"available\",\"available\":true"));
    cr_assert_not(strstr(rig.far.last_beat.body, "metrics"), "no news, no batch");
    cr_assert_not(strstr(rig.far.last_beat.body, "health_models"), "not known, not told");
}

Test(beat, full_and_leaving_nodes_are_not_available)
{
    rig.load.active = 4;
    rig_start();
    rig_run(SECOND);
    cr_assert(strstr(rig.far.last_beat.body, "\"available\":false,\"load\":1"));
    rig.load = (struct heartbeat_sample){.leaving = true};
    rig_run(30 * SECOND);
    cr_assert(strstr(rig.far.last_beat.body, "\"available\":false,\"load\":0"));
}

Test(beat, the_directory_may_ask_for_another_pace_within_bounds)
{
    rig.far.next_heartbeat_ms = 10000;
    rig_start();
    rig_run(101 * SECOND);
    cr_assert_eq(rig.far.beats, 11);
    rig.far.next_heartbeat_ms = 1;
    rig_run(10 * SECOND);
    uint32_t before = rig.far.beats;
    rig_run(10 * SECOND);
    cr_assert_leq(rig.far.beats - before, 10, "not faster than a second");
    rig.far.next_heartbeat_ms = 3600000;
    rig_run(2 * SECOND);
    before = rig.far.beats;
    rig_run(120 * SECOND);
    cr_assert_eq(rig.far.beats - before, 2, "not slower than a minute");
}

Test(beat, a_lost_token_is_replaced_at_once)
{
    rig_start();
    rig_run(SECOND);
    rig.far.issued = 7; /* somebody else's restore of a backup, say */
    rig_run(31 * SECOND);
    cr_assert_eq(rig.far.wrong_tokens, 1);
    cr_assert_eq(rig.far.registers, 2);
    cr_assert_str_eq(rig.keys->node_token, "token-8");
    cr_assert(strstr(rig.far.last_register.body, "\"current_node_token\":\"token-1\""));
    rig_run(31 * SECOND);
    cr_assert_eq(rig.far.beats, 2);
    cr_assert_eq(failures(BEAT_FAILURE_STRANGER), 1);
}

Test(beat, a_directory_that_forgot_everything_gets_us_back)
{
    rig_start();
    rig_run(SECOND);
    rig.far.registered = rig.far.listed = false;
    rig_run(31 * SECOND);
    cr_assert(rig.far.registered);
    cr_assert_eq(directory_state(rig.node), DIRECTORY_MEMBER);
}

Test(beat, gone_is_registered_again_without_hammering)
{
    rig_start();
    rig_run(SECOND);
    be_ill(SIM_STATUS, "/v1/heartbeat", 410);
    rig_run(300 * SECOND);
    cr_assert_leq(rig.far.registers, 4, "at twice the distance each time");
    cr_assert_geq(rig.far.registers, 3);
}

/* Half an hour of it: a handful of registrations, and no more than a line for each. */
Test(beat, registering_anew_becomes_rare_while_no_beat_is_accepted)
{
    rig_start();
    rig_run(35 * SECOND);
    rig.far.fault = SIM_STATUS;
    rig.far.fault_status = 401;
    rig.far.fault_path = "/v1/heartbeat";
    rig_run(1800 * SECOND);
    uint32_t registered = rig.far.registers;
    cr_assert(registered >= 4 && registered <= 8, "%u", registered);
    rig.far.fault = SIM_WELL;
    rig_run(3600 * SECOND);
    cr_assert(rig.far.registers <= registered + 2);
    uint32_t beats = rig.far.beats;
    rig_run(65 * SECOND);
    cr_assert_geq(rig.far.beats, beats + 2);
}

Test(beat, a_doubted_directory_key_is_asked_for_again_but_not_all_the_time)
{
    rig.far.public_key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    rig_start();
    rig_run(300 * SECOND);
    cr_assert_eq(rig.far.key_looks, 1);
    rig.far.public_key = "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    rig.doubted = true;
    rig_run(65 * SECOND);
    cr_assert_eq(rig.far.key_looks, 2);
    cr_assert_eq(rig.keys->directory_key[0], 0xff);
    for (int i = 0; i < 100; i++) {
        rig.doubted = true;
        rig_run(3 * SECOND);
    }
    cr_assert_leq(rig.far.key_looks, 2 + 300 / 60 + 1);
}

Test(beat, outages_are_counted_by_reason_and_outlasted)
{
    rig_start();
    rig_run(SECOND);
    be_ill(SIM_STATUS, "/v1/heartbeat", 500);
    rig_run(60 * SECOND);
    be_ill(SIM_STATUS, "/v1/heartbeat", 429);
    rig_run(60 * SECOND);
    be_ill(SIM_DOWN, "/v1/heartbeat", 0);
    rig_run(60 * SECOND);
    be_ill(SIM_LOST_REPLY, "/v1/heartbeat", 0);
    rig_run(60 * SECOND);
    be_ill(SIM_GARBAGE, "/v1/heartbeat", 0);
    rig_run(60 * SECOND);
    be_ill(SIM_STATUS, "/v1/heartbeat", 422);
    rig_run(60 * SECOND);
    cr_assert_eq(failures(BEAT_FAILURE_SERVER), 2);
    cr_assert_eq(failures(BEAT_FAILURE_LIMITED), 2);
    cr_assert_eq(failures(BEAT_FAILURE_NETWORK), 2);
    cr_assert_eq(failures(BEAT_FAILURE_TIMEOUT), 2);
    cr_assert_eq(failures(BEAT_FAILURE_MALFORMED), 2);
    cr_assert_eq(failures(BEAT_FAILURE_REFUSED), 2);
    cr_assert(directory_in_trouble(rig.node, rig.sim.now_ns));
    rig.far.fault = SIM_WELL;
    rig_run(60 * SECOND);
    cr_assert_eq(rig.far.registers, 1, "none of these needs a new registration");
    cr_assert_not(directory_in_trouble(rig.node, rig.sim.now_ns));
}

Test(beat, a_batch_whose_answer_was_lost_is_sent_again_unchanged)
{
    rig_start();
    rig_run(SECOND);
    finish_tasks(12, 1);
    be_ill(SIM_LOST_REPLY, "/v1/heartbeat", 0);
    rig_run(30 * SECOND);
    cr_assert(
        strstr(rig.far.last_beat.body, "{\"tasks_success\":12,\"tasks_failed\":1,\"avg_latency_ms\":38.5}"));
    finish_tasks(5, 0);
    rig_run(30 * SECOND);
    cr_assert(strstr(rig.far.last_beat.body, "\"tasks_success\":12,\"tasks_failed\":1"));
    rig.far.fault = SIM_WELL;
    rig_run(60 * SECOND);
    cr_assert_eq(rig.far.success, 17);
    cr_assert_eq(rig.far.failed, 1);
    cr_assert_eq(rig.far.batch_count, 2);
}

Test(beat, another_batch_acknowledged_is_not_ours)
{
    rig.far.batch_reply = "somebody-elses";
    finish_tasks(3, 0);
    rig_start();
    rig_run(61 * SECOND);
    cr_assert_eq(rig.far.batch_count, 1);
    cr_assert(strstr(rig.far.last_beat.body, "metrics_batch_id"), "still outstanding");
}

Test(beat, a_burst_is_told_in_batches_of_a_thousand)
{
    finish_tasks(2500, 1100);
    rig_start();
    rig_run(31 * SECOND);
    cr_assert_eq(rig.far.success, 2000);
    cr_assert_eq(rig.far.failed, 1100);
    rig_run(30 * SECOND);
    cr_assert_eq(rig.far.success, 2500);
    cr_assert(strstr(rig.far.last_beat.body, "\"avg_latency_ms\":38.5"), "the shares of latency add up");
}

Test(beat, a_node_that_the_registry_lost_registers_again)
{
    rig_start();
    rig_run(SECOND);
    rig.far.listed = false;
    rig_run(31 * SECOND);
    cr_assert_eq(rig.far.registers, 2, "seen after the second beat");
    cr_assert_eq(rig.exit_code, 0);
}

static void forget_in_registry(void)
{
    for (int i = 0; i < 3; i++) {
        rig.far.listed = false;
        rig_run(61 * SECOND);
    }
}

Test(beat, three_absences_in_a_row_end_a_supervised_process)
{
    rig.options.supervised = true;
    rig_start();
    rig_run(SECOND);
    forget_in_registry();
    cr_assert_eq(rig.exit_code, 76);
    cr_assert_eq(rig.far.registers, 3, "not once more, by a process that ends");
    directory_leave(rig.node);
    rig_run(SECOND);
    cr_assert_eq(rig.far.deregistered, 1);
}

Test(beat, an_unsupervised_process_stays)
{
    rig_start();
    rig_run(SECOND);
    forget_in_registry();
    cr_assert_geq(rig.far.registers, 4);
    cr_assert_eq(rig.exit_code, 0);
}

Test(beat, changed_models_are_registered_and_only_then_told)
{
    static const bool from_backend[] = {true};
    rig.options.from_backend = from_backend;
    rig.options.backend = (struct backend_options){
        .url = "http://127.0.0.1:11434", .kind = BACKEND_OLLAMA, .model = "", .probe_ms = 10000};
    rig.options.backend_has_tags = true;
    rig.far.models = "{\"models\":[{\"name\":\"b\"},{\"name\":\"a\"}]}";
    rig_start();
    rig_run(SECOND);
    cr_assert(strstr(rig.far.last_register.body, "\"models\":[\"a\",\"b\"]"));
    cr_assert(strstr(rig.far.last_beat.body, "\"health_models\":[\"a\",\"b\"]"));
    rig.far.models = "{\"models\":[{\"name\":\"c\"}]}";
    be_ill(SIM_STATUS, "/v1/register", 503);
    rig_run(30 * SECOND);
    cr_assert(strstr(rig.far.last_beat.body, "\"health_models\":[\"a\",\"b\"]"), "not before it is accepted");
    rig.far.fault = SIM_WELL;
    rig_run(60 * SECOND);
    cr_assert(strstr(rig.far.last_register.body, "\"models\":[\"c\"]"));
    cr_assert(strstr(rig.far.last_beat.body, "\"health_models\":[\"c\"]"));
    cr_assert_eq(directory_state(rig.node), DIRECTORY_MEMBER);
    rig.far.models = "{\"models\":[]}";
    uint32_t before = rig.far.registers;
    rig_run(60 * SECOND);
    cr_assert_eq(rig.far.registers, before, "a backend that restarts has not lost its models");
}

Test(beat, a_question_for_models_that_is_cut_short_holds_nobody)
{
    rig.options.backend = (struct backend_options){
        .url = "http://127.0.0.1:11434", .kind = BACKEND_OLLAMA, .model = "", .probe_ms = 10000};
    rig.options.backend_has_tags = true;
    rig.options.heartbeat_ms = 1000;
    rig.far.models = "{\"models\":[{\"name\":\"a\"}]}";
    rig.far.tags_ms = 500;
    rig.far.registry_ms = 900; /* its answer comes while the next question is under way */
    rig_start();
    rig_run(SECOND);
    rig.far.listed = false;
    rig_run(3 * SECOND);
    uint32_t before = rig.far.beats;
    rig_run(5 * SECOND);
    cr_assert_geq(rig.far.registers, 2);
    cr_assert_geq(rig.far.beats, before + 4);
}

Test(beat, other_windows_are_told_to_the_directory)
{
    struct iicp_windows w = {.count = 1, .items = {{540, 1020, 0.5}}};
    rig_start();
    rig_run(SECOND);
    directory_set_capacity(rig.node, 4, &w, NULL);
    rig_run(SECOND);
    cr_assert_eq(rig.far.registers, 2);
    cr_assert(strstr(rig.far.last_register.body,
                     "\"availability\":[{\"start\":\"09:00\",\"end\":\"17:00\",\"share\":0.5}]"));
    directory_set_capacity(rig.node, 4, &w, NULL);
    rig_run(SECOND);
    cr_assert_eq(rig.far.registers, 2, "the same again is no news");
    cr_assert_eq(directory_state(rig.node), DIRECTORY_MEMBER);
}

Test(beat, pricing_is_signed_in_the_first_beat_with_the_issued_key)
{
    rig.options.pricing = (struct iicp_pricing){.declared = true, .multiplier = 1.5};
    rig.options.sign_pricing = true;
    rig_start();
    rig_run(SECOND);
    cr_assert(strstr(rig.far.last_register.body,
                     "\"pricing\":{\"credit_cost_multiplier\":1.5,\"pricing_model\":\"per_token\"}"));
    cr_assert(strstr(rig.far.last_beat.body, "\"declaration_signature\":\""));
    rig_run(30 * SECOND);
    cr_assert_not(strstr(rig.far.last_beat.body, "pricing"), "told once per registration");
}

Test(beat, a_day_of_heartbeats_with_every_kind_of_trouble_reconciles)
{
    uint64_t hours = 24, minutes = 0;
    rig_start();
    rig_run(SECOND);
    for (; minutes < hours * 60; minutes++) {
        finish_tasks(minutes % 7 * 31, minutes % 3);
        static const enum sim_fault faults[] = {SIM_LOST_REPLY, SIM_DOWN, SIM_STATUS, SIM_GARBAGE};
        rig.far.fault = minutes % 5 == 4 ? faults[minutes / 5 % 4] : SIM_WELL;
        rig.far.fault_status = minutes % 2 ? 503 : 429;
        if (minutes % 97 == 50)
            rig.far.registered = rig.far.listed = false; /* the directory restarts */
        if (minutes % 211 == 100)
            rig.far.issued += 1; /* our token is void */
        if (minutes % 301 == 200)
            rig.sim.wall_offset_ms += minutes % 2 ? 7200000 : -7200000; /* somebody sets the clock */
        rig_run(60 * SECOND);
    }
    rig.far.fault = SIM_WELL;
    rig_run(600 * SECOND);
    cr_assert_eq(directory_state(rig.node), DIRECTORY_MEMBER);
    cr_assert_eq(rig.far.success, rig.load.tasks.success);
    cr_assert_eq(rig.far.failed, rig.load.tasks.failed);
    cr_assert_eq(rig.far.challenges_wrong, 0);
    cr_assert_gt(rig.far.beats, hours * 60, "it beat most of the time");
    cr_assert_leq(sim_in_flight(&rig.sim), 1);
}
