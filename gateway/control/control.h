/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control thread's loop: signals, mail from the data threads, the requests under way and the parts' deadlines, with
 * one place that sleeps, client_turn(). Data threads never wait for it; they may ring its eventfd.
 * Thread: the one that created it, except where said.
 */
#ifndef TG_CONTROL_H
#define TG_CONTROL_H

#include "host.h"

struct control;

/* A state machine with the rest of its life story; functions it has no use for are NULL. */
struct control_part {
    const char *name; /* for the log */
    /** Do what is due, return when to be called next (monotonic; UINT64_MAX: after an event only). Called at least
     * once after every event. */
    uint64_t (*turn)(void *self, uint64_t now_ns);
    /** The way out has begun: take leave of whom it concerns (deregister, flush). Turns go on. */
    void (*leave)(void *self);
    /** Has it taken leave? Asked until it says so or the time for that is up. */
    bool (*left)(void *self);
    /** The end: no turn and no callback follows, submit() answers 0. In reverse order of control_add(). */
    void (*finish)(void *self);
    void *self;
};

#define CONTROL_PARTS_MAX 16

struct control_options {
    const char *user_agent;
    void (*on_signal)(void *context, int signal); /* SIGHUP, SIGINT, SIGTERM; the caller has blocked them */
    void *context;
};

/** Returns 0 or negative errno. Start it before any thread that it should get mail from. */
int control_create(const struct control_options *o, struct control **out);
/** Ends the requests still under way with -ECANCELED, then finishes the parts. */
void control_destroy(struct control *c);

/** Clocks, requests and randomness for the parts; lives as long as @c. */
const struct control_host *control_host(const struct control *c);

/** For mailbox_init(): rung, it ends the sleep, and every part gets a turn. */
int control_event_fd(const struct control *c);

/** Returns 0, or -ENOSPC. Its first turn comes with the next control_turn(). */
int control_add(struct control *c, const struct control_part *part);

/** One round: whose time has come, then sleep until something happens, then what happened. */
void control_turn(struct control *c);

/** The way out begins: tell every part, once. */
void control_leave(struct control *c);
/** Have all parts taken leave? Before control_leave(): false. */
bool control_left(const struct control *c);

/** The names of those that have not, joined by ", ", for the log. */
void control_still_here(const struct control *c, char *out, size_t cap);

#endif
