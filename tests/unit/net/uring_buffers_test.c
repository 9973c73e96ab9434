/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers for io_uring's receives: where bytes land, and when a buffer goes back. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "gateway/net/uring_buffers.h"

#define COUNT 4
#define BYTES 4096

static struct io_uring ring;
static struct uring_buffers buffers;
static int pair[2];

/* A machine that refuses io_uring, or a kernel without what is tested, has nothing to show. */
static void open_or_skip(bool incremental)
{
    if (io_uring_queue_init(8, &ring, 0) < 0)
        cr_skip_test("io_uring is refused here");
    int rc = uring_buffers_open(&buffers, &ring, COUNT, BYTES, incremental);
    if (rc == -EINVAL || rc == -EOPNOTSUPP)
        cr_skip_test("the kernel does not have this kind of buffer");
    cr_assert(eq(int, rc, 0));
    cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0));
}

static void close_all(void)
{
    close(pair[0]);
    close(pair[1]);
    io_uring_queue_exit(&ring);
    uring_buffers_finish(&buffers);
}

/* One receive. Returns its result; *at is where its bytes lie, *id in which buffer. */
static int receive(uint32_t *id, char **at)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    struct io_uring_cqe *cqe;
    io_uring_prep_recv(sqe, pair[0], NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = URING_BUFFER_GROUP;
    cr_assert(eq(int, io_uring_submit_and_wait(&ring, 1), 1));
    cr_assert(eq(int, io_uring_peek_cqe(&ring, &cqe), 0));
    int res = cqe->res;
    *id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    *at = res > 0 ? uring_buffers_at(&buffers, *id) : NULL;
    io_uring_cqe_seen(&ring, cqe);
    return res;
}

static void send_bytes(char fill, size_t len)
{
    char data[BYTES];
    memset(data, fill, sizeof(data));
    cr_assert(eq(long, write(pair[1], data, len), (long)len));
}

/* Send @len bytes, find them where they should be. Returns the buffer they came in. */
static uint32_t pass(char fill, uint32_t len)
{
    uint32_t id;
    char *at, want[BYTES];
    memset(want, fill, sizeof(want));
    send_bytes(fill, len);
    cr_assert(eq(int, receive(&id, &at), (int)len));
    cr_assert(eq(int, memcmp(at, want, len), 0));
    uring_buffers_consumed(&buffers, id, len);
    return id;
}

Test(uring_buffers, incremental_receives_share_a_buffer)
{
    open_or_skip(true);
    uint32_t first = pass('x', 100);
    cr_expect(eq(u32, pass('y', 200), first));
    cr_expect(eq(u32, pass('z', 300), first));
    close_all();
}

Test(uring_buffers, a_full_buffer_goes_back_and_is_used_from_its_start)
{
    open_or_skip(true);
    for (uint32_t i = 0; i < 5 * COUNT; i++) /* five times round: each must have come back */
        pass((char)('a' + i), BYTES - (i == 0 ? buffers.used[0] : 0));
    cr_expect(eq(u32, buffers.used[0], 0));
    close_all();
}

Test(uring_buffers, bytes_that_do_not_fit_the_rest_of_a_buffer_go_on_in_the_next)
{
    open_or_skip(true);
    uint32_t id, rest = BYTES - buffers.used[0] - 10;
    char *at;
    uint32_t first = pass('x', rest);
    send_bytes('y', 30);
    cr_expect(eq(int, receive(&id, &at), 10));
    cr_expect(eq(u32, id, first));
    uring_buffers_consumed(&buffers, id, 10);
    cr_expect(eq(int, receive(&id, &at), 20));
    cr_expect(ne(u32, id, first));
    cr_expect(eq(chr, at[19], 'y'));
    close_all();
}

Test(uring_buffers, plain_receives_take_a_buffer_each_and_never_run_out)
{
    open_or_skip(false);
    uint32_t last = COUNT;
    for (uint32_t i = 0; i < 5 * COUNT; i++) {
        uint32_t id = pass((char)('a' + i), 100);
        cr_expect(ne(u32, id, last));
        last = id;
    }
    close_all();
}

Test(uring_buffers, a_receive_finds_none_while_all_are_being_read)
{
    open_or_skip(false);
    uint32_t id;
    char *at;
    for (uint32_t i = 0; i < COUNT; i++) {
        send_bytes('x', 10);
        cr_assert(eq(int, receive(&id, &at), 10));
    }
    send_bytes('x', 10);
    cr_expect(eq(int, receive(&id, &at), -ENOBUFS));
    uring_buffers_consumed(&buffers, 2, 10);
    cr_expect(eq(int, receive(&id, &at), 10));
    cr_expect(eq(u32, id, 2));
    close_all();
}
