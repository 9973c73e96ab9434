/* SPDX-License-Identifier: Apache-2.0 */
/* Any device: opened, described, loaded, closed, with and without work in flight. */
#include <errno.h>
#include "each_variant.h"

EACH_VARIANT(device_life, is_found_by_its_name_and_can_be_opened)
{
    const struct tg_backend *b = tg_backend_find(v->backend);
    struct tg_error why = {0};

    cr_assert_not_null(b);
    cr_assert_str_eq(b->name, v->backend);
    cr_assert_eq(b->probe(&why), 0);
}

Test(device_life, unknown_name_is_not_found)
{
    cr_assert_null(tg_backend_find("abacus"));
    cr_assert_null(tg_backend_find(""));
}

EACH_VARIANT(device_life, opens_and_closes_without_work)
{
    struct rig rig;

    for (int i = 0; i < (v->kernels ? 3 : 20); i++) { /* a GPU takes its time to open */
        cr_assert_eq(rig_open_only(&rig, v), 0, "%s", rig.why.message);
        rig_close(&rig);
    }
}

EACH_VARIANT(device_life, describes_itself)
{
    struct rig rig;
    struct tg_device_info info;
    memset(&info, 0x55, sizeof(info));

    rig_open(&rig, v, 0, 16);
    rig.backend->describe(rig.device, &info);
    cr_assert(strstr(info.name, v->backend) == info.name, "%s", info.name);
    cr_assert_eq(info.threads, v->threads);
    cr_assert_eq(info.memory_bytes != 0, v->kernels);
    rig_close(&rig);
}

EACH_VARIANT(device_life, without_streams_is_refused_with_a_reason)
{
    struct tg_device_options o = {.host = &rig_host, .threads = v->threads, .spec = v->spec};
    struct tg_device *device = NULL;
    struct tg_error why = {0};

    cr_assert_eq(tg_backend_find(v->backend)->open(&o, &device, &why), -EINVAL);
    cr_assert_null(device);
    cr_assert_str_eq(why.field, "streams");
    cr_assert_neq(why.message[0], '\0');
}

EACH_VARIANT(device_life, load_warms_a_computing_device_up_once)
{
    struct rig rig;

    rig_open(&rig, v, 0, 16);
    cr_assert_eq(rig.self.warm_ups, v->computes ? 1 : 0);
    rig_close(&rig);
}

EACH_VARIANT(device_life, failed_warm_up_fails_the_load)
{
    struct rig rig;

    cr_assert_eq(rig_open_only(&rig, v), 0);
    rig.self.warm_up_result = -ENOSPC;
    int rc = rig.backend->load(rig.device, &scramble_runner, &rig.self, &rig.why);
    cr_assert_eq(rc, v->computes ? -ENOSPC : 0);
    cr_assert_eq(rig.why.message[0] != '\0', v->computes);
    rig_close(&rig);
}

EACH_VARIANT(device_life, closes_with_batches_in_flight)
{
    for (uint32_t n = 1; n <= RIG_STREAMS; n++) {
        struct rig rig;
        rig_open(&rig, v, 5000, 1024);
        for (uint32_t s = 0; s < n; s++)
            cr_assert_eq(rig_submit(&rig, rig_prepare(&rig, s, 100)), 0);
        rig_close(&rig);
    }
}

EACH_VARIANT(device_life, several_runner_instances_live_side_by_side)
{
    struct rig rig;
    struct scramble other = {.row_ns = 10000};

    rig_open(&rig, v, 0, 256);
    cr_assert_eq(rig.backend->load(rig.device, &scramble_runner, &other, &rig.why), 0);
    struct rig_job *a = rig_prepare(&rig, 0, 32), *b = rig_prepare(&rig, 1, 32);
    b->job.self = &other;
    cr_assert_eq(rig_submit(&rig, a), 0);
    cr_assert_eq(rig_submit(&rig, b), 0);
    rig_finish(&rig, b);
    rig_finish(&rig, a);
    if (v->kernels) {
        cr_assert_eq(rig_wrong_rows(&rig, a) + rig_wrong_rows(&rig, b), 0);
    } else {
        cr_assert_eq(rig.self.rows, v->computes ? 32 : 0);
        cr_assert_eq(other.rows, v->computes ? 32 : 0);
    }
    rig_close(&rig);
}
