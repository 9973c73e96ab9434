/* SPDX-License-Identifier: Apache-2.0 */
/* The harness: command line, the child that runs the checks, the order of the checks. */
#include "runner_test.h"
#include "runner_test_parts.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "gateway/base/clock.h"

#define STEP_BYTES 4096
#define ROWS_MAX 4096
#define EXIT_CHECKS_FAILED 1
#define EXIT_USAGE 2
#define CHILD_FAILED 64 /* a code nobody else ends with: every failure has its line already */

/* ---- lines ----------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 0))) static void line(const char *verdict, const char *format, va_list args)
{
    printf("%-4s ", verdict);
    vprintf(format, args);
    putchar('\n');
    fflush(stdout);
}

void harness_step(struct harness *h, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(h->step, STEP_BYTES, format, args);
    va_end(args);
}

void harness_ok(struct harness *h, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line("ok", format, args);
    va_end(args);
}

void harness_skip(struct harness *h, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line("skip", format, args);
    va_end(args);
}

bool harness_fail(struct harness *h, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line("FAIL", format, args);
    va_end(args);
    h->failures++;
    return false;
}

__attribute__((format(printf, 2, 3))) static void host_log(enum tg_log_level level, const char *format, ...)
{
    if (level < TG_LOG_WARN)
        return;
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

const struct tg_host harness_host = {
    .abi = TG_RUNNER_ABI,
    .size = sizeof(struct tg_host),
    .log = host_log,
    .now_ns = clock_now_ns,
};

/* ---- table and options ----------------------------------------------------------------------- */

static const struct tg_runner *check_table(struct harness *h)
{
    const struct tg_runner *runner = NULL;
    struct tg_error err;
    harness_step(h, "table: loading %s", h->path);
    runner = tg_runner_find(h->path);
    if (runner ? tg_runner_check(runner, &err) : tg_runner_open(h->path, &runner, &err)) {
        harness_fail(h, "table: %s", err.message);
        return NULL;
    }
    harness_ok(h, "table: type %s, intent %s, %u options", runner->type, runner->intent,
               runner->option_count);
    return runner;
}

static int create(const struct tg_setting *settings, uint32_t count, struct tg_instance **out,
                  struct tg_problems *problems)
{
    *problems = (struct tg_problems){.len = 0};
    const struct tg_instance_options o = {.name = "test", .settings = settings, .setting_count = count};
    return tg_instance_create(&harness_host, &o, out, problems);
}

/* Problems are lines; here each becomes a line of ours. */
static void fail_with(struct harness *h, const char *check, struct tg_problems *problems)
{
    char *rest = NULL;
    for (char *l = strtok_r(problems->text, "\n", &rest); l; l = strtok_r(NULL, "\n", &rest))
        harness_fail(h, "%s: %s", check, l);
}

/* A table that lacks @key, or has one nobody knows, must not become an instance. */
static bool refused(struct harness *h, const struct tg_setting *settings, uint32_t count, const char *what)
{
    struct tg_instance *instance;
    struct tg_problems problems;
    harness_step(h, "options: create %s", what);
    if (create(settings, count, &instance, &problems) != 0)
        return true;
    tg_instance_destroy(instance);
    return harness_fail(h, "options: created %s", what);
}

static bool refused_without(struct harness *h, const char *key)
{
    struct tg_setting settings[HARNESS_OPTIONS_MAX + 2];
    char what[128];
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->setting_count; i++)
        if (strcmp(h->settings[i].key, key) != 0)
            settings[n++] = h->settings[i];
    snprintf(what, sizeof(what), "without the required option \"%s\"", key);
    return refused(h, settings, n, what);
}

static void check_options(struct harness *h, const struct tg_runner *runner)
{
    struct tg_setting settings[HARNESS_OPTIONS_MAX + 2];
    memcpy(settings, h->settings, sizeof(h->settings));
    settings[h->setting_count] = (struct tg_setting){.key = "no_such_option", .value = "1"};
    bool fine = refused(h, settings, h->setting_count + 1, "with an unknown option");
    uint32_t required = 0;
    for (uint32_t i = 0; i < runner->option_count; i++) {
        if (runner->options[i].default_value)
            continue;
        required++;
        fine &= refused_without(h, runner->options[i].key);
    }
    if (fine)
        harness_ok(h, "options: an unknown one and the lack of any of %u required ones are refused",
                   required);
}

/* Twice, since a shape is constant and an instance must not live in static memory. */
static bool check_create(struct harness *h)
{
    struct tg_instance *second;
    struct tg_problems problems;
    harness_step(h, "create");
    if (create(h->settings, h->setting_count, &h->instance, &problems) != 0 ||
        create(h->settings, h->setting_count, &second, &problems) != 0) {
        fail_with(h, "create", &problems);
        return false;
    }
    bool same = memcmp(&second->shape, &h->instance->shape, sizeof(second->shape)) == 0;
    struct tg_shape again = {0};
    h->instance->runner->shape(h->instance->self, &again);
    same &= memcmp(&again, &h->instance->shape, sizeof(again)) == 0;
    harness_step(h, "destroy of a second instance");
    tg_instance_destroy(second);
    if (!same)
        return harness_fail(h, "create: shape() changes from call to call");
    const struct tg_shape *s = &h->instance->shape;
    harness_ok(h, "create: %u size classes up to %u bytes in, %u out; %u rows a task, %u a batch",
               s->size_classes, s->in_bytes[s->size_classes - 1], s->out_bytes[s->size_classes - 1],
               s->rows_per_task_max, s->max_batch);
    return true;
}

static bool check_warm_up(struct harness *h)
{
    const struct tg_runner *r = h->instance->runner;
    if (!r->warm_up)
        return true;
    harness_step(h, "warm_up");
    int rc = r->warm_up(h->instance->self);
    if (rc)
        return harness_fail(h, "warm_up: returned %d", rc);
    harness_ok(h, "warm_up: returned 0");
    return true;
}

static void check_instance(struct harness *h)
{
    if (!harness_lanes_init(h)) {
        harness_fail(h, "lanes: out of memory");
        return;
    }
    if (check_warm_up(h)) {
        harness_check_decode(h);
        if (h->failures == 0 && h->instance->runner->run_batch)
            harness_check_run(h);
        else if (h->failures == 0)
            harness_skip(h, "run_batch, encode: it computes on a GPU only");
    }
    harness_lanes_finish(h);
    harness_step(h, "destroy");
    tg_instance_destroy(h->instance);
}

static int run_checks(struct harness *h)
{
    const struct tg_runner *runner = check_table(h);
    if (runner) {
        check_options(h, runner);
        if (check_create(h))
            check_instance(h);
    }
    return h->failures ? CHILD_FAILED : EXIT_SUCCESS;
}

/* ---- the child ------------------------------------------------------------------------------- */

static int judge(struct harness *h, int status)
{
    if (WIFSIGNALED(status))
        harness_fail(h, "%s: crashed, signal %d (%s)", h->step, WTERMSIG(status),
                     strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != EXIT_SUCCESS && WEXITSTATUS(status) != CHILD_FAILED)
        harness_fail(h, "%s: the process ended, status %d", h->step, WEXITSTATUS(status));
    bool passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    printf("%s: %s\n", h->path, passed ? "all checks passed" : "FAILED");
    fflush(stdout);
    return passed ? EXIT_SUCCESS : EXIT_CHECKS_FAILED;
}

static int run_in_child(struct harness *h)
{
    int status = 0;
    h->step = mmap(NULL, STEP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (h->step == MAP_FAILED)
        return EXIT_USAGE;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(run_checks(h));
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("fork");
        return EXIT_USAGE;
    }
    int rc = judge(h, status);
    munmap(h->step, STEP_BYTES);
    return rc;
}

/* ---- the command line ------------------------------------------------------------------------ */

static void print_usage(FILE *out, const char *program)
{
    fprintf(out,
            "usage: %s PLUGIN.so|TYPE [--option KEY=VALUE]... [--payload JSON]... [--rows N]\n"
            "  --option   as in the runner's table of the configuration\n"
            "  --payload  a payload the runner takes; give one of every form\n"
            "  --rows     rows of the batches tried, 1 to %d (64)\n",
            program, ROWS_MAX);
}

static int usage(const char *program, const char *why, const char *what)
{
    if (why)
        fprintf(stderr, "%s: %s %s\n", program, why, what);
    print_usage(stderr, program);
    return EXIT_USAGE;
}

/* Splits the caller's own argument in two. */
static bool add_option(struct harness *h, char *text)
{
    char *equals = strchr(text, '=');
    if (!equals || h->setting_count == HARNESS_OPTIONS_MAX)
        return false;
    *equals = '\0';
    h->settings[h->setting_count++] = (struct tg_setting){.key = text, .value = equals + 1};
    return true;
}

static bool add_payload(struct harness *h, const char *text)
{
    if (h->payload_count == HARNESS_PAYLOADS_MAX)
        return false;
    h->payloads[h->payload_count++] = text;
    h->payloads_given = true;
    return true;
}

static bool set_rows(struct harness *h, const char *text)
{
    char rest;
    return sscanf(text, "%4" SCNu32 "%c", &h->rows, &rest) == 1 && h->rows >= 1 && h->rows <= ROWS_MAX;
}

static bool take_flag(struct harness *h, const char *flag, char *value)
{
    if (strcmp(flag, "--option") == 0)
        return add_option(h, value);
    if (strcmp(flag, "--payload") == 0)
        return add_payload(h, value);
    return strcmp(flag, "--rows") == 0 && set_rows(h, value);
}

int tg_runner_test_main(int argc, char **argv)
{
    struct harness h = {.rows = 64};
    if (argc < 2)
        return usage(argv[0], NULL, NULL);
    if (strcmp(argv[1], "--help") == 0) {
        print_usage(stdout, argv[0]);
        fflush(stdout);
        return EXIT_SUCCESS;
    }
    h.path = argv[1];
    h.settings[h.setting_count++] =
        (struct tg_setting){.key = tg_runner_find(h.path) ? "type" : "plugin", .value = h.path};
    for (int i = 2; i < argc; i += 2)
        if (i + 1 == argc || !take_flag(&h, argv[i], argv[i + 1]))
            return usage(argv[0], i + 1 == argc ? "no value for" : "cannot take", argv[i]);
    if (!h.payloads_given)
        h.payloads[h.payload_count++] = "{}";
    return run_in_child(&h);
}
