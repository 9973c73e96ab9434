/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's own process: one executor after the other. Without threads, and it opens no device, so that it may fork
 * whenever it has to.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "keeper_shared.h"

#define MS 1000000ull
#define LOOK_MS 100          /* between two looks at a running executor */
#define STOP_MS 2000         /* for an executor to end when told to: it gives its batches a second */
#define BIRTH_MS 250         /* between two births at least: one that dies at once makes no storm */
#define RETRY_DOUBLINGS_MAX 5
#define DEATHS_KEPT 1024

enum { EXIT_STOPPED = 0, EXIT_NO_DEVICE = 3, EXIT_DEVICE_LOST = 4 };

struct keeper {
    const struct tg_keeper_options *o;
    struct keeper_shared *shared;
    int link;
    enum tg_keeper_state state;
    pid_t child; /* 0: none */
    int child_fd;
    uint64_t born_ns;
    uint64_t next_birth_ns;     /* not before */
    char hang[96];              /* why it was killed, or empty */
    uint64_t deaths[DEATHS_KEPT]; /* when; a ring */
    uint32_t death_count;
    uint32_t withdrawn_in_row;  /* and not proven sound since */
};

static uint64_t now(const struct keeper *k)
{
    return k->o->executor.host->now_ns();
}

static void count(_Atomic uint64_t *n)
{
    stat_add(n, 1);
}

/* The text says what happened, the state what comes of it. A gateway that does not listen is on its way out. */
static void tell(struct keeper *k, enum tg_keeper_state state, uint32_t retry_ms, const char *reason, const char *text)
{
    struct tg_keeper_news news = {.state = state, .retry_ms = retry_ms};
    k->state = state;
    snprintf(news.reason, sizeof(news.reason), "%.31s", reason); /* words of ready.def: shorter */
    snprintf(news.text, sizeof(news.text), "%s", text);
    while (send(k->link, &news, sizeof(news), MSG_NOSIGNAL) < 0 && errno == EINTR)
        continue;
}

/* ---- the executor's process ---------------------------------------------------------------------------- */

static void announce(struct tg_executor *ex, struct tg_executor_life *life)
{
    life->info = ex->info;
    executor_beat(ex, ex->options.host->now_ns());
    atomic_store_explicit(&life->up, 1, memory_order_release); /* V1 pairs with V2 */
}

/*
 * Ends without cleaning up: what is to be given back the kernel takes, and a broken device would only hang
 * us. The link stays open, so that the gateway sees its end only when nobody is left who may take rows.
 */
static _Noreturn void executor_main(const struct keeper *k, pid_t keeper)
{
    struct tg_executor_options o = k->o->executor;
    struct tg_executor_life *life = &k->shared->life;
    struct tg_executor *ex;
    prctl(PR_SET_NAME, "executor");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper)
        _exit(EXIT_STOPPED);
    o.life = life;
    o.threaded = true;
    if (tg_executor_create(&o, &ex, &life->why) < 0)
        _exit(EXIT_NO_DEVICE);
    announce(ex, life);
    executor_run(ex);
    _exit(ex->gone ? EXIT_DEVICE_LOST : EXIT_STOPPED);
}

static void clear_life(struct tg_executor_life *life)
{
    atomic_store_explicit(&life->beat_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&life->oldest_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&life->up, 0, memory_order_relaxed); /* before fork: the child's own V1 comes after */
    life->why = (struct tg_error){0};
}

static void give_birth(struct keeper *k)
{
    pid_t self = getpid();
    clear_life(&k->shared->life);
    k->hang[0] = '\0';
    k->born_ns = now(k);
    k->next_birth_ns = k->born_ns + BIRTH_MS * MS;
    k->child = fork();
    if (k->child == 0)
        executor_main(k, self);
    k->child_fd = k->child > 0 ? pidfd_open(k->child, 0) : -1;
    if (k->child_fd >= 0)
        return;
    if (k->child > 0) {
        kill(k->child, SIGKILL); /* unwatched it is worse than none */
        waitpid(k->child, NULL, 0);
    }
    k->child = 0; /* out of processes, memory or descriptors: that passes */
}

/* ---- its death ----------------------------------------------------------------------------------------- */

/* As a sentence. */
static void describe_death(const struct keeper *k, int status, char *text, size_t len)
{
    const struct tg_error *why = &k->shared->life.why;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (k->hang[0])
        snprintf(text, len, "%s", k->hang);
    else if (WIFSIGNALED(status))
        snprintf(text, len, "it was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (code == EXIT_NO_DEVICE)
        snprintf(text, len, "it could not open its device: %.120s", why->message);
    else if (code == EXIT_DEVICE_LOST)
        snprintf(text, len, "%.140s", why->message);
    else
        snprintf(text, len, "it ended with status %d", code);
}

static uint64_t retry_ms(const struct keeper *k)
{
    uint32_t doublings = k->withdrawn_in_row - 1;
    return (uint64_t)k->o->retry_ms << TG_MIN(doublings, (uint32_t)RETRY_DOUBLINGS_MAX);
}

static void note_death(struct keeper *k, uint64_t at_ns)
{
    count(&k->shared->deaths);
    k->deaths[k->death_count++ % DEATHS_KEPT] = at_ns;
}

/* Has the last so many of them happened within the window? One that was tried after a withdrawal has but one life. */
static bool too_many(const struct keeper *k, uint64_t at_ns)
{
    uint64_t window_ns = k->o->deaths_window_ms * MS;
    uint32_t max = k->o->deaths_max;
    if (max == 0)
        return false;
    if (k->withdrawn_in_row > 0)
        return true;
    return k->death_count >= max && at_ns - k->deaths[(k->death_count - max) % DEATHS_KEPT] <= window_ns;
}

/* What it had, and what waits, is answered now rather than at its deadline. */
void keeper_refuse_rows(const struct tg_executor_options *o, struct keeper_shared *shared)
{
    struct recovery_counts counts = {0};
    recovery_refuse(o->lanes, o->lane_count, &counts);
    atomic_store_explicit(&shared->life.stats.inflight, 0,
                          memory_order_relaxed); /* as the dead one left it */
    if (counts.refused + counts.poisoned == 0)
        return;
    stat_add(&shared->life.stats.rows_failed, counts.refused);
    stat_add(&shared->life.stats.rows_poisoned, counts.poisoned);
    for (uint32_t i = 0; i < o->lane_count; i++)
        tg_doorbell_ring(o->workers[o->lanes[i]->worker], o->number, o->lanes[i]->bit);
    for (uint32_t w = 0; w < o->worker_count; w++)
        tg_doorbell_wake(o->workers[w]);
}

static void withdraw(struct keeper *k, uint64_t at_ns, const char *text)
{
    k->withdrawn_in_row++;
    k->next_birth_ns = at_ns + retry_ms(k) * MS;
    count(&k->shared->withdrawals);
    tell(k, TG_KEEPER_WITHDRAWN, (uint32_t)retry_ms(k), k->shared->life.why.field, text);
    keeper_refuse_rows(&k->o->executor, k->shared);
}

static void bury(struct keeper *k)
{
    int status = 0;
    char text[160];
    uint64_t at_ns = now(k);
    waitpid(k->child, &status, 0);
    close(k->child_fd);
    k->child = 0;
    describe_death(k, status, text, sizeof(text));
    note_death(k, at_ns);
    if (k->state == TG_KEEPER_STARTING || too_many(k, at_ns))
        withdraw(k, at_ns, text);
    else if (!k->hang[0]) /* that was told when it was killed */
        tell(k, TG_KEEPER_RESTARTING, 0, k->shared->life.why.field, text);
}

/* ---- its life ------------------------------------------------------------------------------------------ */

static void put_down(struct keeper *k, const char *what, uint64_t ms)
{
    snprintf(k->hang, sizeof(k->hang), "%s for %llu ms: killed", what, (unsigned long long)ms);
    count(&k->shared->hangs);
    tell(k, TG_KEEPER_RESTARTING, 0, "", k->hang); /* now: the kernel may take its time over a device */
    kill(k->child, SIGKILL);
}

static void welcome(struct keeper *k)
{
    bool first = k->state == TG_KEEPER_STARTING;
    if (!first)
        count(&k->shared->restarts);
    tell(k, TG_KEEPER_UP, 0, "", first ? "the executor process is up" : "a new executor process is up");
}

static bool proven(const struct keeper *k, uint64_t at_ns)
{
    return k->state == TG_KEEPER_UP && at_ns - k->born_ns > k->o->deaths_window_ms * MS;
}

/* A stamp may be younger than the clock was when we looked at it. */
static uint64_t ms_since(uint64_t at_ns, uint64_t then_ns)
{
    return at_ns > then_ns ? (at_ns - then_ns) / MS : 0;
}

static void look_after(struct keeper *k)
{
    const struct tg_executor_life *life = &k->shared->life;
    bool up = atomic_load_explicit(&life->up, memory_order_acquire); /* V2 pairs with V1 */
    uint64_t beat = atomic_load_explicit(&life->beat_ns, memory_order_relaxed);
    uint64_t oldest = atomic_load_explicit(&life->oldest_ns, memory_order_relaxed), at_ns = now(k);
    if (k->hang[0])
        return; /* dying */
    if (up && k->state != TG_KEEPER_UP)
        welcome(k);
    if (proven(k, at_ns))
        k->withdrawn_in_row = 0;
    if (!up && ms_since(at_ns, k->born_ns) > k->o->start_ms)
        put_down(k, "it has been opening its device", ms_since(at_ns, k->born_ns));
    else if (up && oldest && ms_since(at_ns, oldest) > k->o->hang_ms)
        put_down(k, "a batch has been running", ms_since(at_ns, oldest));
    else if (up && ms_since(at_ns, beat) > k->o->hang_ms)
        put_down(k, "it has given no sign of life", ms_since(at_ns, beat));
}

static void look_ahead(struct keeper *k)
{
    if (k->state == TG_KEEPER_WITHDRAWN)
        keeper_refuse_rows(&k->o->executor, k->shared); /* those that were on their way in when it was */
    if (now(k) >= k->next_birth_ns)
        give_birth(k);
}

/* An executor that is coming up is looked at more often: somebody waits for it. */
static int look_ms(const struct keeper *k)
{
    return k->child && k->state != TG_KEEPER_UP ? 2 : LOOK_MS;
}

/* Returns false when there is nothing more to do. The gateway never sends: whatever the link has is its end. */
static bool turn(struct keeper *k)
{
    struct pollfd p[2] = {{.fd = k->link, .events = POLLIN}, {.fd = k->child_fd, .events = POLLIN}};
    int wait_ms = look_ms(k);
    if (!k->child && k->state == TG_KEEPER_RESTARTING)
        wait_ms = (int)ms_since(k->next_birth_ns, now(k));
    if (poll(p, k->child ? 2 : 1, wait_ms) < 0 && errno != EINTR)
        return false;
    if (p[0].revents)
        return false;
    if (k->child && p[1].revents)
        bury(k);
    else if (k->child)
        look_after(k);
    else
        look_ahead(k);
    return true;
}

static void end_child(struct keeper *k)
{
    struct pollfd p = {.fd = k->child_fd, .events = POLLIN};
    if (!k->child)
        return;
    atomic_store_explicit(&k->shared->life.stop, 1, memory_order_release); /* V3 pairs with V4 in told_to_stop() */
    tg_doorbell_wake(k->o->executor.doorbell);
    if (poll(&p, 1, STOP_MS) != 1)
        kill(k->child, SIGKILL);
    waitpid(k->child, NULL, 0);
}

void keeper_run(const struct tg_keeper_options *o, struct keeper_shared *shared, int link)
{
    struct keeper k = {.o = o, .shared = shared, .link = link, .child_fd = -1};
    give_birth(&k);
    while (turn(&k))
        continue;
    end_child(&k);
}
