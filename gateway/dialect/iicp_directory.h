/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node and a directory say to one another (provider node contract, section 3): requests from neutral
 * structs, replies into such. Pure: who calls owns connections, time and retry.
 */
#ifndef TG_IICP_DIRECTORY_H
#define TG_IICP_DIRECTORY_H

#include "iicp_availability.h"
#include "iicp_backend.h"
#include "iicp_keys.h"
#include "iicp_policy.h"

#define IICP_ENDPOINT_MAX 255
#define IICP_MODELS_MAX 64
#define IICP_MODEL_BYTES_MAX 255
#define IICP_HEALTH_MODEL_MAX 128 /* longer names are left out of heartbeats */
#define IICP_CONCURRENT_MAX 256   /* as directories accept it */
#define IICP_BATCH_ID_MAX 64
#define IICP_CHALLENGE_MAX 256
#define IICP_BATCH_COUNT_MAX 1000

struct iicp_texts {
    const struct tg_str *items;
    uint32_t count;
};

/* ---- addresses -------------------------------------------------------------------------------------- */

/**
 * @base and @path ("/v1/register") as one URL, terminated: slashes at the base's end, a /v1 there and a
 * doubled /api are dropped. Returns the length, 0 if it does not fit.
 */
size_t iicp_directory_url(struct tg_str base, const char *path, char *out, size_t cap);

/** What the registry lists a node by: the first 8 characters of a UUID, else the whole id. */
struct tg_str iicp_registry_prefix(struct tg_str node_id);

/** Append as part of a path or query; everything but unreserved characters becomes %XX. False if it does not
 * fit. */
bool iicp_percent_append(char *out, size_t cap, size_t *len, struct tg_str text);

/* ---- registration ----------------------------------------------------------------------------------- */

struct iicp_capability {
    struct tg_str intent;
    struct iicp_texts models;
    uint32_t max_tokens; /* 0: not told */
    struct iicp_texts input_modalities, output_modalities, supported_profiles;
    struct tg_str quantization, inference_engine;
};

enum iicp_pricing_model { IICP_PER_TOKEN, IICP_PER_REQUEST, IICP_FLAT };

struct iicp_pricing {
    bool declared;
    double multiplier;
    enum iicp_pricing_model model;
    struct tg_str signature; /* empty: unsigned */
    struct tg_str effective_from, effective_until;
};

struct tg_str iicp_pricing_model_name(enum iicp_pricing_model model);

struct iicp_registration {
    struct tg_str node_id; /* empty: let the directory choose */
    struct tg_str endpoint, region;
    struct tg_str current_node_token;
    const struct iicp_capability *capabilities;
    uint32_t capability_count;
    uint32_t max_concurrent, tokens_per_min; /* put into the directories' ranges */
    bool relay_capable;
    uint16_t relay_accept_port;
#define REGISTER_TEXT(field, member) struct tg_str field;
#define REGISTER_JSON(field, member) struct tg_str field;
#define REGISTER_TEXTS(field, member) struct iicp_texts field;
#include "iicp_register.def"
    struct iicp_cip_config cip;
    struct iicp_pricing pricing;
    struct iicp_windows_utc availability;
};

/** What directories would refuse, found before one is asked. NULL, or the member that is wrong and why. */
const char *iicp_registration_check(const struct iicp_registration *r);

void iicp_write_registration(const struct iicp_registration *r, struct tg_json_writer *w);

struct iicp_registered {
    char node_id[IICP_NODE_ID_MAX + 1]; /* empty: as asked for */
    char node_token[IICP_TOKEN_MAX + 1];
    char hmac_key[IICP_HMAC_KEY_MAX + 1]; /* empty: none issued */
    bool recovered;
};

/** 0, or -EBADMSG: no JSON object, or without a token that can be used. */
int iicp_read_registered(const struct tg_json_doc *doc, struct iicp_registered *out);

/* ---- refusals --------------------------------------------------------------------------------------- */

/* For logs: cut to size, one line. */
struct iicp_refusal {
    char code[40]; /* "IICP-E034", a slug, or empty */
    char message[160];
    char fields[400];       /* "region: must match ..; limits.max_concurrent: .." */
    uint32_t retry_after_s; /* 0: not told */
};

/** Reads any of the error shapes; what is missing stays empty. @doc NULL: the body was no JSON. */
void iicp_read_refusal(const struct tg_json_doc *doc, struct iicp_refusal *out);

enum iicp_verdict {
    IICP_ACCEPTED,
    IICP_LATER,    /* overload, outage, or not reachable yet: the same request may do later */
    IICP_STRANGER, /* 401, 404, 410: the directory does not know us like this: register anew */
    IICP_NEVER,    /* this request is wrong and stays so */
};

/** What a reply means for the one who asked. @status 0: there was none. */
enum iicp_verdict iicp_register_verdict(uint32_t status, const struct iicp_refusal *refusal);
enum iicp_verdict iicp_heartbeat_verdict(uint32_t status);

/* ---- heartbeat -------------------------------------------------------------------------------------- */

struct iicp_batch {
    uint32_t success, failed;
    double avg_latency_ms;
    struct tg_str id; /* empty: nothing to tell */
};

struct iicp_beat {
    struct tg_str node_id, node_token;
    bool available;
    uint32_t active, base_concurrent, effective_concurrent;
    struct iicp_batch batch;
    struct iicp_texts models; /* count 0: unknown, not told */
    bool has_backend;
    struct iicp_backend backend;
    struct tg_str challenge_response; /* empty: none asked for */
    struct iicp_pricing pricing;      /* not declared: as registered */
};

void iicp_write_heartbeat(const struct iicp_beat *b, struct tg_json_writer *w);

struct iicp_beat_reply {
    bool ok;
    uint32_t next_heartbeat_ms; /* 0: not told */
    bool has_batch;             /* names a batch: it is this one, and no other */
    char batch[IICP_BATCH_ID_MAX + 1];
    char challenge[IICP_CHALLENGE_MAX + 1]; /* empty: none */
    double reputation;                      /* negative: not told */
};

/** 0, or -EBADMSG: not a JSON object, or says that it is not ok. */
int iicp_read_heartbeat(const struct tg_json_doc *doc, struct iicp_beat_reply *out);

void iicp_write_deregistration(struct tg_str node_id, struct tg_json_writer *w);

/* ---- receipts --------------------------------------------------------------------------------------- */

/* A signed receipt, as it asks for credits. */
struct iicp_award {
    struct tg_str node_id, task_id, nonce, expires_at, signature, response_hash;
    struct tg_str querying_node_id; /* empty: not told */
    uint32_t tokens;
    double amount;
};

void iicp_write_award(const struct iicp_award *a, struct tg_json_writer *w);

/* ---- the directory's key ---------------------------------------------------------------------------- */

/** 0, or -EBADMSG: not the hexadecimal Ed25519 key that it should be. */
int iicp_read_directory_key(const struct tg_json_doc *doc, uint8_t key[CRYPTO_KEY_BYTES]);

/* ---- discovery -------------------------------------------------------------------------------------- */

struct iicp_discover {
    struct tg_str intent, region, qos, model, modality, view;
    uint32_t limit;                        /* 0: the directory's default */
    double min_reputation, max_multiplier; /* negative: do not care */
    bool cip_capable, relay_capable;       /* only such */
};

/** "/v1/discover?intent=...", terminated. Returns the length, 0 if it does not fit. */
size_t iicp_discover_path(const struct iicp_discover *d, char *out, size_t cap);

struct iicp_found {
    char node_id[IICP_NODE_ID_MAX + 1], endpoint[IICP_ENDPOINT_MAX + 1],
        transport_endpoint[IICP_ENDPOINT_MAX + 1];
    char region[65];
    double score, load;
    bool available, relay_capable;
    const struct tg_json_node *models, *cx_public_key; /* in the document; NULL: none */
};

/**
 * The nodes of a reply, at most @cap; entries without id or endpoint are skipped.
 * Returns how many, or -EBADMSG if it is no such reply.
 */
int iicp_read_discovered(const struct tg_json_doc *doc, struct iicp_found *out, uint32_t cap);

#endif
