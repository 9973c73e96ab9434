/* SPDX-License-Identifier: Apache-2.0 */
/* The health file as a probe reads it (provider node contract, section 2.3). Pure, but for snapshot_load().
 */
#ifndef TG_COMMAND_SNAPSHOT_H
#define TG_COMMAND_SNAPSHOT_H

#include "gateway/control/config.h"
#include "tg/json.h"

#define SNAPSHOT_BYTES_MAX 16384
#define SNAPSHOT_STALE_MS                                                                                    \
    30000 /* rewritten every 5 s: older ones are of a process that is gone, or stopped */

struct snapshot {
    int64_t epoch_ms, emitted_ms, pid; /* since 1970 */
    char lifecycle[32], liveness[32], readiness[32];
    char reasons[256]; /* joined by ", " */
    double progress_age_ms, stale_after_ms;
};

/** NULL, or what is wrong with the text. */
const char *snapshot_read(struct tg_str text, struct snapshot *out);

/** "2026-11-20T15:04:15.250Z" as milliseconds since 1970. False if it is no such time. */
bool snapshot_time(const char *text, int64_t *out_ms);

/** NULL if it is live, and also ready if @ready is wanted, at @now_ms; else why not. */
const char *snapshot_objection(const struct snapshot *s, int64_t now_ms, bool ready);

/** Read the file of @node. NULL, or why there is none; @path gets where it was looked for. */
const char *snapshot_load(const struct config *config, const char *node, char *path, size_t cap,
                          struct snapshot *out);

int64_t snapshot_now_ms(void);

#endif
