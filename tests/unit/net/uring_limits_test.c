/* SPDX-License-Identifier: Apache-2.0 */
/* A limited ring does the loop's work and nothing else. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "gateway/net/uring_limits.h"

static struct io_uring ring;

static void open_or_skip(void)
{
    struct io_uring_params p = {.flags = IORING_SETUP_R_DISABLED};
    if (io_uring_queue_init_params(8, &ring, &p) < 0)
        cr_skip_test("io_uring is refused here");
    cr_assert(eq(int, uring_limit(&ring), 0));
}

static int result(void)
{
    struct io_uring_cqe *cqe;
    cr_assert(eq(int, io_uring_submit_and_wait(&ring, 1), 1));
    cr_assert(eq(int, io_uring_peek_cqe(&ring, &cqe), 0));
    int res = cqe->res;
    io_uring_cqe_seen(&ring, cqe);
    return res;
}

Test(uring_limits, what_the_loop_does_is_allowed)
{
    open_or_skip();
    int pair[2];
    char byte = 0;
    cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0));
    io_uring_prep_send(io_uring_get_sqe(&ring), pair[0], "x", 1, 0);
    cr_expect(eq(int, result(), 1));
    io_uring_prep_recv(io_uring_get_sqe(&ring), pair[1], &byte, 1, 0);
    cr_expect(eq(int, result(), 1));
    cr_expect(eq(chr, byte, 'x'));
    io_uring_queue_exit(&ring);
}

Test(uring_limits, opening_files_and_connecting_are_refused)
{
    open_or_skip();
    struct sockaddr address = {.sa_family = AF_UNIX};
    io_uring_prep_openat(io_uring_get_sqe(&ring), AT_FDCWD, "/dev/null", O_RDONLY, 0);
    cr_expect(eq(int, result(), -EACCES));
    io_uring_prep_connect(io_uring_get_sqe(&ring), 0, &address, sizeof(address));
    cr_expect(eq(int, result(), -EACCES));
    io_uring_queue_exit(&ring);
}

Test(uring_limits, flags_that_the_loop_does_not_use_are_refused)
{
    open_or_skip();
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    io_uring_prep_send(sqe, 1, "x", 1, 0);
    sqe->flags |= IOSQE_ASYNC;
    cr_expect(eq(int, result(), -EACCES));
    io_uring_queue_exit(&ring);
}

Test(uring_limits, files_cannot_be_registered_any_more)
{
    open_or_skip();
    int fd = 0;
    cr_expect(eq(int, io_uring_register_files(&ring, &fd, 1), -EACCES));
    io_uring_queue_exit(&ring);
}
