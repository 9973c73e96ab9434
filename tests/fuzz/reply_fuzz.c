/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: what directories and backends answer. One JSON text is read as each kind of reply. Texts taken over end
 * within their field; those that we send back are visible ASCII; numbers are within what their readers promise.
 */
#include "gateway/control/backend.h"
#include "gateway/dialect/iicp_directory.h"
#include "tg/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NODES 4096
#define FOUND 8

static void must(bool ok)
{
    if (!ok)
        abort();
}

#define ENDS(field) must(memchr(field, '\0', sizeof(field)) != NULL)

static void check_token(const char *text)
{
    for (; *text; text++)
        must(*text > ' ' && *text < 0x7f);
}

static void fuzz_registered(const struct tg_json_doc *doc)
{
    struct iicp_registered r;
    if (iicp_read_registered(doc, &r) < 0)
        return;
    ENDS(r.node_id);
    ENDS(r.node_token);
    ENDS(r.hmac_key);
    must(r.node_token[0] != '\0');
    check_token(r.node_id);
    check_token(r.node_token);
    check_token(r.hmac_key);
}

/* For the log: one line. */
static void check_line(const char *text)
{
    for (; *text; text++)
        must((unsigned char)*text >= ' ');
}

static void fuzz_refusal(const struct tg_json_doc *doc)
{
    struct iicp_refusal r;
    iicp_read_refusal(doc, &r);
    ENDS(r.code);
    ENDS(r.message);
    ENDS(r.fields);
    check_line(r.code);
    check_line(r.message);
    check_line(r.fields);
    for (uint32_t status = 0; status < 600; status += 20)
        must(iicp_register_verdict(status, &r) <= IICP_NEVER);
}

static void fuzz_heartbeat(const struct tg_json_doc *doc)
{
    struct iicp_beat_reply r;
    if (iicp_read_heartbeat(doc, &r) < 0)
        return;
    ENDS(r.batch);
    ENDS(r.challenge);
    must(r.ok && r.reputation == r.reputation);
}

static void fuzz_discovered(const struct tg_json_doc *doc)
{
    struct iicp_found found[FOUND];
    int n = iicp_read_discovered(doc, found, FOUND);
    must(n <= FOUND);
    for (int i = 0; i < n; i++) {
        ENDS(found[i].node_id);
        ENDS(found[i].endpoint);
        ENDS(found[i].transport_endpoint);
        ENDS(found[i].region);
        must(found[i].node_id[0] && found[i].endpoint[0]);
    }
}

static void fuzz_backend(const struct tg_json_doc *doc)
{
    static const struct tg_str models[] = {TG_STR_INIT(""), TG_STR_INIT("llama3:8b")};
    for (uint32_t kind = BACKEND_OTHER; kind <= BACKEND_LMSTUDIO; kind++)
        for (size_t m = 0; m < TG_ARRAY_SIZE(models); m++) {
            struct iicp_backend b = backend_read((enum backend_kind)kind, models[m], doc);
            struct iicp_backend again = iicp_backend_unpack(iicp_backend_pack(b));
            must(b.state <= IICP_BACKEND_DRAINING && b.reason <= IICP_REASON_OBSERVER);
            must(again.state == b.state && again.reason == b.reason && again.retry_after_s == b.retry_after_s &&
                 again.drain_until_s == b.drain_until_s);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tg_json_node nodes[NODES];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = NODES};
    struct tg_json_error err;
    uint8_t key[CRYPTO_KEY_BYTES];
    char *copy = malloc(size ? size : 1); /* of exactly the right size, for the address sanitizer */
    must(copy != NULL);
    memcpy(copy, data, size);
    if (tg_json_parse(&doc, copy, size, &err) == 0) {
        fuzz_registered(&doc);
        fuzz_refusal(&doc);
        fuzz_heartbeat(&doc);
        fuzz_discovered(&doc);
        fuzz_backend(&doc);
        iicp_read_directory_key(&doc, key);
    }
    free(copy);
    return 0;
}
