/* SPDX-License-Identifier: Apache-2.0 */
/* The handful of words every other header leans on. */
#ifndef TG_DEF_H
#define TG_DEF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Symbols a runner plugin may call; everything else stays hidden. */
#define TG_API __attribute__((visibility("default")))

/* Two lines, because x86 prefetches them in pairs. */
#define TG_CACHE_SEPARATION 128

#define TG_LIKELY(x) __builtin_expect(!!(x), 1)
#define TG_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define TG_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define TG_MIN(a, b) ((a) < (b) ? (a) : (b))
#define TG_MAX(a, b) ((a) > (b) ? (a) : (b))
#define TG_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Our own mistakes stop the process, in release builds too. Peer bytes must never reach an assertion. */
#define TG_ASSERT(cond)                                                                                      \
    do {                                                                                                     \
        if (TG_UNLIKELY(!(cond)))                                                                            \
            tg_assert_failed(#cond, __FILE__, __LINE__);                                                     \
    } while (0)

/* Costly checks, for debug builds and the sanitizer setups. */
#ifdef TG_DEBUG
#define TG_DEBUG_ASSERT(cond) TG_ASSERT(cond)
#else
#define TG_DEBUG_ASSERT(cond) ((void)0)
#endif

TG_API _Noreturn void tg_assert_failed(const char *cond, const char *file, int line);

/* Text that is somebody else's: not owned, not terminated. */
struct tg_str {
    const char *ptr;
    size_t len;
};

#define TG_STR(literal) ((struct tg_str){(literal), sizeof(literal) - 1})
/* The same for static initialisers, where a compound literal is no constant. */
#define TG_STR_INIT(literal) {(literal), sizeof(literal) - 1}
#define TG_STR_FMT "%.*s"
#define TG_STR_ARG(s) (int)(s).len, (s).ptr

static inline bool tg_str_eq(struct tg_str a, struct tg_str b)
{
    return a.len == b.len && (a.len == 0 || __builtin_memcmp(a.ptr, b.ptr, a.len) == 0);
}

#endif
