/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as hexadecimal text. Pure. */
#ifndef TG_HEX_H
#define TG_HEX_H

#include "tg/def.h"

/** 2 * @n lower-case digits, not terminated. */
void hex_write(char *out, const void *bytes, size_t n);

/** Exactly 2 * @n digits of either case. False otherwise; @out is then undefined. */
bool hex_read(void *out, size_t n, struct tg_str text);

#endif
