/* SPDX-License-Identifier: Apache-2.0 */
/* The list of faults: what is read, which request is meant, when one is used up. */
#include <criterion/criterion.h>
#include "gateway/devnet/faults.h"

static const char *read_one(const char *json, struct fault *f, bool *changes, struct fault_acts *acts)
{
    static struct tg_json_node nodes[64];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    struct tg_json_error error;
    struct tg_str member;
    cr_assert_eq(tg_json_parse(&doc, json, strlen(json), &error), 0);
    return fault_read(&doc, doc.nodes, f, changes, acts, &member);
}

static struct fault fault_of(const char *json)
{
    struct fault f;
    struct fault_acts acts;
    bool changes;
    cr_assert_null(read_one(json, &f, &changes, &acts), "%s", json);
    return f;
}

Test(devnet_faults, members_are_read)
{
    struct fault f =
        fault_of("{\"path\":\"/v1/x\",\"method\":\"POST\",\"count\":3,\"status\":503,\"drop\":true}");
    cr_expect_str_eq(f.path, "/v1/x");
    cr_expect_str_eq(f.method, "POST");
    cr_expect(f.count == 3 && f.status == 503 && f.drop == 1 && f.delay_ms == 0);
    cr_expect_str_eq(fault_of("{}").path, "*");
}

Test(devnet_faults, acts_on_the_directory_are_no_faults_of_answers)
{
    struct fault f;
    struct fault_acts acts;
    bool changes;
    cr_assert_null(
        read_one("{\"clock_skew_s\":-5,\"rotate_key\":true,\"path\":\"/x\"}", &f, &changes, &acts));
    cr_expect_not(changes);
    cr_expect(acts.skew && acts.clock_skew_s == -5 && acts.rotate_key && !acts.forget_nodes &&
              !acts.stale_nodes);
    cr_assert_null(read_one("{\"garbage\":true,\"forget_nodes\":true}", &f, &changes, &acts));
    cr_expect(changes && acts.forget_nodes && !acts.skew);
}

Test(devnet_faults, values_out_of_range_and_unknown_members_are_refused)
{
    static const char *const texts[] = {
        "{\"status\":399}",        "{\"status\":600}",         "{\"count\":0}",
        "{\"delay_ms\":1.5}",      "{\"drop\":\"yes\"}",       "{\"nope\":1}",
        "{\"path\":\"\"}",         "{\"redirect\":\"a\\nb\"}", "7",
        "{\"path\":\"a\\u0000\"}",
    };
    struct fault f;
    struct fault_acts acts;
    bool changes;
    for (size_t i = 0; i < TG_ARRAY_SIZE(texts); i++)
        cr_expect_not_null(read_one(texts[i], &f, &changes, &acts), "%s", texts[i]);
}

static bool takes(struct faults *fs, const char *method, const char *path)
{
    struct fault f;
    return faults_take(fs, (struct tg_str){method, strlen(method)}, (struct tg_str){path, strlen(path)}, &f);
}

static void add(struct faults *fs, const char *json)
{
    struct fault f = fault_of(json);
    cr_assert(faults_add(fs, &f));
}

Test(devnet_faults, paths_and_methods_choose)
{
    struct faults fs = {0};
    add(&fs, "{\"path\":\"/v1/a\",\"drop\":true}");
    add(&fs, "{\"path\":\"/v1/b/*\",\"method\":\"GET\",\"drop\":true}");
    cr_expect(takes(&fs, "GET", "/v1/a"));
    cr_expect_not(takes(&fs, "GET", "/v1/ab"));
    cr_expect_not(takes(&fs, "GET", "/v1/"));
    cr_expect(takes(&fs, "GET", "/v1/b/c"));
    cr_expect_not(takes(&fs, "POST", "/v1/b/c"));
    cr_expect_not(takes(&fs, "GET", "/v1/b"));
    cr_expect_eq(fs.applied, 2);
}

Test(devnet_faults, the_first_that_fits_is_taken_until_its_count_is_used_up)
{
    struct faults fs = {0};
    struct fault f;
    add(&fs, "{\"status\":500,\"count\":2}");
    add(&fs, "{\"status\":404}");
    static const uint32_t wanted[] = {500, 500, 404, 404};
    for (size_t i = 0; i < TG_ARRAY_SIZE(wanted); i++) {
        cr_assert(faults_take(&fs, TG_STR("GET"), TG_STR("/"), &f));
        cr_expect_eq(f.status, wanted[i]);
    }
    cr_expect_eq(fs.count, 1);
}

Test(devnet_faults, there_is_room_for_so_many)
{
    struct faults fs = {0};
    struct fault f = fault_of("{\"drop\":true}");
    for (int i = 0; i < FAULTS_MAX; i++)
        cr_assert(faults_add(&fs, &f));
    cr_expect_not(faults_add(&fs, &f));
}
