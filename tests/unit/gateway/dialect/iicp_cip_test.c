/* SPDX-License-Identifier: Apache-2.0 */
/* What a task may say about cooperative inference, and what each wrong word gets. */
#include <criterion/criterion.h>
#include <stdio.h>
#include "gateway/dialect/iicp_cip.h"

static const struct iicp_cip_config permitted = {true, true, true, false, 3, 30000, 2};
static const struct iicp_cip_config denied = {.max_replicas = 3, .max_worker_timeout_ms = 30000, .max_concurrent_remote = 2};

#define PARENT "\"6f1c2a7e-53a3-4a54-9f6b-1f2f0e8d9a10\""

static struct iicp_part seen;
static struct tg_error error;

/* Reads @text as a task's envelope. */
static enum tg_status read(const struct iicp_cip_config *policy, const char *text)
{
    static struct tg_json_node nodes[256];
    static struct tg_json_doc doc;
    struct tg_json_error e;
    doc.nodes = nodes;
    doc.capacity = TG_ARRAY_SIZE(nodes);
    cr_assert_eq(tg_json_parse(&doc, text, strlen(text), &e), 0, "%s at %u in %s", e.message, e.offset, text);
    const struct tg_json_node *constraints = tg_json_get(&doc, doc.nodes, TG_STR("constraints"));
    error = (struct tg_error){0};
    return iicp_cip_read(&doc, tg_json_get(&doc, doc.nodes, TG_STR("trace")),
                         constraints ? tg_json_get(&doc, constraints, TG_STR("cip")) : NULL, policy, &seen, &error);
}

Test(iicp_cip, a_task_that_says_nothing_is_an_ordinary_one)
{
    cr_assert_eq(read(&denied, "{}"), TG_OK);
    cr_assert_not(seen.worker);
    cr_assert_eq(read(&denied, "{\"trace\":{\"trace_id\":\"x\",\"cip_role\":null},\"constraints\":{\"qos\":\"batch\"}}"), TG_OK);
    cr_assert_eq(read(&denied, "{\"trace\":\"text\"}"), TG_OK);
}

Test(iicp_cip, a_part_is_taken_with_its_session_key)
{
    cr_assert_eq(read(&permitted, "{\"trace\":{\"cip_role\":\"worker\",\"cip_parent_task_id\":" PARENT
                                  ",\"cip_session_key\":\"s\\u00e9\"}}"), TG_OK);
    cr_assert(seen.worker);
    cr_assert(tg_str_eq(seen.session, TG_STR("\"s\\u00e9\"")));
}

Test(iicp_cip, a_part_without_a_session_key_is_fine)
{
    cr_assert_eq(read(&permitted, "{\"trace\":{\"cip_role\":\"worker\",\"cip_parent_task_id\":" PARENT "}}"), TG_OK);
    cr_assert_eq(seen.session.len, 0);
}

Test(iicp_cip, a_node_that_takes_no_part_says_so)
{
    cr_assert_eq(read(&denied, "{\"trace\":{\"cip_role\":\"worker\",\"cip_parent_task_id\":" PARENT "}}"), TG_FORBIDDEN);
    cr_assert_eq(read(&denied, "{\"trace\":{\"cip_role\":\"coordinator\"}}"), TG_FORBIDDEN);
    cr_assert_eq(read(&denied, "{\"constraints\":{\"cip\":{\"policy\":\"best_of_n\"}}}"), TG_FORBIDDEN);
}

Test(iicp_cip, wrong_words_are_e028_and_named)
{
    static const struct {
        const char *text, *field;
    } rows[] = {
        {"{\"trace\":{\"cip_role\":\"boss\"}}", "trace.cip_role"},
        {"{\"trace\":{\"cip_role\":7}}", "trace.cip_role"},
        {"{\"trace\":{\"cip_role\":\"worker\"}}", "trace.cip_parent_task_id"},
        {"{\"trace\":{\"cip_role\":\"worker\",\"cip_parent_task_id\":\"p\"}}", "trace.cip_parent_task_id"},
        {"{\"trace\":{\"cip_role\":\"worker\",\"cip_parent_task_id\":\"6f1c2a7e-53a3-1a54-9f6b-1f2f0e8d9a10\"}}",
         "trace.cip_parent_task_id"},
        {"{\"trace\":{\"cip_role\":\"worker\",\"cip_parent_task_id\":\"6f1c2a7e-53a3-4a54-cf6b-1f2f0e8d9a10\"}}",
         "trace.cip_parent_task_id"},
        {"{\"trace\":{\"cip_role\":\"worker\",\"cip_parent_task_id\":" PARENT ",\"cip_session_key\":1}}",
         "trace.cip_session_key"},
        {"{\"constraints\":{\"cip\":[]}}", "constraints.cip"},
        {"{\"constraints\":{\"cip\":{\"policy\":\"vote\"}}}", "constraints.cip.policy"},
        {"{\"constraints\":{\"cip\":{\"policy\":\"best_of_n\",\"replicas\":0}}}", "constraints.cip.replicas"},
        {"{\"constraints\":{\"cip\":{\"policy\":\"best_of_n\",\"replicas\":11}}}", "constraints.cip.replicas"},
        {"{\"constraints\":{\"cip\":{\"policy\":\"best_of_n\",\"replicas\":2.0}}}", "constraints.cip.replicas"},
        {"{\"constraints\":{\"cip\":{\"policy\":\"map_reduce\",\"replicas\":3,\"quorum\":4}}}", "constraints.cip.quorum"},
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(rows); i++) {
        cr_assert_eq(read(&permitted, rows[i].text), TG_CIP_INVALID, "%s", rows[i].text);
        cr_assert_str_eq(error.field, rows[i].field, "%s", rows[i].text);
    }
}

Test(iicp_cip, an_even_majority_is_e025)
{
    cr_assert_eq(read(&permitted, "{\"constraints\":{\"cip\":{\"policy\":\"majority_vote\",\"replicas\":4}}}"), TG_CIP_EVEN);
}

Test(iicp_cip, a_task_to_share_finds_nobody_to_share_with)
{
    cr_assert_eq(read(&permitted, "{\"constraints\":{\"cip\":{\"policy\":\"majority_vote\",\"replicas\":3,\"quorum\":2}}}"),
                 TG_CIP_NO_WORKERS);
}

Test(iicp_cip, slots_are_bounded)
{
    _Atomic uint32_t active = 0;
    cr_assert(iicp_cip_claim(&active, 2));
    cr_assert(iicp_cip_claim(&active, 2));
    cr_assert_not(iicp_cip_claim(&active, 2));
    iicp_cip_release(&active);
    cr_assert(iicp_cip_claim(&active, 2));
}
