/* SPDX-License-Identifier: Apache-2.0 */
/* Query parameters, times and base64 of the local directory. */
#include <criterion/criterion.h>
#include "gateway/devnet/text.h"

static void parameter_is(const char *query, const char *key, const char *wanted)
{
    char out[16];
    bool found = text_parameter(text_of(query), key, out, sizeof(out));
    cr_expect_eq(found, wanted != NULL, "%s in %s", key, query);
    cr_expect_str_eq(out, wanted ? wanted : "", "%s in %s", key, query);
}

Test(devnet_text, parameters_are_found_by_their_whole_name)
{
    parameter_is("a=1&ab=2&b=3", "ab", "2");
    parameter_is("a=1&ab=2&b=3", "b", "3");
    parameter_is("xa=1", "a", NULL);
    parameter_is("a", "a", NULL);
    parameter_is("", "a", NULL);
    parameter_is("a=1&a=2", "a", "1");
    parameter_is("&&a=", "a", "");
}

Test(devnet_text, parameters_are_decoded)
{
    parameter_is("a=x%3Ay+z%2b", "a", "x:y z+");
    parameter_is("a=%26%3d", "a", "&=");
}

Test(devnet_text, malformed_and_long_parameters_are_absent)
{
    parameter_is("a=%", "a", NULL);
    parameter_is("a=%4", "a", NULL);
    parameter_is("a=%zz", "a", NULL);
    parameter_is("a=x%00y", "a", NULL);
    parameter_is("a=0123456789abcde", "a", "0123456789abcde");
    parameter_is("a=0123456789abcdef", "a", NULL);
}

static void time_is(const char *text, time_t wanted)
{
    time_t got = -1;
    cr_expect(text_time_read(text_of(text), &got), "%s", text);
    cr_expect_eq(got, wanted, "%s is %lld", text, (long long)got);
}

Test(devnet_text, times_are_read_with_any_offset)
{
    time_is("1970-01-01T00:00:00Z", 0);
    time_is("2000-03-01T12:30:15Z", 951913815);
    time_is("2000-03-01t12:30:15.999z", 951913815);
    time_is("2000-03-01T14:00:15+01:30", 951913815);
    time_is("2000-03-01T10:30:15-02:00", 951913815);
}

Test(devnet_text, what_is_no_time_is_refused)
{
    static const char *const texts[] = {
        "",
        "now",
        "2000-03-01",
        "2000-03-01T12:30:15",
        "2000-13-01T00:00:00Z",
        "2000-03-01T25:00:00Z",
        "2000-3-1T1:2:3Z",
        "2000-03-01T12:30:15+0100",
        "2000-03-01T12:30:15Z ",
        "2000-03-01T12:30:15+24:00",
        "2000-03-01T12:30:15Z2000-03-01T12:30:15Z2000-03-01T12:30:15Z",
    };
    time_t got;
    for (size_t i = 0; i < TG_ARRAY_SIZE(texts); i++)
        cr_expect_not(text_time_read(text_of(texts[i]), &got), "%s", texts[i]);
}

Test(devnet_text, a_time_that_was_written_is_read_back)
{
    char text[TEXT_TIME_BYTES];
    text_time_write(text, 1795199680);
    cr_expect_str_eq(text, "2026-11-20T18:34:40Z");
    time_is(text, 1795199680);
}

Test(devnet_text, standard_base64_becomes_the_urls)
{
    char out[8];
    size_t len;
    cr_assert(text_base64url(TG_STR("+/a9=="), out, sizeof(out), &len));
    cr_expect_eq(len, 4);
    cr_expect_eq(memcmp(out, "-_a9", 4), 0);
    cr_expect_not(text_base64url(TG_STR("123456789"), out, sizeof(out), &len));
}
