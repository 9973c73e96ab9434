/* SPDX-License-Identifier: Apache-2.0 */
/* The shared admission counter. */
#include "admission.h"

bool admission_claim(struct admission *a)
{
    uint32_t active = atomic_load_explicit(&a->active, memory_order_seq_cst); /* A1 pairs with A2 */
    do {
        if (active >= admission_max(a))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&a->active, &active, active + 1, memory_order_seq_cst,
                                                    memory_order_seq_cst));
    return true;
}

void admission_release(struct admission *a)
{
    atomic_fetch_sub_explicit(&a->active, 1, memory_order_seq_cst);              /* A2 pairs with A1 */
    uint64_t waiting = atomic_load_explicit(&a->waiting, memory_order_seq_cst); /* A3 pairs with A4 */
    while (waiting) {
        tg_doorbell_wake(a->workers[__builtin_ctzll(waiting)]);
        waiting &= waiting - 1;
    }
}

void admission_set_waiting(struct admission *a, uint32_t w, bool waiting)
{
    uint64_t bit = 1ull << w;
    if (waiting)
        atomic_fetch_or_explicit(&a->waiting, bit, memory_order_seq_cst); /* A4 pairs with A3 */
    else
        atomic_fetch_and_explicit(&a->waiting, ~bit, memory_order_seq_cst);
}
