/* SPDX-License-Identifier: Apache-2.0 */
/* From a [runner.NAME] table to an instance that executors and workers can use. */
#include "gateway/base/nearest.h"
#include "runner.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 64 /* of one runner */
#define BATCH_MAX (1u << 20)

/* Keys every table has; the host's own, so a runner never sees them. */
enum {
    COMMON_TYPE,
    COMMON_PLUGIN,
    COMMON_INTENT,
    COMMON_MAX_BATCH,
    COMMON_MAX_DELAY_US,
    COMMON_STREAMS,
    COMMON_DEVICE,
    COMMON_COUNT
};

static const struct tg_option common[COMMON_COUNT] = {
    [COMMON_TYPE] = {"type", TG_OPTION_STRING, "", 0, 0, NULL, "which built-in runner"},
    [COMMON_PLUGIN] = {"plugin", TG_OPTION_STRING, "", 0, 0, NULL, "path of a .so, instead of a type"},
    [COMMON_INTENT] = {"intent", TG_OPTION_STRING, "", 0, 0, NULL, "URN served, instead of the runner's own"},
    [COMMON_MAX_BATCH] = {"max_batch", TG_OPTION_INTEGER, "0", 0, BATCH_MAX, NULL,
                          "rows of one batch at most; 0: what the runner allows"},
    [COMMON_MAX_DELAY_US] = {"max_delay_us", TG_OPTION_INTEGER, "0", 0, TG_DELAY_US_MAX, NULL,
                             "longest wait for company"},
    [COMMON_STREAMS] = {"streams", TG_OPTION_INTEGER, "2", 1, TG_STREAMS_MAX, NULL,
                        "batches in flight at once on one device"},
    [COMMON_DEVICE] = {"device", TG_OPTION_CHOICE, "auto", 0, 0, "auto|cpu|cuda",
                       "where it is computed; auto: on a GPU if there is one and the runner can"},
};

/* A table being read. */
struct reading {
    const struct tg_instance_options *o;
    const struct tg_runner *runner;
    struct tg_problems *problems;
    uint32_t before; /* problems of earlier tables */
    union tg_value common[COMMON_COUNT];
    union tg_value own[OPTIONS_MAX];
};

static bool at_fault(const struct reading *r)
{
    return r->problems->count > r->before;
}

static const struct tg_setting *find_setting(const struct tg_instance_options *o, const char *key)
{
    for (uint32_t i = 0; i < o->setting_count; i++)
        if (strcmp(o->settings[i].key, key) == 0)
            return &o->settings[i];
    return NULL;
}

/* Values for the rows of @table; what is wrong with them becomes problems. */
static void read_values(struct reading *r, const struct tg_option *table, uint32_t count,
                        union tg_value *values)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct tg_setting *s = find_setting(r->o, table[i].key);
        const char *text = s ? s->value : table[i].default_value;
        struct tg_error err;
        if (!text)
            tg_problem_add(r->problems, r->o->at, "runner.%s: \"%s\" is missing (%s)", r->o->name,
                           table[i].key, table[i].doc);
        else if (tg_option_parse(&table[i], text, &values[i], &err) != 0)
            tg_problem_add(r->problems, s ? s->at : r->o->at, "runner.%s.%s: \"%s\" %s", r->o->name,
                           table[i].key, text, err.message);
    }
}

static bool known_key(const struct tg_option *table, uint32_t count, const char *key)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(table[i].key, key) == 0)
            return true;
    return false;
}

static void report_unknown(struct reading *r, const struct tg_setting *s)
{
    const char *candidates[COMMON_COUNT + OPTIONS_MAX];
    size_t n = 0;
    for (uint32_t i = 0; i < r->runner->option_count; i++)
        candidates[n++] = r->runner->options[i].key;
    for (uint32_t i = 0; i < COMMON_COUNT; i++)
        candidates[n++] = common[i].key;
    const char *nearest = nearest_word(s->key, candidates, n);
    tg_problem_add(r->problems, s->at, "runner.%s.%s: a %s runner has no such option%s%s%s", r->o->name,
                   s->key, r->runner->type, nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                   nearest ? "\"?" : "");
}

static void check_keys(struct reading *r)
{
    for (uint32_t i = 0; i < r->o->setting_count; i++) {
        const struct tg_setting *s = &r->o->settings[i];
        if (find_setting(r->o, s->key) != s)
            tg_problem_add(r->problems, s->at, "runner.%s.%s: given twice", r->o->name, s->key);
        else if (!known_key(common, COMMON_COUNT, s->key) &&
                 !known_key(r->runner->options, r->runner->option_count, s->key))
            report_unknown(r, s);
    }
}

/* ---- which runner ---------------------------------------------------------------------------- */

static void report_unknown_type(struct reading *r, const struct tg_setting *s)
{
    const char *types[16];
    char list[256] = "";
    size_t n = 0, len = 0;
    for (const struct tg_runner *b; n < TG_ARRAY_SIZE(types) && (b = tg_runner_builtin((uint32_t)n)); n++) {
        types[n] = b->type;
        len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", n ? ", " : "", b->type);
        len = TG_MIN(len, sizeof(list) - 1);
    }
    const char *nearest = nearest_word(s->value, types, n);
    tg_problem_add(r->problems, s->at, "runner.%s.type: there is no \"%s\" runner%s%s%s (there are: %s)",
                   r->o->name, s->value, nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                   nearest ? "\"?" : "", list);
}

static bool own_option_clashes(struct reading *r)
{
    for (uint32_t i = 0; i < COMMON_COUNT; i++) {
        if (known_key(r->runner->options, r->runner->option_count, common[i].key)) {
            tg_problem_add(r->problems, r->o->at,
                           "runner.%s: the runner's option \"%s\" is one of the host's", r->o->name,
                           common[i].key);
            return true;
        }
    }
    return false;
}

static void open_plugin(struct reading *r, const struct tg_setting *plugin, const struct tg_setting *type)
{
    struct tg_error err;
    if (tg_runner_open(plugin->value, &r->runner, &err) != 0)
        tg_problem_add(r->problems, plugin->at, "runner.%s.plugin: %s %s", r->o->name, plugin->value,
                       err.message);
    else if (type && strcmp(type->value, r->runner->type) != 0)
        tg_problem_add(r->problems, type->at, "runner.%s.type: \"%s\", but %s is a \"%s\" runner", r->o->name,
                       type->value, plugin->value, r->runner->type);
}

/* Sets r->runner, or leaves it NULL with a problem said. */
static void choose_runner(struct reading *r)
{
    const struct tg_setting *type = find_setting(r->o, "type"), *plugin = find_setting(r->o, "plugin");
    if (plugin) {
        open_plugin(r, plugin, type);
    } else if (type) {
        r->runner = tg_runner_find(type->value);
        if (!r->runner)
            report_unknown_type(r, type);
    } else {
        tg_problem_add(r->problems, r->o->at,
                       "runner.%s: \"type\" is missing (or \"plugin\", the path of a .so)", r->o->name);
    }
    if (r->runner && r->runner->option_count > OPTIONS_MAX) {
        tg_problem_add(r->problems, r->o->at, "runner.%s: over %d options", r->o->name, OPTIONS_MAX);
        r->runner = NULL;
    }
    if (r->runner && own_option_clashes(r))
        r->runner = NULL;
}

/* ---- the instance ---------------------------------------------------------------------------- */

int tg_shape_check(const struct tg_shape *s, struct tg_error *err)
{
    const char *what = NULL;
    if (s->size_classes < 1 || s->size_classes > TG_SIZE_CLASSES_MAX)
        what = "size_classes is out of range";
    for (uint32_t i = 0; !what && i < s->size_classes; i++) {
        if (s->in_bytes[i] < 1 || s->in_bytes[i] > TG_ROW_BYTES_MAX || s->out_bytes[i] > TG_ROW_BYTES_MAX)
            what = "in_bytes or out_bytes is out of range";
        else if (i > 0 && s->in_bytes[i] <= s->in_bytes[i - 1])
            what = "in_bytes is not ascending";
    }
    if (!what && (s->rows_per_task_max < 1 || s->rows_per_task_max > BATCH_MAX))
        what = "rows_per_task_max is out of range";
    if (!what && (s->max_batch < 1 || s->max_batch > BATCH_MAX))
        what = "max_batch is out of range";
    if (what)
        tg_error_set(err, NULL, "shape: %s", what);
    return what ? -EINVAL : 0;
}

static bool is_urn(const char *s)
{
    if (strncmp(s, "urn:", 4) != 0)
        return false;
    for (; *s; s++)
        if (!isgraph((unsigned char)*s) || *s == '"' || *s == '\\') /* it becomes a metrics label */
            return false;
    return true;
}

static const char *position(const struct tg_instance_options *o, const char *key)
{
    const struct tg_setting *s = find_setting(o, key);
    return s ? s->at : o->at;
}

static void set_names(struct reading *r, struct tg_instance *in)
{
    const char *given = r->common[COMMON_INTENT].string;
    const char *intent = given && *given ? given : r->runner->intent;
    if ((size_t)snprintf(in->name, sizeof(in->name), "%s", r->o->name) >= sizeof(in->name))
        tg_problem_add(r->problems, r->o->at, "runner.%s: the name is over %zu bytes", r->o->name,
                       sizeof(in->name) - 1);
    if ((size_t)snprintf(in->intent, sizeof(in->intent), "%s", intent) >= sizeof(in->intent))
        tg_problem_add(r->problems, position(r->o, "intent"), "runner.%s.intent: over %zu bytes", r->o->name,
                       sizeof(in->intent) - 1);
    else if (!is_urn(intent))
        tg_problem_add(r->problems, position(r->o, "intent"), "runner.%s.intent: \"%s\" is no URN (urn:...)",
                       r->o->name, intent);
}

static void set_batching(struct reading *r, struct tg_instance *in)
{
    uint32_t max_batch = (uint32_t)r->common[COMMON_MAX_BATCH].integer;
    const struct tg_runner_cuda *part = tg_runner_cuda_part(in->runner);
    uint32_t most = part ? TG_MAX(in->shape.max_batch, part->batch_rows) : in->shape.max_batch;
    if (max_batch > most)
        tg_problem_add(r->problems, position(r->o, "max_batch"),
                       "runner.%s.max_batch: \"%u\" must be from 1 to %u for this runner", r->o->name,
                       max_batch, most);
    in->max_batch = max_batch ? max_batch : in->shape.max_batch;
    in->max_delay_us = (uint32_t)r->common[COMMON_MAX_DELAY_US].integer;
    in->streams = (uint32_t)r->common[COMMON_STREAMS].integer;
    const char *device = r->common[COMMON_DEVICE].string;
    in->placement = strcmp(device, "cuda") == 0  ? TG_PLACE_CUDA
                    : strcmp(device, "cpu") == 0 ? TG_PLACE_CPU
                                                 : TG_PLACE_AUTO;
    if (!in->runner->run_batch && in->placement == TG_PLACE_CPU)
        tg_problem_add(r->problems, position(r->o, "device"), "runner.%s.device: a %s runner computes on a GPU only",
                       r->o->name, in->runner->type);
}

/* create() and what can only be checked after it. */
static int start(struct reading *r, const struct tg_host *host, struct tg_instance *in)
{
    struct tg_error err = {.message = "create() failed"};
    int rc = r->runner->create(host, r->own, &in->self, &err);
    if (rc) {
        const char *dot = err.field[0] ? "." : "";
        tg_problem_add(r->problems, err.field[0] ? position(r->o, err.field) : r->o->at, "runner.%s%s%s: %s",
                       r->o->name, dot, err.field, err.message);
        return rc;
    }
    r->runner->shape(in->self, &in->shape);
    if (tg_shape_check(&in->shape, &err) != 0)
        tg_problem_add(r->problems, r->o->at, "runner.%s: %s", r->o->name, err.message);
    else
        set_batching(r, in);
    if (!at_fault(r))
        return 0;
    r->runner->destroy(in->self);
    return -EINVAL;
}

static int build(struct reading *r, const struct tg_host *host, struct tg_instance *in)
{
    choose_runner(r);
    read_values(r, common, COMMON_COUNT, r->common);
    if (!r->runner)
        return -EINVAL;
    check_keys(r);
    read_values(r, r->runner->options, r->runner->option_count, r->own);
    in->runner = r->runner;
    set_names(r, in);
    return at_fault(r) ? -EINVAL : start(r, host, in);
}

int tg_instance_create(const struct tg_host *host, const struct tg_instance_options *o,
                       struct tg_instance **out, struct tg_problems *problems)
{
    struct tg_instance *in = calloc(1, sizeof(*in));
    struct reading *r = calloc(1, sizeof(*r));
    int rc = -ENOMEM;
    if (in && r) {
        *r = (struct reading){.o = o, .problems = problems, .before = problems->count};
        rc = build(r, host, in);
    } else {
        tg_problem_add(problems, o->at, "runner.%s: out of memory", o->name);
    }
    free(r);
    if (rc == 0)
        *out = in;
    else
        free(in);
    return rc;
}

void tg_instance_destroy(struct tg_instance *in)
{
    if (!in)
        return;
    in->runner->destroy(in->self);
    free(in);
}
