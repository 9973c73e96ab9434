# SPDX-License-Identifier: Apache-2.0
"""Clients that take too long: absolute time limits for head and body, and for silence. Only ends are checked, not speed."""
import time

import harness
from client import ECHO, chunk, envelope, get, noop, post, post_task
from gateway import wait_for
from harness import variants

# A machine with other work may pause anybody, and these must not run out by that.
HEADER_MS, BODY_MS, IDLE_MS, WRITE_MS = 1800, 2000, 2200, 2000
BODY = envelope(ECHO, "late").encode()


class Timeouts(harness.Served):
    flags = ("--timeout.header_ms=%d" % HEADER_MS, "--timeout.body_ms=%d" % BODY_MS, "--timeout.idle_ms=%d" % IDLE_MS,
             "--timeout.write_ms=%d" % WRITE_MS)

    def late(self, c, begin, limit_ms):
        """408, not before its time, then the end."""
        answer = c.read()
        self.assert_error(answer, 408, "request_timeout")
        self.assertGreaterEqual((time.monotonic() - begin) * 1000, limit_ms - 1)
        self.assertTrue(answer.closes)
        self.assertTrue(c.closed())

    def trickle(self, c, data, pause):
        """Byte by byte until the gateway has had enough."""
        for i in range(len(data)):
            if not c.silent(pause):
                return
            c.send_lossy(data[i:i + 1])
        self.fail("the gateway waited for all of it")


@variants()
class Unfinished(Timeouts):
    """Requests that never end."""
    def test_a_head_that_does_not_end(self):
        begin = time.monotonic()
        with self.g.client() as c:
            c.send(b"GET /iicp/health HT")
            self.late(c, begin, HEADER_MS)

    def test_a_trickle_does_not_extend_the_time_of_the_head(self):
        begin = time.monotonic()
        with self.g.client() as c:
            self.trickle(c, get("/iicp/health", "X: " + "y" * 1000), 0.02)
            self.late(c, begin, HEADER_MS)

    def test_a_body_that_does_not_end(self):
        with self.g.client() as c:
            begin = time.monotonic()
            c.send(post(BODY)[:-1])
            self.late(c, begin, BODY_MS)

    def test_head_without_its_body_gets_none(self):
        with self.g.client() as c:
            c.send(get("/iicp/health", "Content-Length: 5", method="HEAD"))
            self.assertEqual(c.read(head_only=True).status, 408)
            self.assertEqual((c.unread, c.closed()), (b"", True))

    def test_a_trickle_does_not_extend_the_time_of_the_body(self):
        with self.g.client() as c:
            begin = time.monotonic()
            c.send(post(b" " * 1000)[:-1000])
            self.trickle(c, b" " * 1000, 0.02)
            self.late(c, begin, BODY_MS)

    def test_a_trickle_of_chunks_does_not_either(self):
        with self.g.client() as c:
            begin = time.monotonic()
            c.send(post(b"", "Transfer-Encoding: chunked", length=False))
            self.trickle(c, chunk(b" ") * 1000, 0.02)
            self.late(c, begin, BODY_MS)

    def test_a_client_that_asked_and_was_told_to_go_on_has_the_time_of_a_body(self):
        with self.g.client() as c:
            begin = time.monotonic()
            c.send(post(b" " * 10, "Expect: 100-continue")[:-10])
            c.read_interim()
            self.late(c, begin, BODY_MS)


@variants()
class Silent(Timeouts):
    """Nobody says anything, or takes anything."""
    def test_silence_ends_the_connection_without_a_word(self):
        begin = time.monotonic()
        with self.g.client() as fresh, self.g.client() as used:
            self.assert_alive(used)
            for c in (fresh, used):
                self.assertTrue(c.closed())
            self.assertGreaterEqual((time.monotonic() - begin) * 1000, IDLE_MS - 1)

    def test_a_running_task_is_not_silence(self):
        with self.g.client() as c:
            answer = c.ask(noop(IDLE_MS + 300))
            self.assertEqual(answer.status, 200)
            self.assert_alive(c)

    def test_each_request_of_an_endless_pipeline_has_its_own_time(self):
        request = post_task(ECHO, "next")
        with self.g.client() as c:
            c.send(request[:50])
            until = time.monotonic() + 2.5 * HEADER_MS / 1000
            while time.monotonic() < until:
                c.send(request[50:] + request[:50])  # the next one begins in the packet that ends this one
                self.assertEqual(c.read().status, 200)
                time.sleep(0.02)

    def test_the_end_of_a_body_starts_the_time_of_the_next_head(self):
        request = post_task(ECHO, "next")
        with self.g.client() as c:
            c.send(request[:-20])
            until = time.monotonic() + 2.5 * BODY_MS / 1000
            while time.monotonic() < until:
                c.send(request[-20:] + request[:20])
                self.assertEqual(c.read().status, 200)
                time.sleep(0.02)
                c.send(request[20:-20])

    def test_an_answer_owed_comes_before_the_refusal(self):
        with self.g.client() as c:
            c.send(noop(HEADER_MS + 200) + b"GET /")
            self.assertEqual(c.read().status, 200)
            self.assertEqual(c.read().status, 408)

    def test_a_client_that_takes_nothing_is_cut_off(self):
        with self.g.client(receive_buffer=4096) as c:
            for _ in range(20):
                c.send_lossy(post_task(ECHO, "x" * 500000))
                if self.cut() > 0:
                    break
            wait_for(lambda: self.cut() > 0, 30, "the client to be cut off")
            self.assertEqual(self.cut(), 1)

    def cut(self):
        return self.g.counter("taskgate_http_write_timeouts_total")

    def test_slow_clients_do_not_hold_others_up(self):
        slow = [self.g.client() for _ in range(100)]
        for i, c in enumerate(slow):
            c.send(post_task(ECHO, 1)[:10 + i])
        with self.g.client() as quick:
            for i in range(100):
                self.assertEqual(quick.ask(post_task(ECHO, i)).json()["result"], i)
        for c in slow:
            self.assertEqual(c.read().status, 408)
            c.close()


if __name__ == "__main__":
    harness.main()
