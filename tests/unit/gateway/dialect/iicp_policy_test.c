/* SPDX-License-Identifier: Apache-2.0 */
/* Which intents are refused, and what is told of the willingness to work for others. */
#include <criterion/criterion.h>
#include "gateway/dialect/iicp_policy.h"

static struct tg_str text(const char *s)
{
    return (struct tg_str){s, strlen(s)};
}

static const char *const prohibited[] = {
    "urn:iicp:intent:x.acme:social-scoring:v1",
    "a:social_scoring:v1",
    "social:scoring",
    "criminal-risk",
    "criminal_risk",
    "criminal:risk",
    "predict-crime",
    "emotion:workplace",
    "emotion:education",
    "workplace-monitoring",
    "education-monitoring",
    "worker-monitoring",
    "protected-trait",
    "protected_trait",
    "biometric:protected",
    "untargeted-scraping",
    "untargeted_scraping",
    "face-scraping",
    "facial-scraping",
    "remote-biometric:realtime",
    "realtime-remote-biometric",
    "real-time-remote-biometric",
    "nonconsensual-sexual",
    "non-consensual-sexual",
    "child-sexual-abuse",
    "urn:iicp:intent:image:CSAM:v1",
};

static const char *const high[] = {
    "urn:iicp:intent:employment:hiring:v1",
    "employment:screening",
    "employment:rank",
    "recruitment:decision",
    "workforce:decision",
    "worker-management",
    "worker:performance",
    "worker:discipline",
    "education:admission",
    "education:grading",
    "education:grade",
    "student:admission",
    "student:assessment",
    "exam-grading",
    "credit-scoring",
    "credit:score",
    "credit:decision",
    "essential-services",
    "benefits:eligibility",
    "public-benefit:eligibility",
    "law-enforcement",
    "law_enforcement",
    "migration:decision",
    "asylum:decision",
    "justice:decision",
    "election:decision",
    "healthcare:decision",
    "clinical:decision",
    "border-control",
    "democratic-process",
    "medical:diagnosis",
    "Medical:Triage",
    "critical-infrastructure",
    "grid:stabilize",
    "hospital:surge-capacity",
    "robotics:control",
    "robotics:fleet",
    "drone:control",
    "drone:search",
    "iot:actuate",
    "physical-world",
    "system_control",
};

static const char *const harmless[] = {
    "urn:iicp:intent:llm:chat:v1",
    "urn:iicp:intent:x.taskgate:knn:v1",
    "",
    "a",
    "social.scoring",
    "law:enforcement",
    "protected:trait",
    "credit_scoring",
    "medical:imaging",
    "csa",
    "sam",
    "education:hiring",
    "system-control",
};

Test(policy, prohibited_intents_are_refused_whatever_is_configured)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(prohibited); i++) {
        cr_expect_eq(iicp_intent_risk(text(prohibited[i]), NULL), IICP_RISK_PROHIBITED, "%s", prohibited[i]);
        cr_expect(iicp_intent_refused(text(prohibited[i]), true), "%s", prohibited[i]);
    }
}

Test(policy, high_risk_intents_need_the_operators_word)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(high); i++) {
        cr_expect_eq(iicp_intent_risk(text(high[i]), NULL), IICP_RISK_HIGH, "%s", high[i]);
        cr_expect(iicp_intent_refused(text(high[i]), false), "%s", high[i]);
        cr_expect_not(iicp_intent_refused(text(high[i]), true), "%s", high[i]);
    }
}

Test(policy, near_misses_are_served)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(harmless); i++)
        cr_expect_eq(iicp_intent_risk(text(harmless[i]), NULL), IICP_RISK_NONE, "%s", harmless[i]);
}

Test(policy, the_worst_fragment_counts_and_is_named)
{
    const char *fragment = "";
    cr_assert_eq(iicp_intent_risk(TG_STR("credit-scoring:social-scoring"), &fragment), IICP_RISK_PROHIBITED);
    cr_assert_str_eq(fragment, "social-scoring");
}

static void expect_policy(struct iicp_cip_config cip, const char *expected)
{
    char buf[256];
    struct tg_json_writer w;
    tg_json_writer_init(&w, buf, sizeof(buf) - 1);
    iicp_cip_write_policy(&cip, &w);
    buf[w.len] = '\0';
    cr_expect_str_eq(buf, expected);
}

Test(policy, the_block_is_sent_only_when_enabled)
{
    expect_policy((struct iicp_cip_config){.allow_worker = true, .allow_tool_execution = true}, "");
    expect_policy((struct iicp_cip_config){.enabled = true, .allow_worker = true},
                  "\"policy\":{\"allow_remote_inference\":true,\"allow_tool_execution\":false}");
    expect_policy((struct iicp_cip_config){.enabled = true, .allow_coordinator = true, .allow_tool_execution = true},
                  "\"policy\":{\"allow_remote_inference\":false,\"allow_tool_execution\":true}");
}

Test(policy, roles_need_both_switches_and_numbers_have_bounds)
{
    struct iicp_cip_config off = {.allow_worker = true, .allow_coordinator = true},
                    on = {.enabled = true, .allow_worker = true};
    cr_assert_not(iicp_cip_works(&off));
    cr_assert_not(iicp_cip_coordinates(&off));
    cr_assert(iicp_cip_works(&on));
    cr_assert_not(iicp_cip_coordinates(&on));
    struct iicp_cip_config bounded = iicp_cip_bounded((struct iicp_cip_config){.max_worker_timeout_ms = 90000});
    cr_assert_eq(bounded.max_worker_timeout_ms, 60000);
    cr_assert_eq(bounded.max_replicas, 1);
    cr_assert_eq(bounded.max_concurrent_remote, 1);
    cr_assert_eq(iicp_cip_bounded((struct iicp_cip_config){0}).max_worker_timeout_ms, 1);
}
