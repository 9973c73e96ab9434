/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of cpus as text, "0-3,8", in the kernel's form. Pure. */
#ifndef TG_CPU_LIST_H
#define TG_CPU_LIST_H

#include <sched.h>
#include "tg/def.h"

#define CPU_LIST_WHY_BYTES 160

/* In the order in which they were written: that is the order in which they are given out. */
struct cpu_list {
    uint32_t count;
    uint16_t cpu[CPU_SETSIZE];
};

/** Blanks around numbers are skipped; empty text is an empty list. Returns 0, or -EINVAL with the reason in @why. */
int cpu_list_parse(const char *text, struct cpu_list *out, char why[static CPU_LIST_WHY_BYTES]);

/** A set as text, "none" when empty; what does not fit ends in "...". Returns @out. */
const char *cpu_list_format(const cpu_set_t *set, char *out, size_t bytes);

#endif
