/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion receipts (section 1.10): each finished task earns credits, if the directory hears of it within
 * five minutes. A bounded queue, kept in a file too, so that neither an outage nor a kill -9 costs any.
 * Signed when sent, since a new registration brings a new key; the nonce makes a repetition harmless. Thread:
 * control.
 */
#ifndef TG_RECEIPTS_H
#define TG_RECEIPTS_H

#include "auth.h"
#include "directory_metrics.h"
#include "gateway/dialect/iicp_events.h"
#include "receipts_file.h"

#define RECEIPTS_IN_FLIGHT 8

struct receipts;

struct receipt_call {
    struct receipts *owner;
    struct receipt *receipt;
    uint32_t generation; /* of the key it was signed with */
    struct call call;
};

struct receipts {
    const struct directory_link *link;
    struct auth *auth;
    struct directory_metrics *metrics;
    struct receipt_list all;
    struct receipt_file file;
    struct receipt_call calls[RECEIPTS_IN_FLIGHT];
    uint64_t pause_until_ns; /* the directory is in trouble: nothing is sent until then; 0: it is not */
    uint64_t pause_ns;       /* the next such pause */
    uint64_t file_due_ns;
    bool complained;
};

/** @capacity receipts at most; @path NULL: kept in memory only. What the file holds is taken up. 0 or
 * -ENOMEM. */
int receipts_init(struct receipts *r, const struct directory_link *link, struct auth *auth,
                  struct directory_metrics *metrics, uint32_t capacity, const char *path);
/** A task has finished. Full: the oldest waiting one makes room. Nothing without credentials. */
void receipts_add(struct receipts *r, const struct iicp_event *e);
uint64_t receipts_turn(struct receipts *r, uint64_t now_ns);
uint32_t receipts_count(const struct receipts *r);
void receipts_finish(struct receipts *r);

#endif
