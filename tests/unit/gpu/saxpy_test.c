/* SPDX-License-Identifier: Apache-2.0 */
/* saxpy: z = a x + y. */
#include "runner_fixture.h"

static struct fixture f;

static void open_saxpy(const char *n)
{
    fixture_open(&f, SETTINGS({"type", "saxpy", NULL}, {"n", n, NULL}));
}

static void expect_invalid(const char *payload, const char *field)
{
    cr_assert_eq(fixture_ask(&f, payload), TG_INVALID, "%s", payload);
    cr_assert_str_eq(f.err.field, field, "%s", payload);
    cr_assert_str_not_empty(f.err.message);
}

Test(saxpy, multiplies_and_adds_number_by_number)
{
    open_saxpy("5");
    cr_assert_eq(fixture_ask(&f, "{\"a\":2,\"x\":[1,2,3,4,5],\"y\":[10,20,30,40,50.5]}"), TG_OK, "%s", f.err.message);
    cr_assert_str_eq(f.text, "{\"z\":[12,24,36,48,60.5]}");
    fixture_close(&f);
}

/* 0.1f * 10 rounds to 1 before the subtraction; fused, what is left of 0.1f beyond a tenth remains. */
Test(saxpy, rounds_once)
{
    open_saxpy("1");
    cr_assert_eq(fixture_ask(&f, "{\"a\":10,\"x\":[0.1],\"y\":[-1]}"), TG_OK);
    cr_assert_str_eq(f.text, "{\"z\":[1.4901161e-8]}");
    fixture_close(&f);
}

Test(saxpy, what_no_float_can_hold_is_null)
{
    open_saxpy("2");
    cr_assert_eq(fixture_ask(&f, "{\"a\":1e38,\"x\":[100,1],\"y\":[0,1]}"), TG_OK);
    cr_assert_not_null(strstr(f.text, "[null,"), "%s", f.text);
    fixture_close(&f);
}

Test(saxpy, bad_payloads_name_their_field)
{
    open_saxpy("2");
    expect_invalid("[]", "payload");
    expect_invalid("{\"x\":[1,2],\"y\":[1,2]}", "payload.a");
    expect_invalid("{\"a\":\"1\",\"x\":[1,2],\"y\":[1,2]}", "payload.a");
    expect_invalid("{\"a\":1e300,\"x\":[1,2],\"y\":[1,2]}", "payload.a");
    expect_invalid("{\"a\":1,\"y\":[1,2]}", "payload.x");
    expect_invalid("{\"a\":1,\"x\":[1,2,3],\"y\":[1,2]}", "payload.x");
    expect_invalid("{\"a\":1,\"x\":[1,2],\"y\":7}", "payload.y");
    expect_invalid("{\"a\":1,\"x\":[1,2],\"y\":[1,null]}", "payload.y[1]");
    expect_invalid("{\"a\":1,\"x\":[1e39,2],\"y\":[1,2]}", "payload.x[0]");
    fixture_close(&f);
}
