/* SPDX-License-Identifier: Apache-2.0 */
/* Takes a backend's line of settings apart. */
#include <errno.h>
#include <string.h>
#include "spec.h"

static struct tg_str skip(struct tg_str text, size_t n)
{
    return (struct tg_str){text.ptr + n, text.len - n};
}

struct tg_str tg_spec_cut(struct tg_str *rest, char separator)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, separator, rest->len) : NULL;
    struct tg_str head = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};

    *rest = skip(*rest, end ? head.len + 1 : rest->len);
    return head;
}

bool tg_spec_next(struct tg_str *rest, char separator, struct tg_spec_item *item)
{
    if (rest->len == 0)
        return false;
    item->value = tg_spec_cut(rest, separator);
    size_t whole = item->value.len;
    item->key = tg_spec_cut(&item->value, '=');
    item->has_value = item->key.len < whole;
    return true;
}

int tg_spec_number(struct tg_str text, uint64_t min, uint64_t max, uint64_t *value)
{
    uint64_t n = 0;

    if (text.len == 0)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -EINVAL;
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(text.ptr[i] - '0'), &n))
            return -ERANGE;
    }
    if (n < min || n > max)
        return -ERANGE;
    *value = n;
    return 0;
}
