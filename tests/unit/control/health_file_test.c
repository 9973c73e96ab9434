/* SPDX-License-Identifier: Apache-2.0 */
/* The health file: what it says, when it is written, and who may write it. */
#include "gateway/control/health_file.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "gateway/base/clock.h"
#include "gateway/control/store.h"

static char folder[64], path[160];
static struct health_inputs inputs;
static int64_t unix_now = 1795195731960;

static int64_t unix_ms(void *context)
{
    (void)context;
    return unix_now;
}

static const struct control_host host = {.unix_ms = unix_ms};

static void look(void *context, struct health_inputs *out)
{
    cr_assert_eq(context, &inputs);
    *out = inputs;
}

static void make_folder(void)
{
    strcpy(folder, "/tmp/tg-health-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert(health_file_path(folder, "default", path, sizeof(path)));
}

static void remove_folder(void)
{
    char command[96];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    cr_expect_eq(system(command), 0);
}

static struct health_file *create(void)
{
    struct health_file *h = NULL;
    struct health_file_options o = {&host, path, look, &inputs};
    cr_assert_eq(health_file_create(&o, &h), 0);
    return h;
}

static bool says(const char *what)
{
    char text[HEALTH_FILE_BYTES_MAX + 1] = "";
    cr_assert_gt(store_read(path, true, text, HEALTH_FILE_BYTES_MAX), 0);
    return strstr(text, what) != NULL;
}

static bool prints(struct health_inputs in, const char *what)
{
    char text[HEALTH_FILE_BYTES_MAX + 1] = "";
    struct health_header header = {unix_now, unix_now, 1, 7};
    text[health_file_print(&header, &in, text).len] = '\0';
    return strstr(text, what) != NULL;
}

TestSuite(health_file, .init = make_folder, .fini = remove_folder);

Test(health_file, has_every_field_of_the_schema)
{
    char text[HEALTH_FILE_BYTES_MAX];
    struct health_header header = {.epoch_ms = 1795195000001, .now_ms = 1795195731060, .sequence = 42, .pid = 4711};
    struct health_inputs in = {.lifecycle = HEALTH_SERVING, .progress_age_ms = 12};
    struct tg_str got = health_file_print(&header, &in, text);
    cr_assert(tg_str_eq(got, TG_STR("{\"health_schema_version\":1,\"process_epoch\":1795195000001,\"pid\":4711,"
                                    "\"sequence\":42,\"emitted_at\":\"2026-11-20T17:28:51.060Z\","
                                    "\"lifecycle\":\"serving\",\"liveness\":\"live\",\"readiness\":\"ready\","
                                    "\"reason_codes\":[],\"progress\":{\"runtime\":{\"age_ms\":12,"
                                    "\"stale_after_ms\":30000}}}")), TG_STR_FMT, TG_STR_ARG(got));
}

Test(health_file, readiness_is_the_worst_of_its_reasons)
{
    struct health_inputs in = {.lifecycle = HEALTH_SERVING};
    in.reasons[HEALTH_REASON_DIRECTORY_UNAVAILABLE] = true;
    cr_assert(prints(in, "\"readiness\":\"degraded\",\"reason_codes\":[\"directory_unavailable\"]"));
    cr_assert(prints(in, "\"liveness\":\"live\""));
    in.reasons[HEALTH_REASON_NO_CAPACITY] = true;
    cr_assert(prints(in, "\"readiness\":\"not_ready\",\"reason_codes\":[\"no_capacity\",\"directory_unavailable\"]"));
    for (uint32_t i = 0; i < HEALTH_REASON_COUNT; i++)
        in.reasons[i] = true;
    cr_assert(prints(in, "\"readiness\":\"not_ready\""), "all of them fit");
}

Test(health_file, each_time_of_life_has_its_words)
{
    cr_assert(prints((struct health_inputs){.lifecycle = HEALTH_STARTING},
                     "\"lifecycle\":\"starting\",\"liveness\":\"starting\",\"readiness\":\"not_ready\""));
    cr_assert(prints((struct health_inputs){.lifecycle = HEALTH_DRAINING},
                     "\"lifecycle\":\"draining\",\"liveness\":\"live\",\"readiness\":\"not_ready\",\"reason_codes\":[\"draining\"]"));
    cr_assert(prints((struct health_inputs){.lifecycle = HEALTH_STOPPED},
                     "\"lifecycle\":\"stopped\",\"liveness\":\"not_live\",\"readiness\":\"not_ready\""));
}

Test(health_file, without_progress_the_runtime_is_not_alive)
{
    struct health_inputs in = {.lifecycle = HEALTH_SERVING, .progress_age_ms = HEALTH_FILE_STALE_MS};
    cr_assert(prints(in, "\"liveness\":\"live\""));
    in.progress_age_ms++;
    cr_assert(prints(in, "\"liveness\":\"not_live\",\"readiness\":\"not_ready\",\"reason_codes\":[\"runtime_stalled\"]"));
}

Test(health_file, is_written_every_five_seconds_and_nobody_else_may_read_it)
{
    struct control_part part = health_file_part(create());
    struct stat s;
    inputs.lifecycle = HEALTH_SERVING;
    uint64_t now = 77 * NS_PER_S, next = part.turn(part.self, now);
    cr_assert_eq(next, now + 5 * NS_PER_S);
    cr_assert(says("\"sequence\":1,"));
    cr_assert_eq(stat(path, &s), 0);
    cr_assert_eq(s.st_mode & 0777, 0600);
    cr_assert_eq(part.turn(part.self, now + NS_PER_S), next, "an event is no reason");
    cr_assert(says("\"sequence\":1,"));
    unix_now += 5000;
    part.turn(part.self, next);
    cr_assert(says("\"sequence\":2,\"emitted_at\":\"2026-11-20T17:28:56.960Z\""));
    cr_assert(says("\"process_epoch\":1795195731960"), "that stays");
    part.finish(part.self);
}

Test(health_file, the_way_out_is_written_at_once)
{
    struct control_part part = health_file_part(create());
    uint64_t now = 77 * NS_PER_S;
    inputs.lifecycle = HEALTH_SERVING;
    part.turn(part.self, now);
    inputs.lifecycle = HEALTH_DRAINING;
    part.leave(part.self);
    part.turn(part.self, now + 1);
    cr_assert(says("\"sequence\":2,"));
    cr_assert(says("\"lifecycle\":\"draining\""));
    part.finish(part.self);
    cr_assert(says("\"sequence\":3,"));
    cr_assert(says("\"lifecycle\":\"stopped\""));
}

Test(health_file, a_folder_that_was_tidied_up_is_made_again)
{
    struct control_part part = health_file_part(create());
    part.turn(part.self, NS_PER_S);
    remove_folder();
    part.turn(part.self, 100 * NS_PER_S);
    cr_assert(says("\"sequence\":2,"));
    part.finish(part.self);
}

Test(health_file, has_one_writer)
{
    struct health_file *h = create(), *second;
    struct health_file_options o = {&host, path, look, &inputs};
    cr_assert_eq(health_file_create(&o, &second), -EBUSY);
    struct control_part part = health_file_part(h);
    part.finish(part.self);
    part = health_file_part(create());
    part.finish(part.self);
}

Test(health_file, a_name_that_leads_elsewhere_is_none)
{
    static const char *const wrong[] = {"", ".", "..", "../x", "a/b", ".hidden"};
    char out[64];
    for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++)
        cr_expect_not(health_file_path("/x", wrong[i], out, sizeof(out)), "%s", wrong[i]);
    cr_assert(health_file_path("/x", "n-1", out, sizeof(out)));
    cr_assert_str_eq(out, "/x/run/n-1/health-v1.json");
    cr_assert_not(health_file_path("/x", "n-1", out, 20));
}
