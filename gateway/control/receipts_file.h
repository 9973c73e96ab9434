/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receipts that are not delivered yet: a list, and a file of lines that says the same. A line adds a
 * receipt or ends one; now and then the file is written anew with what is left.
 */
#ifndef TG_RECEIPTS_FILE_H
#define TG_RECEIPTS_FILE_H

#include "gateway/dialect/iicp_events.h"

#define RECEIPT_NONCE_BYTES 16

struct receipt {
    struct receipt *next; /* in its list */
    int64_t expires_ms;   /* wall clock */
    uint32_t tokens;
    uint16_t id_len, requester_len;
    uint8_t hash[CRYPTO_HASH_BYTES];
    uint8_t nonce[RECEIPT_NONCE_BYTES];
    char id[IICP_EVENT_ID_MAX], requester[IICP_EVENT_NODE_MAX];
};

struct receipt_queue {
    struct receipt *head, *tail;
};

struct receipt_list {
    struct receipt *slots; /* all there are */
    uint32_t capacity, used;
    struct receipt *free;
    struct receipt_queue waiting;
};

/** 0 or -ENOMEM. */
int receipt_list_init(struct receipt_list *l, uint32_t capacity);
void receipt_list_finish(struct receipt_list *l);
/** An empty one that is in no queue; NULL: all are taken. */
struct receipt *receipt_take(struct receipt_list *l);
void receipt_give(struct receipt_list *l, struct receipt *r);
void receipt_queue_append(struct receipt_queue *q, struct receipt *r);
void receipt_queue_prepend(struct receipt_queue *q, struct receipt *r);
struct receipt *receipt_queue_pop(struct receipt_queue *q);

struct receipt_file {
    const char *path; /* NULL: none */
    int fd;
    uint64_t length; /* up to the last whole line */
    uint32_t lines;
    bool broken; /* it could not be written: the next compaction may mend it */
    bool unsynced;
};

/** Read what a former life left into @l. Damaged lines are skipped; they can only be the last. */
void receipt_file_open(struct receipt_file *f, const char *path, struct receipt_list *l);
void receipt_file_add(struct receipt_file *f, const struct receipt *r);
void receipt_file_end(struct receipt_file *f, const struct receipt *r);
/** Are there so many ended ones that it should be written anew? */
bool receipt_file_is_long(const struct receipt_file *f, const struct receipt_list *l);
/** Write anew: the waiting ones, and those of @others (NULLs are skipped). Returns 0 or negative errno. */
int receipt_file_compact(struct receipt_file *f, const struct receipt_list *l, struct receipt *const *others,
                         uint32_t other_count);
void receipt_file_sync(struct receipt_file *f);
void receipt_file_close(struct receipt_file *f);

#endif
