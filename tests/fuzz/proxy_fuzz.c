/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: PROXY headers. However the bytes are cut, the outcome is the same: "more" for every shorter beginning,
 * then one answer that later bytes do not change.
 */
#include "gateway/net/proxy.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 4096

/* Memory of exactly the right size, so that the address sanitizer sees a byte too many. */
static enum proxy_result parse_copy(const uint8_t *data, size_t len, struct proxy_header *h)
{
    char *copy = malloc(len ? len : 1);
    if (!copy)
        abort();
    memcpy(copy, data, len);
    enum proxy_result r = proxy_parse(copy, len, h);
    free(copy);
    return r;
}

static void check_header(const struct proxy_header *h, size_t len)
{
    if (h->bytes == 0 || h->bytes > len || h->bytes > PROXY_HEADER_MAX)
        abort();
    if (!h->has_source && h->source_port != 0)
        abort();
}

static bool same(const struct proxy_header *a, const struct proxy_header *b)
{
    return a->bytes == b->bytes && a->has_source == b->has_source && a->source_port == b->source_port &&
           (!a->has_source || memcmp(&a->source, &b->source, sizeof(a->source)) == 0);
}

/* The first beginning that is decided. */
static size_t decided_at(const uint8_t *data, size_t size, enum proxy_result *r, struct proxy_header *h)
{
    size_t len = 0;
    while ((*r = parse_copy(data, len, h)) == PROXY_MORE && len < size)
        len++;
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header whole = {0}, first = {0};
    enum proxy_result early;
    size = TG_MIN(size, (size_t)INPUT_MAX);
    enum proxy_result r = parse_copy(data, size, &whole);
    size_t at = decided_at(data, size, &early, &first);
    if (early != r || (r == PROXY_DONE && (!same(&first, &whole) || at != whole.bytes)))
        abort();
    if (r == PROXY_DONE)
        check_header(&whole, size);
    if (r == PROXY_MORE && size >= PROXY_HEADER_MAX)
        abort();
    return 0;
}
