/* SPDX-License-Identifier: Apache-2.0 */
/* What nodes sign, against the vectors of the contract. */
#include <criterion/criterion.h>
#include "gateway/devnet/signatures.h"

#define KEY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static bool pricing_holds(const char *key, const char *json, bool *present)
{
    struct tg_json_node nodes[64];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    struct tg_json_error why;
    struct crypto *crypto = crypto_create();
    cr_assert_eq(tg_json_parse(&doc, json, strlen(json), &why), 0);
    bool good = signature_pricing_holds(crypto, key, &doc, doc.nodes, present);
    crypto_destroy(crypto);
    return good;
}

#define ONE "745f4a4f5cbabc2e4d70d4e85eebca936386513ef26e589abe61442aab1bb088"
#define ONE_AND_A_HALF "253328f762171ac84cf4546f285c130425d05464e8cf909044588f0149b6fbb5"

Test(devnet_signatures, the_challenge_of_the_contract)
{
    struct crypto *crypto = crypto_create();
    const char *answer = "030ffc11ec49be148af4e692ad06ac01633f5fcae141bab99873e78ab06db975";
    struct tg_str challenge = TG_STR("00112233445566778899aabbccddeeff");
    cr_expect(signature_hmac_holds(crypto, KEY, challenge, answer));
    cr_expect_not(signature_hmac_holds(crypto, "other", challenge, answer));
    cr_expect_not(signature_hmac_holds(crypto, KEY, challenge, "030ffc"));
    cr_expect_not(signature_hmac_holds(crypto, KEY, challenge, ""));
    crypto_destroy(crypto);
}

Test(devnet_signatures, prices_are_signed_in_canonical_text)
{
    bool present;
    cr_expect(pricing_holds(
        KEY, "{\"credit_cost_multiplier\":1.5,\"declaration_signature\":\"" ONE_AND_A_HALF "\"}", &present));
    cr_expect(present);
    cr_expect(pricing_holds(KEY, "{\"declaration_signature\":\"" ONE "\",\"credit_cost_multiplier\":1.0}",
                            &present));
    cr_expect(pricing_holds(KEY, "{\"declaration_signature\":\"" ONE "\"}", &present)); /* 1 is the default */
}

Test(devnet_signatures, another_price_model_or_key_does_not_hold)
{
    bool present;
    cr_expect_not(
        pricing_holds(KEY, "{\"credit_cost_multiplier\":2,\"declaration_signature\":\"" ONE "\"}", &present));
    cr_expect_not(
        pricing_holds(KEY, "{\"pricing_model\":\"flat\",\"declaration_signature\":\"" ONE "\"}", &present));
    cr_expect_not(pricing_holds("", "{\"declaration_signature\":\"" ONE "\"}", &present));
    cr_expect_not(pricing_holds("other", "{\"declaration_signature\":\"" ONE "\"}", &present));
}

Test(devnet_signatures, no_signature_is_no_mistake)
{
    bool present;
    cr_expect(pricing_holds("", "{\"credit_cost_multiplier\":2}", &present));
    cr_expect_not(present);
}
