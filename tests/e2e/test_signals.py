# SPDX-License-Identifier: Apache-2.0
"""The way out, and reload: what SIGTERM, SIGINT and SIGHUP do to those who are being served."""
import signal
import time

import harness
from client import ECHO, RUN_MS, Closed, envelope, get, noop, post, post_task
from gateway import RUNNERS, free_port, wait_for
from harness import MODES, variants

CLEAN, CUT = 0, 3
LONG_MS = 60000


class Alone:
    """A gateway for each test: it does not survive."""
    io, mode = "epoll", "inline"

    def setUp(self):
        if self.io == "io_uring" and not harness.uring():
            self.skipTest("io_uring is refused here")
        self.g = None

    def tearDown(self):
        if self.g:
            self.g.kill()

    def start(self, *flags, **options):
        """On a port that nobody else listens on after the gateway."""
        self.g = harness.gateway.Gateway("--server.workers=2", "--server.io=" + self.io, "--executor.mode=" + self.mode,
                                         "--server.listen=127.0.0.1:%d" % free_port(), *flags, **options)
        return self.g

    def busy(self, ms):
        """A client whose task runs."""
        c = self.g.client()
        with self.g.accepting():
            c.send(noop(ms, qos="realtime"))
        return c

    def wait_metric(self, name, value):
        text = "%s %d\n" % (name, value)
        wait_for(lambda: text in self.g.ask(get("/metrics")).body.decode(), 30, text)

    def refused(self):
        """True once nobody listens any more."""
        try:
            self.g.client().close()
        except ConnectionError:
            return True
        return False


@variants(modes=MODES)
class Drain(Alone):
    def test_a_running_task_is_answered_and_the_connection_told_to_end(self):
        g = self.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            with g.client() as idle, self.busy(RUN_MS) as c:
                idle.ask(get("/iicp/health"))
                g.signal(number)
                self.assertTrue(idle.closed())
                answer = c.read()
                self.assertEqual(answer.json()["result"], {"slept_ms": RUN_MS})
                self.assertTrue(answer.closes)
                self.assertTrue(c.closed())
            self.assertEqual(g.wait(), CLEAN)
            g = self.start()
        g.stop()

    def test_new_connections_are_refused_while_a_task_still_runs(self):
        g = self.start()
        with self.busy(LONG_MS) as c:
            g.signal(signal.SIGTERM)
            g.wait_log("draining")
            wait_for(self.refused, 30, "new connections to be refused")
            self.assertTrue(c.silent(0), "the task still runs")
            c.reset()
        self.assertEqual(g.wait(), CLEAN)

    def test_all_answers_of_a_pipeline_come_and_later_requests_get_503(self):
        g = self.start()
        with self.busy(RUN_MS) as c:
            c.send(post_task(ECHO, 1) + get("/iicp/health"))
            with g.client() as other:
                body = envelope(ECHO, 2).encode()
                other.send(post(body, "Expect: 100-continue")[:-len(body)])
                other.read_interim()  # begun before the end is announced
                self.wait_metric("taskgate_tasks_accepted_total", 2)
                g.signal(signal.SIGTERM)
                wait_for(self.refused, 30, "new connections to be refused")
                answer = other.ask(body)
                self.assertEqual((answer.status, answer.json()["code"]), (503, "IICP-E024"))
                self.assertEqual(answer.header("retry-after"), "5")
                self.assertTrue(answer.closes)
            self.assertEqual([c.read().status for _ in range(3)], [200, 200, 200])
            self.assertTrue(c.closed())
        self.assertEqual(g.wait(), CLEAN)

    def test_waiting_tasks_are_answered(self):
        g = self.start("--admission.max_concurrent=1", "--admission.wait_ms=60000")
        with self.busy(2 * RUN_MS) as c, g.client() as waiting:
            waiting.send(post_task(ECHO, "in", constraints={"qos": "realtime", "timeout_ms": 60000}))
            self.wait_metric("taskgate_tasks_waited_total", 1)
            g.signal(signal.SIGTERM)
            self.assertEqual(c.read().status, 200)
            self.assertEqual(waiting.read().json()["result"], "in")
        self.assertEqual(g.wait(), CLEAN)

    def test_an_answer_on_its_way_ends_the_connection_when_it_is_through(self):
        g = self.start()
        text = "x" * 2000000
        with g.client(receive_buffer=4096) as c:
            c.send(post_task(ECHO, text) * 3)
            self.wait_metric("taskgate_tasks_accepted_total", 3)
            g.signal(signal.SIGTERM)
            wait_for(self.refused, 30, "new connections to be refused")
            for _ in range(3):
                self.assertEqual(c.read().json()["result"], text)
            self.assertTrue(c.closed())
        self.assertEqual(g.wait(), CLEAN)

    def test_a_single_answer_on_its_way_does_too(self):
        g = self.start()
        text = "x" * 2000000
        with g.client(receive_buffer=4096) as c:
            c.send(post_task(ECHO, text))
            wait_for(lambda: 'status="success"' in g.ask(get("/metrics")).body.decode(), 30, "the task to be done")
            g.signal(signal.SIGTERM)
            wait_for(self.refused, 30, "new connections to be refused")
            self.assertEqual(c.read().json()["result"], text)
            self.assertTrue(c.closed())
        self.assertEqual(g.wait(), CLEAN)

    def test_a_second_signal_cuts(self):
        g = self.start()
        with self.busy(LONG_MS) as c:
            g.signal(signal.SIGTERM)
            g.wait_log("draining")
            self.assertTrue(c.silent(0.1))
            g.signal(signal.SIGTERM)
            self.assertRaises(Closed, c.read)
            self.assertEqual(g.wait(LONG_MS / 1000 / 2), CUT)
        self.assertIn("second signal", g.log())

    def test_the_time_to_drain_is_limited(self):
        g = self.start("--shutdown.drain_ms=200")
        with self.busy(LONG_MS) as c:
            begin = time.monotonic()
            g.signal(signal.SIGTERM)
            self.assertRaises(Closed, c.read)
            self.assertEqual(g.wait(LONG_MS / 1000 / 2), CUT)
            self.assertGreaterEqual(time.monotonic() - begin, 0.199)

    def test_tasks_nobody_waits_for_do_not_hold_up_the_end(self):
        g = self.start()
        with g.client() as c:
            c.send(noop(LONG_MS, timeout_ms=100) + noop(LONG_MS))
            self.assertEqual(c.read().status, 504)
            c.reset()
        g.wait_active(0)
        g.signal(signal.SIGTERM)
        self.assertEqual(g.wait(LONG_MS / 1000 / 2), CLEAN)

    def test_grace_comes_first_not_ready_but_serving(self):
        g = self.start("--shutdown.grace_ms=%d" % LONG_MS)
        self.assertIs(g.health()["available"], True)
        g.signal(signal.SIGTERM)
        wait_for(lambda: g.health()["available"] is False, 30, "health to say not available")
        self.assertEqual(g.health()["status"], "degraded")
        self.assertEqual(g.task(ECHO, 1).status, 200)
        g.signal(signal.SIGTERM)  # enough of it
        g.wait(LONG_MS / 1000 / 2)


@variants()
class Reload(Alone):
    def reload(self, pattern):
        before = len(self.g.lines())
        self.g.signal(signal.SIGHUP)
        self.g.wait_log(pattern, begin=before)

    def test_a_reloadable_key_takes_effect_without_dropping_a_connection(self):
        g = self.start()
        with g.client() as c:
            self.assertEqual(c.ask(post_task(ECHO, 1)).status, 200)
            g.write_config(RUNNERS + "[admission]\nmax_concurrent = 7\n[metrics]\nenabled = false\n")
            self.reload(r"metrics\.enabled = false \(was true\)")
            self.assertIn("admission.max_concurrent = 7", g.log())
            wait_for(lambda: g.health()["max_concurrent"] == 7, 30, "the new limit")
            wait_for(lambda: c.ask(get("/metrics")).status == 503, 30, "metrics to be off")
            self.assertEqual(c.ask(post_task(ECHO, 1)).status, 200)
        g.stop()

    def test_a_restart_key_is_said_to_wait(self):
        g = self.start(config=RUNNERS + "[node]\nregion = 'old'\n")
        g.write_config(RUNNERS + "[node]\nregion = 'new'\n")
        self.reload(r"node\.region = .*new.* needs a restart; still .*old")
        self.assertEqual(g.health()["region"], "old")
        g.stop()

    def test_more_slots_let_in_who_waits(self):
        g = self.start("--admission.wait_ms=60000", config=RUNNERS + "[admission]\nmax_concurrent = 1\n")
        with self.busy(LONG_MS) as c, g.client() as waiting:
            waiting.send(post_task(ECHO, "in", constraints={"qos": "realtime", "timeout_ms": 60000}))
            self.assertTrue(waiting.silent(0.05))
            g.write_config(RUNNERS + "[admission]\nmax_concurrent = 2\n")
            self.reload(r"max_concurrent = 2")
            self.assertEqual(waiting.read().json()["result"], "in")
            c.reset()
        g.wait_active(0)
        g.stop()

    def test_fewer_requests_than_a_connection_has_had_end_it_with_the_next(self):
        g = self.start(config=RUNNERS + "[limits]\nrequests_per_connection = 100\n")
        with g.client() as c:
            for _ in range(5):
                self.assertFalse(c.ask(get("/iicp/health")).closes)
            g.write_config(RUNNERS + "[limits]\nrequests_per_connection = 3\n")
            self.reload(r"requests_per_connection = 3")
            wait_for(lambda: c.ask(get("/iicp/health")).closes, 30, "the new limit to reach the worker")
            self.assertTrue(c.closed())
        g.stop()

    def test_a_file_with_problems_changes_nothing(self):
        g = self.start()
        g.write_config(RUNNERS + "[admission]\nmax_concurrent = 7\nbogus = 1\n")
        self.reload(r"nothing was changed")
        self.reload(r"taskgate\.toml:\d+: unknown key \"admission\.bogus\"")
        self.assertNotEqual(g.health()["max_concurrent"], 7)
        self.assertEqual(g.task(ECHO, 1).status, 200)
        g.stop()

    def test_nothing_changed_is_said(self):
        g = self.start()
        self.reload(r"nothing has changed")
        g.stop()

    def test_hundreds_under_load_lose_nothing(self):
        g = self.start()
        with g.client() as c:
            for i in range(100):
                c.send(post_task(ECHO, i) * 5)
                g.signal(signal.SIGHUP)
                self.assertEqual([c.read().json()["result"] for _ in range(5)], [i] * 5)
        g.stop()


@variants()
class Again(Alone):
    def test_the_port_can_be_taken_at_once_by_the_next(self):
        g = self.start()
        address = "127.0.0.1:%d" % g.port
        with g.client() as c:
            c.ask(post_task(ECHO, 1))
            g.stop()
        with harness.gateway.Gateway("--server.listen=" + address, "--server.io=" + self.io) as again:
            self.assertEqual(again.port, g.port)
            self.assertEqual(again.task(ECHO, 1).status, 200)

    def test_a_client_that_is_silent_in_the_middle_of_a_request_is_not_waited_for_longer_than_its_limit(self):
        g = self.start("--timeout.header_ms=300", "--server.workers=1")
        with g.client() as c:
            c.send(b"GET /iicp/")
            self.assertEqual(g.ask(get("/iicp/health")).status, 200)
            g.signal(signal.SIGTERM)
            self.assertEqual(c.read().status, 408)
        self.assertEqual(g.wait(), CLEAN)


if __name__ == "__main__":
    harness.main()
