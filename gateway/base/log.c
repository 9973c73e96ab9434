/* SPDX-License-Identifier: Apache-2.0 */
/* Formatting and writing log lines. */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "log.h"

#define MESSAGE_BYTES 512
#define LINE_BYTES (3 * MESSAGE_BYTES + 128) /* JSON makes three bytes of one at most: U+FFFD for what is not UTF-8 */

static _Atomic int log_level = TG_LOG_INFO;
static _Atomic int log_form = LOG_TEXT;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_configure(enum tg_log_level level, enum log_format format)
{
    atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
    atomic_store_explicit(&log_form, (int)format, memory_order_relaxed);
}

static size_t stamp(char *out, size_t cap)
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    return (size_t)snprintf(out, cap, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", utc.tm_year + 1900, utc.tm_mon + 1,
                            utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec / 1000000);
}

static size_t line_text(char *line, size_t cap, enum tg_log_level level, const char *message)
{
    char when[80];
    stamp(when, sizeof(when));
    int n = snprintf(line, cap, "%s %-5s %s\n", when, level_names[level], message);
    return TG_MIN((size_t)n, cap - 1);
}

static size_t line_json(char *line, size_t cap, enum tg_log_level level, const char *message)
{
    char when[80];
    struct tg_json_writer w;
    tg_json_writer_init(&w, line, cap - 1);
    tg_json_write_begin_object(&w);
    TG_JSON_KEY(&w, "ts");
    tg_json_write_string(&w, (struct tg_str){when, stamp(when, sizeof(when))});
    TG_JSON_KEY(&w, "level");
    tg_json_write_string(&w, (struct tg_str){level_names[level], strlen(level_names[level])});
    TG_JSON_KEY(&w, "msg");
    tg_json_write_string(&w, (struct tg_str){message, strlen(message)});
    tg_json_write_end_object(&w);
    line[w.len++] = '\n';
    return w.len;
}

/* Messages may quote names from the outside: nothing in them may start a new line or move the cursor. */
static void make_printable(char *message)
{
    for (; *message; message++)
        if ((unsigned char)*message < 0x20 || *message == 0x7f)
            *message = '?';
}

void log_write(enum tg_log_level level, const char *format, ...)
{
    if ((int)level < atomic_load_explicit(&log_level, memory_order_relaxed))
        return;
    int saved_errno = errno;
    char message[MESSAGE_BYTES], line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    make_printable(message);
    bool json = atomic_load_explicit(&log_form, memory_order_relaxed) == LOG_JSON;
    size_t n = json ? line_json(line, sizeof(line), level, message) : line_text(line, sizeof(line), level, message);
    if (write(STDERR_FILENO, line, n) < 0) {
        /* a log that cannot be written has nowhere to be reported */
    }
    errno = saved_errno;
}
