/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler of the emulated threads. */
#include "emulator.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "order.h"

namespace {

constexpr size_t stack_bytes = 128 << 10;
constexpr unsigned threads_max = 1024, warp_threads = 32;
enum state { RUNNABLE, AT_BLOCK, AT_WARP, ENDED };

struct fiber {
    ucontext_t context; /* how it begins; from then on it jumps, which costs no system call */
    jmp_buf at;
    std::unique_ptr<char[]> stack;
    void *shadow; /* the sanitizer's, while it does not run */
    bool begun;
    emulated_thread thread;
};

/* What a warp's threads give one another: two sets, so that one can be filled while the other is still read. */
struct warp_values {
    uint64_t set[2][warp_threads];
    unsigned filling;
};

std::vector<fiber> fibers;
state where[threads_max];
warp_values values[threads_max / warp_threads];
jmp_buf scheduler;
ucontext_t nowhere;
fiber *running;
const std::function<void()> *body;
uint64_t order_seed;

/*
 * The C library's own: AddressSanitizer puts another before it, which takes every jump for an exception. That costs a
 * system call, and forgets what the sanitizer knows about the stack.
 */
typedef void jump_fn(jmp_buf, int);
jump_fn *const jump = (jump_fn *)dlsym(dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD), "_longjmp");

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

size_t number_of_running()
{
    return (size_t)(running - fibers.data());
}

void stop_at(state barrier)
{
    fiber &f = *running;
    where[number_of_running()] = barrier;
    if (_setjmp(f.at) == 0) {
        leaving_fiber(f);
        jump(scheduler, 1);
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
            jump(f.at, 1);
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
        size_t thread = (start + i * step) % n; /* n is a power of two: an odd step visits all */
        if (where[thread] == RUNNABLE) {
            run(fibers[thread]);
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
        if (where[i] != barrier && where[i] != ENDED)
            return false;
        waits |= where[i] == barrier;
    }
    for (size_t i = from; waits && i < to; i++)
        if (where[i] == barrier)
            where[i] = RUNNABLE;
    return waits;
}

/* Its threads read what they were given when they go on; none gives twice more before all have. */
bool release_warp(size_t warp)
{
    size_t first = warp * warp_threads;
    if (!release(first, first + warp_threads, AT_WARP))
        return false;
    warp_values &v = values[warp];
    for (size_t lane = 0; lane < warp_threads; lane++)
        if (where[first + lane] == ENDED)
            v.set[v.filling][lane] = 0;
    v.filling ^= 1;
    return true;
}

bool release_some()
{
    bool any = release(0, fibers.size(), AT_BLOCK);
    for (size_t warp = 0; warp < fibers.size() / warp_threads; warp++)
        any |= release_warp(warp);
    return any;
}

bool all_ended()
{
    return std::all_of(where, where + fibers.size(), [](state s) { return s == ENDED; });
}

void run_block()
{
    std::fill_n(where, fibers.size(), RUNNABLE);
    while (!all_ended()) {
        if (run_all() || release_some())
            continue;
        fprintf(stderr, "emulator: threads wait at different barriers\n");
        abort();
    }
}

void resize(unsigned threads)
{
    if (threads == 0 || threads > threads_max || threads % warp_threads || (threads & (threads - 1)))
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

const uint64_t *emulator_exchange(uint64_t value)
{
    size_t me = number_of_running();
    warp_values &v = values[me / warp_threads];
    uint64_t *set = v.set[v.filling];
    set[me % warp_threads] = value;
    stop_at(AT_WARP);
    return set;
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
