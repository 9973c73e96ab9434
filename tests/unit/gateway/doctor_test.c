/* SPDX-License-Identifier: Apache-2.0 */
/* What `taskgate doctor` makes of what it saw of GPUs, libraries and memory. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>
#include "gateway/checks/gpu_checks.h"
#include "gateway/checks/place_checks.h"

static const struct {
    const char *word;
} reasons[] = {
#define CUDA_REASON(id, word, error, text) {word},
#include "gpu/cuda/cuda_reasons.def"
#undef CUDA_REASON
};

static void assert_finding(const struct doctor_finding *f, enum doctor_level level, const char *what,
                           const char *todo)
{
    cr_expect_eq(f->level, level, "%d: %s", f->level, f->what);
    cr_expect(strstr(f->what, what), "%s", f->what);
    cr_expect(strstr(f->todo, todo), "%s", f->todo);
    cr_expect(f->level == DOCTOR_OK || f->todo[0], "what is wrong with it says what to do");
    cr_expect_eq(f->status, f->level == DOCTOR_FAIL ? DOCTOR_LOCAL_UNHEALTHY : DOCTOR_HEALTHY);
}

/* ---- the GPU ---------------------------------------------------------------------------------------------- */

static struct host_sight seen(enum gpu_wish wish, const char *word, int driver)
{
    struct host_sight s = {
        .wish = wish, .who = "executor.device", .driver = driver, .probe = {.rc = word ? -1 : 0}};
    if (word)
        tg_error_set(&s.probe.why, word, "the reason called %s", word);
    return s;
}

static struct doctor_finding gpu_of(const struct host_sight *s)
{
    struct doctor_finding f = {0};
    gpu_judge(s, &f);
    return f;
}

Test(doctor, a_usable_gpu_is_fine)
{
    struct host_sight s = seen(GPU_WELCOME, NULL, 13000);
    struct doctor_finding f = gpu_of(&s);
    assert_finding(&f, DOCTOR_OK, "usable", "");
}

Test(doctor, no_gpu_at_all_is_a_note_unless_one_is_required)
{
    struct host_sight s = seen(GPU_WELCOME, "no_driver", 0);
    struct doctor_finding f = gpu_of(&s);
    assert_finding(&f, DOCTOR_OK, "none: the reason called no_driver; the cpu serves", "");
    s.wish = GPU_REQUIRED;
    f = gpu_of(&s);
    assert_finding(&f, DOCTOR_FAIL, "executor.device = \"cuda\", but: the reason called no_driver",
                   "install NVIDIA's driver");
}

Test(doctor, a_gpu_on_the_bus_that_nobody_can_use_is_a_warning)
{
    struct host_sight s = seen(GPU_WELCOME, "no_driver", 0);
    s.gpus_on_bus = 8;
    struct doctor_finding f = gpu_of(&s);
    assert_finding(&f, DOCTOR_WARN, "8 on the bus, but: the reason called no_driver", "--gpus all");
    s = seen(GPU_WELCOME, "not_built", 13000);
    f = gpu_of(&s);
    assert_finding(&f, DOCTOR_WARN, "not_built", "nvcc 13");
}

Test(doctor, a_driver_without_a_usable_device_is_a_warning_with_a_remedy_of_its_own)
{
    static const struct {
        const char *word, *todo;
    } cases[] = {
        {"driver_too_old", "update NVIDIA's driver"}, {"no_device", "nvidia-smi -L"}, {"device_lost", "Xid"}};
    for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
        struct host_sight s = seen(GPU_WELCOME, cases[i].word, 12040);
        struct doctor_finding f = gpu_of(&s);
        assert_finding(&f, DOCTOR_WARN, cases[i].word, cases[i].todo);
        s.wish = GPU_REQUIRED;
        f = gpu_of(&s);
        assert_finding(&f, DOCTOR_FAIL, cases[i].word, cases[i].todo);
    }
}

Test(doctor, every_reason_has_a_remedy)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(reasons); i++) {
        struct host_sight s = seen(GPU_REQUIRED, reasons[i].word, 0);
        bool usable = strcmp(reasons[i].word, "usable") == 0;
        struct doctor_finding f = gpu_of(&s);
        cr_expect_eq(strstr(f.todo, "try again") != NULL, usable, "%s: %s", reasons[i].word, f.todo);
    }
}

Test(doctor, a_gpu_that_is_not_wanted_is_not_missed_and_one_that_is_withheld_is)
{
    struct host_sight s = {.wish = GPU_UNWANTED};
    struct doctor_finding f = gpu_of(&s);
    assert_finding(&f, DOCTOR_OK, "not wanted", "");
    s = (struct host_sight){.wish = GPU_REQUIRED, .who = "runner.a.device", .withheld = true};
    f = gpu_of(&s);
    assert_finding(&f, DOCTOR_FAIL, "runner.a.device = \"cuda\", and executor.device leaves no GPU",
                   "executor.device");
}

/* ---- versions and libraries ------------------------------------------------------------------------------- */

static struct doctor_finding toolkit_of(const struct toolkit_sight *s)
{
    struct doctor_finding f = {0};
    toolkit_judge(s, &f);
    return f;
}

static const struct toolkit_sight complete = {.wish = GPU_WELCOME,
                                              .built = 13000,
                                              .driver = 13020,
                                              .nvrtc = "libnvrtc.so.13",
                                              .nvml = "libnvidia-ml.so.1",
                                              .nvml_wanted = "libnvidia-ml.so.1"};

Test(doctor, versions_and_libraries_that_fit_are_named)
{
    struct doctor_finding f = toolkit_of(&complete);
    assert_finding(
        &f, DOCTOR_OK,
        "built with CUDA 13.0, the driver speaks 13.2; nvrtc: libnvrtc.so.13; nvml: libnvidia-ml.so.1", "");
}

Test(doctor, nothing_of_cuda_is_a_note)
{
    struct toolkit_sight s = {.wish = GPU_WELCOME, .nvml_wanted = "libnvidia-ml.so.1"};
    struct doctor_finding f = toolkit_of(&s);
    assert_finding(&f, DOCTOR_OK, "built without CUDA, no driver; nvrtc: none; nvml: none", "");
}

Test(doctor, a_driver_of_an_older_major_version)
{
    struct toolkit_sight s = complete;
    s.driver = 12090;
    struct doctor_finding f = toolkit_of(&s);
    assert_finding(&f, DOCTOR_WARN, "built with CUDA 13.0, the driver speaks 12.9", "R580");
    s.wish = GPU_REQUIRED;
    f = toolkit_of(&s);
    assert_finding(&f, DOCTOR_FAIL, "12.9", "R580");
    s.wish = GPU_UNWANTED;
    f = toolkit_of(&s);
    assert_finding(&f, DOCTOR_OK, "12.9", "");
}

Test(doctor, nvrtc_is_missed_only_by_runners_that_compile)
{
    struct toolkit_sight s = complete;
    s.nvrtc = NULL;
    struct doctor_finding f = toolkit_of(&s);
    assert_finding(&f, DOCTOR_OK, "nvrtc: none", "");
    s.kernels = true;
    f = toolkit_of(&s);
    assert_finding(&f, DOCTOR_FAIL, "libnvrtc cannot be loaded", "cuda-nvrtc");
}

Test(doctor, nvml_is_missed_where_there_is_a_driver_and_it_is_not_switched_off)
{
    struct toolkit_sight s = complete;
    s.nvml = NULL;
    struct doctor_finding f = toolkit_of(&s);
    assert_finding(&f, DOCTOR_WARN, "libnvidia-ml.so.1 cannot be loaded", "telemetry.nvml");
    s.nvml_wanted = "";
    f = toolkit_of(&s);
    assert_finding(&f, DOCTOR_OK, "nvml: none", "");
}

/* ---- memory ----------------------------------------------------------------------------------------------- */

#define MIB (UINT64_C(1) << 20)

static struct doctor_finding memlock_of(uint64_t lock_bytes, uint64_t limit)
{
    struct host_sight s = {.lock_bytes = lock_bytes};
    struct doctor_finding f = {0};
    memlock_judge(&s, limit, &f);
    return f;
}

Test(doctor, locked_memory_is_judged_by_what_is_pinned)
{
    struct doctor_finding f = memlock_of(0, 64 * MIB);
    assert_finding(&f, DOCTOR_OK, "64 MiB of memory may be locked", "");
    f = memlock_of(512 * MIB, 64 * MIB);
    assert_finding(&f, DOCTOR_WARN, "only 64 MiB of memory may be locked, up to 512 MiB of lanes",
                   "LimitMEMLOCK");
    f = memlock_of(512 * MIB, 600 * MIB);
    assert_finding(&f, DOCTOR_OK, "600 MiB of memory may be locked; up to 512 MiB of lanes are pinned", "");
    f = memlock_of(0, 8 * MIB);
    assert_finding(&f, DOCTOR_WARN, "only 8192 KiB of memory may be locked: io_uring", "LimitMEMLOCK");
    f = memlock_of(512 * MIB, UINT64_MAX);
    assert_finding(&f, DOCTOR_OK, "no limit; up to 512 MiB", "");
}

static struct doctor_finding huge_pages_of(uint64_t lock_bytes, bool wanted, const char *text)
{
    struct host_sight s = {.lock_bytes = lock_bytes, .lane_bytes = 100 * MIB};
    struct doctor_finding f = {0};
    huge_pages_judge(&s, wanted, text, &f);
    return f;
}

Test(doctor, huge_pages_matter_to_who_asks_for_them)
{
    struct doctor_finding f = huge_pages_of(0, false, "always madvise [never]\n");
    assert_finding(&f, DOCTOR_OK, "topology.huge_pages is off", "");
    f = huge_pages_of(0, true, "always madvise [never]\n");
    assert_finding(&f, DOCTOR_WARN, "100 MiB of lanes lie in small ones", "echo madvise");
    f = huge_pages_of(0, true, "");
    assert_finding(&f, DOCTOR_WARN, "does not tell", "container");
    f = huge_pages_of(0, true, "always [madvise] never\n");
    assert_finding(&f, DOCTOR_OK, "allows: madvise", "");
    f = huge_pages_of(100 * MIB, false, "always [madvise] never\n");
    assert_finding(&f, DOCTOR_OK, "up to 100 MiB of lanes are pinned in pages of 4 KiB",
                   "topology.huge_pages = true");
}
