/* SPDX-License-Identifier: Apache-2.0 */
/* The names of headers.def, laid out for comparing 16 bytes at a time: padded with zeros, keys apart. */
#ifndef TG_HTTP_NAMES_H
#define TG_HTTP_NAMES_H

#include "parse.h"

#include <assert.h>

#define HTTP_NAME_BYTES 32

static const char http_names[HTTP_H_COUNT][HTTP_NAME_BYTES] = {
#define HEADER(ident, name, values) name,
#include "headers.def"
#undef HEADER
};

static const uint8_t http_name_lens[32] = {
#define HEADER(ident, name, values) sizeof(name) - 1,
#include "headers.def"
#undef HEADER
};

/* Length and first letter in one byte: enough to tell nearly every name from all others. */
#define HTTP_NAME_KEY(len, first) ((uint8_t)((len)*5 + (first)))

static const uint8_t http_name_keys[32] = {
#define HEADER(ident, name, values) HTTP_NAME_KEY(sizeof(name) - 1, (name)[0]),
#include "headers.def"
#undef HEADER
};

#define HEADER(ident, name, values)                                                                          \
    static_assert(sizeof(name) <= HTTP_NAME_BYTES, "header name does not fit its slot");
#include "headers.def"
#undef HEADER
static_assert(HTTP_H_COUNT <= 32, "http_head.present has 32 bits");

#endif
