/* SPDX-License-Identifier: Apache-2.0 */
/* Parses "cpu;fail=3;fault=sticky". README.md has the grammar, settings.def the words. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "../spec.h"
#include "settings.h"

enum kind { NUMBER, FLAG, FAULT };

static const struct setting {
    const char *text;
    enum kind kind;
    uint64_t smallest, largest;
    size_t offset;
} table[] = {
#define SETTING(field, text, kind, smallest, largest, initial, meaning)                                      \
    {text, kind, smallest, largest, offsetof(struct tg_fault_settings, field)},
#include "settings.def"
#undef SETTING
};

static const struct tg_fault_settings defaults = {
#define SETTING(field, text, kind, smallest, largest, initial, meaning) .field = (initial),
#include "settings.def"
#undef SETTING
};

static const struct {
    const char *name;
    enum tg_device_fault fault;
} faults[] = {
    {"retry", TG_FAULT_RETRY},
    {"task", TG_FAULT_TASK},
    {"sticky", TG_FAULT_STICKY},
    {"lost", TG_FAULT_LOST},
};

static int parse_number(const struct setting *s, const struct tg_spec_item *item, uint64_t *value,
                        struct tg_error *why)
{
    if (item->has_value && tg_spec_number(item->value, s->smallest, s->largest, value) == 0)
        return 0;
    tg_error_set(why, "", "fault: %s needs a whole number from %llu to %llu, got \"" TG_STR_FMT "\"", s->text,
                 (unsigned long long)s->smallest, (unsigned long long)s->largest, TG_STR_ARG(item->value));
    return -EINVAL;
}

static int parse_flag(const struct setting *s, const struct tg_spec_item *item, uint64_t *value,
                      struct tg_error *why)
{
    if (item->has_value) {
        tg_error_set(why, "", "fault: %s takes no value", s->text);
        return -EINVAL;
    }
    *value = 1;
    return 0;
}

static int parse_fault(const struct tg_spec_item *item, uint64_t *value, struct tg_error *why)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(faults); i++)
        if (tg_spec_is(item->value, faults[i].name)) {
            *value = faults[i].fault;
            return 0;
        }
    tg_error_set(why, "", "fault: fault=\"" TG_STR_FMT "\" is none of retry, task, sticky, lost",
                 TG_STR_ARG(item->value));
    return -EINVAL;
}

static int parse_value(const struct setting *s, const struct tg_spec_item *item, uint64_t *value,
                       struct tg_error *why)
{
    switch (s->kind) {
    case NUMBER:
        return parse_number(s, item, value, why);
    case FLAG:
        return parse_flag(s, item, value, why);
    case FAULT:
        return parse_fault(item, value, why);
    }
    return -EINVAL;
}

static int parse_setting(struct tg_fault_settings *settings, const struct tg_spec_item *item,
                         struct tg_error *why)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(table); i++)
        if (tg_spec_is(item->key, table[i].text))
            return parse_value(&table[i], item, (uint64_t *)((char *)settings + table[i].offset), why);
    tg_error_set(why, "", "fault: unknown setting \"" TG_STR_FMT "\"", TG_STR_ARG(item->key));
    return -EINVAL;
}

/* The wrapped device's own settings follow its name behind a colon. */
static int parse_device(struct tg_fault_settings *settings, struct tg_str text, struct tg_error *why)
{
    char name[32];
    struct tg_str device = tg_spec_cut(&text, ':');

    snprintf(name, sizeof(name), TG_STR_FMT, TG_STR_ARG(device));
    settings->wrapped = device.len < sizeof(name) ? tg_backend_find(name) : NULL;
    if (!settings->wrapped)
        tg_error_set(why, "", "fault: there is no device \"" TG_STR_FMT "\" to wrap", TG_STR_ARG(device));
    else if (settings->wrapped == &tg_backend_fault)
        tg_error_set(why, "", "fault: it cannot wrap itself");
    else if (text.len >= sizeof(settings->wrapped_spec))
        tg_error_set(why, "", "fault: the settings of %s are too long", name);
    else {
        snprintf(settings->wrapped_spec, sizeof(settings->wrapped_spec), TG_STR_FMT, TG_STR_ARG(text));
        return 0;
    }
    return -EINVAL;
}

int tg_fault_settings_parse(const char *spec, struct tg_fault_settings *settings, struct tg_error *why)
{
    struct tg_str rest = {spec ? spec : "", spec ? strlen(spec) : 0};
    struct tg_spec_item item;

    *settings = defaults;
    int rc = parse_device(settings, tg_spec_cut(&rest, ';'), why);
    while (rc == 0 && tg_spec_next(&rest, ';', &item))
        rc = parse_setting(settings, &item, why);
    if (rc == 0 && settings->every && settings->once) {
        tg_error_set(why, "", "fault: every and once exclude one another");
        rc = -EINVAL;
    }
    return rc;
}
