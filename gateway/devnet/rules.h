/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies against rules.def. What is wrong is answered as 422 with every field that is wrong. */
#ifndef TG_DEVNET_RULES_H
#define TG_DEVNET_RULES_H

#include "exchange.h"

#define RULES_REPORT_BYTES 8192

/* Collects what is wrong. Zero-initialise. */
struct rules_report {
    uint32_t count;
    char first[256];
    char fields[RULES_REPORT_BYTES]; /* members of "errors" */
    struct tg_json_writer w;
};

/** Judge an object by the rules named @object. */
void rules_check(struct rules_report *r, const struct tg_json_doc *doc, const struct tg_json_node *body,
                 const char *object);
/** Note one more thing; @message completes "The <field> field ...". */
void rules_wrong(struct rules_report *r, const char *field, const char *message);
/** True if nothing was wrong; else the answer is written. */
bool rules_passed(struct exchange *x, struct rules_report *r);

/** All at once, for the body of a request. */
bool rules_hold(struct exchange *x, const char *object);

#endif
