/* SPDX-License-Identifier: Apache-2.0 */
/* Advice about memory, as far as this kernel takes it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "gateway/topology/memory.h"

#define PAGE 4096u

static char *pages(size_t n)
{
    char *memory = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(memory, MAP_FAILED);
    return memory;
}

static int policy_at(void *address)
{
    int mode = -1;
    return syscall(SYS_get_mempolicy, &mode, NULL, 0ul, address, MPOL_F_ADDR) == 0 ? mode : -1;
}

Test(memory, whole_pages_prefer_the_node_and_the_others_are_left_alone)
{
    char *memory = pages(4);
    int rc = memory_prefer_node(memory + 10, 3 * PAGE, 0);
    if (rc == -ENOSYS || rc == -EPERM)
        cr_skip("no memory policies here");
    cr_assert_eq(rc, 0);
    cr_assert_eq(policy_at(memory), MPOL_DEFAULT);
    cr_assert_eq(policy_at(memory + PAGE), MPOL_PREFERRED);
    cr_assert_eq(policy_at(memory + 2 * PAGE), MPOL_PREFERRED);
    cr_assert_eq(policy_at(memory + 3 * PAGE), MPOL_DEFAULT);
    munmap(memory, 4 * PAGE);
}

Test(memory, all_that_is_touched_from_now_on_prefers_the_node)
{
    int mode = -1, rc = memory_prefer_node_always(0);
    if (rc == -ENOSYS || rc == -EPERM)
        cr_skip("no memory policies here");
    cr_assert_eq(rc, 0);
    cr_assert_eq(syscall(SYS_get_mempolicy, &mode, NULL, 0ul, NULL, 0ul), 0);
    cr_assert_eq(mode, MPOL_PREFERRED);
    cr_assert_eq(memory_prefer_node_always(1024), -EINVAL);
}

Test(memory, less_than_a_page_is_nothing_to_do)
{
    char *memory = pages(2);
    cr_assert_eq(memory_prefer_node(memory + 1, PAGE, 0), 0);
    cr_assert_eq(memory_prefer_node(memory + 1, 0, 0), 0);
    cr_assert_eq(memory_huge_pages(memory + 1, PAGE), 0);
    cr_assert_neq(policy_at(memory), MPOL_PREFERRED);
    munmap(memory, 2 * PAGE);
}

Test(memory, a_node_that_cannot_be_is_refused)
{
    char *memory = pages(1);
    cr_assert_eq(memory_prefer_node(memory, PAGE, 1024), -EINVAL);
    cr_assert_lt(memory_prefer_node(memory, PAGE, 1023), 0);
    munmap(memory, PAGE);
}

Test(memory, huge_pages_are_asked_for_or_refused_by_the_kernel)
{
    char *memory = pages(1024);
    int rc = memory_huge_pages(memory, 1024 * PAGE);
    cr_assert(rc == 0 || rc == -EINVAL, "%d", rc); /* a kernel without them says so */
    memory[0] = 1;
    munmap(memory, 1024 * PAGE);
}
