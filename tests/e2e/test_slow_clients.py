# SPDX-License-Identifier: Apache-2.0
"""Hundreds of clients that send a byte a second: newcomers are served all the while, and the slow ones are cut when
their time for a head is over. Outcomes and counters only: how fast it goes is measured elsewhere."""
import select
import selectors
import socket
import threading
import time

import harness
from client import ECHO, get, post_task
from exposition import Exposition
from gateway import wait_for
from harness import variants

SLOW, HEADER_MS, BYTE_S = 300, 5000, 1.0
REQUEST = post_task(ECHO, "slow", "X-Filler: " + "x" * 1000)


class SlowClients(threading.Thread):
    """Each sends a byte of a request every second until the gateway has answered or hung up."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.born, self.picker = time.monotonic(), selectors.DefaultSelector()
        self.answers = {}  # socket: what came
        for _ in range(SLOW):
            s = socket.create_connection(("127.0.0.1", port))
            s.setblocking(False)
            self.answers[s] = b""
            self.picker.register(s, selectors.EVENT_READ)
        self.open, self.lifetimes = set(self.answers), []

    def run(self):
        for i in range(len(REQUEST)):
            tick = time.monotonic() + BYTE_S
            for s in self.open:
                self.send(s, REQUEST[i:i + 1])
            while self.open and time.monotonic() < tick:
                for key, _ in self.picker.select(max(0, tick - time.monotonic())):
                    self.receive(key.fileobj)
            if not self.open:
                return

    @staticmethod
    def send(s, data):
        try:
            s.send(data)
        except OSError:
            pass  # cut already: its end is about to be read

    def receive(self, s):
        try:
            data = s.recv(65536)
        except OSError:
            data = b""
        self.answers[s] += data
        if not data:
            self.picker.unregister(s)
            self.open.remove(s)
            self.lifetimes.append((time.monotonic() - self.born) * 1000)
            s.close()


@variants()
class Beside(harness.Served):
    flags = ("--timeout.header_ms=%d" % HEADER_MS,)

    def counter(self, name):
        return Exposition(self.g.ask(get("/metrics", "Connection: close")).body.decode()).get(name)

    def fresh(self, number):
        """A newcomer's whole visit: a task and a look at health, on a new connection each."""
        answer = self.g.ask(post_task(ECHO, number, "Connection: close"))
        self.assertEqual((answer.status, answer.json()["result"]), (200, number))
        self.assertEqual(self.g.ask(get("/iicp/health", "Connection: close")).status, 200)

    def test_newcomers_are_served_and_the_slow_are_cut(self):
        before = self.counter("taskgate_http_header_timeouts_total")
        slow = SlowClients(self.g.port)
        slow.start()
        served = 0
        with self.g.client() as regular:
            while slow.is_alive():
                self.fresh(served)
                self.assertEqual(regular.ask(post_task(ECHO, "regular")).status, 200)
                served += 1
                time.sleep(0.005)
        slow.join()
        self.assertGreater(served, 0)
        self.assert_cut(slow)
        self.assertEqual(self.counter("taskgate_http_header_timeouts_total"), before + SLOW)
        self.assertEqual(self.counter("taskgate_connections_refused_total"), 0)

    def assert_cut(self, slow):
        """All of them, each with an answer that says why, and none before its time."""
        self.assertEqual(len(slow.lifetimes), SLOW)
        for answer in slow.answers.values():
            self.assertTrue(answer.startswith(b"HTTP/1.1 408 "), answer[:100])
            self.assertIn(b'"code":"request_timeout"', answer)
        self.assertGreaterEqual(min(slow.lifetimes), HEADER_MS)

    def test_the_slow_leave_no_connection_behind(self):
        with self.g.client() as regular:
            self.assertEqual(regular.ask(get("/iicp/health")).status, 200)
        before = self.counter("taskgate_connections_total")
        slow = SlowClients(self.g.port)
        wait_for(lambda: self.counter("taskgate_connections_total") >= before + SLOW, 30, "the slow to be let in")
        slow.start()
        slow.join()
        wait_for(lambda: self.counter("taskgate_connections_open") == 1, 30, "the slow connections to be forgotten")


@variants()
class Announced(harness.Served):
    def test_bodies_that_are_only_announced_take_nobodys_memory(self):
        large = post_task(ECHO, "x" * 1900000)
        slow = [self.g.client() for _ in range(200)]
        for c in slow:
            c.send(large[:200])
        self.assertEqual(self.g.ask(get("/iicp/health")).status, 200)  # behind them
        with self.g.client() as c:
            c.send_slowly(large, (100, 70000))
            self.assertEqual(c.read().status, 200)
        for c in slow:
            self.assertTrue(c.silent(0), "nobody was refused")
            c.close()

    def test_a_body_that_finds_no_memory_is_told_when_to_try_again(self):
        large = post_task(ECHO, "x" * 1900000)
        held = {c.sock: c for c in [self.g.client() for _ in range(9)]}  # one more than there are buffers of that size
        for c in held.values():
            c.send_lossy(large[:400000])
        refused = select.select(list(held), [], [], 60)[0]
        answer = held[refused[0]].read()
        self.assert_error(answer, 503, "overloaded")
        self.assertEqual((answer.header("retry-after"), answer.json()["error"]["retry_after_ms"]), ("2", 2000))
        for c in held.values():
            c.close()


if __name__ == "__main__":
    harness.main()
