/* SPDX-License-Identifier: Apache-2.0 */
/* The task envelope: which members a POST /v1/task body has, and whether they are well-formed. */
#ifndef TG_IICP_ENVELOPE_H
#define TG_IICP_ENVELOPE_H

#include "iicp.h"

/* Longest task_id and nonce, as they stand in the text. */
#define IICP_NAME_BYTES_MAX TASK_ID_BYTES_MAX

/* Members we know, in the order of iicp_fields.def. */
enum iicp_field {
#define FIELD(ident, first, name) IICP_##ident,
#include "iicp_fields.def"
#undef FIELD
    IICP_FIELD_COUNT
};

struct iicp_envelope {
    const struct tg_json_node *fields[IICP_FIELD_COUNT]; /* NULL: absent or null */
    const struct tg_json_node *cip;                      /* constraints.cip; NULL: absent or null */
};

/** Parse @body onto the tape and find the members. False: the task has been refused. */
bool iicp_envelope_parse(struct iicp *ic, struct task *t, struct tg_str body, struct iicp_envelope *e);

/** Take id, intent, QoS class and deadline into @t, and find constraints.cip. False: the task has been refused. */
bool iicp_envelope_apply(struct iicp *ic, struct task *t, struct iicp_envelope *e);

/** Is it an IICP intent URN (contract section 1.8)? */
bool iicp_urn_valid(struct tg_str urn);

#endif
