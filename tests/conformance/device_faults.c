/* SPDX-License-Identifier: Apache-2.0 */
/* The fault device: each setting does what it says, and a bad setting is named. */
#include <criterion/criterion.h>
#include <errno.h>
#include "rig.h"

/* A batch that never ends fails its test instead of holding up the rest. */
TestSuite(device_faults, .timeout = 300);

static void open_with(struct rig *rig, const char *spec)
{
    const struct variant v = {.name = "faults", .backend = "fault", .spec = spec, .computes = true};

    rig_open(rig, &v, 0, 64);
}

/* Submit one batch of three rows on stream 0 and wait for its end. */
static struct rig_job *once(struct rig *rig)
{
    struct rig_job *j = rig_prepare(rig, 0, 3);

    cr_assert_eq(rig_submit(rig, j), 0);
    rig_finish(rig, j);
    test_rows_retire(rig->lane.lane, j->first, j->count);
    return j;
}

static enum tg_device_fault next_fault(struct rig *rig)
{
    return once(rig)->job.fault;
}

Test(device_faults, fail_hits_the_nth_submission_alone)
{
    struct rig rig;

    open_with(&rig, "cpu;fail=3");
    for (int n = 1; n <= 12; n++)
        cr_assert_eq(next_fault(&rig), n == 3 ? TG_FAULT_RETRY : TG_FAULT_NONE);
    rig_close(&rig);
}

Test(device_faults, once_is_the_default_said_aloud)
{
    struct rig rig;

    open_with(&rig, "cpu;once;fail=1");
    cr_assert_eq(next_fault(&rig), TG_FAULT_RETRY);
    cr_assert_eq(next_fault(&rig), TG_FAULT_NONE);
    rig_close(&rig);
}

Test(device_faults, every_hits_each_nth_submission)
{
    struct rig rig;

    open_with(&rig, "cpu;fail=3;every");
    for (int n = 1; n <= 12; n++)
        cr_assert_eq(next_fault(&rig), n % 3 == 0 ? TG_FAULT_RETRY : TG_FAULT_NONE);
    rig_close(&rig);
}

Test(device_faults, class_and_errno_are_as_asked)
{
    struct rig rig;

    open_with(&rig, "cpu;fail=1;fault=task;errno=75");
    struct rig_job *j = once(&rig);
    cr_assert_eq(j->job.fault, TG_FAULT_TASK);
    cr_assert_eq(j->job.error, -75);
    rig_close(&rig);
}

Test(device_faults, errno_is_eio_unless_said)
{
    struct rig rig;

    open_with(&rig, "cpu;fail=1");
    cr_assert_eq(once(&rig)->job.error, -EIO);
    rig_close(&rig);
}

Test(device_faults, a_failed_batch_has_not_run_and_can_be_run_again)
{
    struct rig rig;
    open_with(&rig, "cpu;fail=1");
    struct rig_job *j = rig_prepare(&rig, 0, 20);

    cr_assert_eq(rig_submit(&rig, j), 0);
    rig_finish(&rig, j);
    cr_assert_eq(j->job.fault, TG_FAULT_RETRY);
    cr_assert_eq(rig.self.rows, 0);
    cr_assert_eq(rig_submit(&rig, j), 0);
    rig_finish(&rig, j);
    cr_assert_eq(j->job.fault, TG_FAULT_NONE);
    cr_assert_eq(rig_wrong_rows(&rig, j), 0);
    rig_close(&rig);
}

static void breaks(const char *spec, enum tg_device_fault fault)
{
    struct rig rig;
    open_with(&rig, spec);
    struct rig_job *before = rig_prepare(&rig, 1, 3), *after = rig_prepare(&rig, 2, 3);

    cr_assert_eq(rig_submit(&rig, before), 0);
    cr_assert_eq(next_fault(&rig), fault);
    rig_finish(&rig, before);
    cr_assert_eq(before->job.fault, fault, "what was in flight ends the same way");
    cr_assert_eq(rig_submit(&rig, after), -EIO, "nothing more is taken");
    cr_assert_eq(after->job.fault, fault, "and the refusal says why");
    rig_close(&rig);
}

Test(device_faults, sticky_breaks_the_device)
{
    breaks("cpu;fail=2;fault=sticky", TG_FAULT_STICKY);
}

Test(device_faults, lost_breaks_the_device)
{
    breaks("cpu;fail=2;fault=lost", TG_FAULT_LOST);
}

Test(device_faults, opening_again_mends_a_lost_device)
{
    for (int i = 0; i < 2; i++) {
        struct rig rig;
        open_with(&rig, "cpu;fail=2;fault=lost");
        cr_assert_eq(next_fault(&rig), TG_FAULT_NONE);
        cr_assert_eq(next_fault(&rig), TG_FAULT_LOST);
        rig_close(&rig);
    }
}

Test(device_faults, a_hung_batch_never_ends_while_others_do)
{
    struct rig rig;
    open_with(&rig, "cpu;hang=1");
    struct rig_job *hung = rig_prepare(&rig, 1, 2);
    uint64_t wake_ns = 7;

    cr_assert_eq(rig_submit(&rig, hung), 0);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(next_fault(&rig), TG_FAULT_NONE);
    cr_assert_eq(rig.backend->poll(rig.device, 1, UINT64_MAX, &wake_ns), -EAGAIN);
    cr_assert_eq(wake_ns, 7, "it names no instant at which to ask again");
    cr_assert_eq(rig.self.rows, 30);
    rig_close(&rig);
}

Test(device_faults, a_broken_device_ends_what_hangs)
{
    struct rig rig;
    open_with(&rig, "cpu;hang=1;fail=2;fault=sticky");
    struct rig_job *hung = rig_prepare(&rig, 1, 2);

    cr_assert_eq(rig_submit(&rig, hung), 0);
    cr_assert_eq(next_fault(&rig), TG_FAULT_STICKY);
    rig_finish(&rig, hung);
    cr_assert_eq(hung->job.fault, TG_FAULT_STICKY);
    rig_close(&rig);
}

Test(device_faults, submit_eagain_refuses_and_the_next_try_runs)
{
    struct rig rig;
    open_with(&rig, "cpu;submit_eagain=2");

    cr_assert_eq(next_fault(&rig), TG_FAULT_NONE);
    struct rig_job *j = rig_prepare(&rig, 0, 5);
    cr_assert_eq(rig_submit(&rig, j), -EAGAIN);
    cr_assert_eq(j->job.fault, TG_FAULT_NONE);
    cr_assert_eq(rig.self.rows, 3);
    cr_assert_eq(rig_submit(&rig, j), 0);
    rig_finish(&rig, j);
    cr_assert_eq(rig_wrong_rows(&rig, j), 0);
    rig_close(&rig);
}

static void delayed(const char *spec, enum tg_device_fault fault)
{
    struct rig rig;
    open_with(&rig, spec);
    struct rig_job *j = rig_prepare(&rig, 0, 5);
    uint64_t before = test_now_ns(), wake_ns = UINT64_MAX;

    cr_assert_eq(rig_submit(&rig, j), 0);
    uint64_t after = test_now_ns();
    cr_assert_eq(rig.backend->poll(rig.device, 0, before, &wake_ns), -EAGAIN);
    cr_assert(wake_ns >= before + 20000000 && wake_ns <= after + 20000000);
    cr_assert_eq(rig.backend->poll(rig.device, 0, wake_ns - 1, &wake_ns), -EAGAIN);
    cr_assert_eq(rig.backend->poll(rig.device, 0, wake_ns, &wake_ns), 0);
    cr_assert_eq(j->job.fault, fault);
    rig_close(&rig);
}

Test(device_faults, delay_holds_good_and_bad_batches_back)
{
    delayed("cpu;delay_ms=20", TG_FAULT_NONE);
    delayed("cpu;delay_ms=20;fail=1;fault=task", TG_FAULT_TASK);
    delayed("null:service_us=1;delay_ms=20", TG_FAULT_NONE);
}

Test(device_faults, chance_fails_about_as_many_as_asked_and_the_same_ones_for_a_seed)
{
    char pattern[3][1000];
    static const char *const specs[] = {"cpu;chance_ppm=200000;seed=7", "cpu;chance_ppm=200000;seed=7",
                                        "cpu;chance_ppm=200000;seed=8"};
    int failed = 0;

    for (int s = 0; s < 3; s++) {
        struct rig rig;
        open_with(&rig, specs[s]);
        for (int i = 0; i < 1000; i++)
            pattern[s][i] = next_fault(&rig) == TG_FAULT_RETRY;
        rig_close(&rig);
    }
    for (int i = 0; i < 1000; i++)
        failed += pattern[0][i];
    cr_assert(failed > 100 && failed < 300, "%d of 1000 at 20 %%", failed);
    cr_assert_eq(memcmp(pattern[0], pattern[1], 1000), 0);
    cr_assert_neq(memcmp(pattern[0], pattern[2], 1000), 0);
}

Test(device_faults, open_fails_when_told_to)
{
    const struct variant v = {.backend = "fault", .spec = "cpu;open_fail;errno=19"};
    struct rig rig;

    cr_assert_eq(rig_open_only(&rig, &v), -ENODEV);
    cr_assert_null(rig.device);
    cr_assert(strstr(rig.why.message, "open_fail"));
    rig_close(&rig);
}

Test(device_faults, attach_and_load_fail_when_told_to)
{
    const struct variant v = {.backend = "fault", .spec = "cpu;attach_fail;load_fail;errno=12"};
    struct rig rig;

    cr_assert_eq(rig_open_only(&rig, &v), 0);
    cr_assert_eq(rig.backend->attach(rig.device, &rig, sizeof(rig)), -ENOMEM);
    cr_assert_eq(rig.backend->load(rig.device, &scramble_runner, &rig.self, &rig.why), -ENOMEM);
    cr_assert(strstr(rig.why.message, "load_fail"));
    cr_assert_eq(rig.self.warm_ups, 0);
    rig_close(&rig);
}

/* Each bad spec, and a word that its error must contain. */
static const char *const bad_specs[][2] = {
    {NULL, "no device"},
    {"", "no device"},
    {"cup", "\"cup\""},
    {"a_name_longer_than_any_device_could_ever_have", "a_name_longer"},
    {"fault", "itself"},
    {"fault:cpu", "itself"},
    {"cpu;fial=3", "\"fial\""},
    {"cpu;;fail=3", "\"\""},
    {"cpu;fail", "fail needs"},
    {"cpu;fail=", "\"\""},
    {"cpu;fail=0", "from 1 to 4294967295"},
    {"cpu;fail=-1", "\"-1\""},
    {"cpu;fail=3x", "\"3x\""},
    {"cpu;fail= 3", "\" 3\""},
    {"cpu;fail=4294967296", "\"4294967296\""},
    {"cpu;seed=18446744073709551616", "18446744073709551615"},
    {"cpu;chance_ppm=1000001", "1000000"},
    {"cpu;errno=0", "errno needs"},
    {"cpu;errno=EIO", "\"EIO\""},
    {"cpu;fault=fatal", "\"fatal\""},
    {"cpu;fault", "none of retry"},
    {"cpu;every=1", "every takes no value"},
    {"cpu;load_fail=yes", "load_fail takes no value"},
    {"cpu;every;once", "exclude"},
    {"cpu:threads=2", "no settings"},
    {"null:speed=9", "\"speed\""},
    {"null:service_us=x;fail=1", "service_us"},
};

Test(device_faults, bad_settings_are_refused_by_name)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(bad_specs); i++) {
        const struct variant v = {.backend = "fault", .spec = bad_specs[i][0]};
        struct rig rig;
        cr_assert_eq(rig_open_only(&rig, &v), -EINVAL, "%s", bad_specs[i][0]);
        cr_assert_null(rig.device);
        cr_assert(strstr(rig.why.message, bad_specs[i][1]), "%s: %s", bad_specs[i][0], rig.why.message);
        rig_close(&rig);
    }
}

Test(device_faults, wrapped_settings_longer_than_their_room_are_refused)
{
    char spec[300] = "null:";
    const struct variant v = {.backend = "fault", .spec = spec};
    struct rig rig;

    memset(spec + 5, 'x', 200);
    cr_assert_eq(rig_open_only(&rig, &v), -EINVAL);
    cr_assert(strstr(rig.why.message, "too long"));
    rig_close(&rig);
}

Test(device_faults, the_largest_values_are_accepted)
{
    struct rig rig;

    open_with(&rig,
              "cpu;fail=4294967295;hang=4294967295;seed=18446744073709551615;errno=4095;delay_ms=3600000;");
    rig_close(&rig);
}
