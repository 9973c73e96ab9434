/* SPDX-License-Identifier: Apache-2.0 */
/* The forms that fields of registrations may have. */
#include <criterion/criterion.h>
#include "gateway/devnet/forms.h"

static void holds(const char *form, const char *s)
{
    cr_expect(form_holds(form, s), "%s: %s", form, s);
}

static void fails(const char *form, const char *s)
{
    cr_expect_not(form_holds(form, s), "%s: %s", form, s);
}

Test(devnet_forms, intents)
{
    holds("intent", "urn:iicp:intent:llm:chat:v1");
    holds("intent", "urn:iicp:intent:a_1:b_-2:v10");
    holds("intent", "urn:iicp:intent:x.my-co:task:v1");
    fails("intent", "urn:iicp:intent:llm:chat:v0");
    fails("intent", "urn:iicp:intent:llm:chat:v01");
    fails("intent", "urn:iicp:intent:llm:chat:1");
    fails("intent", "urn:iicp:intent:llm:chat");
    fails("intent", "urn:iicp:intent:llm:chat:v1:");
    fails("intent", "urn:iicp:intent:l-m:chat:v1");
    fails("intent", "urn:iicp:intent:x.a_b:chat:v1");
    fails("intent", "urn:iicp:intent:x.:chat:v1");
    fails("intent", "urn:iicp:intent::chat:v1");
    fails("intent", "URN:iicp:intent:llm:chat:v1");
    fails("intent", "");
    fails("intent", "*");
    holds("intent_or_any", "*");
}

Test(devnet_forms, times_of_day)
{
    holds("clock", "00:00");
    holds("clock", "23:59");
    fails("clock", "24:00");
    fails("clock", "12:60");
    fails("clock", "1:00");
    fails("clock", "12.00");
}

Test(devnet_forms, names_and_addresses)
{
    holds("node_id", "A.b_c:d-9");
    fails("node_id", ".a");
    fails("node_id", "");
    holds("region", "eu-central_1");
    fails("region", "1eu");
    holds("http_url", "https://node.example:9484/x");
    fails("http_url", "https://");
    fails("http_url", "http://a b");
    holds("native_url", "iicp://h:9484");
    fails("native_url", "iicps://h");
    fails("native_url", "iicpsec://");
    holds("hex", "00ff");
    fails("hex", "00FF");
}

Test(devnet_forms, one_of_several_words)
{
    cr_expect(form_word("a|bc|d", "bc"));
    cr_expect(form_word("a|bc|d", "d"));
    cr_expect_not(form_word("a|bc|d", "b"));
    cr_expect_not(form_word("a|bc|d", "a|bc"));
    cr_expect_not(form_word("a|bc|d", ""));
}

Test(devnet_forms, prohibited_intents_are_found_in_any_case_and_spelling)
{
    cr_expect_not_null(form_prohibited("urn:iicp:intent:x.a:Social_Scoring:v1"));
    cr_expect_not_null(form_prohibited("urn:iicp:intent:social:scoring:v1"));
    cr_expect_not_null(form_prohibited("urn:iicp:intent:x.a:untargeted-scraping:v1"));
    cr_expect_null(form_prohibited("urn:iicp:intent:x.untargeted:scraping:v1"));
    cr_expect_null(form_prohibited("urn:iicp:intent:x.a:socialscoring:v1"));
    cr_expect_null(form_prohibited("urn:iicp:intent:llm:chat:v1"));
    cr_expect_null(form_prohibited("csa"));
}
