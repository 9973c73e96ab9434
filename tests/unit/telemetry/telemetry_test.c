/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sampler against a library that plays NVIDIA's (tests/support/fake_nvml.c) and does what a test writes into its script.
 * A plain program, because Criterion cannot run under ThreadSanitizer. Nothing here asserts that something is quick: what
 * is waited for comes or does not.
 */
#include "gateway/telemetry/telemetry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"

#define CHECK(cond)                                            \
    do {                                                       \
        if (!(cond)) {                                         \
            printf("# %s:%d: %s\n", __FILE__, __LINE__, #cond); \
            test_failed = true;                                \
        }                                                      \
    } while (0)

#define WAIT_S 120 /* an end to hanging */

static bool test_failed;
static char script_path[] = "/tmp/taskgate-fake-nvml-XXXXXX";
static struct telemetry *t;
static char page[32768];

/* ---- the world ---------------------------------------------------------------------------------------------- */

/* Renamed into place: the library never sees half of it. */
static void script(const char *text)
{
    char next[64];
    snprintf(next, sizeof(next), "%s.next", script_path);
    FILE *f = fopen(next, "we");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0 || rename(next, script_path) != 0)
        abort();
}

static void open_with(const char *library, uint64_t stale_ms)
{
    struct telemetry_options o = {library, 20 * NS_PER_MS, stale_ms * NS_PER_MS};
    char why[256];
    int rc = telemetry_create(&o, &t, why, sizeof(why));
    if (rc < 0) {
        printf("# %s\n", why);
        abort();
    }
}

static void open_fake(void)
{
    open_with(MODULE_DIR "/libnvidia-ml.so.1", 10000);
}

static void close_fake(void)
{
    telemetry_destroy(t);
    t = NULL;
}

static const char *look(void)
{
    struct metrics_text text = {.buf = page, .cap = sizeof(page)};
    page[0] = '\0';
    telemetry_export(t, clock_now_ns(), &text);
    CHECK(!text.overflow);
    return page;
}

static bool says(const char *what)
{
    return strstr(look(), what) != NULL;
}

static bool comes(const char *what)
{
    uint64_t until = clock_now_ns() + WAIT_S * NS_PER_S;
    while (!says(what)) {
        if (clock_now_ns() > until) {
            printf("# waited in vain for %s# in:\n%s", what, page);
            return false;
        }
        usleep(2000);
    }
    return true;
}


/* ---- tests -------------------------------------------------------------------------------------------------- */

static void without_the_library_nothing_runs(void)
{
    struct telemetry_options o = {"libnvidia-ml-nowhere.so.1", NS_PER_S, NS_PER_S};
    struct telemetry *none = NULL;
    char why[256] = "";
    CHECK(telemetry_create(&o, &none, why, sizeof(why)) == -ENOENT);
    CHECK(!none && strstr(why, "nowhere"));
}

static void another_library_is_refused_by_what_it_lacks(void)
{
    struct telemetry_options o = {"libm.so.6", NS_PER_S, NS_PER_S};
    struct telemetry *none = NULL;
    char why[256] = "";
    CHECK(telemetry_create(&o, &none, why, sizeof(why)) == -EINVAL);
    CHECK(!none && strstr(why, "nvml"));
}

static void every_reading_is_told_in_the_unit_of_its_name(void)
{
    script("utilization.0 37\nmemory_utilization.0 5\nmemory.0 8000\npower.0 251500\nenergy.0 1234567\n"
           "temperature.0 41\nclock.0 1980\nmemory_clock.0 2619\necc_corrected.0 7\necc_uncorrected.0 0\n"
           "pcie_generation.0 5\npcie_width.0 16\npcie_sent.0 12\npcie_received.0 34\n");
    open_fake();
    CHECK(comes("taskgate_gpu_utilization_ratio{gpu=\"GPU-fake-0\"} 0.37\n"));
    CHECK(says("taskgate_gpu_telemetry_up 1\n"));
    CHECK(says("taskgate_gpu_info{gpu=\"GPU-fake-0\",name=\"Fake _GPU_\",pci=\"00000000:01:00.0\",driver=\"550.0 _fake_\"} 1\n"));
    CHECK(comes("taskgate_gpu_pcie_received_bytes_per_second{gpu=\"GPU-fake-0\"} 34000\n"));
    CHECK(says("taskgate_gpu_memory_utilization_ratio{gpu=\"GPU-fake-0\"} 0.05\n"));
    CHECK(says("taskgate_gpu_memory_size_bytes{gpu=\"GPU-fake-0\"} 8000\n"));
    CHECK(says("taskgate_gpu_memory_used_bytes{gpu=\"GPU-fake-0\"} 2000\n"));
    CHECK(says("taskgate_gpu_power_watts{gpu=\"GPU-fake-0\"} 251.5\n"));
    CHECK(says("taskgate_gpu_board_energy_joules_total{gpu=\"GPU-fake-0\"} 1234.567\n"));
    CHECK(says("taskgate_gpu_temperature_celsius{gpu=\"GPU-fake-0\"} 41\n"));
    CHECK(says("taskgate_gpu_clock_hertz{gpu=\"GPU-fake-0\"} 1980000000\n"));
    CHECK(says("taskgate_gpu_memory_clock_hertz{gpu=\"GPU-fake-0\"} 2619000000\n"));
    CHECK(says("taskgate_gpu_ecc_corrected_total{gpu=\"GPU-fake-0\"} 7\n"));
    CHECK(says("taskgate_gpu_ecc_uncorrected_total{gpu=\"GPU-fake-0\"} 0\n"));
    CHECK(says("taskgate_gpu_pcie_generation{gpu=\"GPU-fake-0\"} 5\n"));
    CHECK(says("taskgate_gpu_pcie_lanes{gpu=\"GPU-fake-0\"} 16\n"));
    CHECK(says("taskgate_gpu_pcie_sent_bytes_per_second{gpu=\"GPU-fake-0\"} 12000\n"));
    close_fake();
}

static void what_a_gpu_cannot_tell_is_absent_and_not_zero(void)
{
    script("gpus 2\npower.0 100000\ntemperature.1 50\nfail.temperature.0 999\ntemperature.0 40\n");
    open_fake();
    CHECK(comes("taskgate_gpu_temperature_celsius{gpu=\"GPU-fake-1\"} 50\n"));
    CHECK(says("taskgate_gpu_power_watts{gpu=\"GPU-fake-0\"} 100\n"));
    CHECK(!says("taskgate_gpu_power_watts{gpu=\"GPU-fake-1\"}"));
    CHECK(!says("taskgate_gpu_temperature_celsius{gpu=\"GPU-fake-0\"}"));
    CHECK(!says("utilization"));
    script("gpus 2\npower.0 100000\ntemperature.1 50\ntemperature.0 40\n");
    CHECK(comes("taskgate_gpu_temperature_celsius{gpu=\"GPU-fake-0\"} 40\n")); /* an error is asked about again */
    close_fake();
}

static void a_library_that_lacks_calls_gives_the_rest(void)
{
    script("power.0 100000\npcie_sent.0 1\nxid.0 13\npcie_width.0 8\n");
    open_with(MODULE_DIR "/libnvidia-ml-old.so.1", 10000);
    CHECK(comes("taskgate_gpu_pcie_lanes{gpu=\"GPU-fake-0\"} 8\n"));
    CHECK(!says("pcie_sent"));
    CHECK(!says("xid=\"13\""));
    close_fake();
}

static void a_host_without_a_gpu_has_no_gpu_metrics(void)
{
    script("gpus 0\n");
    open_fake();
    CHECK(comes("taskgate_gpu_telemetry_up 1\n"));
    CHECK(!says("{gpu="));
    close_fake();
}

static void without_a_driver_it_is_down(void)
{
    script("fail.init 9\npower.0 1\n");
    open_fake();
    usleep(100000);
    CHECK(says("taskgate_gpu_telemetry_up 0\n"));
    CHECK(!says("{gpu="));
    close_fake();
}

static void a_call_that_hangs_makes_readings_stale_and_holds_nobody_up(void)
{
    script("power.0 100000\n");
    open_with(MODULE_DIR "/libnvidia-ml.so.1", 2000);
    CHECK(comes("taskgate_gpu_power_watts{gpu=\"GPU-fake-0\"} 100\n"));
    script("power.0 200000\nhang.power 1\n");
    CHECK(comes("taskgate_gpu_telemetry_up 0\n"));
    CHECK(!says("power_watts"));
    CHECK(says("taskgate_gpu_info{gpu=\"GPU-fake-0\""));
    telemetry_watch(t, clock_now_ns());
    script("power.0 200000\n");
    CHECK(comes("taskgate_gpu_power_watts{gpu=\"GPU-fake-0\"} 200\n"));
    telemetry_watch(t, clock_now_ns());
    close_fake();
}

static void the_end_does_not_wait_for_a_call_that_hangs(void)
{
    script("power.0 100000\nhang.power 1\n");
    open_fake();
    usleep(50000);
    close_fake();
    script("power.0 100000\n"); /* lets the thread end, which then frees what it was left with */
    usleep(100000);
}

static void a_lost_gpu_is_silent_until_it_is_back(void)
{
    script("gpus 2\npower.0 100000\npower.1 100000\n");
    open_fake();
    CHECK(comes("taskgate_gpu_lost{gpu=\"GPU-fake-1\"} 0\n"));
    script("gpus 2\npower.0 100000\npower.1 100000\nfail.power.1 15\n");
    CHECK(comes("taskgate_gpu_lost{gpu=\"GPU-fake-1\"} 1\n"));
    CHECK(!says("taskgate_gpu_power_watts{gpu=\"GPU-fake-1\"}"));
    CHECK(says("taskgate_gpu_power_watts{gpu=\"GPU-fake-0\"} 100\n"));
    CHECK(says("taskgate_gpu_lost{gpu=\"GPU-fake-0\"} 0\n"));
    script("gpus 2\npower.0 100000\npower.1 70000\n");
    CHECK(comes("taskgate_gpu_power_watts{gpu=\"GPU-fake-1\"} 70\n"));
    CHECK(comes("taskgate_gpu_lost{gpu=\"GPU-fake-1\"} 0\n"));
    close_fake();
}

static void xid_events_are_counted_by_gpu_and_number(void)
{
    script("gpus 2\nxid.0 79\nxid.1 13\nxid.0 31\nxid.0 79\n");
    open_fake();
    CHECK(comes("taskgate_gpu_xid_total{gpu=\"GPU-fake-1\",xid=\"13\"} 1\n"));
    CHECK(comes("taskgate_gpu_xid_total{gpu=\"GPU-fake-0\",xid=\"79\"} 2\n"));
    CHECK(comes("taskgate_gpu_xid_total{gpu=\"GPU-fake-0\",xid=\"31\"} 1\n"));
    close_fake();
}

static void kinds_of_events_are_bounded(void)
{
    char text[1024] = "";
    for (unsigned i = 0; i < 20; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "xid.0 %u\n", 100 + i);
    script(text);
    open_fake();
    CHECK(comes("taskgate_gpu_xid_total{gpu=\"GPU-fake-0\",xid=\"other\"} 4\n"));
    CHECK(says("xid=\"115\"} 1\n") && !says("xid=\"116\""));
    close_fake();
}

static void energy_is_told_by_uuid(void)
{
    struct telemetry_energy first, later;
    script("gpus 2\nenergy.0 5000\n");
    open_fake();
    CHECK(comes("taskgate_gpu_board_energy_joules_total{gpu=\"GPU-fake-0\"} 5\n"));
    CHECK(comes("taskgate_gpu_telemetry_up 1\n"));
    CHECK(telemetry_energy(t, "GPU-fake-0", &first) && first.millijoules == 5000);
    CHECK(!telemetry_energy(t, "GPU-fake-1", &later) && !telemetry_energy(t, "GPU-none", &later));
    script("energy.0 6000\n");
    CHECK(comes("taskgate_gpu_board_energy_joules_total{gpu=\"GPU-fake-0\"} 6\n"));
    do
        CHECK(telemetry_energy(t, "GPU-fake-0", &later));
    while (later.sampled_ns == first.sampled_ns);
    CHECK(later.millijoules == 6000 && later.sampled_ns > first.sampled_ns);
    close_fake();
}

static void too_many_gpus_are_left_alone(void)
{
    script("gpus 20\n");
    open_fake();
    CHECK(comes("taskgate_gpu_lost{gpu=\"GPU-fake-15\"} 0\n"));
    CHECK(!says("GPU-fake-16"));
    close_fake();
}

/* ---- running them ------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
#define TEST(name) {#name, name}
    TEST(without_the_library_nothing_runs),
    TEST(another_library_is_refused_by_what_it_lacks),
    TEST(every_reading_is_told_in_the_unit_of_its_name),
    TEST(what_a_gpu_cannot_tell_is_absent_and_not_zero),
    TEST(a_library_that_lacks_calls_gives_the_rest),
    TEST(a_host_without_a_gpu_has_no_gpu_metrics),
    TEST(without_a_driver_it_is_down),
    TEST(a_call_that_hangs_makes_readings_stale_and_holds_nobody_up),
    TEST(the_end_does_not_wait_for_a_call_that_hangs),
    TEST(a_lost_gpu_is_silent_until_it_is_back),
    TEST(xid_events_are_counted_by_gpu_and_number),
    TEST(kinds_of_events_are_bounded),
    TEST(energy_is_told_by_uuid),
    TEST(too_many_gpus_are_left_alone),
};

int main(int argc, char **argv)
{
    bool any_failed = false;
    int fd = mkstemp(script_path);
    if (fd < 0 || setenv("FAKE_NVML", script_path, 1) < 0)
        abort();
    close(fd);
    setvbuf(stdout, NULL, _IOLBF, 0);
    log_configure(TG_LOG_ERROR, LOG_TEXT);
    printf("1..%zu\n", TG_ARRAY_SIZE(tests));
    for (size_t i = 0; i < TG_ARRAY_SIZE(tests); i++) {
        test_failed = false;
        if (argc < 2 || strstr(tests[i].name, argv[1]))
            tests[i].run();
        printf("%s %zu - %s\n", test_failed ? "not ok" : "ok", i + 1, tests[i].name);
        any_failed = any_failed || test_failed;
    }
    unlink(script_path);
    return any_failed;
}
