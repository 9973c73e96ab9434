/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the state machine, for directory.c and directory_describe.c. */
#ifndef TG_DIRECTORY_PARTS_H
#define TG_DIRECTORY_PARTS_H

#include "directory.h"
#include "gateway/dialect/iicp_sign.h"
#include "store.h"

struct directory {
    struct directory_options options;
    struct directory_hooks hooks;
    struct directory_link link;
    enum directory_state state;
    struct directory_metrics metrics;
    struct auth auth;
    struct registrar registrar;
    struct heartbeat heartbeat;
    struct models models;
    struct model_set offered, registered; /* of the backend: in the last attempt, and in the accepted one */
    struct backend backend;
    struct capacity capacity;
    struct receipts receipts; /* all.slots NULL: off */
    struct call goodbye;
    bool asked_models, been_member;
    uint32_t fruitless; /* registrations in a row that brought no accepted beat */
    char price[IICP_SIGNATURE_CHARS];     /* its signature, as described last */
    struct iicp_capability *capabilities; /* as described last */
    char receipts_path[STORE_PATH_MAX];
};

/** registrar_options.describe and heartbeat_options.sample. */
void directory_describe(void *context, struct iicp_registration *out);
void directory_sample(void *context, struct heartbeat_sample *out);

#endif
