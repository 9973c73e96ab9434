/* SPDX-License-Identifier: Apache-2.0 */
/* Which runners there are: the built-in table, the check every table passes, and plugins. */
#include "runner.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runners/builtin.h"

static const struct tg_runner *const builtins[] = {
#define RUNNER(ident) &tg_runner_##ident,
#include "runners/builtin.def"
#undef RUNNER
};

/*
 * What tg/runner.h promises a plugin. The program itself may need only half of it; naming all of it here
 * keeps the linker from leaving the other half out.
 */
__attribute__((used)) static void *const plugin_api[] = {
    (void *)tg_error_set,
    (void *)tg_rows_claim,
    (void *)tg_assert_failed,
    (void *)tg_json_parse,
    (void *)tg_json_text,
    (void *)tg_json_unescape,
    (void *)tg_json_string_eq,
    (void *)tg_json_get,
    (void *)tg_json_write_begin_object,
    (void *)tg_json_write_end_object,
    (void *)tg_json_write_begin_array,
    (void *)tg_json_write_end_array,
    (void *)tg_json_write_key,
    (void *)tg_json_write_string,
    (void *)tg_json_write_i64,
    (void *)tg_json_write_u64,
    (void *)tg_json_write_f64,
    (void *)tg_json_write_f32,
    (void *)tg_json_write_bool,
    (void *)tg_json_write_null,
    (void *)tg_json_write_raw,
};

const struct tg_runner *tg_runner_builtin(uint32_t i)
{
    return i < TG_ARRAY_SIZE(builtins) ? builtins[i] : NULL;
}

const struct tg_runner *tg_runner_find(const char *type)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(builtins); i++)
        if (strcmp(builtins[i]->type, type) == 0)
            return builtins[i];
    return NULL;
}

/* Names end up in the configuration, in metrics and in messages: [a-z][a-z0-9_]* */
static bool is_name(const char *s)
{
    if (!s || !islower((unsigned char)*s))
        return false;
    for (; *s; s++)
        if (!islower((unsigned char)*s) && !isdigit((unsigned char)*s) && *s != '_')
            return false;
    return true;
}

static int fault(struct tg_error *err, const char *what)
{
    tg_error_set(err, NULL, "%s", what);
    return -EINVAL;
}

static int check_option(const struct tg_runner *r, uint32_t i, struct tg_error *err)
{
    const struct tg_option *o = &r->options[i];
    union tg_value value;
    struct tg_error why;
    if (!is_name(o->key)) {
        tg_error_set(err, NULL, "option %u: the key must be like [a-z][a-z0-9_]*", i);
    } else if (o->type < TG_OPTION_STRING || o->type > TG_OPTION_CHOICE) {
        tg_error_set(err, NULL, "option %s: unknown type %d", o->key, (int)o->type);
    } else if (o->type == TG_OPTION_CHOICE && (!o->choices || !*o->choices)) {
        tg_error_set(err, NULL, "option %s: a choice without choices", o->key);
    } else if (o->min > o->max) {
        tg_error_set(err, NULL, "option %s: min is above max", o->key);
    } else if (!o->doc) {
        tg_error_set(err, NULL, "option %s: no doc", o->key);
    } else if (o->default_value && tg_option_parse(o, o->default_value, &value, &why) != 0) {
        tg_error_set(err, NULL, "option %s: its default \"%s\" %s", o->key, o->default_value, why.message);
    } else {
        return 0;
    }
    return -EINVAL;
}

static int check_options(const struct tg_runner *r, struct tg_error *err)
{
    if (r->option_count > 0 && !r->options)
        return fault(err, "option_count says there are options, but the table is NULL");
    for (uint32_t i = 0; i < r->option_count; i++) {
        int rc = check_option(r, i, err);
        if (rc)
            return rc;
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(r->options[i].key, r->options[j].key) == 0) {
                tg_error_set(err, NULL, "option %s: listed twice", r->options[i].key);
                return -EINVAL;
            }
        }
    }
    return 0;
}

/* An older table ends before the field. */
static const struct tg_runner_cuda *cuda_of(const struct tg_runner *r)
{
    return r->size < sizeof(*r) ? NULL : r->cuda;
}

static int check_functions(const struct tg_runner *r, struct tg_error *err)
{
    const struct {
        const char *name;
        bool there;
    } functions[] = {
        {"create", r->create}, {"destroy", r->destroy},     {"shape", r->shape},
        {"decode", r->decode}, {"encode", r->encode},       {"run_batch", r->run_batch || cuda_of(r)},
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(functions); i++) {
        if (!functions[i].there) {
            tg_error_set(err, NULL, "function %s is missing (NULL)", functions[i].name);
            return -EINVAL;
        }
    }
    return 0;
}

/* A part without launch() is none: so it is where the program is built without CUDA. */
const struct tg_runner_cuda *tg_runner_cuda_part(const struct tg_runner *r)
{
    const struct tg_runner_cuda *cuda = cuda_of(r);
    return cuda && cuda->size >= sizeof(*cuda) && cuda->launch ? cuda : NULL;
}

int tg_runner_check(const struct tg_runner *r, struct tg_error *err)
{
    if (r->abi != TG_RUNNER_ABI) { /* first: nothing behind it means anything then */
        tg_error_set(err, NULL, "speaks runner ABI %u, this program speaks %u", r->abi, TG_RUNNER_ABI);
        return -EINVAL;
    }
    if (r->size < TG_RUNNER_SIZE_MIN) {
        tg_error_set(err, NULL, "its table has %u bytes, ABI %u has %zu", r->size, TG_RUNNER_ABI,
                     TG_RUNNER_SIZE_MIN);
        return -EINVAL;
    }
    if (!is_name(r->type))
        return fault(err, "type must be a name like [a-z][a-z0-9_]*");
    if (!r->doc || !*r->doc)
        return fault(err, "doc is missing");
    if (!r->intent || strncmp(r->intent, "urn:", 4) != 0)
        return fault(err, "intent must be a URN");
    int rc = check_options(r, err);
    return rc ? rc : check_functions(r, err);
}

/* dlopen() looks for a bare name in the system's library path; a path in the configuration is a path. */
static void *open_library(const char *path, struct tg_error *err)
{
    char local[4096];
    if ((size_t)snprintf(local, sizeof(local), "%s%s", strchr(path, '/') ? "" : "./", path) >=
        sizeof(local)) {
        tg_error_set(err, NULL, "the path is too long");
        return NULL;
    }
    void *library = dlopen(local, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        tg_error_set(err, NULL, "cannot be loaded: %s", dlerror());
    return library;
}

int tg_runner_open(const char *path, const struct tg_runner **runner, struct tg_error *err)
{
    void *library = open_library(path, err);
    if (!library)
        return -ENOENT;
    tg_runner_entry_fn *entry;
    *(void **)&entry = dlsym(library, TG_RUNNER_ENTRY);
    if (!entry)
        return fault(err, "does not export " TG_RUNNER_ENTRY "()");
    const struct tg_runner *r = entry();
    if (!r)
        return fault(err, TG_RUNNER_ENTRY "() returned NULL");
    int rc = tg_runner_check(r, err);
    if (rc == 0)
        *runner = r;
    return rc;
}
