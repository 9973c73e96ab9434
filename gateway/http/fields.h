/* SPDX-License-Identifier: Apache-2.0 */
/* What the headers of a complete head mean together: target form, Host, body framing, persistence. */
#ifndef TG_HTTP_FIELDS_H
#define TG_HTTP_FIELDS_H

#include "parse.h"

/* Facts gathered line by line, judged only when the head is complete. */
struct http_seen {
    uint32_t repeated;  /* bit per enum http_header that came more than once */
    uint32_t differing; /* ... and not with the same value each time */
    bool close, keep_alive;
    bool expects_continue, expects_other;
    bool connect; /* the method is CONNECT */
};

/* Look into a header whose lines add up to one list: Connection and Expect. Never fails. */
void http_fields_note(struct http_seen *seen, enum http_header id, struct tg_str value);

/* A header came once more. */
void http_fields_repeat(struct http_seen *seen, enum http_header id, struct tg_str first, struct tg_str again);

/**
 * Judge a complete head whose method, minor, target and headers are set, and fill in the rest of it.
 * Returns false and sets @why when the request must be refused.
 */
bool http_fields_judge(const char *buf, const struct http_seen *seen, struct http_head *head,
                       struct http_refusal *why);

/* Sets @why and returns false, so that a check can end in one line. */
static inline bool http_refuse(struct http_refusal *why, uint16_t status, const char *reason)
{
    *why = (struct http_refusal){status, reason};
    return false;
}

#endif
