/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backend's settings arrive as one line of text, "key=value,flag,key=value". These helpers take it apart;
 * what the keys mean is each backend's own business.
 */
#ifndef TG_GPU_SPEC_H
#define TG_GPU_SPEC_H

#include "tg/def.h"

/* One item between separators: `key`, or `key=value`. */
struct tg_spec_item {
    struct tg_str key, value;
    bool has_value;
};

/**
 * Cut @rest at the first @separator (or its end). Returns what was before it; @rest becomes what is
 * behind.
 */
struct tg_str tg_spec_cut(struct tg_str *rest, char separator);

/**
 * Next item of @rest. Returns false at the end. Empty items (a trailing separator) come back with an empty
 * key.
 */
bool tg_spec_next(struct tg_str *rest, char separator, struct tg_spec_item *item);

/** Whole decimal number from @min to @max, nothing around it. Returns 0, -EINVAL, -ERANGE. */
int tg_spec_number(struct tg_str text, uint64_t min, uint64_t max, uint64_t *value);

static inline bool tg_spec_is(struct tg_str text, const char *word)
{
    return tg_str_eq(text, (struct tg_str){word, __builtin_strlen(word)});
}

#endif
