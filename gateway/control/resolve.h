/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names to addresses, on a few threads of its own: the system's resolver blocks for as long as it likes, and nothing
 * can interrupt it.
 * Thread: one owner submits and takes; `wake` runs on a thread of the resolver's, and never after resolver_destroy().
 */
#ifndef TG_RESOLVE_H
#define TG_RESOLVE_H

#include "gateway/base/address.h"

#define RESOLVE_ADDRESSES_MAX 16 /* of one name; more are looked at, but not kept */
#define RESOLVE_HOST_MAX 253

struct resolver;

struct resolve_answer {
    uint64_t id;
    const char *why; /* not resolved: static text; else NULL */
    bool all_public; /* those that were not kept too */
    uint32_t count;
    struct address addresses[RESOLVE_ADDRESSES_MAX]; /* in the order in which they should be tried */
};

/** @wake tells the owner that there is an answer to take. NULL if out of memory. */
struct resolver *resolver_create(void (*wake)(void *context), void *context);
/** Returns at once; a thread that hangs in the system's resolver ends when that lets it go. */
void resolver_destroy(struct resolver *r);

/** Returns 0, -ENOMEM, or -EINVAL for a name that is too long. The answer carries @id. */
int resolver_submit(struct resolver *r, uint64_t id, struct tg_str host);
bool resolver_take(struct resolver *r, struct resolve_answer *out);

#endif
