/* SPDX-License-Identifier: Apache-2.0 */
/* The body of POST /v1/task, as commands send it. */
#ifndef TG_COMMAND_ENVELOPE_H
#define TG_COMMAND_ENVELOPE_H

#include "gateway/dialect/iicp_cx_client.h"

#define ENVELOPE_ID_BYTES 37 /* a UUID, terminated */

struct envelope {
    const char *task_id, *intent;
    struct tg_str payload;            /* JSON text */
    const char *qos, *model, *region; /* NULL: not told */
    uint32_t timeout_ms;
    const char *nonce;               /* NULL: none */
    const struct iicp_cx_peer *peer; /* NULL: in plain; else sealed for it, and a sealed reply asked for */
};

void envelope_uuid(char out[static ENVELOPE_ID_BYTES]);

/**
 * The text, to be freed; its length in @len. @secret is set if there is a peer. NULL: out of memory, or the
 * names or the peer's key will not do.
 */
char *envelope_write(struct crypto *c, const struct envelope *e, size_t *len,
                     uint8_t secret[IICP_CX_SECRET_BYTES]);

#endif
