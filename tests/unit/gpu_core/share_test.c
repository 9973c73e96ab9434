/* SPDX-License-Identifier: Apache-2.0 */
/* Charges for device time: together they are the time for which the device was busy. */
#include <criterion/criterion.h>
#include "gpu/share.h"

#define AT(ns) device_share_now(&d, (ns), true)

static struct device_share d;

Test(device_share, a_lone_batch_is_charged_from_its_beginning_to_its_end)
{
    AT(1000);
    uint64_t begin = device_share_begin(&d);
    AT(4500);
    cr_assert_eq(device_share_end(&d, begin), 3500);
}

Test(device_share, an_idle_device_charges_nobody)
{
    AT(1000);
    uint64_t begin = device_share_begin(&d);
    AT(2000);
    device_share_end(&d, begin);
    AT(900000);
    begin = device_share_begin(&d);
    AT(900010);
    cr_assert_eq(device_share_end(&d, begin), 10);
}

Test(device_share, two_at_once_pay_half_each_while_they_overlap)
{
    uint64_t first = device_share_begin(&d);
    AT(100);
    uint64_t second = device_share_begin(&d);
    AT(300);
    cr_assert_eq(device_share_end(&d, first), 100 + 200 / 2);
    AT(450);
    cr_assert_eq(device_share_end(&d, second), 200 / 2 + 150);
}

Test(device_share, charges_add_up_to_the_busy_time_whatever_overlaps)
{
    uint64_t begin[7], charged = 0, now = 0;
    for (uint32_t i = 0; i < 7; i++) {
        begin[i] = device_share_begin(&d);
        AT(now += 1000 + 313 * i);
    }
    for (uint32_t i = 0; i < 7; i++) {
        AT(now += 777 * (i + 1));
        charged += device_share_end(&d, begin[(3 * i) % 7]);
    }
    cr_assert_leq(charged, now);
    cr_assert_geq(charged + 7 * 2, now, "less than 2 ns a batch are lost by rounding");
}

Test(device_share, a_clock_that_lags_behind_changes_nothing)
{
    AT(5000);
    uint64_t begin = device_share_begin(&d);
    AT(6000);
    AT(5500);
    AT(6200);
    cr_assert_eq(device_share_end(&d, begin), 1200);
}

Test(device_share, waiting_for_a_lost_device_is_free)
{
    AT(1000);
    uint64_t begin = device_share_begin(&d);
    AT(1500);
    device_share_now(&d, 90000, false);
    AT(90100);
    cr_assert_eq(device_share_end(&d, begin), 600);
}

Test(device_share, the_sum_may_wrap)
{
    d.sum = UINT64_MAX - 100;
    uint64_t begin = device_share_begin(&d);
    AT(1000);
    cr_assert_eq(device_share_end(&d, begin), 1000);
}
