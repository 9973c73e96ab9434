/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines: one write each, one line each, and JSON that is JSON whatever the message is. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "gateway/base/log.h"

static char line[8192];
static int saved, pipe_fds[2];

/* stderr becomes a pipe for the time of one message. */
static void capture_begin(void)
{
    cr_assert_eq(pipe2(pipe_fds, O_NONBLOCK), 0);
    saved = dup(STDERR_FILENO);
    dup2(pipe_fds[1], STDERR_FILENO);
}

static size_t capture_end(void)
{
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t n = read(pipe_fds[0], line, sizeof(line) - 1);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    line[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

static size_t logged(enum log_format format, const char *message)
{
    log_configure(TG_LOG_INFO, format);
    capture_begin();
    log_warn("%s", message);
    return capture_end();
}

/* One JSON object on a line of its own, with @message as it was. */
static void expect_json(const char *message)
{
    struct tg_json_node nodes[64];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    struct tg_json_error err = {0};
    size_t n = logged(LOG_JSON, message);
    cr_assert(n > 0 && line[n - 1] == '\n' && !memchr(line, '\n', n - 1), "%s", line);
    cr_assert_eq(tg_json_parse(&doc, line, n - 1, &err), 0, "%s at %u: %s", err.message, err.offset, line);
    const struct tg_json_node *msg = tg_json_get(&doc, nodes, TG_STR("msg"));
    cr_assert(msg && tg_json_string_eq(&doc, msg, (struct tg_str){message, strlen(message)}), "%s", line);
    cr_assert(tg_json_string_eq(&doc, tg_json_get(&doc, nodes, TG_STR("level")), TG_STR("warn")));
}

Test(log, a_text_line_has_time_level_and_message)
{
    size_t n = logged(LOG_TEXT, "port 9484 is in use");
    cr_assert_eq(n, strlen(line));
    cr_assert(line[4] == '-' && line[10] == 'T' && line[23] == 'Z', "%s", line);
    cr_assert_str_eq(line + 24, " warn  port 9484 is in use\n");
}

Test(log, a_json_line_is_an_object)
{
    expect_json("plain");
    expect_json("\"quoted\" and back\\slashed");
    expect_json("gr\xc3\xbc\xc3\x9f"
                "e");
}

Test(log, a_json_line_stays_an_object_when_escapes_double_its_length)
{
    char quotes[512];
    memset(quotes, '"', sizeof(quotes) - 1);
    quotes[sizeof(quotes) - 1] = '\0';
    expect_json(quotes);
}

Test(log, no_message_can_begin_a_second_line)
{
    logged(LOG_TEXT, "a\nb\r\x1b[2Jc\x7f");
    cr_assert_str_eq(line + 24, " warn  a?b??[2Jc?\n");
    size_t n = logged(LOG_JSON, "a\nb");
    cr_assert_eq(memchr(line, '\n', n), line + n - 1);
}

Test(log, a_message_too_long_is_cut_but_its_line_ends)
{
    char message[5000];
    memset(message, 'm', sizeof(message) - 1);
    message[sizeof(message) - 1] = '\0';
    size_t n = logged(LOG_TEXT, message);
    cr_assert(n > 500 && n < 1200 && line[n - 1] == '\n');
}

Test(log, what_is_below_the_level_is_not_written)
{
    log_configure(TG_LOG_ERROR, LOG_TEXT);
    capture_begin();
    log_warn("unseen");
    log_info("unseen");
    cr_assert_eq(capture_end(), 0);
}

Test(log, errno_survives)
{
    capture_begin();
    errno = ENOSPC;
    log_error("message");
    int after = errno;
    capture_end();
    cr_assert_eq(after, ENOSPC);
}
