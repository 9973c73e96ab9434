/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This host as a member of a network of nodes: its key for confidential tasks, its registration and heartbeats, its
 * receipts and spans, its capacity by the hour. Reads the configuration into what gateway/control/ works with, and
 * joins that to the workers: they send events by mailbox, and read keys, backend state and capacity from snapshots.
 * Thread: control.
 */
#ifndef TG_MEMBERSHIP_H
#define TG_MEMBERSHIP_H

#include "gateway/control/directory.h"
#include "gateway/control/spans.h"
#include "gateway/dialect/iicp_events.h"

struct gateway;

#define MEMBERSHIP_CX_TEXT_BYTES 256
#define MEMBERSHIP_OBJECT_BYTES 4096

/* A list that was configured with commas; it borrows from the configuration. */
#define MEMBERSHIP_TEXTS_MAX 16 /* what directories take */
struct membership_texts {
    struct tg_str items[MEMBERSHIP_TEXTS_MAX];
    uint32_t count;
};
struct membership_lists {
    struct membership_texts inputs, outputs, profiles, receipts;
};

struct membership {
    struct crypto *crypto;
    struct iicp_keys cx; /* has_cx says whether there is a key */
    char cx_text[MEMBERSHIP_CX_TEXT_BYTES];
    char delegation[MEMBERSHIP_OBJECT_BYTES], manifest[MEMBERSHIP_OBJECT_BYTES]; /* the operator's; empty: none */
    char hmac_key[IICP_HMAC_KEY_MAX + 1]; /* of one's own, to be proposed; empty: none */
    char state_dir[1280]; /* empty: there is none */
    bool locked;          /* lock_fd keeps other processes from being this node */
    int lock_fd;
    char endpoint[IICP_ENDPOINT_MAX + 1];
    double multiplier;
    struct membership_lists lists;
    struct iicp_windows windows;
    struct zone *zone; /* until the directory takes it over */
    struct iicp_capability *capabilities; /* by instance, models[2 * i] and the next one belong to it */
    struct tg_str *models;
    bool *from_backend;
    const char **intents;
    struct directory *directory; /* NULL: not started */
    struct spans *spans;         /* NULL: none are exported */
    uint32_t base_offered;       /* for all the devices that serve, before the hour takes its share */
    int exit_code;               /* the process is to leave with; 0: none asked for */
};

/** Is what is configured valid? Problems go to the log. Changes nothing. Returns 0 or -EINVAL. */
int membership_check(const struct gateway *g);

/** Before workers exist, with what membership_check() found in order: read the configuration. Returns 0, or negative errno after having logged why. */
int membership_open(struct gateway *g);
/** As the user that serves: become the only process of this node's name, and read or make its key. Returns 0, or negative
 * errno after having logged why. */
int membership_secure(struct gateway *g);
/** Start life as a member: with the first turn of the control loop, when workers serve. What cannot be done is logged
 * and left out. Before workers are started: what this makes stays as it is until they have ended. */
void membership_start(struct gateway *g);
/** Take over what of the new configuration can be changed while serving. */
void membership_reload(struct gateway *g);
/** After the workers have ended. Directory and spans end with the control loop. */
void membership_close(struct gateway *g);

/** The control loop's view of directory and backend, for the health file. Thread: control. */
bool membership_directory_away(const struct gateway *g);
bool membership_backend_away(const struct gateway *g);

/** Prometheus text about the directory and spans. Thread: any. */
void membership_export(const struct gateway *g, struct metrics_text *t);

#endif
