/* SPDX-License-Identifier: Apache-2.0 */
/* Charges: by share, idle time free, never more than there was. */
#include <criterion/criterion.h>
#include "gateway/telemetry/apportion.h"

static uint64_t out[8];
static struct apportion_past past;

Test(apportion, energy_of_a_busy_device_is_split_by_busy_time)
{
    uint64_t busy[] = {750, 250};
    apportion_busy(&past, 4000, 1000, busy, 2, out);
    cr_assert_eq(out[0], 3000);
    cr_assert_eq(out[1], 1000);
}

Test(apportion, idle_time_is_charged_to_nobody)
{
    uint64_t busy[] = {100, 0, 100};
    apportion_busy(&past, 1000, 1000, busy, 3, out);
    cr_assert_eq(out[0], 100);
    cr_assert_eq(out[1], 0);
    cr_assert_eq(out[2], 100);
}

Test(apportion, of_executors_that_are_busy_at_once_all_is_charged_and_no_more)
{
    uint64_t busy[] = {3000, 1000};
    apportion_busy(&past, 1000, 1000, busy, 2, out);
    cr_assert_eq(out[0], 750);
    cr_assert_eq(out[1], 250);
}

Test(apportion, a_batch_longer_than_the_interval_is_charged_for_those_before)
{
    uint64_t none[] = {0, 0}, busy[] = {2500, 0};
    apportion_busy(&past, 9000, 1000, none, 2, out); /* before it began */
    apportion_busy(&past, 100, 1000, none, 2, out);
    apportion_busy(&past, 200, 1000, none, 2, out);
    apportion_busy(&past, 300, 1000, busy, 2, out);
    cr_assert_eq(out[0], 300 + 200 + 50);
    cr_assert_eq(out[1], 0);
}

Test(apportion, the_past_is_charged_once)
{
    uint64_t none[] = {0}, busy[] = {2000};
    apportion_busy(&past, 100, 1000, none, 1, out);
    apportion_busy(&past, 100, 1000, busy, 1, out);
    apportion_busy(&past, 100, 1000, busy, 1, out);
    cr_assert_eq(out[0], 300);
}

Test(apportion, whatever_is_busy_when_never_more_is_charged_than_was_drawn)
{
    uint64_t drawn = 0, random = 1;
    for (uint32_t i = 0; i < 1000; i++) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        uint64_t amount = random >> 54, busy[] = {(random >> 20) % 1500 * (i % 7 == 0), (random >> 32) % 700};
        apportion_busy(&past, amount, 1000, busy, 2, out);
        drawn += amount;
        cr_assert_leq(out[0] + out[1], drawn);
    }
    cr_assert_gt(out[0], 0);
    cr_assert_gt(out[1], 0);
}

Test(apportion, charges_are_added_to_what_was_charged_before)
{
    uint64_t busy[] = {1000};
    apportion_busy(&past, 7, 1000, busy, 1, out);
    apportion_busy(&past, 8, 1000, busy, 1, out);
    cr_assert_eq(out[0], 15);
}

Test(apportion, nothing_in_no_time_is_nothing)
{
    uint64_t busy[] = {0, 0};
    apportion_busy(&past, 1000, 0, busy, 2, out);
    cr_assert_eq(out[0] + out[1], 0);
}

Test(apportion, a_kilowatt_for_an_hour_does_not_overflow)
{
    uint64_t hour_ns = 3600ull * 1000000000, busy[] = {hour_ns / 2};
    apportion_busy(&past, 3600ull * 1000 * 1000000, hour_ns, busy, 1, out);
    cr_assert_eq(out[0], 1800ull * 1000 * 1000000);
}

Test(apportion, by_weights_all_of_it_is_given_away)
{
    uint64_t weights[] = {1, 1, 1};
    apportion_by(100, weights, 3, out);
    cr_assert_eq(out[0], 34, "rounding is the first one's");
    cr_assert_eq(out[1], 33);
    cr_assert_eq(out[2], 33);
}

Test(apportion, without_weights_the_first_one_pays)
{
    uint64_t weights[] = {0, 0};
    apportion_by(100, weights, 2, out);
    cr_assert_eq(out[0], 100);
    cr_assert_eq(out[1], 0);
}
