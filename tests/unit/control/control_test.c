/* SPDX-License-Identifier: Apache-2.0 */
/* The control loop: who gets a turn when, what wakes it, and in which order it ends. */
#include "gateway/control/control.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "gateway/base/clock.h"
#include "gateway/base/mailbox.h"

struct part {
    uint32_t turns;
    uint64_t every_ns; /* 0: only after events */
    bool leaving, stays;
    const char *story; /* what its end adds to the story */
};

static struct control *control;
static int last_signal;
static char story[128];

static void on_signal(void *context, int signal)
{
    cr_assert_eq(context, &last_signal);
    last_signal = signal;
}

static uint64_t turn(void *self, uint64_t now)
{
    struct part *p = self;
    p->turns++;
    return p->every_ns ? now + p->every_ns : UINT64_MAX;
}

static void leave(void *self)
{
    ((struct part *)self)->leaving = true;
}

static bool left(void *self)
{
    const struct part *p = self;
    return p->leaving && !p->stays;
}

static void finish(void *self)
{
    strcat(story, ((struct part *)self)->story);
}

static void start(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    struct control_options o = {"test", on_signal, &last_signal};
    cr_assert_eq(control_create(&o, &control), 0);
}

static void add(struct part *p, const char *name)
{
    struct control_part part = {name, turn, leave, left, finish, p};
    cr_assert_eq(control_add(control, &part), 0);
}

TestSuite(control, .init = start);

Test(control, parts_are_called_when_their_time_has_come_and_not_before)
{
    struct part quick = {.every_ns = 2 * NS_PER_MS, .story = ""}, rare = {.every_ns = 3600 * NS_PER_S, .story = ""};
    add(&quick, "quick");
    add(&rare, "rare");
    uint64_t begin = clock_now_ns();
    while (quick.turns < 6)
        control_turn(control);
    cr_assert_geq(clock_now_ns() - begin, 5 * 2 * NS_PER_MS);
    cr_assert_eq(rare.turns, 1);
    control_destroy(control);
}

Test(control, a_signal_ends_the_sleep_and_gives_everybody_a_turn)
{
    struct part p = {.story = ""};
    static const int signals[] = {SIGHUP, SIGINT, SIGTERM};
    add(&p, "p");
    for (size_t i = 0; i < TG_ARRAY_SIZE(signals); i++) {
        kill(getpid(), signals[i]);
        control_turn(control);
        cr_assert_eq(last_signal, signals[i]);
    }
    kill(getpid(), SIGHUP);
    control_turn(control);
    cr_assert_eq(p.turns, 4, "one at first, and one for each signal taken in the round before");
    control_destroy(control);
}

/* ---- mail ------------------------------------------------------------------------------------------------- */

enum { LETTERS = 1000 };

struct reader {
    struct mailbox *box;
    uint64_t sum, count;
};

static uint64_t read_mail(void *self, uint64_t now)
{
    struct reader *r = self;
    uint64_t number;
    (void)now;
    do {
        while (mailbox_receive(r->box, &number)) {
            r->sum += number;
            r->count++;
        }
    } while (!mailbox_arm(r->box));
    return r->count < LETTERS ? UINT64_MAX : 0; /* the last one must not be slept upon */
}

static void *send_mail(void *argument)
{
    for (uint64_t i = 1; i <= LETTERS; i++) {
        while (mailbox_send(argument, &i) == -EAGAIN)
            usleep(10);
        if (i % 16 == 0)
            usleep(100);
    }
    return NULL;
}

Test(control, mail_from_another_thread_wakes_its_reader)
{
    struct tg_arena arena;
    struct reader r = {0};
    pthread_t thread;
    cr_assert_eq(tg_arena_init(&arena, mailbox_bytes(8, sizeof(uint64_t)), TG_ARENA_PRIVATE), 0);
    r.box = mailbox_init(&arena, 8, sizeof(uint64_t), control_event_fd(control));
    struct control_part part = {.name = "reader", .turn = read_mail, .self = &r};
    cr_assert_eq(control_add(control, &part), 0);
    cr_assert_eq(pthread_create(&thread, NULL, send_mail, r.box), 0);
    while (r.count < LETTERS)
        control_turn(control);
    cr_assert_eq(r.sum, LETTERS * (LETTERS + 1) / 2);
    pthread_join(thread, NULL);
    control_destroy(control);
    tg_arena_finish(&arena);
}

/* ---- requests ----------------------------------------------------------------------------------------------- */

static int answered;

static void on_answer(void *context, const struct client_response *r)
{
    (void)context;
    answered = r->error;
    if (r->error == -ECANCELED)
        strcat(story, "cancelled ");
}

static const struct client_request refused = {.method = "GET", .url = "nonsense", .timeout_ms = 1000};
static const struct client_request unresolved = {.method = "GET", .url = "http://a.invalid/", .timeout_ms = 60000};

Test(control, an_answer_gives_everybody_a_turn)
{
    struct part p = {.story = ""};
    const struct control_host *h = control_host(control);
    add(&p, "p");
    cr_assert_gt(h->submit(h->context, &refused, on_answer, NULL), 0);
    control_turn(control);
    cr_assert_eq(answered, -EINVAL);
    kill(getpid(), SIGHUP);
    control_turn(control);
    cr_assert_eq(p.turns, 2);
    control_destroy(control);
}

Test(control, the_host_knows_the_time_and_is_not_predictable)
{
    const struct control_host *h = control_host(control);
    uint8_t a[16] = {0}, b[16] = {0};
    cr_assert_leq(clock_now_ns(), h->now_ns(h->context));
    cr_assert_gt(h->unix_ms(h->context), 1600000000000);
    h->random(h->context, a, sizeof(a));
    h->random(h->context, b, sizeof(b));
    cr_assert_neq(memcmp(a, b, sizeof(a)), 0);
    h->cancel(h->context, h->submit(h->context, &refused, on_answer, NULL));
    kill(getpid(), SIGHUP);
    control_turn(control);
    cr_assert_eq(answered, 0, "forgotten");
    control_destroy(control);
}

/* ---- the end ------------------------------------------------------------------------------------------------ */

Test(control, everybody_is_told_of_the_way_out_and_those_who_stay_are_named)
{
    struct part a = {.story = ""}, b = {.stays = true, .story = ""}, c = {.stays = true, .story = ""};
    char names[64], few[4];
    add(&a, "a");
    add(&b, "directory");
    add(&c, "receipts");
    cr_assert_not(control_left(control), "nobody has been told");
    control_leave(control);
    cr_assert(a.leaving && b.leaving && c.leaving);
    cr_assert_not(control_left(control));
    control_still_here(control, names, sizeof(names));
    cr_assert_str_eq(names, "directory, receipts");
    control_still_here(control, few, sizeof(few));
    cr_assert_str_eq(few, "dir");
    b.stays = c.stays = false;
    cr_assert(control_left(control));
    control_still_here(control, names, sizeof(names));
    cr_assert_str_eq(names, "");
    control_destroy(control);
}

Test(control, requests_end_before_the_parts_and_those_in_reverse_order)
{
    struct part a = {.story = "a "}, b = {.story = "b "};
    const struct control_host *h = control_host(control);
    add(&a, "a");
    add(&b, "b");
    cr_assert_gt(h->submit(h->context, &unresolved, on_answer, NULL), 0);
    control_destroy(control);
    cr_assert_str_eq(story, "cancelled b a ");
}

Test(control, takes_so_many_parts_and_no_more)
{
    struct control_part part = {.name = "p"};
    for (uint32_t i = 0; i < CONTROL_PARTS_MAX; i++)
        cr_assert_eq(control_add(control, &part), 0);
    cr_assert_eq(control_add(control, &part), -ENOSPC);
    control_destroy(control);
}
