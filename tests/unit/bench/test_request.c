/* SPDX-License-Identifier: Apache-2.0 */
/* Request templates: numbers of fixed width, exact lengths, the digits. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "load/options.h"
#include "load/request.h"

static struct options o;
static struct request_set set;
static char number[REQUEST_DIGITS];

static void start(void)
{
    o = (struct options){.preset = "echo", .body = "", .body_text = "", .bodies = "", .path = "", .method = "", .host = "h:1"};
    request_number_init(number, 7);
}

static void finish(void)
{
    request_set_destroy(&set);
}

TestSuite(request, .init = start, .fini = finish);

static char *render(uint32_t index)
{
    char *text = calloc(1, set.items[index].len + 1);

    request_render(&set.items[index], number, text);
    return text;
}

static size_t claimed_length(const char *text)
{
    return strtoul(strstr(text, "Content-Length: ") + 16, NULL, 10);
}

Test(request, the_echo_body_has_188_bytes_and_says_so)
{
    char *text;

    cr_assert_eq(request_set_create(&set, &o), 0);
    text = render(0);
    cr_assert_eq(strlen(strstr(text, "\r\n\r\n") + 4), 188);
    cr_assert_eq(claimed_length(text), 188);
    cr_assert_eq(strncmp(text, "POST /v1/task HTTP/1.1\r\nHost: h:1\r\n", 35), 0);
    free(text);
}

Test(request, numbers_count_up_in_place_and_carry_the_thread)
{
    cr_assert_eq(memcmp(number, "070000000000", REQUEST_DIGITS), 0);
    for (int i = 0; i < 12345; i++)
        request_number_next(number);
    cr_assert_eq(memcmp(number, "070000012345", REQUEST_DIGITS), 0);
    memcpy(number, "079999999999", REQUEST_DIGITS);
    request_number_next(number);
    cr_assert_eq(memcmp(number, "070000000000", REQUEST_DIGITS), 0);
}

Test(request, every_mark_gets_the_same_number_in_path_and_body)
{
    char *text;

    o.path = "/x/{n}";
    o.body_text = "{\"task_id\":\"a-{n}-b\",\"again\":\"{n}\"}";
    cr_assert_eq(request_set_create(&set, &o), 0);
    request_number_next(number);
    text = render(0);
    cr_assert_not_null(strstr(text, "POST /x/070000000001 HTTP/1.1\r\n"));
    cr_assert_not_null(strstr(text, "\r\n\r\n{\"task_id\":\"a-070000000001-b\",\"again\":\"070000000001\"}"));
    cr_assert_eq(claimed_length(text), strlen(strstr(text, "\r\n\r\n") + 4));
    cr_assert_eq(set.id_len, strlen("a-070000000001-b"));
    cr_assert_eq(set.id_number_at, 2);
    free(text);
}

Test(request, verifying_needs_an_id_to_look_for)
{
    o.body_text = "{\"n\":1}";
    o.verify = true;
    cr_assert_neq(request_set_create(&set, &o), 0);
}

Test(request, own_headers_are_added_and_an_empty_body_has_no_length)
{
    char *text;

    o.preset = "health";
    o.header.items[0] = "Authorization: Bearer x";
    o.header.count = 1;
    cr_assert_eq(request_set_create(&set, &o), 0);
    text = render(0);
    cr_assert_str_eq(text, "GET /iicp/health HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer x\r\n\r\n");
    free(text);
}

Test(request, an_unknown_preset_is_refused)
{
    o.preset = "nope";
    cr_assert_neq(request_set_create(&set, &o), 0);
}

/* Three rows of 64 numbers and a label; the last label must not be sent. */
static void write_rows(const char *path, int columns)
{
    gzFile file = gzopen(path, "wb");

    for (int row = 1; row <= 3; row++) {
        for (int i = 0; i < columns; i++)
            gzprintf(file, "%d,", i == 0 ? row : i % 17);
        gzprintf(file, "9\n");
    }
    gzclose(file);
}

Test(request, digits_send_the_asked_rows_without_their_labels)
{
    char path[] = "/tmp/bench-digits-XXXXXX", *text;

    close(mkstemp(path));
    write_rows(path, 64);
    o.preset = "knn-digits";
    o.digits = path;
    o.row_first = 2;
    o.row_last = 9;
    cr_assert_eq(request_set_create(&set, &o), 0);
    unlink(path);
    cr_assert_eq(set.count, 2);
    text = render(0);
    cr_assert_not_null(strstr(text, "\"vector\":[2,1,2,3,"));
    cr_assert_not_null(strstr(text, "10,11,12],\"k\":1}}"));
    cr_assert_eq(claimed_length(text), strlen(strstr(text, "\r\n\r\n") + 4));
    free(text);
}

Test(request, a_row_that_is_too_short_is_refused)
{
    char path[] = "/tmp/bench-digits-XXXXXX";

    close(mkstemp(path));
    write_rows(path, 40);
    o.preset = "knn-digits";
    o.digits = path;
    o.row_first = 1;
    o.row_last = 3;
    cr_assert_neq(request_set_create(&set, &o), 0);
    unlink(path);
}

static void write_text(char *path, const char *text)
{
    FILE *f = fdopen(mkstemp(path), "w");

    fputs(text, f);
    fclose(f);
}

Test(request, lines_of_a_file_are_bodies_by_turns)
{
    char path[] = "/tmp/bench-bodies-XXXXXX", *text;

    write_text(path, "{\"task_id\":\"a-{n}\",\"x\":1}\n{\"task_id\":\"a-{n}\",\"x\":22}\nno line");
    o.bodies = path;
    o.verify = true;
    cr_assert_eq(request_set_create(&set, &o), 0);
    unlink(path);
    cr_assert_eq(set.count, 2);
    cr_assert_eq(set.id_len, strlen("a-000000000000"));
    text = render(1);
    cr_assert_not_null(strstr(text, "POST /v1/task HTTP/1.1\r\n"));
    cr_assert_str_eq(strstr(text, "\r\n\r\n") + 4, "{\"task_id\":\"a-070000000000\",\"x\":22}");
    cr_assert_eq(claimed_length(text), strlen(strstr(text, "\r\n\r\n") + 4));
    free(text);
}

Test(request, a_file_without_a_line_is_refused)
{
    char path[] = "/tmp/bench-bodies-XXXXXX";

    write_text(path, "not ended");
    o.bodies = path;
    cr_assert_neq(request_set_create(&set, &o), 0);
    unlink(path);
}
