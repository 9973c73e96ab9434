/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `taskgate doctor`: a table of checks. A check looks at one thing, says what it found in one line, and what
 * to do in another; it changes nothing. Checks that need more than a command may see (devices, network loops)
 * come from the gateway by the same table.
 */
#ifndef TG_COMMAND_DOCTOR_H
#define TG_COMMAND_DOCTOR_H

#include "ask.h"
#include "command.h"
#include "snapshot.h"

enum doctor_level { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

/* What the node as a whole is, in the words of the contract (section 9.2), the most pressing first. */
#define DOCTOR_STATUSES(X)                                                                                   \
    X(LOCAL_UNHEALTHY, "local_unhealthy")                                                                    \
    X(BACKEND_ATTENTION, "backend_attention")                                                                \
    X(ROUTE_MISMATCH, "route_mismatch")                                                                      \
    X(DIRECTORY_ABSENT, "directory_absent")                                                                  \
    X(LIMITED_REACH, "limited_reach")                                                                        \
    X(RESTART_RECOMMENDED, "restart_recommended")                                                            \
    X(HEALTHY, "healthy")

enum doctor_status {
#define DOCTOR_STATUS_ID(id, word) DOCTOR_##id,
    DOCTOR_STATUSES(DOCTOR_STATUS_ID)
#undef DOCTOR_STATUS_ID
};

struct doctor_finding {
    enum doctor_level level;
    enum doctor_status status; /* what this makes of the node; HEALTHY: nothing */
    char what[320], todo[256]; /* todo empty: nothing */
};

/* What checks share, found out once. */
struct doctor {
    const struct config *config;
    struct client *client;
    bool has_snapshot; /* the node runs, or did */
    struct snapshot snapshot;
    struct answer health;    /* of the running node, over its first plain listener */
    struct answer directory; /* its list of our intent */
    char node_id[160];       /* as the running node or its credentials say; empty: not known */
};

struct doctor_check {
    const char *id;
    void (*run)(struct doctor *d, struct doctor_finding *out); /* @out is OK and HEALTHY, without words */
};

struct doctor_checks {
    const struct doctor_check *list;
    uint32_t count;
};

void doctor_say(struct doctor_finding *f, enum doctor_level level, enum doctor_status status,
                const char *todo, const char *format, ...) __attribute__((format(printf, 5, 6)));

/** Does the local node answer, so that its ports are rightly taken? */
bool doctor_node_runs(const struct doctor *d);

extern const struct doctor_check doctor_local_checks[], doctor_network_checks[];
extern const uint32_t doctor_local_count, doctor_network_count;

/** @host: the checks that the gateway brings along. */
int doctor_main(int argc, char **argv, char **envp, const struct doctor_checks *host);

#endif
