/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lane of two rows from both ends, cursors wrapping at 8 instead of 2^32, and the drain: the worker sends its last
 * rows, asks the executor to stop, and still gets every answer. The executor completes in any order. Doorbells are
 * reduced to a blocking condition here; doorbell.pml is about them.
 *
 * Each of these takes one step out of order and must fail:
 * -DBROKEN_PUBLISH   the cursor moves before the row is written (what L1 without release would allow)
 * -DBROKEN_COMPLETE  `done` moves before the completion entry is written (what L3 without release would allow)
 * -DBROKEN_RETIRE    a row's space is given back although an earlier row is still in use
 * -DBROKEN_DRAIN     the executor looks for rows before it looks at the stop request
 */
#define ROWS 2
#define MASK (ROWS - 1)
#define WRAP 8
#define TASKS 6
#define NONE 255

byte in[ROWS], out[ROWS], completions[ROWS];
byte claimed = 6, published = 6, taken = 6, retired = 6; /* shortly before they wrap */
byte done = 7, reaped = 7;
bool row_retired[ROWS];
byte ahead; /* rows flagged there, retired before an earlier one */
bool stop, executor_ended;
byte answered;

#define DISTANCE(a, b) ((a + WRAP - b) % WRAP)
#define NEXT(a) ((a + 1) % WRAP)

/* ---- worker ---- */

inline send()
{
#ifdef BROKEN_PUBLISH
    published = NEXT(claimed);
#endif
    in[claimed & MASK] = task;
    d_step { claimed = NEXT(claimed); task++ };
#ifndef BROKEN_PUBLISH
    published = claimed /* L1 */
#endif
}

/* Either of two held rows may be retired first, or one while the other's answer is still being encoded. */
inline retire(cursor)
{
#ifdef BROKEN_RETIRE
    retired = NEXT(retired);
#else
    if
    :: cursor != retired -> d_step { row_retired[cursor & MASK] = true; ahead++ }
    :: else ->
        retired = NEXT(retired);
        do
        :: ahead > 0 && row_retired[retired & MASK] ->
            d_step { row_retired[retired & MASK] = false; ahead--; retired = NEXT(retired) }
        :: else -> break
        od
    fi;
#endif
    cursor = NONE
}

inline reap()
{
    d_step { cursor = completions[reaped & MASK]; reaped = NEXT(reaped) };
    /* The answer belongs to a row in flight that was not answered before. */
    assert(cursor != NONE && DISTANCE(cursor, retired) < ROWS);
    assert(out[cursor & MASK] == in[cursor & MASK] + 100);
    d_step {
        out[cursor & MASK] = 0;
        completions[(reaped + WRAP - 1) & MASK] = NONE;
        answered++
    };
    if
    :: held == NONE -> held = cursor
    :: else -> other = cursor
    fi;
    cursor = NONE
}

active proctype worker()
{
    byte task = 1, cursor = NONE, held = NONE, other = NONE;
    do
    :: task <= TASKS && DISTANCE(claimed, retired) < ROWS -> send()
    :: task > TASKS && !stop -> stop = true
    :: done != reaped && other == NONE -> reap() /* L4 */
    :: held != NONE -> assert(out[held & MASK] == 0); retire(held) /* nobody wrote there meanwhile */
    :: other != NONE -> assert(out[other & MASK] == 0); retire(other)
    :: stop && claimed == retired -> break
    od;
    assert(answered == TASKS);
    executor_ended
}

/* ---- executor ---- */

inline complete(cursor)
{
    out[cursor & MASK] = in[cursor & MASK] + 100;
#ifdef BROKEN_COMPLETE
    done = NEXT(done);
    completions[(done + WRAP - 1) & MASK] = cursor;
#else
    completions[done & MASK] = cursor;
    done = NEXT(done); /* L3 */
#endif
    cursor = NONE
}

active proctype executor()
{
    byte expected = 1, a = NONE, b = NONE;
    bool asked, ready;
    completions[0] = NONE;
    completions[1] = NONE;
    do
    :: a == NONE && b == NONE ->
        /* Nothing in flight: there is work, or a stop request seen before the last look, or another round. */
#ifdef BROKEN_DRAIN
        ready = published != taken;
        asked = stop;
#else
        asked = stop;
        ready = published != taken; /* L2 */
#endif
        if
        :: ready ->
            assert(in[taken & MASK] == expected);
            d_step { a = taken; taken = NEXT(taken); expected++ }
        :: asked && !ready -> break
        :: else
        fi;
        asked = false; ready = false
    :: a != NONE && b == NONE && published != taken ->
        assert(DISTANCE(published, taken) <= ROWS);
        assert(in[taken & MASK] == expected);
        d_step { b = taken; taken = NEXT(taken); expected++ }
    :: a != NONE -> complete(a)
    :: b != NONE -> complete(b)
    od;
    executor_ended = true
}
