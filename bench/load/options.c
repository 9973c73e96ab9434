/* SPDX-License-Identifier: Apache-2.0 */
/* Turns the command line into options, by the table in options.def. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"
#include "tg/def.h"

enum row_type { ROW_U32, ROW_F64, ROW_STR, ROW_FLAG, ROW_LIST };

struct row {
    enum row_type type;
    const char *flag, *fallback, *arg, *help;
    double least, most;
    size_t offset;
};

static const struct row rows[] = {
#define OPTION(type, field, flag, def, least, most, arg, help)                                               \
    {ROW_##type, flag, def, arg, help, least, most, offsetof(struct options, field)},
#include "options.def"
#undef OPTION
};

#define ROWS TG_ARRAY_SIZE(rows)

static void print_help(void)
{
    printf("usage: bench-load [options] TARGET\n\n"
           "Sends HTTP/1.1 requests to TARGET (http:// or https://HOST:PORT, HOST:PORT) and reports rate and latency.\n\n");
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *r = &rows[i];
        int used = printf("  --%s%s%s", r->flag, r->arg ? " " : "", r->arg ? r->arg : "");

        printf("%*s%s", used < 24 ? 24 - used : 1, "", r->help);
        printf(r->fallback[0] ? " (%s)\n" : "\n", r->fallback);
    }
    printf("  --help%*sthis text\n", 16, "");
}

static int bad(const char *flag, const char *text, const char *why)
{
    fprintf(stderr, "bench-load: --%s '%s': %s\n", flag, text, why);
    return -EINVAL;
}

static int parse_number(const struct row *r, const char *text, double *out)
{
    char range[96], *end;
    double value;

    errno = 0;
    value = strtod(text, &end);
    if (errno || end == text || *end || !isfinite(value))
        return bad(r->flag, text, "not a number");
    if (r->type == ROW_U32 && floor(value) < value)
        return bad(r->flag, text, "not a whole number");
    if (value < r->least || value > r->most) {
        snprintf(range, sizeof(range), "must lie between %.12g and %.12g", r->least, r->most);
        return bad(r->flag, text, range);
    }
    *out = value;
    return 0;
}

static int add_to_list(const struct row *r, struct option_list *list, const char *text)
{
    if (list->count == OPTIONS_LIST_MAX)
        return bad(r->flag, text, "given too often");
    list->items[list->count++] = text;
    return 0;
}

static int store_number(const struct row *r, void *field, const char *text)
{
    double value = 0;
    int rc = parse_number(r, text, &value);

    if (rc)
        return rc;
    if (r->type == ROW_U32)
        *(uint32_t *)field = (uint32_t)value;
    else
        *(double *)field = value;
    return 0;
}

static int store(const struct row *r, struct options *o, const char *text)
{
    void *field = (char *)o + r->offset;

    switch (r->type) {
    case ROW_U32:
    case ROW_F64:
        return store_number(r, field, text);
    case ROW_STR:
        *(const char **)field = text;
        return 0;
    case ROW_FLAG:
        *(bool *)field = true;
        return 0;
    case ROW_LIST:
        return add_to_list(r, field, text);
    }
    return -EINVAL;
}

static int set_defaults(struct options *o)
{
    memset(o, 0, sizeof(*o));
    o->active = UINT32_MAX;
    for (size_t i = 0; i < ROWS; i++) {
        bool plain = rows[i].type != ROW_FLAG && rows[i].type != ROW_LIST && strcmp(rows[i].fallback, "all");

        if (plain && store(&rows[i], o, rows[i].fallback))
            return -EINVAL;
    }
    return 0;
}

/* Comma-separated whole numbers from `least` up. */
static int parse_ints(const char *flag, const char *text, int least, int *out, uint32_t max, uint32_t *count)
{
    const char *p = text;
    char *end;

    for (*count = 0; *p; p = *end ? end + 1 : end) {
        long value;

        errno = 0;
        value = strtol(p, &end, 10);
        if (errno || end == p || (*end && (*end != ',' || !end[1])) || value < least || value > INT32_MAX)
            return bad(flag, text, "not a list of whole numbers such as 0,1");
        if (*count == max)
            return bad(flag, text, "too many entries");
        out[(*count)++] = (int)value;
    }
    return 0;
}

static int parse_rows(struct options *o)
{
    char tail;

    if (sscanf(o->rows, "%u-%u%c", &o->row_first, &o->row_last, &tail) != 2)
        return bad("rows", o->rows, "not a range such as 1001-1797");
    if (o->row_first < 1 || o->row_first > o->row_last)
        return bad("rows", o->rows, "rows are counted from 1 and A must not exceed B");
    return 0;
}

static int parse_words(struct options *o)
{
    o->poisson = strcmp(o->arrival, "poisson") == 0;
    if (!o->poisson && strcmp(o->arrival, "constant"))
        return bad("arrival", o->arrival, "must be constant or poisson");
    o->spin = strcmp(o->wait, "spin") == 0 || (strcmp(o->wait, "auto") == 0 && o->rate > 0);
    if (!o->spin && strcmp(o->wait, "sleep") && strcmp(o->wait, "auto"))
        return bad("wait", o->wait, "must be sleep, spin or auto");
    o->tls_12 = strcmp(o->tls_max, "1.2") == 0;
    if (!o->tls_12 && strcmp(o->tls_max, "1.3"))
        return bad("tls-version", o->tls_max, "must be 1.2 or 1.3");
    o->force_uring = strcmp(o->io, "uring") == 0;
    o->force_epoll = strcmp(o->io, "epoll") == 0;
    if (!o->force_uring && !o->force_epoll && strcmp(o->io, "auto"))
        return bad("io", o->io, "must be uring, epoll or auto");
    return 0;
}

/* A header with a line break in it would be two headers, or the start of the body. */
static int check_headers(const struct options *o)
{
    for (uint32_t i = 0; i < o->header.count; i++) {
        const char *line = o->header.items[i], *colon = strchr(line, ':');

        if (!colon || colon == line || strpbrk(line, "\r\n"))
            return bad("header", line, "must be one line 'Name: value'");
    }
    if (strpbrk(o->path, " \r\n") || (o->path[0] && o->path[0] != '/' && o->path[0] != '*'))
        return bad("path", o->path, "must start with / and hold no space");
    if (strpbrk(o->method, " \r\n"))
        return bad("method", o->method, "must be one word");
    return 0;
}

static int check_counts(struct options *o)
{
    char text[32];

    snprintf(text, sizeof(text), "%u", o->active);
    if (o->active == UINT32_MAX)
        o->active = o->connections;
    if (o->active > o->connections)
        return bad("active", text, "more than there are --connections");
    snprintf(text, sizeof(text), "%u", o->threads);
    if (o->threads > o->connections)
        return bad("threads", text, "more than there are --connections");
    if (o->rate > 0 && o->active < o->threads)
        return bad("threads", text, "an open loop needs an active connection for each thread");
    if (o->body[0] && o->body_text[0])
        return bad("body-text", o->body_text, "cannot be combined with --body");
    if (o->bodies[0] && (o->body[0] || o->body_text[0]))
        return bad("bodies", o->bodies, "cannot be combined with --body or --body-text");
    return 0;
}

static int derive(struct options *o)
{
    if (check_counts(o) || parse_words(o) || parse_rows(o) || check_headers(o))
        return -EINVAL;
    if (parse_ints("cpu", o->cpu, 0, o->cpus, OPTIONS_CPUS_MAX, &o->cpu_count))
        return -EINVAL;
    if (o->cpu_count && o->cpu_count < o->threads)
        return bad("cpu", o->cpu, "must name a processor for each of --threads");
    return parse_ints("server-pid", o->server_pid, 1, o->pids, OPTIONS_PIDS_MAX, &o->pid_count);
}

static void fill_getopt(struct option *table)
{
    for (size_t i = 0; i < ROWS; i++)
        table[i] = (struct option){rows[i].flag, rows[i].arg ? required_argument : no_argument, NULL, (int)i};
    table[ROWS] = (struct option){"help", no_argument, NULL, (int)ROWS};
    table[ROWS + 1] = (struct option){0};
}

/* getopt itself says what it did not understand. */
static enum options_result read_flags(int argc, char **argv, struct options *o)
{
    struct option table[ROWS + 2];
    int pick;

    fill_getopt(table);
    while ((pick = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (pick == (int)ROWS) {
            print_help();
            return OPTIONS_HELP;
        }
        if (pick < 0 || pick > (int)ROWS || store(&rows[pick], o, optarg))
            return OPTIONS_BAD;
    }
    return OPTIONS_RUN;
}

enum options_result options_parse(int argc, char **argv, struct options *o)
{
    enum options_result result;

    if (set_defaults(o))
        return OPTIONS_BAD;
    result = read_flags(argc, argv, o);
    if (result != OPTIONS_RUN)
        return result;
    if (optind + 1 != argc) {
        fprintf(stderr, "bench-load: give exactly one target, such as http://127.0.0.1:9484 (see --help)\n");
        return OPTIONS_BAD;
    }
    o->target = argv[optind];
    if (derive(o) || target_resolve(o))
        return OPTIONS_BAD;
    if (o->resume && !o->tls) {
        bad("resume", "", "only TLS has sessions: add --tls");
        return OPTIONS_BAD;
    }
    return OPTIONS_RUN;
}
