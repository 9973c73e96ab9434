/* SPDX-License-Identifier: Apache-2.0 */
/* The knn runner from payload to result, and how well it knows digits. */
#include "runner_fixture.h"

#include <math.h>
#include <unistd.h>

#include "runners/knn.h"

#define DIGITS 1797
#define PIXELS 64

static struct fixture f;

/* ---- a small set ----------------------------------------------------------------------------- */

static char path[64];

static void write_csv(const char *text)
{
    strcpy(path, "/tmp/tg-knn-XXXXXX.csv");
    int fd = mkstemps(path, 4);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* Five points on a line and their labels. */
static void open_line(const char *metric)
{
    write_csv("0,0,7\n1,0,7\n2,0,8\n3,0,8\n10,0,9\n");
    fixture_open(&f, SETTINGS({"type", "knn", NULL}, {"data", path, NULL}, {"labels", "last", NULL},
                              {"metric", metric, NULL}, {"vectors_max", "3", NULL}));
    unlink(path);
}

static void expect_answer(const char *payload, const char *answer)
{
    cr_assert_eq(fixture_ask(&f, payload), TG_OK, "%s: %s %s", payload, f.err.field, f.err.message);
    cr_assert_str_eq(f.text, answer);
}

Test(knn, one_vector_gets_its_neighbours_and_their_vote)
{
    open_line("l2");
    expect_answer("{\"vector\":[0.5,0]}",
                  "{\"neighbors\":[{\"index\":0,\"distance\":0.5,\"label\":7}],\"label\":7}");
    expect_answer(
        "{\"k\":3,\"vector\":[3,4],\"ignored\":{}}",
        "{\"neighbors\":[{\"index\":3,\"distance\":4,\"label\":8},{\"index\":2,\"distance\":4.1231055,"
        "\"label\":8},{\"index\":1,\"distance\":4.472136,\"label\":7}],\"label\":8}");
    fixture_close(&f);
}

Test(knn, a_label_leaves_only_its_rows)
{
    open_line("l2");
    expect_answer("{\"k\":3,\"label\":8,\"vector\":[0,0]}",
                  "{\"neighbors\":[{\"index\":2,\"distance\":2,\"label\":8},"
                  "{\"index\":3,\"distance\":3,\"label\":8}],\"label\":8}");
    expect_answer("{\"k\":5,\"label\":-1,\"vectors\":[[0,0]]}", "{\"results\":[{\"neighbors\":[]}]}");
    cr_assert_eq(fixture_ask(&f, "{\"vector\":[0,0],\"label\":\"8\"}"), TG_INVALID);
    cr_assert_str_eq(f.err.field, "payload.label");
    fixture_close(&f);
}

Test(knn, a_label_is_refused_where_there_are_none)
{
    write_csv("0,0\n1,0\n");
    fixture_open(&f, SETTINGS({"type", "knn", NULL}, {"data", path, NULL}));
    unlink(path);
    cr_assert_eq(fixture_ask(&f, "{\"vector\":[0,0],\"label\":8}"), TG_INVALID);
    cr_assert_str_eq(f.err.field, "payload.label");
    fixture_close(&f);
}

Test(knn, storage_of_16_bits_rounds_the_set_and_not_the_query)
{
    write_csv("2049,0\n1000,0\n");
    fixture_open(&f, SETTINGS({"type", "knn", NULL}, {"data", path, NULL}, {"storage", "fp16", NULL}));
    unlink(path);
    expect_answer("{\"vector\":[2049,0]}", "{\"neighbors\":[{\"index\":0,\"distance\":1}]}"); /* kept as 2048 */
    fixture_close(&f);
}

Test(knn, storage_of_16_bits_refuses_what_it_cannot_hold)
{
    write_csv("1,0\n65520,0\n");
    cr_assert_neq(fixture_create(&f, SETTINGS({"type", "knn", NULL}, {"data", path, NULL}, {"storage", "fp16", NULL})),
                  0);
    unlink(path);
    cr_assert_not_null(strstr(f.problems.text, "row 1, column 0"), "%s", f.problems.text);
}

Test(knn, several_vectors_get_a_list_even_if_it_is_one)
{
    open_line("l2");
    expect_answer("{\"vectors\":[[0,0]]}",
                  "{\"results\":[{\"neighbors\":[{\"index\":0,\"distance\":0,\"label\":7}],\"label\":7}]}");
    expect_answer("{\"vectors\":[[9,0],[2,0]],\"k\":1.0}",
                  "{\"results\":[{\"neighbors\":[{\"index\":4,\"distance\":1,\"label\":9}],\"label\":9},"
                  "{\"neighbors\":[{\"index\":2,\"distance\":0,\"label\":8}],\"label\":8}]}");
    fixture_close(&f);
}

Test(knn, a_tied_vote_goes_to_the_nearest)
{
    open_line("l2");
    expect_answer(
        "{\"vector\":[1.6,0],\"k\":4}",
        "{\"neighbors\":[{\"index\":2,\"distance\":0.39999998,\"label\":8},{\"index\":1,\"distance\":0.6,"
        "\"label\":7},{\"index\":3,\"distance\":1.4,\"label\":8},{\"index\":0,\"distance\":1.6,\"label\":7}],"
        "\"label\":8}");
    fixture_close(&f);
}

Test(knn, equal_distances_come_by_index)
{
    open_line("l2");
    expect_answer("{\"vector\":[1.5,0],\"k\":2}", "{\"neighbors\":[{\"index\":1,\"distance\":0.5,\"label\":7}"
                                                  ",{\"index\":2,\"distance\":0.5,\"label\":8}],"
                                                  "\"label\":7}");
    fixture_close(&f);
}

Test(knn, inner_product_ranks_the_largest_first)
{
    open_line("ip");
    expect_answer(
        "{\"vector\":[2,1],\"k\":2}",
        "{\"neighbors\":[{\"index\":4,\"score\":20,\"label\":9},{\"index\":3,\"score\":6,\"label\":8}],"
        "\"label\":9}");
    expect_answer("{\"vector\":[-1,5],\"k\":1}",
                  "{\"neighbors\":[{\"index\":0,\"score\":0,\"label\":7}],\"label\":7}");
    fixture_close(&f);
}

Test(knn, cosine_compares_directions)
{
    write_csv("5,0\n0,2\n-1,0\n0,0\n");
    fixture_open(&f, SETTINGS({"type", "knn", NULL}, {"data", path, NULL}, {"metric", "cosine", NULL}));
    unlink(path);
    expect_answer("{\"vector\":[1e-3,0],\"k\":4}",
                  "{\"neighbors\":[{\"index\":0,\"similarity\":1},{\"index\":1,\"similarity\":0},"
                  "{\"index\":3,\"similarity\":0},{\"index\":2,\"similarity\":-1}]}");
    expect_answer("{\"vector\":[0,0]}", "{\"neighbors\":[{\"index\":0,\"similarity\":0}]}");
    fixture_close(&f);
}

Test(knn, indices_count_from_the_first_row_of_the_file)
{
    write_csv("0\n10\n20\n30\n");
    fixture_open(&f, SETTINGS({"type", "knn", NULL}, {"data", path, NULL}, {"rows", "3-4", NULL}));
    unlink(path);
    expect_answer("{\"vector\":[0]}", "{\"neighbors\":[{\"index\":2,\"distance\":20}]}");
    cr_assert_eq(fixture_ask(&f, "{\"vector\":[0],\"k\":3}"), TG_INVALID);
    fixture_close(&f);
}

/* ---- bad payloads ---------------------------------------------------------------------------- */

Test(knn, bad_payloads_name_the_field_and_what_was_expected)
{
    const struct {
        const char *payload, *field, *words;
    } cases[] = {
        {"[]", "payload", "must be an object"},
        {"null", "payload", "must be an object"},
        {"{}", "payload.vector", "is missing"},
        {"{\"vector\":[0,0],\"vectors\":[[0,0]]}", "payload.vectors", "not both"},
        {"{\"vector\":null}", "payload.vector", "must be an array of 2 numbers, not null"},
        {"{\"vector\":\"0,0\"}", "payload.vector", "not a string"},
        {"{\"vector\":[]}", "payload.vector", "expected 2 numbers, got 0"},
        {"{\"vector\":[1]}", "payload.vector", "expected 2 numbers, got 1"},
        {"{\"vector\":[1,2,3]}", "payload.vector", "expected 2 numbers, got 3"},
        {"{\"vector\":[1,\"2\"]}", "payload.vector[1]", "must be a number, not a string"},
        {"{\"vector\":[null,2]}", "payload.vector[0]", "must be a number, not null"},
        {"{\"vector\":[[1,2],3]}", "payload.vector[0]", "must be a number, not an array"},
        {"{\"vector\":[1,{}]}", "payload.vector[1]", "not an object"},
        {"{\"vector\":[true,1]}", "payload.vector[0]", "not a boolean"},
        {"{\"vector\":[1,1e300]}", "payload.vector[1]", "must be from"},
        {"{\"vector\":[-1e39,1]}", "payload.vector[0]", "must be from"},
        {"{\"vectors\":{}}", "payload.vectors", "must be an array of vectors, not an object"},
        {"{\"vectors\":[]}", "payload.vectors", "expected 1 to 3 vectors, got 0"},
        {"{\"vectors\":[[0,0],[0,0],[0,0],[0,0]]}", "payload.vectors", "expected 1 to 3 vectors, got 4"},
        {"{\"vectors\":[[0,0],[0]]}", "payload.vectors[1]", "expected 2 numbers, got 1"},
        {"{\"vectors\":[[0,0],7]}", "payload.vectors[1]", "not a number"},
        {"{\"vectors\":[[0,0],[0,0],[0,\"x\"]]}", "payload.vectors[2][1]", "not a string"},
        {"{\"vector\":[0,0],\"k\":0}", "payload.k", "must be an integer from 1 to 5"},
        {"{\"vector\":[0,0],\"k\":6}", "payload.k", "must be an integer from 1 to 5"},
        {"{\"vector\":[0,0],\"k\":-1}", "payload.k", "must be an integer from 1 to 5"},
        {"{\"vector\":[0,0],\"k\":1000000000}", "payload.k", "must be an integer from 1 to 5"},
        {"{\"vector\":[0,0],\"k\":1e300}", "payload.k", "must be an integer from 1 to 5"},
        {"{\"vector\":[0,0],\"k\":1.5}", "payload.k", "must be an integer from 1 to 5"},
        {"{\"vector\":[0,0],\"k\":\"1\"}", "payload.k", "must be an integer, not a string"},
        {"{\"vector\":[0,0],\"k\":null}", "payload.k", "must be an integer, not null"},
    };
    open_line("l2");
    for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
        cr_assert_eq(fixture_ask(&f, cases[i].payload), TG_INVALID, "%s", cases[i].payload);
        cr_assert_str_eq(f.err.field, cases[i].field, "%s: %s", cases[i].payload, f.err.field);
        cr_assert_not_null(strstr(f.err.message, cases[i].words), "%s: %s", cases[i].payload, f.err.message);
    }
    cr_assert_eq(tg_lane_used(f.lanes[0]), 0);
    fixture_close(&f);
}

Test(knn, a_full_lane_is_capacity)
{
    open_line("l2");
    f.lanes[0]->retired = f.lanes[0]->claimed - (f.lanes[0]->mask - 1);
    cr_assert_eq(fixture_decode(&f, "{\"vectors\":[[0,0],[0,0],[0,0]]}"), TG_CAPACITY);
    cr_assert_eq(fixture_decode(&f, "{\"vectors\":[[0,0],[0,0]]}"), TG_OK);
    fixture_close(&f);
}

/* ---- bad options ----------------------------------------------------------------------------- */

static void expect_problem(const struct tg_setting *settings, const char *words)
{
    cr_assert_neq(fixture_create(&f, settings), 0, "accepted; expected: %s", words);
    cr_assert_not_null(strstr(f.problems.text, words), "expected \"%s\" in:\n%s", words, f.problems.text);
}

#define DIGITS_AND(key, value)                                                                               \
    SETTINGS({"type", "knn", NULL}, {"data", "builtin:digits", "f.toml:3"}, {key, value, "f.toml:4"})

Test(knn, bad_options_name_their_line)
{
    expect_problem(SETTINGS({"type", "knn", NULL}, {"data", "set.parquet", "f.toml:3"}),
                   "f.toml:3: runner.t.data: \"set.parquet\" must end in");
    expect_problem(SETTINGS({"type", "knn", NULL}, {"data", "/nonexistent.npy", "f.toml:3"}),
                   "f.toml:3: runner.t.data: /nonexistent.npy: No such file");
    expect_problem(DIGITS_AND("rows", "0-5"),
                   "f.toml:4: runner.t.rows: \"0-5\" must lie within the data's rows, 1-1797");
    expect_problem(DIGITS_AND("rows", "9-5"), "must lie within");
    expect_problem(DIGITS_AND("rows", "1-1798"), "must lie within");
    expect_problem(DIGITS_AND("rows", "1-10x"), "must be all or A-B");
    expect_problem(DIGITS_AND("rows", "-1-10"), "must be all or A-B");
    expect_problem(DIGITS_AND("rows", "some"), "must be all or A-B");
    expect_problem(DIGITS_AND("labels", "/nonexistent.csv"),
                   "f.toml:4: runner.t.labels: /nonexistent.csv: No such file");
    expect_problem(DIGITS_AND("k_max", "129"), "f.toml:4: runner.t.k_max: \"129\" must be from 1 to 128");
    expect_problem(SETTINGS({"type", "knn", NULL}, {"data", "x.npy", NULL}, {"labels", "last", NULL}),
                   "\"last\" is for CSV files");
}

Test(knn, random_vectors_are_as_many_as_asked_for_and_always_the_same)
{
    static const char *const bad[] = {"random:", "random:3", "random:0x4", "random:3x0", "random:3x4x", "random:-3x4"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++)
        expect_problem(SETTINGS({"type", "knn", NULL}, {"data", bad[i], "f.toml:3"}), "must be random:ROWSxDIM");
    struct knn_table t;
    struct tg_error err;
    cr_assert_eq(knn_random_table("random:1000x30", &t, &err), 0);
    double sum = 0, squares = 0;
    for (uint32_t i = 0; i < 30000; i++) {
        sum += (double)t.values[i];
        squares += (double)t.values[i] * (double)t.values[i];
    }
    cr_assert(t.rows == 1000 && t.dim == 30 && fabs(sum / 30000) < 0.02 && fabs(squares / 30000 - 1) < 0.02);
    knn_table_finish(&t);
}

Test(knn, labels_may_lie_in_a_file_of_their_own)
{
    write_csv("5\n6\n");
    char labels[64], data[64];
    strcpy(labels, path);
    write_csv("1,1\n2,2\n");
    strcpy(data, path);
    fixture_open(&f, SETTINGS({"type", "knn", NULL}, {"data", data, NULL}, {"labels", labels, NULL}));
    expect_answer("{\"vector\":[2,2]}",
                  "{\"neighbors\":[{\"index\":1,\"distance\":0,\"label\":6}],\"label\":6}");
    fixture_close(&f);
    write_csv("5\n6\n7\n");
    expect_problem(SETTINGS({"type", "knn", NULL}, {"data", data, NULL}, {"labels", path, NULL}),
                   "must be one column of 2 integers");
    unlink(path);
    unlink(data);
    unlink(labels);
}

/* ---- digits ---------------------------------------------------------------------------------- */

static struct knn_table digits;

static void load_digits(void)
{
    struct knn_text text;
    struct tg_error err;
    cr_assert_eq(knn_file_read(SOURCE_DIR "/gpu/runners/data/digits.csv.gz", &text, &err), 0, "%s",
                 err.message);
    cr_assert_eq(knn_csv_parse(text.bytes, text.len, true, &digits, &err), 0, "%s", err.message);
    cr_assert(digits.rows == DIGITS && digits.dim == PIXELS);
    free(text.bytes);
}

static void ask_digit(uint32_t row, uint32_t k)
{
    char payload[1024];
    int n = snprintf(payload, sizeof(payload), "{\"k\":%u,\"vector\":[", k);
    for (uint32_t i = 0; i < PIXELS; i++)
        n += snprintf(payload + n, sizeof(payload) - (size_t)n, "%s%g", i ? "," : "",
                      (double)digits.values[row * PIXELS + i]);
    snprintf(payload + n, sizeof(payload) - (size_t)n, "]}");
    cr_assert_eq(fixture_ask(&f, payload), TG_OK, "%s %s", f.err.field, f.err.message);
}

/* The answer as a client would read it. */
struct answer {
    int64_t label;
    uint32_t count;
    int64_t index[8], labels[8];
};

static int64_t member(const struct tg_json_doc *doc, const struct tg_json_node *object, struct tg_str key)
{
    const struct tg_json_node *n = tg_json_get(doc, object, key);
    cr_assert_not_null(n);
    cr_assert_eq(n->type, TG_JSON_INT);
    return n->i64;
}

static struct answer read_answer(void)
{
    struct tg_json_node nodes[128];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = 128};
    struct tg_json_error err;
    struct answer a = {0};
    cr_assert_eq(tg_json_parse(&doc, f.text, f.len, &err), 0, "%s", f.text);
    a.label = member(&doc, nodes, TG_STR("label"));
    TG_JSON_FOREACH(hit, tg_json_get(&doc, nodes, TG_STR("neighbors")))
    {
        a.index[a.count] = member(&doc, hit, TG_STR("index"));
        a.labels[a.count++] = member(&doc, hit, TG_STR("label"));
    }
    return a;
}

/* The first 1,000 digits are resident, the others are asked. */
static uint32_t right_of_the_rest(uint32_t k)
{
    uint32_t right = 0;
    load_digits();
    fixture_open(&f,
                 SETTINGS({"type", "knn", NULL}, {"data", "builtin:digits", NULL}, {"rows", "1-1000", NULL}));
    for (uint32_t row = 1000; row < DIGITS; row++) {
        ask_digit(row, k);
        right += read_answer().label == digits.labels[row];
    }
    fixture_close(&f);
    knn_table_finish(&digits);
    return right;
}

Test(knn_digits, a_thousand_resident_know_767_of_797_by_the_nearest)
{
    cr_assert_eq(right_of_the_rest(1), 767);
}

Test(knn_digits, a_thousand_resident_know_766_of_797_by_three)
{
    cr_assert_eq(right_of_the_rest(3), 766);
}

/* The vote of up to three labels without the digit's own; ties to the nearest. */
static int64_t vote_without(const struct answer *a, uint32_t row, uint32_t k)
{
    int64_t labels[8] = {-1};
    uint32_t n = 0;
    for (uint32_t i = 0; i < a->count && n < k; i++)
        if (a->index[i] != row)
            labels[n++] = a->labels[i];
    if (n == 3 && labels[1] == labels[2])
        return labels[1];
    return labels[0];
}

static uint32_t right_leaving_one_out(uint32_t k)
{
    uint32_t right = 0;
    load_digits();
    fixture_open(&f, SETTINGS({"type", "knn", NULL}, {"data", "builtin:digits", NULL}));
    for (uint32_t row = 0; row < DIGITS; row++) {
        ask_digit(row, k + 1);
        struct answer a = read_answer();
        right += vote_without(&a, row, k) == digits.labels[row];
    }
    fixture_close(&f);
    knn_table_finish(&digits);
    return right;
}

Test(knn_digits, leaving_one_out_1776_are_right_by_the_nearest)
{
    cr_assert_eq(right_leaving_one_out(1), 1776);
}

Test(knn_digits, leaving_one_out_1777_are_right_by_three)
{
    cr_assert_eq(right_leaving_one_out(3), 1777);
}
