/* SPDX-License-Identifier: Apache-2.0 */
/* Advice about memory, by plain system calls. */
#include "memory.h"
#include <errno.h>
#include <limits.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LONG_BITS (sizeof(unsigned long) * CHAR_BIT)
#define NODES_MAX 1024 /* CONFIG_NODES_SHIFT is at most 10 */

/* The whole pages within. False if there is none. */
static bool whole_pages(void *base, size_t bytes, void **first, size_t *len)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = ((uintptr_t)base + page - 1) & ~(page - 1), end = ((uintptr_t)base + bytes) & ~(page - 1);
    *first = (char *)base + (start - (uintptr_t)base);
    *len = end > start ? end - start : 0;
    return *len > 0;
}

struct node_mask {
    unsigned long words[NODES_MAX / LONG_BITS];
};

static struct node_mask mask_of(uint32_t node)
{
    struct node_mask mask = {0};
    mask.words[node / LONG_BITS] = 1ul << node % LONG_BITS;
    return mask;
}

/* Preferred rather than bound: on a full node a far page is better than none. By number, since the C library has no
 * call for it and libnuma would be one library more. */
int memory_prefer_node(void *base, size_t bytes, uint32_t node)
{
    void *first;
    size_t len;
    if (node >= NODES_MAX)
        return -EINVAL;
    if (!whole_pages(base, bytes, &first, &len))
        return 0;
    struct node_mask mask = mask_of(node);
    long rc = syscall(SYS_mbind, first, len, MPOL_PREFERRED, mask.words, (unsigned long)NODES_MAX + 1, 0ul);
    return rc < 0 ? -errno : 0;
}

int memory_prefer_node_always(uint32_t node)
{
    if (node >= NODES_MAX)
        return -EINVAL;
    struct node_mask mask = mask_of(node);
    long rc = syscall(SYS_set_mempolicy, MPOL_PREFERRED, mask.words, (unsigned long)NODES_MAX + 1);
    return rc < 0 ? -errno : 0;
}

int memory_huge_pages(void *base, size_t bytes)
{
    void *first;
    size_t len;
    if (!whole_pages(base, bytes, &first, &len))
        return 0;
    return madvise(first, len, MADV_HUGEPAGE) < 0 ? -errno : 0;
}
