/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a process that found itself wrong. It may stand in a signal handler or hold any lock, so the
 * message is put together by hand and leaves in one write: no stdio, no allocation.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tg/def.h"
#include "number.h"

struct line {
    char text[512];
    size_t len;
};

/* Appends what fits. */
static void add(struct line *l, const char *s)
{
    size_t n = strlen(s), room = sizeof(l->text) - l->len;
    n = TG_MIN(n, room);
    memcpy(l->text + l->len, s, n);
    l->len += n;
}

static void add_number(struct line *l, int v)
{
    char text[TG_NUMBER_TEXT_MAX + 1];
    text[tg_i64_print(v, text)] = '\0';
    add(l, text);
}

_Noreturn void tg_assert_failed(const char *cond, const char *file, int line)
{
    struct line l = {.len = 0};
    add(&l, file);
    add(&l, ":");
    add_number(&l, line);
    add(&l, ": assertion `");
    add(&l, cond);
    add(&l, "` failed\n");
    /* Nothing is left to do if even this fails. */
    if (write(STDERR_FILENO, l.text, l.len) < 0)
        abort();
    abort();
}
