/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler of the emulated threads. */
#include "emulator.h"

#include <setjmp.h>
#include <ucontext.h>

#include <cstdio>
#include <memory>
#include <vector>

#include "order.h"

namespace {

constexpr size_t stack_bytes = 128 << 10;
enum state { RUNNABLE, AT_BLOCK, AT_WARP, ENDED };

struct fiber {
    ucontext_t context; /* how it begins; from then on it jumps, which costs no system call */
    jmp_buf at;
    std::unique_ptr<char[]> stack;
    void *shadow; /* the sanitizer's, while it does not run */
    bool begun;
    state where;
    uint64_t given; /* to the warp */
    emulated_thread thread;
};

std::vector<fiber> fibers;
jmp_buf scheduler;
ucontext_t nowhere;
fiber *running;
const std::function<void()> *body;
uint64_t order_seed;

uint32_t draw(uint32_t below)
{
    order_seed = order_seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(order_seed >> 33) % below;
}

/* AddressSanitizer wants to be told of every change of stack. */
#if defined(__SANITIZE_ADDRESS__)
extern "C" void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size);
extern "C" void __sanitizer_finish_switch_fiber(void *save, const void **bottom, size_t *size);
const void *scheduler_bottom;
size_t scheduler_size;
void *scheduler_shadow;

void leaving_scheduler(fiber &f)
{
    __sanitizer_start_switch_fiber(&scheduler_shadow, f.stack.get(), stack_bytes);
}

void back_in_scheduler()
{
    __sanitizer_finish_switch_fiber(scheduler_shadow, nullptr, nullptr);
}

void leaving_fiber(fiber &f)
{
    __sanitizer_start_switch_fiber(&f.shadow, scheduler_bottom, scheduler_size);
}

void back_in_fiber(fiber &f)
{
    __sanitizer_finish_switch_fiber(f.shadow, &scheduler_bottom, &scheduler_size);
}
#else
void leaving_scheduler(fiber &) {}
void back_in_scheduler() {}
void leaving_fiber(fiber &) {}
void back_in_fiber(fiber &) {}
#endif

void stop_at(state where)
{
    fiber &f = *running;
    f.where = where;
    if (_setjmp(f.at) == 0) {
        leaving_fiber(f);
        _longjmp(scheduler, 1);
    }
    back_in_fiber(f);
}

/* A fiber lives on after its kernel, and gets the next one. */
void begin_fiber()
{
    fiber &f = *running;
    f.shadow = nullptr;
    back_in_fiber(f);
    for (;;) {
        (*body)();
        stop_at(ENDED);
    }
}

void run(fiber &f)
{
    running = &f;
    emulated = &f.thread;
    if (_setjmp(scheduler) == 0) {
        leaving_scheduler(f);
        if (f.begun)
            _longjmp(f.at, 1);
        f.begun = true;
        setcontext(&f.context);
    }
    back_in_scheduler();
}

/* Runs everybody once who can, in the order asked for. */
bool run_all()
{
    size_t n = fibers.size(), start = order_seed ? draw((uint32_t)n) : 0, step = order_seed ? 2 * draw(64) + 1 : 1;
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        fiber &f = fibers[(start + i * step) % n]; /* n is a power of two: an odd step visits all */
        if (f.where == RUNNABLE) {
            run(f);
            any = true;
        }
    }
    return any;
}

/* Let those go on who wait at a barrier that everybody still alive has reached. */
bool release(size_t from, size_t to, state barrier)
{
    bool waits = false;
    for (size_t i = from; i < to; i++) {
        if (fibers[i].where != barrier && fibers[i].where != ENDED)
            return false;
        waits |= fibers[i].where == barrier;
    }
    for (size_t i = from; waits && i < to; i++)
        if (fibers[i].where == barrier)
            fibers[i].where = RUNNABLE;
    return waits;
}

bool release_some()
{
    bool any = release(0, fibers.size(), AT_BLOCK);
    for (size_t warp = 0; warp < fibers.size(); warp += 32)
        any |= release(warp, warp + 32, AT_WARP);
    return any;
}

bool all_ended()
{
    for (const fiber &f : fibers)
        if (f.where != ENDED)
            return false;
    return true;
}

void run_block()
{
    for (fiber &f : fibers) {
        f.where = RUNNABLE;
        f.given = 0;
    }
    while (!all_ended()) {
        if (run_all() || release_some())
            continue;
        fprintf(stderr, "emulator: threads wait at different barriers\n");
        abort();
    }
}

void resize(unsigned threads)
{
    if (threads == 0 || threads % 32 || (threads & (threads - 1)))
        abort(); /* whole warps, and a power of two for run_all() */
    if (fibers.size() == threads)
        return;
    fibers = std::vector<fiber>(threads);
    for (fiber &f : fibers) {
        f.stack.reset(new char[stack_bytes]);
        f.begun = false;
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack.get();
        f.context.uc_stack.ss_size = stack_bytes;
        f.context.uc_link = &nowhere;
        makecontext(&f.context, begin_fiber, 0);
    }
}

} // namespace

const emulated_thread *emulated;

extern "C" void emulator_order(uint64_t seed)
{
    order_seed = seed;
}

void emulator_block_barrier()
{
    stop_at(AT_BLOCK);
}

void emulator_exchange(uint64_t value, uint64_t all[32])
{
    fiber *me = running;
    size_t warp = (size_t)(me - fibers.data()) / 32 * 32;
    me->given = value;
    stop_at(AT_WARP);
    for (size_t i = 0; i < 32; i++)
        all[i] = fibers[warp + i].where == ENDED ? 0 : fibers[warp + i].given;
    stop_at(AT_WARP); /* nobody gives the next value before all have read this one */
}

void emulator_run(dim3 grid, unsigned threads, const std::function<void()> &kernel)
{
    resize(threads);
    body = &kernel;
    for (unsigned y = 0; y < grid.y; y++)
        for (unsigned x = 0; x < grid.x; x++) {
            for (unsigned t = 0; t < threads; t++)
                fibers[t].thread = {dim3(t, 0, 0), dim3(x, y, 0), dim3(threads), grid};
            run_block();
        }
}
