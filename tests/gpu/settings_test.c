/* SPDX-License-Identifier: Apache-2.0 */
/* The cuda device's line of settings, and which device it names. */
#include <criterion/criterion.h>
#include <errno.h>
#include "gpu/cuda/settings.h"

static struct tg_cuda_settings s;
static struct tg_error why;

Test(cuda_settings, without_a_line_all_is_as_by_default)
{
    cr_assert_eq(tg_cuda_settings_parse(NULL, &s, &why), 0);
    cr_assert_str_eq(s.device, "0");
    cr_assert_eq(s.pin_mib, 1024);
    cr_assert_eq(s.buffer_kib, 32768);
    cr_assert_eq(s.direct_kib, TG_CUDA_DIRECT_MEASURED);
    cr_assert_eq(s.graphs, 1);
}

Test(cuda_settings, each_can_be_given)
{
    cr_assert_eq(tg_cuda_settings_parse("device=GPU-12,pin_mib=0,buffer_kib=8,direct_kib=64,graphs=0", &s, &why), 0);
    cr_assert_str_eq(s.device, "GPU-12");
    cr_assert(s.pin_mib == 0 && s.buffer_kib == 8 && s.direct_kib == 64 && s.graphs == 0);
}

Test(cuda_settings, what_is_wrong_is_named_and_nothing_is_changed)
{
    static const char *const bad[] = {"device=", "pin_mib=x", "graphs=2", "buffer_kib=0", "colour=red", "pin_mib"};
    s = (struct tg_cuda_settings){.pin_mib = 77};
    for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++) {
        why = (struct tg_error){0};
        cr_assert_eq(tg_cuda_settings_parse(bad[i], &s, &why), -EINVAL, "%s", bad[i]);
        cr_assert_neq(why.message[0], '\0', "%s", bad[i]);
        cr_assert_eq(s.pin_mib, 77);
    }
}

Test(cuda_settings, a_name_too_long_for_any_device_is_refused)
{
    char line[200] = "device=GPU-";
    memset(line + 11, 'a', 100);
    cr_assert_eq(tg_cuda_settings_parse(line, &s, &why), -EINVAL);
}

Test(cuda_settings, devices_are_named_by_index_or_uuid)
{
    static const unsigned char uuid[16] = {0x1f, 0x2e, 0x3d, 0x4c, 0x5b, 0x6a, 0x79, 0x88,
                                           0x97, 0xa6, 0xb5, 0xc4, 0xd3, 0xe2, 0xf1, 0x00};
    cr_assert(tg_cuda_device_matches("3", 3, uuid));
    cr_assert_not(tg_cuda_device_matches("3", 13, uuid));
    cr_assert_not(tg_cuda_device_matches("03", 3, uuid));
    cr_assert(tg_cuda_device_matches("GPU-1f2e3d4c-5b6a-7988-97a6-b5c4d3e2f100", 0, uuid));
    cr_assert(tg_cuda_device_matches("MIG-1F2E3D4C-5b6a", 0, uuid), "shortened, in capitals");
    cr_assert_not(tg_cuda_device_matches("GPU-1f2e3d4c-5b6a-7988-97a6-b5c4d3e2f101", 0, uuid));
    cr_assert_not(tg_cuda_device_matches("GPU-1f2e3d4c-5b6a-7988-97a6-b5c4d3e2f1000", 0, uuid));
    cr_assert_not(tg_cuda_device_matches("GPU-", 0, uuid), "a prefix of all is no name");
    cr_assert_not(tg_cuda_device_matches("1f2e3d4c", 0, uuid));
}

/* What is written goes into CUDA_VISIBLE_DEVICES, which knows a part of a GPU by this word only. */
Test(cuda_settings, a_part_of_a_gpu_is_told_from_a_whole_one)
{
    static const unsigned char uuid[16] = {0x1f, 0x2e, 0x3d, 0x4c, 0x5b, 0x6a, 0x79, 0x88,
                                           0x97, 0xa6, 0xb5, 0xc4, 0xd3, 0xe2, 0xf1, 0x00};
    char text[TG_CUDA_UUID_BYTES];
    tg_cuda_uuid_write("NVIDIA H200", uuid, text);
    cr_assert_str_eq(text, "GPU-1f2e3d4c-5b6a-7988-97a6-b5c4d3e2f100");
    tg_cuda_uuid_write("NVIDIA H200 MIG 1g.18gb", uuid, text);
    cr_assert_str_eq(text, "MIG-1f2e3d4c-5b6a-7988-97a6-b5c4d3e2f100");
}
