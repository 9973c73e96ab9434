/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files that must survive: credentials, keys, receipts, the health file. Written whole, to a temporary name,
 * synced, renamed; mode 0600, folders 0700. A secret that others can read is refused.
 * Thread: control, or a command.
 */
#ifndef TG_STORE_H
#define TG_STORE_H

#include "tg/def.h"

#define STORE_PATH_MAX 1280

/** node.state_dir, or its default ($STATE_DIRECTORY, ~/.iicp). False if there is no home either. */
bool store_dir(const char *configured, char out[static STORE_PATH_MAX]);

/** Make the folder of @path, and those above it, as far as they are missing. Returns 0 or negative errno. */
int store_make_parent(const char *path);

/** Replace the file's content, durably. Returns 0 or negative errno; on failure the old content stands. */
int store_write(const char *path, struct tg_str content);
/** The same without syncing: for files that only the living need. */
int store_write_fast(const char *path, struct tg_str content);

/**
 * Read at most @cap bytes. Returns the length; -ENOENT; -EACCES if the file is a secret (@secret) and not
 * ours, or open to others; -EFBIG; other negative errno.
 */
int64_t store_read(const char *path, bool secret, char *out, size_t cap);

/** Is it there, and open to others than us and root? What that is, is no secret any more. */
bool store_exposed(const char *path);

/** Take the lock file, or -EBUSY if another process holds it. Returns a descriptor to keep open. */
int store_lock(const char *path);

#endif
