/* SPDX-License-Identifier: Apache-2.0 */
/* Ticket keys: the same for all who share a seed, new in every epoch, gone after the next. */
#include <criterion/criterion.h>
#include <string.h>
#include "gateway/net/tls_tickets.h"

static const uint8_t seed[TLS_SEED_BYTES] = "a seed of all workers in a test";

static void begin(struct tls_tickets *t)
{
    cr_assert_eq(tls_tickets_init(t, NULL, seed), 0);
}

Test(tls_tickets, workers_that_share_a_seed_have_the_same_keys_in_every_epoch)
{
    struct tls_tickets a, b;
    begin(&a);
    begin(&b);
    for (uint64_t epoch = 0; epoch < 5; epoch++) {
        cr_assert_eq(tls_tickets_advance(&a, epoch), 0);
        cr_assert_eq(tls_tickets_advance(&b, epoch), 0);
        cr_assert_arr_eq((const char *)&a.now, (const char *)&b.now, sizeof(a.now));
    }
    tls_tickets_finish(&a);
    tls_tickets_finish(&b);
}

Test(tls_tickets, a_worker_that_slept_through_epochs_catches_up)
{
    struct tls_tickets awake, asleep;
    begin(&awake);
    begin(&asleep);
    for (uint64_t epoch = 1; epoch <= 7; epoch++)
        cr_assert_eq(tls_tickets_advance(&awake, epoch), 0);
    cr_assert_eq(tls_tickets_advance(&asleep, 7), 0);
    cr_assert_arr_eq((const char *)&awake.now, (const char *)&asleep.now, sizeof(awake.now));
    cr_assert_arr_eq((const char *)&awake.before, (const char *)&asleep.before, sizeof(awake.before));
    tls_tickets_finish(&awake);
    tls_tickets_finish(&asleep);
}

Test(tls_tickets, a_key_is_known_in_its_epoch_and_the_next_and_never_again)
{
    struct tls_tickets t;
    bool renew;
    begin(&t);
    uint8_t first[TLS_TICKET_NAME_BYTES];
    memcpy(first, t.now.name, sizeof(first));
    cr_assert_eq(tls_tickets_find(&t, first, &renew), &t.now);
    cr_assert_not(renew);
    tls_tickets_advance(&t, 1);
    cr_assert_eq(tls_tickets_find(&t, first, &renew), &t.before);
    cr_assert(renew);
    tls_tickets_advance(&t, 2);
    cr_assert_null(tls_tickets_find(&t, first, &renew));
    tls_tickets_finish(&t);
}

Test(tls_tickets, time_that_goes_back_changes_nothing)
{
    struct tls_tickets t;
    begin(&t);
    tls_tickets_advance(&t, 3);
    struct tls_tickets before = t;
    cr_assert_eq(tls_tickets_advance(&t, 1), 0);
    cr_assert_eq(memcmp(&before, &t, sizeof(t)), 0);
    tls_tickets_finish(&t);
}

Test(tls_tickets, in_the_first_epoch_an_all_zero_name_opens_nothing)
{
    struct tls_tickets t;
    bool renew;
    uint8_t zero[TLS_TICKET_NAME_BYTES] = {0};
    begin(&t);
    cr_assert_null(tls_tickets_find(&t, zero, &renew));
    tls_tickets_finish(&t);
}

Test(tls_tickets, what_came_before_the_last_step_is_not_in_memory_any_more)
{
    struct tls_tickets t;
    begin(&t);
    struct tls_ticket_key first = t.now;
    tls_tickets_advance(&t, 2);
    cr_assert_null(memmem(&t, sizeof(t), seed, sizeof(seed)));
    cr_assert_null(memmem(&t, sizeof(t), first.cipher, sizeof(first.cipher)));
    cr_assert_null(memmem(&t, sizeof(t), first.mac, sizeof(first.mac)));
    tls_tickets_finish(&t);
}

Test(tls_tickets, parts_of_a_key_and_keys_of_other_seeds_differ)
{
    struct tls_tickets a, b;
    uint8_t other[TLS_SEED_BYTES];
    memcpy(other, seed, sizeof(other));
    other[31] ^= 1;
    begin(&a);
    cr_assert_eq(tls_tickets_init(&b, NULL, other), 0);
    cr_assert_neq(memcmp(a.now.cipher, a.now.mac, 32), 0);
    cr_assert_neq(memcmp(a.now.cipher, b.now.cipher, 32), 0);
    cr_assert_neq(memcmp(a.now.mac, b.now.mac, 32), 0);
    cr_assert_neq(memcmp(a.now.name, b.now.name, sizeof(a.now.name)), 0);
    tls_tickets_finish(&a);
    tls_tickets_finish(&b);
}
