/* SPDX-License-Identifier: Apache-2.0 */
/* The state machine: who is asked to do what in which state. The parts know nothing of one another. */
#include <stdio.h>
#include <stdlib.h>
#include "directory_parts.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"

#define KEY_RETRY_BEATS 2u
#define FRUITLESS_MAX 6u /* doublings of the time between registrations */

static void become(struct directory *d, enum directory_state state)
{
    static const char *const names[] = {"off", "joining", "member", "leaving", "left"};
    log_debug("directory: %s, was %s", names[state], names[d->state]);
    d->state = state;
}

/* ---- births and deaths ------------------------------------------------------------------------------ */

static bool open_receipts(struct directory *d)
{
    const struct directory_options *o = &d->options;
    int n = o->state_dir ? snprintf(d->receipts_path, sizeof(d->receipts_path), "%s/receipts/%s.log",
                                    o->state_dir, o->node_name)
                         : 0;
    bool durable = n > 0 && n < (int)sizeof(d->receipts_path);
    return receipts_init(&d->receipts, &d->link, &d->auth, &d->metrics, o->receipts_max,
                         durable ? d->receipts_path : NULL) == 0;
}

static void init_parts(struct directory *d, const struct control_host *host)
{
    const struct directory_options *o = &d->options;
    backend_init(&d->backend, host, &o->backend);
    models_init(&d->models, host, o->backend.url, o->backend_has_tags);
    capacity_init(&d->capacity,
                  &(struct capacity_options){host, d->hooks.context, d->hooks.set_max_concurrent});
    auth_init(&d->auth, &d->link,
              &(struct auth_options){.state_dir = o->state_dir,
                                     .name = o->node_name,
                                     .node_id = o->node_id,
                                     .own_hmac_key = o->registration.node_hmac_key,
                                     .cx = o->cx,
                                     .context = d->hooks.context,
                                     .publish = d->hooks.publish_keys,
                                     .doubted = d->hooks.key_doubted,
                                     .key_retry_ns = KEY_RETRY_BEATS * o->heartbeat_ms * NS_PER_MS});
    registrar_init(&d->registrar, &d->link, &d->auth, &d->metrics,
                   &(struct registrar_options){o->heartbeat_ms, o->allow_private, d, directory_describe});
    heartbeat_init(
        &d->heartbeat, &d->link, &d->auth, &d->metrics, &d->models,
        &(struct heartbeat_options){.interval_ms = o->heartbeat_ms,
                                    .check_registry = o->check_registry,
                                    .pricing = o->sign_pricing ? o->pricing : (struct iicp_pricing){0},
                                    .context = d,
                                    .sample = directory_sample});
}

static void stop_talking(struct directory *d)
{
    registrar_stop(&d->registrar);
    heartbeat_stop(&d->heartbeat);
}

void directory_destroy(struct directory *d)
{
    if (!d)
        return;
    stop_talking(d);
    call_cancel(&d->goodbye);
    backend_stop(&d->backend);
    capacity_finish(&d->capacity);
    if (d->receipts.all.slots)
        receipts_finish(&d->receipts);
    auth_finish(&d->auth);
    free(d->capabilities);
    free(d);
}

struct directory *directory_create(const struct control_host *host, struct crypto *crypto,
                                   const struct directory_options *options,
                                   const struct directory_hooks *hooks)
{
    struct directory *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->options = *options;
    d->hooks = *hooks;
    d->link = (struct directory_link){host, crypto, options->url, options->timeout_ms};
    init_parts(d, host);
    d->capabilities = calloc(options->registration.capability_count + 1, sizeof(*d->capabilities));
    if (!d->capabilities || (options->receipts && options->url[0] && !open_receipts(d))) {
        directory_destroy(d);
        return NULL;
    }
    if (options->url[0]) {
        become(d, DIRECTORY_JOINING);
        registrar_want(&d->registrar, 0);
    }
    return d;
}

/* ---- what happens in which state -------------------------------------------------------------------- */

/* The first beat goes out at once, so that load and state are known; later ones wait their turn, so that a
 * directory that forgets us at every beat is not hammered. */
static void joined(struct directory *d, uint64_t now_ns)
{
    d->registrar.accepted = false;
    model_set_copy(&d->registered, &d->offered);
    d->heartbeat.pricing_due = d->heartbeat.options.pricing.declared; /* there is a new key to sign it with */
    if (d->state != DIRECTORY_JOINING)
        return;
    heartbeat_begin(&d->heartbeat, d->been_member ? now_ns + d->heartbeat.interval_ns : now_ns);
    d->been_member = true;
    become(d, DIRECTORY_MEMBER);
}

/* A registration that brought not a single accepted beat was no help, and neither will the next be, if at once. */
static uint64_t next_try_ns(struct directory *d, uint64_t now_ns)
{
    bool helped = d->heartbeat.beats > 0;
    d->fruitless = helped ? 0 : TG_MIN(d->fruitless + 1, FRUITLESS_MAX);
    return d->fruitless ? now_ns + (d->heartbeat.interval_ns << d->fruitless) : now_ns;
}

static void lost(struct directory *d, uint64_t now_ns)
{
    bool give_up = d->options.supervised && d->heartbeat.registry.absences >= REGISTRY_ABSENCES_MAX;
    d->heartbeat.stranger = d->heartbeat.registry.absent = false;
    heartbeat_stop(&d->heartbeat);
    become(d, DIRECTORY_JOINING);
    if (give_up)
        d->hooks.exit_process(d->hooks.context, DIRECTORY_EXIT_SUPERVISED);
    else
        registrar_want(&d->registrar, next_try_ns(d, now_ns));
}

/* What the directory was told has changed: tell it anew, in place, while heartbeats go on. */
static void tell_changes(struct directory *d, uint64_t now_ns)
{
    bool drifted = d->models.latest.count && !model_set_equal(&d->models.latest, &d->registered);
    if (drifted && !d->registrar.wanted)
        log_info("backend: its models have changed, registering anew");
    if (drifted || d->capacity.offset_changed)
        registrar_want(&d->registrar, now_ns);
    d->capacity.offset_changed = false;
}

static uint64_t member_turn(struct directory *d, uint64_t now_ns)
{
    uint64_t next = heartbeat_turn(&d->heartbeat, now_ns);
    if (d->heartbeat.stranger || d->heartbeat.registry.absent) {
        lost(d, now_ns);
        return registrar_turn(&d->registrar, now_ns);
    }
    tell_changes(d, now_ns);
    return TG_MIN(next, TG_MIN(registrar_turn(&d->registrar, now_ns), auth_turn(&d->auth, now_ns)));
}

/* Before the first registration the backend is asked for its models, so that they are in it. */
static uint64_t joining_turn(struct directory *d, uint64_t now_ns)
{
    if (!d->asked_models && models_ask(&d->models)) {
        d->asked_models = true;
        return UINT64_MAX;
    }
    if (d->asked_models && !d->models.answered)
        return UINT64_MAX;
    d->asked_models = true;
    d->models.answered = true;
    uint64_t next = registrar_turn(&d->registrar, now_ns);
    if (!d->registrar.accepted)
        return next;
    joined(d, now_ns);
    return member_turn(d, now_ns);
}

/* ---- the end ---------------------------------------------------------------------------------------- */

static void goodbye_answered(void *context, const struct call_reply *r)
{
    struct directory *d = context;
    if (r->status == 200 || r->status == 204 || r->status == 404)
        log_info("directory: deregistered");
    else if (r->error)
        log_warn("directory: not deregistered: %s", r->why);
    else
        log_warn("directory: not deregistered: answered %u", r->status);
    become(d, DIRECTORY_LEFT);
}

/* Not before a registration under way is answered: it changes the token, and one that is taken in after the goodbye
 * would leave behind a node that is no more. */
static void say_goodbye(struct directory *d)
{
    char body[IICP_NODE_ID_MAX * 6 + 32];
    struct tg_json_writer w;
    if (call_active(&d->registrar.call) || call_active(&d->goodbye))
        return;
    if (!d->auth.node_token[0]) { /* perhaps it has one from a former life */
        become(d, DIRECTORY_LEFT);
        return;
    }
    tg_json_writer_init(&w, body, sizeof(body));
    iicp_write_deregistration((struct tg_str){d->auth.node_id, strlen(d->auth.node_id)}, &w);
    call_directory(
        &d->goodbye, &d->link,
        &(struct call_request){
            .method = "DELETE", .url = "/v1/register", .token = d->auth.node_token, .body = {body, w.len}},
        goodbye_answered, d);
}

/* ---- turns ------------------------------------------------------------------------------------------ */

static uint64_t life_turn(struct directory *d, uint64_t now_ns)
{
    switch (d->state) {
    case DIRECTORY_JOINING:
        return joining_turn(d, now_ns);
    case DIRECTORY_MEMBER:
        if (d->registrar.accepted)
            joined(d, now_ns);
        return member_turn(d, now_ns);
    case DIRECTORY_LEAVING:
        say_goodbye(d);
        break;
    case DIRECTORY_OFF:
    case DIRECTORY_LEFT:
        break;
    }
    return UINT64_MAX;
}

uint64_t directory_turn(void *self, uint64_t now_ns)
{
    struct directory *d = self;
    uint64_t next = TG_MIN(backend_turn(&d->backend, now_ns), capacity_turn(&d->capacity, now_ns));
    next = TG_MIN(next, life_turn(d, now_ns));
    if (d->receipts.all.slots && d->state != DIRECTORY_LEFT)
        next = TG_MIN(next, receipts_turn(&d->receipts, now_ns));
    return next;
}

/* ---- events ----------------------------------------------------------------------------------------- */

void directory_task_finished(struct directory *d, const struct iicp_event *e)
{
    if (d->receipts.all.slots && (e->want & IICP_WANT_RECEIPT))
        receipts_add(&d->receipts, e);
}

static bool same_windows(const struct iicp_windows *a, const struct iicp_windows *b)
{
    bool same = a->count == b->count;
    for (uint32_t i = 0; same && i < a->count; i++)
        same = a->items[i].start == b->items[i].start && a->items[i].end == b->items[i].end &&
               !(a->items[i].share < b->items[i].share) && !(a->items[i].share > b->items[i].share);
    return same;
}

void directory_set_capacity(struct directory *d, uint32_t base, const struct iicp_windows *windows,
                            struct zone *zone)
{
    struct capacity *c = &d->capacity;
    int32_t offset_s = c->offset_s;
    bool same = base == c->base && same_windows(windows, &c->windows);
    capacity_configure(c, base, windows, zone);
    c->offset_changed =
        d->state == DIRECTORY_MEMBER && (!same || (windows->count && offset_s != c->offset_s));
}

void directory_set_base(struct directory *d, uint32_t base)
{
    bool same = base == d->capacity.base;
    capacity_rebase(&d->capacity, base);
    d->capacity.offset_changed |= d->state == DIRECTORY_MEMBER && !same;
}

void directory_leave(void *self)
{
    struct directory *d = self;
    if (d->state == DIRECTORY_LEAVING || d->state == DIRECTORY_LEFT)
        return;
    heartbeat_stop(&d->heartbeat);
    become(d, d->state == DIRECTORY_OFF ? DIRECTORY_LEFT : DIRECTORY_LEAVING);
    if (d->state == DIRECTORY_LEAVING)
        say_goodbye(d);
}

static void finish(void *self)
{
    directory_destroy(self);
}

struct control_part directory_part(struct directory *d)
{
    return (struct control_part){"directory", directory_turn, directory_leave, directory_left, finish, d};
}

/* ---- questions -------------------------------------------------------------------------------------- */

bool directory_left(void *self)
{
    const struct directory *d = self;
    return d->state == DIRECTORY_LEFT || d->state == DIRECTORY_OFF;
}

enum directory_state directory_state(const struct directory *d)
{
    return d->state;
}

bool directory_in_trouble(const struct directory *d, uint64_t now_ns)
{
    bool silent =
        d->heartbeat.accepted_ns && now_ns > d->heartbeat.accepted_ns + 3 * d->heartbeat.interval_ns;
    return d->state == DIRECTORY_JOINING || (d->state == DIRECTORY_MEMBER && silent);
}

const char *directory_node_id(const struct directory *d)
{
    return d->auth.node_id;
}

struct iicp_backend directory_backend(const struct directory *d)
{
    return backend_now(&d->backend);
}

const struct directory_metrics *directory_metrics(const struct directory *d)
{
    return &d->metrics;
}
