/* SPDX-License-Identifier: Apache-2.0 */
/* Threads for calls that may hang: nobody waits for them, and they take no signals, which are the main thread's. */
#ifndef TG_THREAD_H
#define TG_THREAD_H

#include <stdbool.h>

/** Returns 0 or negative errno. Thread: any. */
int thread_start_detached(void *(*main)(void *argument), void *argument);

/** Does a signal wait that asks the process to end? For what waits before the control loop turns, which takes them. */
bool thread_told_to_end(void);

#endif
