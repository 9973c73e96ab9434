/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses the scanners for this machine; tests/unit/http/scan_test.c holds both kinds against each other. */
#ifndef TG_HTTP_SCAN_H
#define TG_HTTP_SCAN_H

#if defined(__SSE2__)
#include "scan_sse2.h"
#define http_name_end http_sse2_name_end
#define http_value_end http_sse2_value_end
#define http_target_end http_sse2_target_end
#define http_halts http_sse2_halts
#define http_halts_next http_sse2_halts_next
#define http_halts_skip http_sse2_halts_skip
#define http_path_end http_sse2_path_end
#define http_host_end http_sse2_host_end
#define http_name http_sse2_name
#else
#include "scan_plain.h"
#define http_name_end http_plain_name_end
#define http_value_end http_plain_value_end
#define http_target_end http_plain_target_end
#define http_halts http_plain_halts
#define http_halts_next http_plain_halts_next
#define http_halts_skip http_plain_halts_skip
#define http_path_end http_plain_path_end
#define http_host_end http_plain_host_end
#define http_name http_plain_name
#endif

#endif
