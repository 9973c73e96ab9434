/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line per event on stderr, text or JSON, written with one write(2) so that lines never mix.
 * Whoever decides that something is an error logs it once. Never call it per request: metrics count those.
 * Thread: any. Payloads, tokens and keys never go in.
 */
#ifndef TG_LOG_H
#define TG_LOG_H

#include "tg/runner.h"

enum log_format { LOG_TEXT, LOG_JSON };

/** Takes effect at once for every thread. */
void log_configure(enum tg_log_level level, enum log_format format);

void log_write(enum tg_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_write(TG_LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(TG_LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_write(TG_LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(TG_LOG_ERROR, __VA_ARGS__)

#endif
