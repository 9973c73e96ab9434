/* SPDX-License-Identifier: Apache-2.0 */
/* What CUDA's return codes mean to us, and the reasons for which there is no device. */
#include <criterion/criterion.h>
#include <errno.h>
#include "gpu/cuda/faults.h"

static void expect(int code, enum tg_device_fault fault)
{
    const struct tg_cuda_fault *f = tg_cuda_fault_of(code);
    cr_assert_eq(f->fault, fault, "%s (%d)", f->name, code);
    cr_assert_eq(f->code, code);
    cr_assert_lt(f->error, 0);
}

Test(cuda_faults, every_code_of_the_table_has_a_class_and_an_errno_and_is_there_once)
{
    static const int codes[] = {
#define CUDA_FAULT(name, code, class, error) code,
#include "gpu/cuda/cuda_faults.def"
#undef CUDA_FAULT
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(codes); i++) {
        const struct tg_cuda_fault *f = tg_cuda_fault_of(codes[i]);
        cr_assert(f->code == codes[i] && f->error < 0 && f->fault != TG_FAULT_NONE);
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(codes[i], codes[j]);
    }
    cr_assert_gt(TG_ARRAY_SIZE(codes), 100);
}

Test(cuda_faults, what_kernels_do_wrong_spoils_the_process)
{
    static const int codes[] = {700, 702, 710, 714, 715, 716, 717, 718, 719, 214, 220, 709};
    for (size_t i = 0; i < TG_ARRAY_SIZE(codes); i++)
        expect(codes[i], TG_FAULT_STICKY);
}

Test(cuda_faults, what_takes_the_device_away_is_a_loss)
{
    static const int codes[] = {35, 46, 100, 101, 802, 803, 805, 810};
    for (size_t i = 0; i < TG_ARRAY_SIZE(codes); i++)
        expect(codes[i], TG_FAULT_LOST);
}

Test(cuda_faults, memory_that_is_short_may_be_there_the_next_time)
{
    expect(2, TG_FAULT_RETRY);
    cr_assert_eq(tg_cuda_fault_of(2)->error, -ENOMEM);
}

Test(cuda_faults, a_wrong_launch_is_the_tasks_own_fault)
{
    static const int codes[] = {1, 9, 98, 701, 900, 901, 910};
    for (size_t i = 0; i < TG_ARRAY_SIZE(codes); i++)
        expect(codes[i], TG_FAULT_TASK);
}

Test(cuda_faults, a_code_nobody_knows_counts_as_the_worst_that_a_new_process_mends)
{
    cr_assert_eq(tg_cuda_fault_of(123456)->fault, TG_FAULT_STICKY);
    cr_assert_eq(tg_cuda_fault_of(-5)->fault, TG_FAULT_STICKY);
}

Test(cuda_faults, a_runners_own_errno_is_passed_on)
{
    struct tg_cuda_fault f = tg_cuda_fault_of_launch(-EMSGSIZE);
    cr_assert(f.fault == TG_FAULT_TASK && f.error == -EMSGSIZE);
    cr_assert_eq(tg_cuda_fault_of_launch(700).fault, TG_FAULT_STICKY);
}

/* ---- reasons --------------------------------------------------------------------------------------------- */

static const struct {
    struct tg_cuda_sight seen;
    enum tg_cuda_reason reason;
    int error;
} sights[] = {
    {{.driver_version = 13000, .runtime_version = 13000, .count = 1}, TG_CUDA_USABLE, 0},
    {{.driver_version = 13020, .runtime_version = 13000, .count = 8}, TG_CUDA_USABLE, 0},
    {{.driver_version = 13000, .runtime_version = 13010, .count = 1}, TG_CUDA_USABLE, 0}, /* same major version */
    {{.runtime_version = 13000, .count_rc = 35}, TG_CUDA_NO_DRIVER, -ENOENT},
    {{.driver_version = 12040, .runtime_version = 13000, .count_rc = 35}, TG_CUDA_OLD_DRIVER, -EPROTO},
    {{.driver_version = 13000, .runtime_version = 13010, .count_rc = 35}, TG_CUDA_OLD_DRIVER, -EPROTO},
    {{.driver_version = 13000, .runtime_version = 13000, .count_rc = 100}, TG_CUDA_NO_DEVICE, -ENODEV},
    {{.driver_version = 13000, .runtime_version = 13000, .count = 0}, TG_CUDA_NO_DEVICE, -ENODEV},
    {{.driver_version = 13000, .runtime_version = 13000, .count_rc = 999}, TG_CUDA_LOST, -EIO},
    {{.driver_version = 13000, .runtime_version = 13000, .count_rc = 802}, TG_CUDA_LOST, -EIO},
};

Test(cuda_reasons, each_has_its_sight_its_errno_and_its_line)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(sights); i++) {
        struct tg_error why = {0};
        cr_assert_eq(tg_cuda_judge(&sights[i].seen), sights[i].reason, "sight %zu", i);
        cr_assert_eq(tg_cuda_explain(sights[i].reason, &sights[i].seen, &why), sights[i].error);
        cr_assert_eq(why.message[0] == '\0', sights[i].error == 0);
        cr_assert_str_eq(why.field, sights[i].error ? tg_cuda_reason_word(sights[i].reason) : "");
    }
}

Test(cuda_reasons, an_old_driver_is_told_by_its_version)
{
    struct tg_error why = {0};
    tg_cuda_explain(TG_CUDA_OLD_DRIVER, &sights[4].seen, &why);
    cr_assert_not_null(strstr(why.message, "12.4"), "%s", why.message);
    cr_assert_not_null(strstr(why.message, "13.0"), "%s", why.message);
}

Test(cuda_reasons, all_errnos_and_words_differ)
{
    for (int a = 0; a < TG_CUDA_REASONS; a++)
        for (int b = 0; b < a; b++) {
            struct tg_error why = {0};
            struct tg_cuda_sight seen = {.count_rc = 999};
            cr_assert_neq(tg_cuda_explain((enum tg_cuda_reason)a, &seen, &why),
                          tg_cuda_explain((enum tg_cuda_reason)b, &seen, &why));
            cr_assert_str_neq(tg_cuda_reason_word((enum tg_cuda_reason)a), tg_cuda_reason_word((enum tg_cuda_reason)b));
        }
}

/* Whatever machine this runs on: the backend is there by name and, if it cannot serve, says why in open() too. */
Test(cuda_reasons, probe_and_open_agree)
{
    const struct tg_backend *b = tg_backend_find("cuda");
    struct tg_error probed = {0}, opened = {0};
    struct tg_device *device = NULL;
    struct tg_device_options o = {.streams = 1};
    cr_assert_not_null(b);
    int rc = b->probe(&probed);
    if (rc == 0)
        return;
    cr_assert_neq(probed.message[0], '\0');
    cr_assert_eq(b->open(&o, &device, &opened), rc);
    cr_assert_null(device);
    cr_assert_str_eq(opened.message, probed.message);
}
