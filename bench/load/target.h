/* SPDX-License-Identifier: Apache-2.0 */
/* From the target as written to an address, and the rule that it is our own machine. */
#ifndef BENCH_LOAD_TARGET_H
#define BENCH_LOAD_TARGET_H

struct options;

/* Fills addr, addr_len and host; takes the path of a URL unless --path was given. Says on stderr what is wrong. */
int target_resolve(struct options *o);

#endif
