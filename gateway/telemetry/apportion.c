/* SPDX-License-Identifier: Apache-2.0 */
/* Parts, rounded down: nobody is ever charged what was not drawn. */
#include "apportion.h"
#include "tg/def.h"

/* A product of microjoules and nanoseconds may need more than 64 bits. */
static uint64_t part(uint64_t amount, uint64_t of, uint64_t whole)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)amount * of / whole);
}

static uint64_t sum_of(const uint64_t *v, uint32_t n)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += v[i];
    return sum;
}

static void remember(struct apportion_past *past, uint64_t idle_ns, uint64_t amount)
{
    past->idle_ns[past->next % APPORTION_PAST] = idle_ns;
    past->amount[past->next % APPORTION_PAST] = amount;
    past->next++;
}

/* Takes @ns of the past away, and returns what was drawn meanwhile. */
static uint64_t recall(struct apportion_past *past, uint64_t ns)
{
    uint64_t amount = 0;
    for (uint32_t back = 1; back <= APPORTION_PAST && ns > 0; back++) {
        uint32_t at = (past->next - back) % APPORTION_PAST;
        uint64_t taken_ns = TG_MIN(ns, past->idle_ns[at]);
        uint64_t taken = taken_ns > 0 ? part(past->amount[at], taken_ns, past->idle_ns[at]) : 0;
        past->idle_ns[at] -= taken_ns;
        past->amount[at] -= taken;
        amount += taken;
        ns -= taken_ns;
    }
    return amount;
}

void apportion_busy(struct apportion_past *past, uint64_t amount, uint64_t interval_ns, const uint64_t *busy_ns,
                    uint32_t n, uint64_t *out)
{
    uint64_t busy = sum_of(busy_ns, n), charged = amount;
    if (busy < interval_ns) {
        charged = part(amount, busy, interval_ns);
        remember(past, interval_ns - busy, amount - charged);
    } else if (busy > 0) {
        charged += recall(past, busy - interval_ns);
    }
    for (uint32_t i = 0; i < n && busy > 0; i++)
        out[i] += part(charged, busy_ns[i], busy);
}

void apportion_by(uint64_t amount, const uint64_t *weights, uint32_t n, uint64_t *out)
{
    uint64_t whole = sum_of(weights, n), given = 0;
    for (uint32_t i = 1; i < n && whole > 0; i++) {
        uint64_t one = part(amount, weights[i], whole);
        out[i] += one;
        given += one;
    }
    out[0] += amount - given;
}
