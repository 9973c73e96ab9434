/* SPDX-License-Identifier: Apache-2.0 */
/* A node in the simulated world: options with sane values, and what the gateway's side was told. */
#ifndef TG_DIRECTORY_RIG_H
#define TG_DIRECTORY_RIG_H

#include <criterion/criterion.h>
#include "sim_directory.h"

#define SECOND UINT64_C(1000000000)
#define INTENT "urn:iicp:intent:llm:chat:v1"

struct rig {
    struct sim sim;
    struct sim_directory far;
    struct crypto *crypto;
    struct iicp_capability capability;
    struct directory_options options;
    struct directory *node;
    struct heartbeat_sample load; /* what observe() tells */
    const struct iicp_keys *keys; /* newest published */
    bool doubted; /* a token did not fit the key */
    uint32_t published, offered, exit_code;
    char state_dir[64];
};

extern struct rig rig;

/** A fresh world; tests change rig.options before rig_start(). */
void rig_init(void);
void rig_finish(void);
void rig_start(void);
/** kill -9 and a new life. */
void rig_restart(void);
void rig_run(uint64_t ns);
struct iicp_event rig_task(uint32_t number);

#endif
