/* SPDX-License-Identifier: Apache-2.0 */
/* knn's data: CSV and .npy tables, files, and what a resident set may hold. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "runners/knn.h"

static struct tg_error err;
static struct knn_table t;

static int csv(const char *text, bool label_last)
{
    t = (struct knn_table){0};
    err = (struct tg_error){.message = ""};
    return knn_csv_parse(text, strlen(text), label_last, &t, &err);
}

static void expect_bad_csv(const char *text, bool label_last, const char *words)
{
    cr_assert_eq(csv(text, label_last), -EINVAL, "%s", text);
    cr_assert_str_eq(err.field, "data");
    cr_assert_not_null(strstr(err.message, words), "%s: %s", text, err.message);
}

Test(knn_csv, rows_and_columns)
{
    cr_assert_eq(csv("1,2.5,-3e2\n.5, 7 ,+8\n", false), 0, "%s", err.message);
    const float expected[] = {1, 2.5f, -300, 0.5f, 7, 8};
    cr_assert(t.rows == 2 && t.dim == 3);
    cr_assert_arr_eq(t.values, expected, sizeof(expected));
    cr_assert_null(t.labels);
    knn_table_finish(&t);
}

Test(knn_csv, the_last_column_may_be_the_label)
{
    cr_assert_eq(csv("1,2,-7\n3,4,9007199254740991\n5,6,1.0e1", true), 0, "%s", err.message);
    cr_assert(t.rows == 3 && t.dim == 2);
    cr_assert(t.labels[0] == -7 && t.labels[1] == 9007199254740991 && t.labels[2] == 10);
    knn_table_finish(&t);
}

Test(knn_csv, line_ends_of_either_kind_and_none_at_the_end)
{
    cr_assert_eq(csv("1,2\r\n3,4\r\n", false), 0);
    cr_assert_eq(t.rows, 2);
    knn_table_finish(&t);
    cr_assert_eq(csv("1,2\r\n3,4\r", false), 0);
    cr_assert_eq(t.rows, 2);
    knn_table_finish(&t);
    cr_assert_eq(csv("1", false), 0);
    cr_assert(t.rows == 1 && t.dim == 1);
    knn_table_finish(&t);
}

Test(knn_csv, faults_are_told_by_line_and_column)
{
    expect_bad_csv("", false, "the file is empty");
    expect_bad_csv("a,b\n1,2\n", false, "line 1, column 1: not a number");
    expect_bad_csv("1,2\n3,x\n", false, "line 2, column 2: not a number");
    expect_bad_csv("1,2\n3,\n", false, "line 2, column 2: not a number");
    expect_bad_csv("1,2\n3\n", false, "line 2 has 1 columns, the first line has 2");
    expect_bad_csv("1,2\n3,4,5\n", false, "line 2 has 3 columns");
    expect_bad_csv("1,2\n\n3,4\n", false, "line 2, column 1: not a number");
    expect_bad_csv("1;2\n", false, "expected a comma");
    expect_bad_csv("1,nan\n", false, "line 1, column 2: not a number");
    expect_bad_csv("inf\n", false, "not a number");
    expect_bad_csv("0x10\n", false, "not a number");
    expect_bad_csv("-0x10\n", false, "not a number");
    expect_bad_csv("1,1e300\n", false, "line 1, column 2: beyond the range");
    expect_bad_csv("1,1e999\n", false, "beyond the range");
    expect_bad_csv("1,2.5\n", true, "a label must be an integer");
    expect_bad_csv("1,\"2\"\n", false, "not a number");
}

Test(knn_csv, a_nul_inside_is_no_end)
{
    t = (struct knn_table){0};
    cr_assert_eq(knn_csv_parse("1,2\0,3\n", 7, false, &t, &err), -EINVAL);
    cr_assert_not_null(strstr(err.message, "expected a comma"), "%s", err.message);
}

/* ---- npy ------------------------------------------------------------------------------------- */

static char file[4096];
static size_t file_len;

/* A file of format @version with this dict and these bytes. */
static void make_npy(int version, const char *dict, const void *items, size_t bytes)
{
    size_t n = strlen(dict), head = version == 1 ? 10 : 12;
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (char)version;
    file[7] = 0;
    for (size_t i = 8; i < head; i++)
        file[i] = (char)(n >> (8 * (i - 8)));
    memcpy(file + head, dict, n);
    memcpy(file + head + n, items, bytes);
    file_len = head + n + bytes;
}

#define DICT(descr, shape) "{'descr': '" descr "', 'fortran_order': False, 'shape': " shape ", }   \n"

static int npy(void)
{
    t = (struct knn_table){0};
    err = (struct tg_error){.message = ""};
    char *exact = malloc(file_len); /* so that a sanitizer sees a read behind the end */
    memcpy(exact, file, file_len);
    int rc = knn_npy_parse(exact, file_len, &t, &err);
    free(exact);
    return rc;
}

static void expect_values(const char *name)
{
    const float expected[] = {1, 2, 3, 4, 5, 100};
    cr_assert_eq(npy(), 0, "%s: %s", name, err.message);
    cr_assert(t.rows == 2 && t.dim == 3, "%s", name);
    cr_assert_arr_eq(t.values, expected, sizeof(expected), "%s", name);
    knn_table_finish(&t);
}

#define EXPECT_TYPE(descr, type)                                                                             \
    do {                                                                                                     \
        const type items[] = {1, 2, 3, 4, 5, 100};                                                           \
        make_npy(1, DICT(descr, "(2, 3)"), items, sizeof(items));                                            \
        expect_values(descr);                                                                                \
        make_npy(2, DICT(descr, "(2, 3)"), items, sizeof(items));                                            \
        expect_values(descr);                                                                                \
    } while (0)

Test(knn_npy, every_number_type_in_both_formats)
{
    EXPECT_TYPE("<f4", float);
    EXPECT_TYPE("<f8", double);
    EXPECT_TYPE("|i1", int8_t);
    EXPECT_TYPE("|u1", uint8_t);
    EXPECT_TYPE("<i2", int16_t);
    EXPECT_TYPE("<u2", uint16_t);
    EXPECT_TYPE("<i4", int32_t);
    EXPECT_TYPE("<u4", uint32_t);
    EXPECT_TYPE("<i8", int64_t);
    EXPECT_TYPE("<u8", uint64_t);
}

Test(knn_npy, faults_are_named)
{
    const struct {
        const char *dict, *words;
    } cases[] = {
        {DICT(">f4", "(2, 3)"), "descr must be"},
        {DICT("<f2", "(2, 3)"), "descr must be"},
        {DICT("|O", "(2, 3)"), "descr must be"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}", "C order"},
        {"{'descr': '<f4', 'shape': (2, 3)}", "C order"},
        {"{'descr': '<f4', 'fortran_order': False}", "no shape"},
        {"", "descr must be"},
        {DICT("<f4", "(6,)"), "rows and columns"},
        {DICT("<f4", "(2, 3, 1)"), "one or two dimensions"},
        {DICT("<f4", "(0, 3)"), "as many items"},
        {DICT("<f4", "(2, 4)"), "as many items"},
        {DICT("<f4", "(2, 2)"), "as many items"},
        {DICT("<f4", "(4294967295, 4294967295)"), "as many items"},
        {DICT("<f4", "(99999999999999999999, 3)"), "out of range"},
        {DICT("<f4", "(-2, 3)"), "one or two dimensions"},
    };
    const float items[6] = {1, 2, 3, 4, 5, 6};
    for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
        make_npy(1, cases[i].dict, items, sizeof(items));
        cr_assert_eq(npy(), -EINVAL, "%s", cases[i].dict);
        cr_assert_not_null(strstr(err.message, cases[i].words), "%s: %s", cases[i].dict, err.message);
    }
}

Test(knn_npy, every_shorter_file_is_refused)
{
    const float items[6] = {1, 2, 3, 4, 5, 6};
    make_npy(1, DICT("<f4", "(2, 3)"), items, sizeof(items));
    size_t whole = file_len;
    for (file_len = 0; file_len < whole; file_len++)
        cr_assert_eq(npy(), -EINVAL, "%zu bytes", file_len);
    file_len = whole;
    file[0] = 'x';
    cr_assert_eq(npy(), -EINVAL);
    file[0] = '\x93';
    file[6] = 3;
    cr_assert_eq(npy(), -EINVAL);
}

Test(knn_npy, values_that_are_not_finite_in_fp32_are_refused)
{
    const double bad[] = {1e300, -1e39, HUGE_VAL};
    for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++) {
        const double items[] = {1, 2, 3, 4, bad[i], 6};
        make_npy(1, DICT("<f8", "(2, 3)"), items, sizeof(items));
        cr_assert_eq(npy(), -EINVAL);
        cr_assert_not_null(strstr(err.message, "row 1, column 1"), "%s", err.message);
    }
}

Test(knn_npy, labels_are_one_dimension_of_integers)
{
    int64_t *labels = NULL;
    const int16_t items[] = {-3, 0, 300};
    make_npy(1, DICT("<i2", "(3,)"), items, sizeof(items));
    cr_assert_eq(knn_npy_labels(file, file_len, 3, &labels, &err), 0, "%s", err.message);
    cr_assert(labels[0] == -3 && labels[1] == 0 && labels[2] == 300);
    free(labels);
    cr_assert_eq(knn_npy_labels(file, file_len, 4, &labels, &err), -EINVAL);
    cr_assert_str_eq(err.field, "labels");
    const float floats[] = {1, 2, 3};
    make_npy(1, DICT("<f4", "(3,)"), floats, sizeof(floats));
    cr_assert_eq(knn_npy_labels(file, file_len, 3, &labels, &err), -EINVAL);
    const uint64_t large[] = {1, UINT64_MAX, 3};
    make_npy(1, DICT("<u8", "(3,)"), large, sizeof(large));
    cr_assert_eq(knn_npy_labels(file, file_len, 3, &labels, &err), -EINVAL);
    cr_assert_not_null(strstr(err.message, "label 1"), "%s", err.message);
}

/* ---- files and sets -------------------------------------------------------------------------- */

static char path[64];

static void write_file(const void *bytes, size_t len, bool gzip)
{
    strcpy(path, "/tmp/tg-knn-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    gzFile f = gzdopen(fd, gzip ? "wb9" : "wbT");
    cr_assert_eq(gzwrite(f, bytes, (unsigned)len), (int)len);
    cr_assert_eq(gzclose(f), Z_OK);
}

Test(knn_file, gzip_or_not_gives_the_same_bytes)
{
    char text[200000];
    struct knn_text got;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * i >> 7);
    for (int gzip = 0; gzip < 2; gzip++) {
        write_file(text, sizeof(text), gzip);
        cr_assert_eq(knn_file_read(path, &got, &err), 0, "%s", err.message);
        cr_assert_eq(got.len, sizeof(text));
        cr_assert_arr_eq(got.bytes, text, sizeof(text));
        cr_assert_eq(got.bytes[got.len], '\0');
        free(got.bytes);
        unlink(path);
    }
}

Test(knn_file, damaged_and_missing_files_are_told)
{
    struct knn_text got;
    char text[5000];
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof(text); i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        text[i] = (char)(seed >> 56);
    }
    write_file(text, sizeof(text), true);
    cr_assert_eq(truncate(path, 2000), 0);
    cr_assert_lt(knn_file_read(path, &got, &err), 0);
    unlink(path);
    cr_assert_eq(knn_file_read("/nonexistent/x.csv", &got, &err), -ENOENT);
    cr_assert_not_null(strstr(err.message, "/nonexistent/x.csv: No such file"), "%s", err.message);
    cr_assert_lt(knn_file_read("/", &got, &err), 0);
}

Test(knn_file, damaged_gzip_in_memory_is_told)
{
    struct knn_text got;
    cr_assert_eq(knn_unzip(knn_digits_gz, knn_digits_gz_len, &got, &err), 0);
    free(got.bytes);
    cr_assert_eq(knn_unzip(knn_digits_gz, knn_digits_gz_len / 2, &got, &err), -EIO);
    cr_assert_eq(knn_unzip("no gzip", 7, &got, &err), -EIO);
}

Test(knn_set, rows_are_padded_with_zeros_and_normalised_for_cosine)
{
    struct knn_set set;
    cr_assert_eq(csv("3,4\n0,0\n1e-30,0\n5,12\n", false), 0);
    cr_assert_eq(knn_set_init(&set, &t, &(struct knn_set_options){.last = 3, .metric = KNN_COSINE}, &err), 0);
    cr_assert(set.rows == 4 && set.dim == 2 && set.stride == 16);
    cr_assert_float_eq(set.vectors[0], 0.6f, 1e-7f);
    cr_assert_float_eq(set.vectors[1], 0.8f, 1e-7f);
    for (uint32_t i = 2; i < 16; i++)
        cr_assert_eq(set.vectors[i], 0);
    cr_assert(set.vectors[16] == 0 && set.vectors[17] == 0);
    cr_assert_eq(set.vectors[32], 1);
    knn_set_finish(&set);
    cr_assert_eq(knn_set_init(&set, &t, &(struct knn_set_options){.first = 3, .last = 3}, &err), 0);
    cr_assert(set.rows == 1 && set.first_row == 3 && set.vectors[0] == 5);
    knn_set_finish(&set);
    knn_table_finish(&t);
}

Test(knn_set, values_whose_distances_could_overflow_are_refused)
{
    struct knn_set set;
    cr_assert_eq(csv("1,2\n3,1e30\n", false), 0);
    cr_assert_eq(knn_set_init(&set, &t, &(struct knn_set_options){.last = 1}, &err), -EINVAL);
    cr_assert_not_null(strstr(err.message, "row 1, column 1"), "%s", err.message);
    knn_table_finish(&t);
}

/* Every value that a half has comes back as it is; between two neighbours the nearer one, half way the even one. */
Test(knn_half, rounds_to_the_nearest_value_and_to_even_between_two)
{
    float below = 0;
    for (uint32_t bits = 1; bits < 0x7c00; bits++) {
        uint32_t exponent = bits >> 10, fraction = bits & 1023;
        float value = exponent ? ldexpf((float)(fraction + 1024), (int)exponent - 25) : ldexpf((float)fraction, -24);
        float middle = below + (value - below) / 2, even = bits % 2 ? below : value;
        cr_assert_eq(knn_half_round(value), value);
        cr_assert_eq(knn_half_round(-value), -value);
        cr_assert_eq(knn_half_round(middle), even, "between %g and %g", (double)below, (double)value);
        cr_assert_eq(knn_half_round(nextafterf(middle, 0)), below);
        cr_assert_eq(knn_half_round(nextafterf(middle, value)), value);
        below = value;
    }
    cr_assert_eq(knn_half_round(65519), 65504);
    cr_assert(isinf(knn_half_round(65520)) && isinf(knn_half_round(-1e30f)));
    cr_assert_eq(knn_half_round(0), 0);
}
