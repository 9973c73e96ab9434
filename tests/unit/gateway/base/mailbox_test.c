/* SPDX-License-Identifier: Apache-2.0 */
/* One thread on both sides: order, fullness, and when the receiver is rung. */
#include "gateway/base/mailbox.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { SLOTS = 4 };

struct note {
    uint32_t number;
    char text[7]; /* an odd size */
};

static struct tg_arena arena;

static struct mailbox *box(int event_fd)
{
    cr_assert_eq(tg_arena_init(&arena, mailbox_bytes(SLOTS, sizeof(struct note)), TG_ARENA_PRIVATE), 0);
    struct mailbox *m = mailbox_init(&arena, SLOTS, sizeof(struct note), event_fd);
    cr_assert_not_null(m, "mailbox_bytes() says how much it takes");
    return m;
}

static int send(struct mailbox *m, uint32_t number)
{
    struct note n = {number, "letter"};
    return mailbox_send(m, &n);
}

static void expect(struct mailbox *m, uint32_t number)
{
    struct note n;
    cr_assert(mailbox_receive(m, &n));
    cr_assert_eq(n.number, number);
    cr_assert_str_eq(n.text, "letter");
}

static uint64_t rings(int fd)
{
    uint64_t n = 0;
    return read(fd, &n, sizeof(n)) == (ssize_t)sizeof(n) ? n : 0;
}

Test(mailbox, messages_come_out_in_order_however_often_the_ring_wraps)
{
    struct mailbox *m = box(-1);
    struct note n;
    for (uint32_t i = 0; i < 1000; i += 3) {
        for (uint32_t k = 0; k < 3; k++)
            cr_assert_eq(send(m, i + k), 0);
        for (uint32_t k = 0; k < 3; k++)
            expect(m, i + k);
        cr_assert_not(mailbox_receive(m, &n));
    }
}

Test(mailbox, full_is_an_answer_and_loses_nothing)
{
    struct mailbox *m = box(-1);
    for (uint32_t i = 0; i < SLOTS; i++)
        cr_assert_eq(send(m, i), 0);
    cr_assert_eq(send(m, 99), -EAGAIN);
    expect(m, 0);
    cr_assert_eq(send(m, SLOTS), 0);
    cr_assert_eq(send(m, 99), -EAGAIN);
    for (uint32_t i = 1; i <= SLOTS; i++)
        expect(m, i);
}

Test(mailbox, only_a_receiver_that_sleeps_is_rung_and_once)
{
    int fd = eventfd(0, EFD_NONBLOCK);
    struct mailbox *m = box(fd);
    cr_assert_eq(send(m, 0), 0);
    cr_assert_eq(rings(fd), 0);
    cr_assert_not(mailbox_arm(m), "there is one");
    expect(m, 0);
    cr_assert_eq(send(m, 1), 0);
    cr_assert_eq(rings(fd), 0, "it had not gone to sleep");
    expect(m, 1);
    cr_assert(mailbox_arm(m));
    cr_assert_eq(send(m, 2), 0);
    cr_assert_eq(send(m, 3), 0);
    cr_assert_eq(rings(fd), 1);
    expect(m, 2);
    expect(m, 3);
    close(fd);
}

Test(mailbox, without_a_descriptor_nobody_is_rung)
{
    struct mailbox *m = box(-1);
    cr_assert(mailbox_arm(m));
    cr_assert_eq(send(m, 1), 0);
    expect(m, 1);
}

Test(mailbox, an_arena_that_is_too_small_is_no_mailbox)
{
    cr_assert_eq(tg_arena_init(&arena, 4096, TG_ARENA_PRIVATE), 0);
    cr_assert_null(mailbox_init(&arena, 1u << 20, 64, -1));
}
