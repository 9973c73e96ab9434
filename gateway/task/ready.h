/* SPDX-License-Identifier: Apache-2.0 */
/* Is this gateway ready, and if not, for which reasons? A bit each in admission.not_ready. Thread: any. */
#ifndef TG_READY_H
#define TG_READY_H

#include <string.h>
#include "admission.h"

enum ready_number {
#define READY(ident, word, refuses, meaning) READY_NUMBER_##ident,
#include "ready.def"
#undef READY
    READY_REASONS
};

enum ready_reason {
#define READY(ident, word, refuses, meaning) READY_##ident = 1 << READY_NUMBER_##ident,
#include "ready.def"
#undef READY
};

/* Those for which no task can run. */
#define READY(ident, word, refuses, meaning) | ((refuses) ? READY_##ident : 0)
enum { READY_REFUSES = 0
#include "ready.def"
};
#undef READY

static const char *const ready_words[READY_REASONS] = {
#define READY(ident, word, refuses, meaning) word,
#include "ready.def"
#undef READY
};

static inline uint32_t ready_reasons(const struct admission *a)
{
    return atomic_load_explicit(&a->not_ready, memory_order_relaxed); /* bits that stand alone */
}

/** From now on @set hold and @cleared no longer do. One writer a bit. */
static inline void ready_change(struct admission *a, uint32_t set, uint32_t cleared)
{
    atomic_fetch_or_explicit(&a->not_ready, set, memory_order_relaxed);
    atomic_fetch_and_explicit(&a->not_ready, ~(cleared & ~set), memory_order_relaxed);
}

/** The bit of a reason by its word, 0 if there is none. */
static inline uint32_t ready_named(const char *word)
{
    for (uint32_t i = 0; i < READY_REASONS; i++)
        if (strcmp(ready_words[i], word) == 0)
            return 1u << i;
    return 0;
}

#endif
