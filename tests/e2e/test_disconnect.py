# SPDX-License-Identifier: Apache-2.0
"""Clients that stop sending, and clients that go away: the first still get their answers, the second free their slot."""
import harness
from client import ECHO, get, noop, post_task
from harness import MODES, variants

LONG_MS = 60000  # longer than anything here waits: a slot that comes free sooner was freed by the disconnect


@variants(modes=MODES)
class HalfClose(harness.Served):
    def test_a_client_that_stops_sending_gets_its_answer_and_the_end(self):
        with self.g.client() as c:
            c.send(noop(60))
            c.half_close()
            answer = c.read()
            self.assertEqual(answer.json()["result"], {"slept_ms": 60})
            self.assertTrue(answer.closes)
            self.assertTrue(c.closed())

    def test_all_pipelined_answers_come_before_the_end(self):
        with self.g.client() as c:
            c.send(noop(80) + b"".join(post_task(ECHO, i) for i in range(20)) + get("/nowhere"))
            c.half_close()
            self.assertEqual(c.read().json()["result"], {"slept_ms": 80})
            self.assertEqual([c.read().json()["result"] for _ in range(20)], list(range(20)))
            last = c.read()
            self.assertEqual((last.status, last.closes), (404, True))
            self.assertTrue(c.closed())

    def test_a_fast_answer_comes_too(self):
        for _ in range(20):
            with self.g.client() as c:
                c.send(post_task(ECHO, 1))
                c.half_close()
                self.assertEqual(c.read().status, 200)
                self.assertTrue(c.closed())

    def test_a_client_of_version_1_0_is_not_confused_by_interim_answers(self):
        with self.g.client() as c:
            c.send(noop(60).replace(b"HTTP/1.1", b"HTTP/1.0"))
            c.half_close()
            answer = c.read()
            self.assertEqual((answer.status, answer.interim), (200, 0))

    def test_a_half_closed_connection_with_nothing_owed_is_closed(self):
        with self.g.client() as c:
            c.half_close()
            self.assertTrue(c.closed())


@variants(modes=MODES)
class GoneClients(harness.Served):
    flags = ("--admission.max_concurrent=1", "--admission.wait_ms=60000")

    def leave_and_expect_the_slot(self, leave, *before):
        c = self.g.client()
        for data in (*before, noop(LONG_MS, qos="realtime")):
            c.send(data)
        self.g.wait_active(1)
        with self.g.client() as waiting:
            waiting.send(post_task(ECHO, "mine", constraints={"qos": "realtime", "timeout_ms": 60000}))
            leave(c)
            self.assertEqual(waiting.read().json()["result"], "mine")
        self.g.wait_active(0, LONG_MS / 1000 / 2)

    def test_a_reset_frees_the_slot(self):
        self.leave_and_expect_the_slot(lambda c: c.reset())

    def test_a_close_frees_the_slot(self):
        self.leave_and_expect_the_slot(lambda c: c.close())

    def test_a_half_close_and_then_a_close_free_the_slot(self):
        def leave(c):
            c.half_close()
            c.read_interim()  # the gateway asks whether anybody is still there
            c.send_lossy(b"")
            c.reset()
        self.leave_and_expect_the_slot(leave)

    def test_a_close_behind_other_answers_frees_the_slot(self):
        self.leave_and_expect_the_slot(lambda c: c.close(), get("/iicp/health"), get("/nowhere"))

    def test_a_reset_within_the_next_request_frees_the_slot(self):
        def leave(c):
            c.send(post_task(ECHO, 1)[:-3])
            c.reset()
        self.leave_and_expect_the_slot(leave)

    def test_a_client_that_waits_and_leaves_never_runs(self):
        with self.g.client() as holder:
            with self.g.accepting():
                holder.send(noop(300, qos="realtime"))
            gone = self.g.client()
            gone.send(noop(LONG_MS, qos="realtime"))
            with self.g.client() as waiting:
                waiting.send(post_task(ECHO, "mine", constraints={"qos": "realtime", "timeout_ms": 60000}))
                gone.reset()
                self.assertEqual(holder.read().json()["result"], {"slept_ms": 300})
                self.assertEqual(waiting.read().json()["result"], "mine")


@variants()
class ManyGoneClients(harness.Served):
    def test_hundreds_that_leave_at_every_point_leave_nothing_behind(self):
        requests = (noop(LONG_MS), post_task(ECHO, "x" * 100000), noop(1) + post_task(ECHO, 1) + noop(LONG_MS))
        for round_number in range(100):
            for i, request in enumerate(requests):
                c = self.g.client()
                cut = len(request) if round_number % 3 else (round_number * 37 + i * 11) % len(request)
                c.send_lossy(request[:cut])
                if round_number % 2:
                    c.reset()
                else:
                    c.close()
        self.g.wait_active(0)
        self.assertEqual(self.g.task(ECHO, 1).status, 200)  # noop itself still works off what nobody waits for


if __name__ == "__main__":
    harness.main()
