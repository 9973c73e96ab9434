/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doorbell's handshake, action by action as in ringbuf/doorbell.c. Spin interleaves whole actions, which is what
 * seq_cst operations promise; labels are those of docs/memory-order.md.
 *
 * Two producers ring for two lanes each, once, a third thread wakes without naming a lane, and one sleep may end by
 * itself, as by a signal or a time-out. The consumer stops when it has seen everything. A lost wake-up leaves it
 * blocked for ever: an invalid end state.
 *
 * -DEVENT          the consumer sleeps on an event fd, not on a futex
 * Each of these takes one step out of order and must fail:
 * -DBROKEN_ARM     the consumer looks at the bits before it says that it sleeps (D5 before D3)
 * -DBROKEN_RING    a producer looks at the sleeper before it sets its bit (D4 before D1)
 * -DBROKEN_TOKEN   the consumer reads the futex word after its last look (D7 after D5)
 * -DBROKEN_COUNT   a wake-up does not move the futex word (no D6); only a futex minds
 */
#define PRODUCERS 2
#define LANES 2

bool sent[4], seen[4];    /* by producer and lane: what the lane's published cursor stands for */
byte bits[PRODUCERS];     /* one word per producer, one bit per lane */
bool flag, flag_seen;     /* news that does not ring */
bool asleep;
byte rings;               /* futex word */
bool in_futex;            /* the kernel's queue */
bool event_ready;         /* the event counter, saturated */
byte spurious;

#ifdef BROKEN_COUNT
#define COUNT skip
#else
#define COUNT rings++
#endif

inline wake_sleeper()
{
#ifdef EVENT
    event_ready = true
#else
    in_futex = false
#endif
}

inline ring(p, lane)
{
#ifdef BROKEN_RING
    saw = asleep;
#endif
    d_step { before = bits[p]; bits[p] = bits[p] | (1 << lane) }; /* D1 */
    if
    :: before != 0
    :: else ->
#ifndef BROKEN_RING
        saw = asleep; /* D4 */
#endif
        if
        :: saw ->
            COUNT; /* D6 */
            wake_sleeper()
        :: else
        fi
    fi;
    before = 0; saw = false
}

active [PRODUCERS] proctype producer()
{
    byte i, before;
    bool saw;
    for (i : 0 .. LANES - 1) {
        sent[_pid * LANES + i] = true;
        ring(_pid, i)
    }
}

active proctype waker()
{
    bool saw;
    flag = true;
    COUNT; /* D6 */
    saw = asleep; /* D4 */
    if
    :: saw -> wake_sleeper()
    :: else
    fi
}

inline take(p)
{
    if
    :: bits[p] == 0
    :: else ->
        d_step { got = bits[p]; bits[p] = 0 }; /* D2 */
        if
        :: got & 1 -> seen[p * LANES] = sent[p * LANES]
        :: else
        fi;
        if
        :: got & 2 -> seen[p * LANES + 1] = sent[p * LANES + 1]
        :: else
        fi;
        got = 0
    fi
}

inline sleep()
{
#ifdef EVENT
    if
    :: event_ready -> event_ready = false
    :: spurious < 1 -> spurious++
    fi
#else
    /* The kernel compares and queues as one step. */
    atomic {
        if
        :: rings == token -> in_futex = true
        :: else
        fi
    };
    if
    :: !in_futex
    :: spurious < 1 -> d_step { spurious++; in_futex = false }
    fi
#endif
}

#define ALL_SEEN (flag_seen && seen[0] && seen[1] && seen[2] && seen[3])

active proctype consumer()
{
    byte token, got;
    bool news;
    do
    :: ALL_SEEN -> break
    :: else ->
        take(0);
        take(1);
#ifdef BROKEN_ARM
        news = bits[0] != 0;
        news = news || bits[1] != 0;
#endif
        asleep = true; /* D3 */
#ifndef BROKEN_TOKEN
        token = rings; /* D7 */
#endif
#ifndef BROKEN_ARM
        news = bits[0] != 0;         /* D5 */
        news = news || bits[1] != 0; /* D5 */
#endif
        flag_seen = flag; /* the look between arm and wait */
#ifdef BROKEN_TOKEN
        token = rings;
#endif
        if
        :: news || ALL_SEEN
        :: else -> sleep()
        fi;
        asleep = false;
        news = false; token = 0
    od
}
