/* SPDX-License-Identifier: Apache-2.0 */
/* The node of the tests. */
#include <stdio.h>
#include <stdlib.h>
#include "directory_rig.h"

struct rig rig;

static void publish(void *context, const struct iicp_keys *keys)
{
    rig.keys = keys;
    rig.published++;
}

static void offer(void *context, uint32_t effective)
{
    rig.offered = effective;
}

static void observe(void *context, struct heartbeat_sample *out)
{
    out->active = rig.load.active;
    out->leaving = rig.load.leaving;
    out->tasks = rig.load.tasks;
}

static void exit_process(void *context, int code)
{
    rig.exit_code = (uint32_t)code;
}

static bool doubted(void *context)
{
    bool yes = rig.doubted;
    rig.doubted = false;
    return yes;
}

void rig_init(void)
{
    (void)snprintf(rig.state_dir, sizeof(rig.state_dir), "/tmp/tg-directory-XXXXXX");
    cr_assert(mkdtemp(rig.state_dir));
    rig.crypto = crypto_create();
    sim_init(&rig.sim, sim_directory_answer, &rig.far);
    sim_directory_init(&rig.far, &rig.sim, rig.crypto);
    rig.capability = (struct iicp_capability){.intent = TG_STR(INTENT), .max_tokens = 8192};
    rig.options = (struct directory_options){
        .url = "https://directory.example/api/",
        .node_name = "default",
        .node_id = "n1",
        .state_dir = rig.state_dir,
        .timeout_ms = 7000,
        .heartbeat_ms = 30000,
        .check_registry = true,
        .receipts = true,
        .receipts_max = 64,
        .registration = {.endpoint = TG_STR("https://gpu7.example.net:9484"),
                         .region = TG_STR("eu-central"),
                         .capabilities = &rig.capability,
                         .capability_count = 1,
                         .tokens_per_min = 10000,
                         .sdk_language = TG_STR("c"),
                         .sdk_version = TG_STR("0.1.0")},
        .backend = {.probe_ms = 10000, .model = ""},
    };
}

void rig_start(void)
{
    static const struct iicp_windows always;
    struct directory_hooks hooks = {NULL, publish, offer, observe, exit_process, doubted};
    rig.node = directory_create(&rig.sim.host, rig.crypto, &rig.options, &hooks);
    cr_assert(rig.node);
    directory_set_capacity(rig.node, 4, &always, NULL);
}

/* What was under way is never answered: its process is gone. Nothing is freed properly either, as far as
 * files go. */
void rig_restart(void)
{
    memset(rig.sim.requests, 0, sizeof(rig.sim.requests));
    directory_destroy(rig.node);
    rig.load = (struct heartbeat_sample){0};
    rig_start();
}

void rig_run(uint64_t ns)
{
    sim_run(&rig.sim, directory_turn, rig.node, ns);
}

void rig_finish(void)
{
    char command[128];
    directory_destroy(rig.node);
    crypto_destroy(rig.crypto);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", rig.state_dir);
    cr_assert_eq(system(command), 0);
}

struct iicp_event rig_task(uint32_t number)
{
    struct iicp_event e = {.want = IICP_WANT_RECEIPT, .tokens = 9 + number};
    e.id_len = (uint16_t)snprintf(e.id, sizeof(e.id), "task-%u", number);
    e.requester_len =
        number % 2 ? (uint16_t)snprintf(e.requester, sizeof(e.requester), "client-%u", number) : 0;
    memset(e.result_hash, (int)number, sizeof(e.result_hash));
    return e;
}
