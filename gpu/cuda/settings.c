/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the cuda device's line of settings. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "../spec.h"
#include "settings.h"

struct row {
    const char *key;
    size_t offset;
    uint64_t default_value, min, max;
};

static const struct row rows[] = {
#define SETTING(key, default_value, min, max)                                                                      \
    {#key, offsetof(struct tg_cuda_settings, key), default_value, min, max},
#include "settings.def"
#undef SETTING
};

static uint64_t *place(struct tg_cuda_settings *s, const struct row *row)
{
    return (uint64_t *)((char *)s + row->offset);
}

static int set_device(struct tg_cuda_settings *s, struct tg_str value, struct tg_error *why)
{
    if (value.len == 0 || value.len >= sizeof(s->device)) {
        tg_error_set(why, "device", "cuda: device needs an index or a UUID");
        return -EINVAL;
    }
    memcpy(s->device, value.ptr, value.len);
    s->device[value.len] = '\0';
    return 0;
}

static int set_number(struct tg_cuda_settings *s, const struct row *row, struct tg_str value, struct tg_error *why)
{
    if (tg_spec_number(value, row->min, row->max, place(s, row)) == 0)
        return 0;
    tg_error_set(why, row->key, "cuda: %s needs a whole number from %" PRIu64 " to %" PRIu64 ", got \"" TG_STR_FMT "\"",
                 row->key, row->min, row->max, TG_STR_ARG(value));
    return -EINVAL;
}

static int set(struct tg_cuda_settings *s, const struct tg_spec_item *item, struct tg_error *why)
{
    if (tg_spec_is(item->key, "device"))
        return set_device(s, item->value, why);
    for (size_t i = 0; i < TG_ARRAY_SIZE(rows); i++)
        if (tg_spec_is(item->key, rows[i].key))
            return set_number(s, &rows[i], item->value, why);
    tg_error_set(why, "", "cuda: unknown setting \"" TG_STR_FMT "\"", TG_STR_ARG(item->key));
    return -EINVAL;
}

int tg_cuda_settings_parse(const char *spec, struct tg_cuda_settings *out, struct tg_error *why)
{
    struct tg_cuda_settings s = {.device = "0"};
    struct tg_str rest = {spec, spec ? strlen(spec) : 0};
    struct tg_spec_item item;
    int rc = 0;

    for (size_t i = 0; i < TG_ARRAY_SIZE(rows); i++)
        *place(&s, &rows[i]) = rows[i].default_value;
    while (rc == 0 && tg_spec_next(&rest, ',', &item))
        rc = item.key.len > 0 ? set(&s, &item, why) : 0;
    if (rc == 0)
        *out = s;
    return rc;
}

/* CUDA has no other word for a part of a GPU than its name: "NVIDIA H200 MIG 1g.18gb". */
void tg_cuda_uuid_write(const char *name, const unsigned char uuid[16], char text[static TG_CUDA_UUID_BYTES])
{
    size_t at = (size_t)snprintf(text, TG_CUDA_UUID_BYTES, "%s", strstr(name, " MIG ") ? "MIG-" : "GPU-");
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[at++] = '-';
        at += (size_t)snprintf(text + at, TG_CUDA_UUID_BYTES - at, "%02x", uuid[i]);
    }
}

bool tg_cuda_device_matches(const char *wanted, uint32_t index, const unsigned char uuid[16])
{
    char number[16], text[TG_CUDA_UUID_BYTES];
    snprintf(number, sizeof(number), "%" PRIu32, index);
    if (strcmp(wanted, number) == 0)
        return true;
    if (strncmp(wanted, "GPU-", 4) != 0 && strncmp(wanted, "MIG-", 4) != 0)
        return false;
    tg_cuda_uuid_write("", uuid, text);
    return wanted[4] != '\0' && strncasecmp(wanted + 4, text + 4, strlen(wanted + 4)) == 0;
}
