/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The health file of a node: what a probe on this machine reads instead of asking over the network (provider node
 * contract, section 2.3). A part of the control thread: rewritten every five seconds, and when the way out begins.
 */
#ifndef TG_HEALTH_FILE_H
#define TG_HEALTH_FILE_H

#include "control.h"

#define HEALTH_FILE_PERIOD_MS 5000
#define HEALTH_FILE_STALE_MS 30000 /* without progress for so long, the runtime is not alive */

/* In the order in which they are lived through. */
enum health_lifecycle { HEALTH_STARTING, HEALTH_SERVING, HEALTH_DRAINING, HEALTH_STOPPED };

/* Reason codes, and whether they make the node degraded or not ready. */
#define HEALTH_REASONS(X)                                                                                    \
    X(DRAINING, "draining", NOT_READY)                                                                       \
    X(NO_CAPACITY, "no_capacity", NOT_READY)                                                                 \
    X(PROVIDER_UNAVAILABLE, "provider_unavailable", NOT_READY)                                               \
    X(RUNTIME_STALLED, "runtime_stalled", NOT_READY)                                                         \
    X(DIRECTORY_UNAVAILABLE, "directory_unavailable", DEGRADED)                                              \
    X(DNS_UNAVAILABLE, "dns_unavailable", DEGRADED)                                                          \
    X(INTERNET_UNAVAILABLE, "internet_unavailable", DEGRADED)                                                \
    X(TUNNEL_UNAVAILABLE, "tunnel_unavailable", DEGRADED)

enum health_reason {
#define HEALTH_REASON_ID(id, code, weight) HEALTH_REASON_##id,
    HEALTH_REASONS(HEALTH_REASON_ID)
#undef HEALTH_REASON_ID
    HEALTH_REASON_COUNT
};

/* What whoever knows fills in; liveness and readiness follow from it. */
struct health_inputs {
    enum health_lifecycle lifecycle;
    uint64_t progress_age_ms; /* since every data thread was last seen to move */
    bool reasons[HEALTH_REASON_COUNT];
};

struct health_file;

struct health_file_options {
    const struct control_host *host;
    const char *path; /* the folder is made. Copied */
    void (*look)(void *context, struct health_inputs *out); /* @out is zeroed */
    void *context;
};

/** Returns 0; -EBUSY if another process writes it; other negative errno. */
int health_file_create(const struct health_file_options *o, struct health_file **out);
/** For control_add(). Its finish() writes the last state and destroys it. */
struct control_part health_file_part(struct health_file *h);

/** The path for a node's name below a state folder. False for a name that is none for a folder, or too long. */
bool health_file_path(const char *state_dir, const char *node_name, char *out, size_t cap);

/* The content, for tests. */
struct health_header {
    int64_t epoch_ms, now_ms; /* since 1970: of the process's start, of this writing */
    uint64_t sequence;
    int pid;
};

#define HEALTH_FILE_BYTES_MAX 1024

struct tg_str health_file_print(const struct health_header *header, const struct health_inputs *in,
                                char out[static HEALTH_FILE_BYTES_MAX]);

#endif
