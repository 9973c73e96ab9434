/* SPDX-License-Identifier: Apache-2.0 */
/* Intent URNs, against the expression of the contract spelled out as a table and against POSIX regex at
 * random. */
#include <regex.h>
#include <string.h>
#include "iicp_rig.h"
#include "tests/support/seed.h"

#define EXPRESSION "^urn:iicp:intent:([a-z][a-z0-9_]*|x\\.[a-z][a-z0-9-]*):[a-z][a-z0-9_-]*:v[1-9][0-9]*$"

static const char *const good[] = {
    "urn:iicp:intent:llm:chat:v1",
    "urn:iicp:intent:l:c:v1",
    "urn:iicp:intent:a_b9:c_d-e9:v10",
    "urn:iicp:intent:x.vendor:knn:v1",
    "urn:iicp:intent:x.v-9-:k_-:v99999999999999999999999",
    "urn:iicp:intent:x:chat:v1",
    "urn:iicp:intent:a__:b--__:v1",
};

static const char *const bad[] = {
    "",
    "urn",
    "urn:iicp:intent:",
    "urn:iicp:intent:llm",
    "urn:iicp:intent:llm:chat",
    "urn:iicp:intent:llm:chat:",
    "urn:iicp:intent:llm:chat:v",
    "urn:iicp:intent:llm:chat:1",
    "urn:iicp:intent:llm:chat:v0",
    "urn:iicp:intent:llm:chat:v01",
    "urn:iicp:intent:llm:chat:v1a",
    "urn:iicp:intent:llm:chat:v1 ",
    " urn:iicp:intent:llm:chat:v1",
    "urn:iicp:intent:llm:chat:v1:extra",
    "URN:iicp:intent:llm:chat:v1",
    "urn:iicp:intent:LLM:chat:v1",
    "urn:iicp:intent:llm:Chat:v1",
    "urn:iicp:intent:llm:chat:V1",
    "urn:iicp:intent:9lm:chat:v1",
    "urn:iicp:intent:_lm:chat:v1",
    "urn:iicp:intent:l-m:chat:v1",
    "urn:iicp:intent:llm:9hat:v1",
    "urn:iicp:intent:llm:-hat:v1",
    "urn:iicp:intent::chat:v1",
    "urn:iicp:intent:llm::v1",
    "urn:iicp:intent:x.:chat:v1",
    "urn:iicp:intent:x.9:chat:v1",
    "urn:iicp:intent:x.-a:chat:v1",
    "urn:iicp:intent:x.a_b:chat:v1",
    "urn:iicp:intent:x.a.b:chat:v1",
    "urn:iicp:intent:y.a:chat:v1",
    "urn:iicp:intent:llm:ch\xc3\xa4t:v1",
};

static bool valid(const char *urn)
{
    return iicp_urn_valid((struct tg_str){urn, strlen(urn)});
}

Test(urn, what_the_contract_allows)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(good); i++)
        cr_assert(valid(good[i]), "%s", good[i]);
}

Test(urn, what_it_does_not)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++)
        cr_assert_not(valid(bad[i]), "%s", bad[i]);
}

Test(urn, a_zero_byte_is_a_byte_like_others)
{
    cr_assert_not(iicp_urn_valid(((struct tg_str){"urn:iicp:intent:llm:chat:v1\0", 28})));
    cr_assert_not(iicp_urn_valid(((struct tg_str){"urn:iicp:intent:l\0m:chat:v1", 27})));
}

Test(urn, every_prefix_of_a_valid_one_is_judged_by_its_length_alone)
{
    const char *urn = "urn:iicp:intent:llm:chat:v12";
    for (size_t n = 0; n <= 28; n++)
        cr_assert_eq(iicp_urn_valid((struct tg_str){urn, n}), n >= 27, "%zu bytes", n);
}

/* Valid ones with up to three bytes changed, dropped or doubled. */
static void mutate(char *urn, uint64_t *seed)
{
    static const char alphabet[] = "abz09_-.:vxXAZ /";
    for (uint32_t n = test_random(seed, 4); n > 0; n--) {
        uint32_t len = (uint32_t)strlen(urn), at = test_random(seed, len);
        switch (test_random(seed, 3)) {
        case 0:
            urn[at] = alphabet[test_random(seed, sizeof(alphabet) - 1)];
            break;
        case 1:
            memmove(urn + at, urn + at + 1, len - at);
            break;
        default:
            memmove(urn + at + 1, urn + at, len - at + 1);
        }
    }
}

Test(urn, agrees_with_the_regular_expression)
{
    regex_t re;
    uint64_t seed = test_seed("iicp_urn");
    uint32_t valid_count = 0;
    cr_assert_eq(regcomp(&re, EXPRESSION, REG_EXTENDED | REG_NOSUB), 0);
    for (uint32_t i = 0; i < 20000; i++) {
        char urn[128];
        snprintf(urn, sizeof(urn), "%s", good[test_random(&seed, TG_ARRAY_SIZE(good))]);
        mutate(urn, &seed);
        bool expected = regexec(&re, urn, 0, NULL, 0) == 0;
        cr_assert_eq(valid(urn), expected, "%s", urn);
        valid_count += expected;
    }
    regfree(&re);
    cr_assert(valid_count > 2000 && valid_count < 18000, "both answers are tried");
}
