/* SPDX-License-Identifier: Apache-2.0 */
/* The null device: touches nothing, and takes the time it is told to. */
#include <criterion/criterion.h>
#include <errno.h>
#include "rig.h"

static struct rig_job *submit_ten(struct rig *rig, const char *spec)
{
    const struct variant v = {.backend = "null", .spec = spec};

    rig_open(rig, &v, 0, 64);
    struct rig_job *j = rig_prepare(rig, 0, 10);
    cr_assert_eq(rig_submit(rig, j), 0);
    return j;
}

Test(device_null, answers_every_row_without_bytes_and_leaves_output_alone)
{
    struct rig rig;
    struct rig_job *j = submit_ten(&rig, NULL), nothing = {.first = j->first};

    cr_assert(rig_poll(&rig, j));
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert_eq(rig_row(&rig, j, i)->status, TG_OK);
        cr_assert_eq(rig_row(&rig, j, i)->out_len, 0);
    }
    cr_assert(rig_canaries_alive(&rig, &nothing));
    cr_assert_eq(rig.self.calls, 0);
    rig_close(&rig);
}

Test(device_null, takes_its_time_per_batch_and_per_row)
{
    struct rig rig;
    uint64_t before = test_now_ns(), wake_ns = UINT64_MAX, service_ns = 3000 * 1000 + 10 * 250;
    struct rig_job *j = submit_ten(&rig, "service_us=3000,per_row_ns=250");
    uint64_t after = test_now_ns();

    cr_assert_eq(rig.backend->poll(rig.device, 0, before, &wake_ns), -EAGAIN);
    cr_assert(wake_ns >= before + service_ns && wake_ns <= after + service_ns);
    cr_assert_eq(rig.backend->poll(rig.device, 0, wake_ns - 1, &wake_ns), -EAGAIN);
    cr_assert_eq(rig.backend->poll(rig.device, 0, wake_ns, &wake_ns), 0);
    cr_assert_eq(j->job.fault, TG_FAULT_NONE);
    rig_close(&rig);
}

Test(device_null, bad_settings_are_refused_by_name)
{
    static const char *const bad[][2] = {
        {"speed=1", "\"speed\""},   {"service_us", "service_us"},  {"service_us=-3", "\"-3\""},
        {"service_us=1,,", "\"\""}, {"per_row_ns=1e9", "\"1e9\""}, {"per_row_ns=1000000001", "1000000000"},
    };

    for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++) {
        const struct variant v = {.backend = "null", .spec = bad[i][0]};
        struct rig rig;
        cr_assert_eq(rig_open_only(&rig, &v), -EINVAL, "%s", bad[i][0]);
        cr_assert(strstr(rig.why.message, bad[i][1]), "%s: %s", bad[i][0], rig.why.message);
        rig_close(&rig);
    }
}
