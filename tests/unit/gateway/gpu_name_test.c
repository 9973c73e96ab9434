/* SPDX-License-Identifier: Apache-2.0 */
/* By which name a process is shown its GPU. */
#include <criterion/criterion.h>
#include <string.h>
#include "gateway/devices/gpu_probe.h"

#define UUID "8f2c1d7e-0000-0000-0000-000000000001"

static const struct tg_device_info whole = {.name = "NVIDIA H200", .gpu = "GPU-" UUID};
static const struct tg_device_info part = {.name = "NVIDIA H200 MIG 1g.18gb", .gpu = "GPU-" UUID};

static void assert_name(const char *device, const struct tg_device_info *seen, const char *wanted)
{
    char name[GPU_NAME_BYTES];
    cr_assert_str_eq(gpu_visible_name(device, seen, name), wanted);
}

Test(gpu_name, a_gpu_goes_by_its_whole_uuid)
{
    assert_name("0", &whole, "GPU-" UUID);
    assert_name("gpu-8f2c", &whole, "GPU-" UUID);
}

Test(gpu_name, a_part_of_a_gpu_goes_by_the_uuid_that_the_driver_takes)
{
    assert_name("GPU-" UUID, &part, "MIG-" UUID);
    assert_name("MIG-" UUID, &part, "MIG-" UUID);
}

Test(gpu_name, what_was_not_seen_goes_by_what_the_operator_calls_it)
{
    assert_name("MIG-x", NULL, "MIG-x");
    assert_name("3", &(struct tg_device_info){.name = "no UUID"}, "3");
}
