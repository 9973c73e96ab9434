/* SPDX-License-Identifier: Apache-2.0 */
/* `taskgate conformance`, between its files: the node under test, and what checks say of it. */
#ifndef TG_COMMAND_CONFORMANCE_H
#define TG_COMMAND_CONFORMANCE_H

#include "envelope.h"
#include "finder.h"
#include "options.h"

enum verdict { VERDICT_PASS, VERDICT_FAIL, VERDICT_SKIP };

struct finding {
    enum verdict verdict;
    char why[320];
};

struct conformance {
    struct options options;
    const char *intent, *payload, *slow_payload, *cx_key, *token_file;
    bool json;
    const struct config *config;
    const char *url;
    struct client *client;
    struct crypto *crypto;
    struct answer health;
    char node_id[IICP_NODE_ID_MAX + 1], intent_used[IICP_CX_INTENT_MAX + 1];
    struct tg_str payload_used, slow_used; /* empty: none known */
    bool has_peer;
    struct iicp_cx_peer peer;
    char authorization[4200]; /* a whole header; empty: none */
};

typedef struct finding conformance_check(struct conformance *c);

#define CHECK(ident, id, what) struct finding conformance_##ident(struct conformance *c);
#include "conformance.def"

struct finding pass(void);
struct finding fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
struct finding skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** A request to the node: @headers NULL for JSON's. answer_finish() what it leaves. */
void conformance_ask(struct conformance *c, const char *method, const char *path, const char *const *headers,
                     struct tg_str body, struct answer *a);
/** A task with @e's members; what is not set is filled in. One extra header, or NULL. */
void conformance_task(struct conformance *c, struct envelope e, const char *header, struct answer *a);
/** The same, not waited for. */
void conformance_task_start(struct conformance *c, struct envelope e, struct answer *a);

/** PASS if the answer is @status, with @code unless NULL. */
struct finding conformance_refusal(const struct answer *a, uint32_t status, const char *code);
/** SKIP if no payload is known, else PASS. */
struct finding conformance_can_ask(const struct conformance *c);
/** FAIL if there is no answer or not @status; else PASS. */
struct finding conformance_answered(const struct answer *a, uint32_t status);

double conformance_number(const struct answer *a, const char *key, double otherwise);

#endif
