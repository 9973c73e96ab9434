/* SPDX-License-Identifier: Apache-2.0 */
/* Getting in: attempts, refusals, credentials, and what is never sent. */
#include <sys/stat.h>
#include <stdio.h>
#include "directory_rig.h"

TestSuite(join, .init = rig_init, .fini = rig_finish);

static void be_ill(enum sim_fault fault, const char *path, uint32_t status, const char *body)
{
    rig.far.fault = fault;
    rig.far.fault_path = path;
    rig.far.fault_status = status;
    rig.far.fault_body = body;
}

Test(join, registers_beats_and_publishes_what_it_was_issued)
{
    rig_start();
    rig_run(SECOND);
    cr_assert_eq(directory_state(rig.node), DIRECTORY_MEMBER);
    cr_assert_eq(rig.far.registers, 1);
    cr_assert_eq(rig.far.beats, 1, "the first heartbeat goes out at once");
    cr_assert_str_eq(rig.keys->node_token, "token-1");
    cr_assert_str_eq(rig.keys->hmac_key, "key-1");
    cr_assert_str_eq(rig.far.last_register.url, "https://directory.example/api/v1/register");
    cr_assert(strstr(rig.far.last_register.body, "\"max_concurrent\":4"));
    cr_assert_not(strstr(rig.far.last_register.body, "current_node_token"));
    cr_assert_str_eq(rig.far.last_register.authorization, "");
}

Test(join, three_quick_attempts_then_the_pace_of_heartbeats)
{
    be_ill(SIM_STATUS, "/v1/register", 503, NULL);
    rig_start();
    rig_run(SECOND);
    cr_assert_eq(rig.far.registers, 1);
    rig_run(2 * SECOND);
    cr_assert_eq(rig.far.registers, 2, "2 s after the first");
    rig_run(4 * SECOND);
    cr_assert_eq(rig.far.registers, 3, "4 s after the second");
    rig_run(25 * SECOND);
    cr_assert_eq(rig.far.registers, 3);
    rig_run(10 * SECOND);
    cr_assert_eq(rig.far.registers, 4, "30 s and up to a tenth more");
    rig.far.fault = SIM_WELL;
    rig_run(40 * SECOND);
    cr_assert_eq(directory_state(rig.node), DIRECTORY_MEMBER);
}

Test(join, a_rate_limit_is_obeyed)
{
    be_ill(SIM_STATUS, "/v1/register", 429,
           "{\"error\":\"IICP-E034\",\"message\":\"slow down\",\"retry_after\":60}");
    rig_start();
    rig_run(59 * SECOND);
    cr_assert_eq(rig.far.registers, 1);
    rig_run(2 * SECOND);
    cr_assert_eq(rig.far.registers, 2);
}

Test(join, a_refusal_for_good_is_questioned_slowly)
{
    be_ill(SIM_STATUS, "/v1/register", 422, "{\"message\":\"invalid\",\"errors\":{\"region\":[\"bad\"]}}");
    rig_start();
    rig_run(299 * SECOND);
    cr_assert_eq(rig.far.registers, 1);
    rig_run(60 * SECOND);
    cr_assert_eq(rig.far.registers, 2);
}

Test(join, a_directory_that_cannot_reach_us_yet_is_asked_again_soon)
{
    be_ill(SIM_STATUS, "/v1/register", 422,
           "{\"error\":{\"code\":\"liveness_failed\",\"message\":\"no answer\"}}");
    rig_start();
    rig_run(3 * SECOND);
    cr_assert_eq(rig.far.registers, 2);
}

Test(join, garbage_and_silence_are_outlasted)
{
    be_ill(SIM_GARBAGE, NULL, 0, NULL);
    rig_start();
    rig_run(20 * SECOND);
    cr_assert_eq(directory_state(rig.node), DIRECTORY_JOINING);
    cr_assert(directory_in_trouble(rig.node, rig.sim.now_ns));
    rig.far.fault = SIM_DOWN;
    rig_run(100 * SECOND);
    rig.far.fault = SIM_WELL;
    rig_run(40 * SECOND);
    cr_assert_eq(directory_state(rig.node), DIRECTORY_MEMBER);
    cr_assert_not(directory_in_trouble(rig.node, rig.sim.now_ns));
}

Test(join, a_reply_that_was_lost_is_made_good_by_the_next)
{
    be_ill(SIM_LOST_REPLY, "/v1/register", 0, NULL);
    rig_start();
    rig_run(8 * SECOND);
    rig.far.fault = SIM_WELL;
    rig_run(10 * SECOND);
    cr_assert_eq(directory_state(rig.node), DIRECTORY_MEMBER);
    cr_assert_str_eq(rig.keys->node_token, "token-2");
}

Test(join, a_private_endpoint_is_not_told_to_a_public_directory)
{
    rig.options.registration.endpoint = TG_STR("http://127.0.0.1:9484");
    rig_start();
    rig_run(300 * SECOND);
    cr_assert_eq(rig.far.registers, 0);
    cr_assert_eq(rig.far.beats, 0);
}

Test(join, a_private_endpoint_may_be_told_where_the_operator_says_so)
{
    rig.options.registration.endpoint = TG_STR("http://127.0.0.1:9484");
    rig.options.allow_private = true;
    rig_start();
    rig_run(SECOND);
    cr_assert_eq(rig.far.registers, 1);
}

Test(join, a_private_endpoint_may_be_told_to_a_private_directory)
{
    rig.options.registration.endpoint = TG_STR("http://10.0.0.7:9484");
    rig.options.url = "http://127.0.0.1:9480";
    rig_start();
    rig_run(SECOND);
    cr_assert_eq(rig.far.registers, 1);
    cr_assert_str_eq(rig.far.last_register.url, "http://127.0.0.1:9480/v1/register");
}

Test(join, what_directories_refuse_is_found_before_one_is_asked)
{
    rig.options.registration.region = TG_STR("0-zone");
    rig_start();
    rig_run(60 * SECOND);
    cr_assert_eq(rig.far.registers, 0);
}

Test(join, credentials_survive_the_process_in_a_private_file)
{
    char path[128];
    struct stat st;
    rig_start();
    rig_run(SECOND);
    (void)snprintf(path, sizeof(path), "%s/nodes/default.json", rig.state_dir);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600);
    rig_restart();
    cr_assert_str_eq(rig.keys->node_token, "token-1", "workers have it before any directory answers");
    rig_run(SECOND);
    cr_assert(strstr(rig.far.last_register.body, "\"current_node_token\":\"token-1\""),
              "it proves who we are");
    cr_assert_str_eq(rig.keys->node_token, "token-2");
    cr_assert_str_eq(rig.keys->hmac_key, "key-2", "the newest key, always");
}

Test(join, a_token_goes_to_nobody_but_its_directory)
{
    rig_start();
    rig_run(SECOND);
    rig.options.url = "https://other.example/api";
    rig_restart();
    cr_assert_str_eq(rig.keys->node_token, "");
    rig_run(SECOND);
    cr_assert_not(strstr(rig.far.last_register.body, "token-1"));
}

Test(join, another_spelling_of_the_directory_is_the_same_one)
{
    static const char *const spellings[] = {"https://dir.example/api/", "https://dir.example/api/v1",
                                            "https://dir.example/api//"};
    rig.options.url = "https://dir.example/api";
    rig_start();
    rig_run(SECOND);
    for (size_t i = 0; i < TG_ARRAY_SIZE(spellings); i++) {
        rig.options.url = spellings[i];
        rig_restart();
        cr_expect(rig.keys->node_token[0], "%s", spellings[i]);
        rig_run(SECOND);
    }
}

Test(join, a_token_goes_with_its_node_id_only)
{
    rig_start();
    rig_run(SECOND);
    rig.options.node_id = "n2";
    rig_restart();
    cr_assert_str_eq(rig.keys->node_token, "");
}

Test(join, an_id_that_the_directory_assigns_is_used_from_then_on_and_after_a_restart)
{
    rig.far.assigned = "assigned-7";
    rig_start();
    cr_assert_str_eq(rig.keys->node_id, "n1");
    rig_run(SECOND);
    cr_assert_str_eq(rig.keys->node_id, "assigned-7", "workers know it");
    cr_assert(strstr(rig.far.last_beat.body, "\"node_id\":\"assigned-7\""));
    rig_restart();
    cr_assert_str_eq(rig.keys->node_id, "assigned-7", "before any directory answers");
    cr_assert_str_eq(rig.keys->node_token, "token-1");
    rig_run(SECOND);
    cr_assert(strstr(rig.far.last_register.body, "\"node_id\":\"assigned-7\""));
    cr_assert(strstr(rig.far.last_register.body, "\"current_node_token\":\"token-1\""));
    rig.options.node_id = "n2";
    rig_restart();
    cr_assert_str_eq(rig.keys->node_token, "", "another node's stays another node's");
}

Test(join, a_key_of_ones_own_is_proposed_and_signs_the_price_at_once)
{
    rig.options.registration.node_hmac_key = TG_STR("own-key");
    rig.options.pricing = (struct iicp_pricing){.declared = true, .multiplier = 1};
    rig.options.sign_pricing = true;
    rig_start();
    rig_run(SECOND);
    cr_assert(strstr(rig.far.last_register.body, "\"node_hmac_key\":\"own-key\""));
    cr_assert(strstr(rig.far.last_register.body, "\"declaration_signature\":\""));
    cr_assert_str_eq(rig.keys->hmac_key, "key-1", "the reply's key always wins");
}

Test(join, a_reply_without_a_key_means_the_proposed_one)
{
    rig.options.registration.node_hmac_key = TG_STR("own-key");
    rig.far.keep_key = true;
    rig_start();
    rig_run(SECOND);
    cr_assert_str_eq(rig.keys->hmac_key, "own-key");
}

Test(join, credentials_that_others_can_read_are_not_used)
{
    char path[128];
    rig_start();
    rig_run(SECOND);
    (void)snprintf(path, sizeof(path), "%s/nodes/default.json", rig.state_dir);
    cr_assert_eq(chmod(path, 0644), 0);
    rig_restart();
    cr_assert_str_eq(rig.keys->node_token, "");
}

Test(join, without_a_node_id_the_directory_chooses)
{
    rig.options.node_id = "";
    rig_start();
    rig_run(SECOND);
    cr_assert_not(strstr(rig.far.last_register.body, "node_id"));
    cr_assert_str_eq(directory_node_id(rig.node), "n1");
}

Test(join, no_directory_no_calls)
{
    rig.options.url = "";
    rig_start();
    rig_run(3600 * SECOND);
    cr_assert_eq(rig.sim.last_id, 0);
    cr_assert_eq(rig.offered, 4, "capacity is looked after all the same");
    cr_assert(directory_left(rig.node));
}

Test(join, leaving_deregisters_with_the_token)
{
    rig_start();
    rig_run(SECOND);
    directory_leave(rig.node);
    cr_assert_not(directory_left(rig.node));
    rig_run(SECOND);
    cr_assert_eq(rig.far.deregistered, 1);
    cr_assert(directory_left(rig.node));
    rig_run(600 * SECOND);
    cr_assert_eq(rig.far.beats, 1, "no heartbeat after goodbye");
}

Test(join, leaving_waits_for_a_registration_under_way_and_deregisters_with_its_token)
{
    rig_start();
    directory_turn(rig.node, rig.sim.now_ns);
    cr_assert_eq(sim_in_flight(&rig.sim), 1, "the first registration");
    directory_leave(rig.node);
    cr_assert_not(directory_left(rig.node));
    rig_run(SECOND);
    cr_assert_eq(rig.far.registers, 1);
    cr_assert_eq(rig.far.deregistered, 1);
    cr_assert_eq(rig.far.wrong_tokens, 0);
    cr_assert(directory_left(rig.node));
}

Test(join, leaving_does_not_try_again_what_failed)
{
    be_ill(SIM_STATUS, "/v1/register", 503, NULL);
    rig_start();
    directory_turn(rig.node, rig.sim.now_ns);
    directory_leave(rig.node);
    rig_run(600 * SECOND);
    cr_assert_eq(rig.far.deregistered, 0);
    cr_assert(directory_left(rig.node));
}

Test(join, a_directory_that_does_not_answer_does_not_hold_us)
{
    rig_start();
    rig_run(SECOND);
    be_ill(SIM_DOWN, NULL, 0, NULL);
    directory_leave(rig.node);
    rig_run(8 * SECOND);
    cr_assert(directory_left(rig.node));
}
