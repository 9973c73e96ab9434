/* SPDX-License-Identifier: Apache-2.0 */
/* The health file as a probe reads and judges it. */
#include <criterion/criterion.h>
#include <string.h>
#include "gateway/command/snapshot.h"
#include "gateway/control/health_file.h"

#define NOW 1795187055250 /* 2026-11-20T15:04:15.250Z */

static struct snapshot read_back(struct health_inputs in)
{
    char text[HEALTH_FILE_BYTES_MAX];
    struct snapshot s;
    struct health_header h = {.epoch_ms = NOW - 60000, .now_ms = NOW, .sequence = 7, .pid = 42};
    const char *wrong = snapshot_read(health_file_print(&h, &in, text), &s);
    cr_assert_null(wrong, "%s", wrong);
    return s;
}

static const char *wrong_with(const char *text)
{
    struct snapshot s;
    return snapshot_read((struct tg_str){text, strlen(text)}, &s);
}

Test(snapshot, what_the_node_writes_is_read_back)
{
    struct snapshot s = read_back((struct health_inputs){.lifecycle = HEALTH_SERVING, .progress_age_ms = 12});
    cr_assert_eq(s.emitted_ms, NOW);
    cr_assert_eq(s.epoch_ms, NOW - 60000);
    cr_assert_eq(s.pid, 42);
    cr_assert_str_eq(s.lifecycle, "serving");
    cr_assert_str_eq(s.liveness, "live");
    cr_assert_str_eq(s.readiness, "ready");
    cr_assert_str_eq(s.reasons, "");
    cr_assert_eq(s.progress_age_ms, 12);
}

Test(snapshot, a_serving_node_is_live_and_ready)
{
    struct snapshot s = read_back((struct health_inputs){.lifecycle = HEALTH_SERVING});
    cr_assert_null(snapshot_objection(&s, NOW, false));
    cr_assert_null(snapshot_objection(&s, NOW + SNAPSHOT_STALE_MS, true));
}

Test(snapshot, an_old_one_is_stale_and_so_is_one_of_the_future)
{
    struct snapshot s = read_back((struct health_inputs){.lifecycle = HEALTH_SERVING});
    cr_assert_not_null(snapshot_objection(&s, NOW + SNAPSHOT_STALE_MS + 1, false));
    cr_assert_not_null(snapshot_objection(&s, NOW - SNAPSHOT_STALE_MS - 1, false));
}

Test(snapshot, a_draining_node_is_live_but_not_ready)
{
    struct snapshot s = read_back((struct health_inputs){.lifecycle = HEALTH_DRAINING});
    cr_assert_null(snapshot_objection(&s, NOW, false));
    cr_assert_str_eq(snapshot_objection(&s, NOW, true), "not ready");
    cr_assert_str_eq(s.reasons, "draining");
}

Test(snapshot, a_degraded_node_is_ready)
{
    struct health_inputs in = {.lifecycle = HEALTH_SERVING};
    in.reasons[HEALTH_REASON_DIRECTORY_UNAVAILABLE] = in.reasons[HEALTH_REASON_DNS_UNAVAILABLE] = true;
    struct snapshot s = read_back(in);
    cr_assert_null(snapshot_objection(&s, NOW, true));
    cr_assert_str_eq(s.readiness, "degraded");
    cr_assert_str_eq(s.reasons, "directory_unavailable, dns_unavailable");
}

Test(snapshot, who_starts_or_has_stopped_or_stands_still_is_not_live)
{
    struct snapshot starting = read_back((struct health_inputs){.lifecycle = HEALTH_STARTING});
    struct snapshot stopped = read_back((struct health_inputs){.lifecycle = HEALTH_STOPPED});
    struct snapshot stalled = read_back(
        (struct health_inputs){.lifecycle = HEALTH_SERVING, .progress_age_ms = HEALTH_FILE_STALE_MS + 1});
    cr_assert_str_eq(snapshot_objection(&starting, NOW, false), "starting");
    cr_assert_str_eq(snapshot_objection(&stopped, NOW, false), "not live");
    cr_assert_not_null(snapshot_objection(&stalled, NOW, false));
}

Test(snapshot, what_is_no_snapshot_is_refused)
{
    cr_assert_not_null(wrong_with(""));
    cr_assert_not_null(wrong_with("[]"));
    cr_assert_not_null(wrong_with("{\"health_schema_version\":2}"));
    cr_assert_not_null(wrong_with(
        "{\"health_schema_version\":1,\"pid\":1,\"process_epoch\":1,\"emitted_at\":\"yesterday\"}"));
    cr_assert_not_null(wrong_with(
        "{\"health_schema_version\":1,\"pid\":1,\"process_epoch\":1,"
        "\"emitted_at\":\"2026-11-20T15:04:15Z\",\"lifecycle\":\"serving\",\"liveness\":\"fine\"}"));
}

Test(snapshot, times_are_utc_with_or_without_milliseconds)
{
    int64_t ms = 0;
    cr_assert(snapshot_time("1970-01-01T00:00:01Z", &ms));
    cr_assert_eq(ms, 1000);
    cr_assert(snapshot_time("2026-11-20T15:04:15.250Z", &ms));
    cr_assert_eq(ms, NOW);
    cr_assert_not(snapshot_time("2026-11-20T15:04:15+01:00", &ms));
    cr_assert_not(snapshot_time("2026-11-20T15:04:15.25Z", &ms));
    cr_assert_not(snapshot_time("2026-11-20", &ms));
}
