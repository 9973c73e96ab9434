/* SPDX-License-Identifier: Apache-2.0 */
/* A failed assertion says where and why, and ends the process. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tg/def.h"

/* What a child that fails the assertion writes to stderr; returns its wait status. */
static int output_of_failure(const char *cond, char *out, size_t cap)
{
    int fd[2], status;
    cr_assert_eq(pipe(fd), 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(fd[1], STDERR_FILENO);
        tg_assert_failed(cond, "some/file.c", 42);
    }
    close(fd[1]);
    ssize_t len = read(fd[0], out, cap - 1);
    out[len > 0 ? len : 0] = '\0';
    close(fd[0]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    return status;
}

Test(assert, names_file_line_and_condition_and_aborts)
{
    char out[1000];
    int status = output_of_failure("a == b", out, sizeof(out));
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    cr_expect_str_eq(out, "some/file.c:42: assertion `a == b` failed\n");
}

Test(assert, a_condition_of_any_length_is_cut_to_fit)
{
    char cond[2000], out[3000];
    memset(cond, 'x', sizeof(cond) - 1);
    cond[sizeof(cond) - 1] = '\0';
    int status = output_of_failure(cond, out, sizeof(out));
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    cr_expect_eq(strncmp(out, "some/file.c:42: assertion `xxx", 30), 0);
}

Test(assert, nothing_happens_while_the_condition_holds)
{
    int evaluated = 0;
    TG_ASSERT(++evaluated == 1);
    cr_expect_eq(evaluated, 1);
}
