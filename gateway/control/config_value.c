/* SPDX-License-Identifier: Apache-2.0 */
/* Values from text and back, by type. */
#include "config_row.h"
#include "gateway/base/nearest.h"
#include "gateway/base/address.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void *field_of(const struct config *cfg, const struct config_row *row)
{
    return (char *)cfg + row->offset;
}

__attribute__((format(printf, 2, 3))) static int refuse(struct config_text *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    return -EINVAL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A value too large for 64 bits stays at the largest, which is outside every range. */
static uint64_t times_plus(uint64_t value, uint64_t factor, uint64_t digit)
{
    uint64_t out;
    if (__builtin_mul_overflow(value, factor, &out) || __builtin_add_overflow(out, digit, &out))
        return UINT64_MAX;
    return out;
}

/* Digits with single underscores between them. Returns what follows, NULL when there is no number. */
static const char *scan_digits(const char *s, uint64_t *value)
{
    uint64_t sum = 0;
    if (!is_digit(*s))
        return NULL;
    while (is_digit(*s)) {
        sum = times_plus(sum, 10, (uint64_t)(*s - '0'));
        s++;
        if (*s == '_' && is_digit(s[1]))
            s++;
    }
    *value = sum;
    return s;
}

static bool counts_bytes(const struct config_row *row)
{
    const char *dot = strrchr(row->key, '.');
    size_t len = strlen(dot + 1);
    return len >= 5 && strcmp(dot + 1 + len - 5, "bytes") == 0;
}

/* Multiply by the unit that follows a number of bytes; returns what follows the unit. */
static const char *scan_unit(const char *s, uint64_t *value)
{
    static const char *const units[] = {"KiB", "MiB", "GiB"};
    const char *unit = *s == ' ' ? s + 1 : s;
    for (size_t i = 0; i < TG_ARRAY_SIZE(units); i++) {
        if (strncmp(unit, units[i], 3) == 0) {
            *value = times_plus(*value, UINT64_C(1) << (10 * (i + 1)), 0);
            return unit + 3;
        }
    }
    return s;
}

static int parse_number(const struct config_row *row, const char *text, uint64_t *out,
                        struct config_text *why)
{
    char quoted[CONFIG_QUOTE_MAX];
    uint64_t value = 0;
    bool negative = *text == '-';
    const char *rest = scan_digits(text + negative, &value);
    if (rest && counts_bytes(row))
        rest = scan_unit(rest, &value);
    if (!rest || *rest)
        return refuse(why, "%s is not a number", config_quote(text, quoted));
    if ((negative && value > 0) || value < row->min || value > row->max)
        return refuse(why, "%.40s is outside %" PRIu64 "..%" PRIu64, text, row->min, row->max);
    if (row->type == CONFIG_TYPE_POW2 && (value & (value - 1)) != 0)
        return refuse(why, "%s is not a power of two", text);
    *out = value;
    return 0;
}

static int parse_integer(struct config *cfg, const struct config_row *row, const char *text,
                         struct config_text *why)
{
    uint64_t value = 0;
    int rc = parse_number(row, text, &value, why);
    if (rc != 0)
        return rc;
    if (row->type == CONFIG_TYPE_U64)
        *(uint64_t *)field_of(cfg, row) = value;
    else
        *(uint32_t *)field_of(cfg, row) = (uint32_t)value;
    return 0;
}

static int parse_bool(struct config *cfg, const struct config_row *row, const char *text,
                      struct config_text *why)
{
    static const char *const words[][2] = {{"false", "true"}, {"0", "1"}, {"no", "yes"}, {"off", "on"}};
    char quoted[CONFIG_QUOTE_MAX];
    for (size_t i = 0; i < TG_ARRAY_SIZE(words); i++) {
        for (int value = 0; value < 2; value++) {
            if (strcmp(text, words[i][value]) == 0) {
                *(bool *)field_of(cfg, row) = value;
                return 0;
            }
        }
    }
    return refuse(why, "%s is not true or false", config_quote(text, quoted));
}

static int refuse_choice(const struct config_row *row, const char *text, struct config_text *why)
{
    char quoted[CONFIG_QUOTE_MAX], all[256] = "";
    for (size_t i = 0; i <= row->max; i++) {
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", row->choices[i]);
    }
    const char *nearest = nearest_word(text, row->choices, row->max + 1);
    if (nearest)
        return refuse(why, "%s is not one of %s (did you mean \"%s\"?)", config_quote(text, quoted), all,
                      nearest);
    return refuse(why, "%s is not one of %s", config_quote(text, quoted), all);
}

static int parse_enum(struct config *cfg, const struct config_row *row, const char *text,
                      struct config_text *why)
{
    for (uint32_t i = 0; i <= row->max; i++) {
        if (strcmp(text, row->choices[i]) == 0) {
            *(uint32_t *)field_of(cfg, row) = i;
            return 0;
        }
    }
    return refuse_choice(row, text, why);
}

static int parse_string(struct config *cfg, const struct config_row *row, const char *text,
                        struct config_text *why)
{
    char quoted[CONFIG_QUOTE_MAX];
    size_t len = strlen(text);
    const char *fault = config_text_fault(text);
    if (fault)
        return refuse(why, "%s %s", config_quote(text, quoted), fault);
    if (len < row->min || len > row->max)
        return refuse(why, "%s has %zu bytes, outside %" PRIu64 "..%" PRIu64, config_quote(text, quoted), len,
                      row->min, row->max);
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    config_value_free(cfg, row);
    *(char **)field_of(cfg, row) = copy;
    return 0;
}

static void listen_free(struct config_listen *listen)
{
    for (uint32_t i = 0; i < listen->count; i++)
        free(listen->address[i]);
    *listen = (struct config_listen){0};
}

#define HOST_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

#define UNIX_PREFIX "unix:"

/* A comma would end it, so the path has none; how long it may be, the listener knows. */
static bool is_unix_path(const char *text, size_t len)
{
    size_t prefix = strlen(UNIX_PREFIX);
    return len > prefix && strncmp(text, UNIX_PREFIX, prefix) == 0 && text[prefix] == '/';
}

/* The form only: whether the host can be bound is for the listener to find out. No host means all addresses. */
static bool is_address(const char *text, size_t len)
{
    const char *colon = memrchr(text, ':', len);
    if (!colon || len > CONFIG_ADDRESS_MAX)
        return false;
    uint64_t port;
    const char *end = scan_digits(colon + 1, &port);
    if (end != text + len || end - colon > 6 || port > 65535 || memchr(colon, '_', (size_t)(end - colon)))
        return false;
    bool bracketed = text[0] == '[' && colon[-1] == ']' && colon - text > 2;
    size_t host_len = (size_t)(colon - text);
    if (bracketed)
        return strspn(text + 1, HOST_CHARS ":%") == host_len - 2;
    return strspn(text, HOST_CHARS) == host_len;
}

/* NULL, or what is wrong with one item of a list. */
static const char *item_fault(const struct config_row *row, const char *text, size_t len)
{
    struct address_prefix ignored;
    if (row->type == CONFIG_TYPE_LIST)
        return len == 0 ? "is empty" : len > row->max ? "is too long" : NULL;
    if (row->type == CONFIG_TYPE_NETS)
        return address_prefix_parse((struct tg_str){text, len}, &ignored);
    if (len <= CONFIG_ADDRESS_MAX && (is_unix_path(text, len) || is_address(text, len)))
        return NULL;
    return "is not an address like 127.0.0.1:9484, [::1]:9484, :9484 or unix:/run/taskgate.sock";
}

static int listen_add(struct config_listen *listen, const struct config_row *row, const char *text, size_t len,
                      struct config_text *why)
{
    char word[64], quoted[CONFIG_QUOTE_MAX];
    snprintf(word, sizeof word, "%.*s", (int)TG_MIN(len, sizeof word - 1), text);
    const char *fault = item_fault(row, text, len);
    if (fault)
        return refuse(why, "%s %s", config_quote(word, quoted), fault);
    if (row->type == CONFIG_TYPE_LIST && listen->count == CONFIG_LIST_MAX)
        return refuse(why, "more than %d of them", CONFIG_LIST_MAX);
    if (row->type != CONFIG_TYPE_LIST && listen->count == CONFIG_LISTEN_MAX)
        return refuse(why, "more than %d addresses", CONFIG_LISTEN_MAX);
    char *copy = strndup(text, len);
    if (!copy)
        return -ENOMEM;
    listen->address[listen->count++] = copy;
    return 0;
}

static int parse_listen(struct config *cfg, const struct config_row *row, const char *text,
                        struct config_text *why)
{
    struct config_listen listen = {0};
    const char separator[] = {config_row_separator(row), '\0'};
    char quoted[CONFIG_QUOTE_MAX];
    int rc = *text || row->min == 0 ? 0 : refuse(why, "names no address");
    if (config_text_fault(text))
        rc = refuse(why, "%s %s", config_quote(text, quoted), config_text_fault(text));
    if (!*text)
        text = NULL;
    while (rc == 0 && text) {
        text += strspn(text, " ");
        size_t len = strcspn(text, separator);
        const char *next = text[len] ? text + len + 1 : NULL;
        while (len > 0 && text[len - 1] == ' ')
            len--;
        rc = listen_add(&listen, row, text, len, why);
        text = next;
    }
    if (rc != 0) {
        listen_free(&listen);
        return rc;
    }
    config_value_free(cfg, row);
    *(struct config_listen *)field_of(cfg, row) = listen;
    return 0;
}

int config_value_parse(struct config *cfg, const struct config_row *row, const char *text,
                       struct config_text *why)
{
    switch (row->type) {
    case CONFIG_TYPE_BOOL:
        return parse_bool(cfg, row, text, why);
    case CONFIG_TYPE_ENUM:
        return parse_enum(cfg, row, text, why);
    case CONFIG_TYPE_STR:
        return parse_string(cfg, row, text, why);
    case CONFIG_TYPE_LISTEN:
    case CONFIG_TYPE_NETS:
    case CONFIG_TYPE_LIST:
        return parse_listen(cfg, row, text, why);
    default:
        return parse_integer(cfg, row, text, why);
    }
}

static void format_listen(const struct config_listen *listen, char separator, struct config_text *out)
{
    size_t used = 0;
    out->text[0] = 0;
    for (uint32_t i = 0; i < listen->count; i++) {
        if (i > 0 && used + 1 < sizeof out->text)
            out->text[used++] = separator;
        snprintf(out->text + used, sizeof out->text - used, "%s", listen->address[i]);
        used += strlen(out->text + used);
    }
}

void config_value_format(const struct config *cfg, const struct config_row *row, struct config_text *out)
{
    const void *field = field_of(cfg, row);
    const size_t size = sizeof out->text;
    switch (row->type) {
    case CONFIG_TYPE_BOOL:
        snprintf(out->text, size, "%s", *(const bool *)field ? "true" : "false");
        break;
    case CONFIG_TYPE_ENUM:
        snprintf(out->text, size, "%s", row->choices[*(const uint32_t *)field]);
        break;
    case CONFIG_TYPE_STR:
        snprintf(out->text, size, "%s", *(char *const *)field);
        break;
    case CONFIG_TYPE_LISTEN:
    case CONFIG_TYPE_NETS:
    case CONFIG_TYPE_LIST:
        format_listen(field, config_row_separator(row), out);
        break;
    case CONFIG_TYPE_U64:
        snprintf(out->text, size, "%" PRIu64, *(const uint64_t *)field);
        break;
    default:
        snprintf(out->text, size, "%" PRIu32, *(const uint32_t *)field);
    }
}

void config_value_free(struct config *cfg, const struct config_row *row)
{
    if (row->type == CONFIG_TYPE_STR) {
        char **text = field_of(cfg, row);
        free(*text);
        *text = NULL;
    }
    if (config_row_separator(row))
        listen_free(field_of(cfg, row));
}
