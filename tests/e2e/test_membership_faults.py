#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A directory that misbehaves in every way devnet knows: tasks are served all the while, the fault is counted and said
once, and the node is a member again by itself."""
import http.server
import threading
import time
import unittest

import harness
from client import ECHO, post_task
from devnet import Devnet
from gateway import wait_for
from member import BEAT_MS, FRUGAL, STALE, Customer, Home, Node, Together, member

CALL_MS = 400     # a node's patience where it has to run out
QUIET_MS = 3000   # likewise, and a busy machine does not make it run out by itself


class Elsewhere:
    """Where a redirect may lead: remembers who came, and with which headers."""
    def __init__(self):
        self.came = came = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                came.append(dict(self.headers))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *unused):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


class Faulty(Together):
    """Each case is a fault of heartbeats; classes share the work so that they can go side by side."""
    flags = ("--directory.check_registry=false",)
    late = False  # beats may be heard after the node has given them up: what they answer is an older question then

    def tearDown(self):
        self.d.mend()
        wait_for(lambda: not self.g.devnet.view()["faults"], 30, "a directory that is well")
        self.g.wait_beats(2)

    def ail(self, reason, beats=3, **fault):
        """The fault holds for some beats. Returns what the log has got meanwhile."""
        lines, counted, known = len(self.g.lines()), self.g.failures(reason), self.g.known()
        with Customer(self.g) as customer:
            self.d.fault(path="/v1/heartbeat", **fault)
            wait_for(lambda: self.g.failures(reason) >= counted + beats, 60, "%d failures: %s" % (beats, reason))
            self.d.mend()
            self.g.wait_known(lambda n: n.get("heartbeats", 0) > 0, "a node that is there")
            self.g.wait_metric("taskgate_heartbeats_total", self.g.metric("taskgate_heartbeats_total") + 2)
        self.g.wait_known(lambda n: n["tasks_success"] >= known["tasks_success"] + customer.done, "every task to be told")
        self.g.wait_beats(2)
        self.assertEqual(self.g.known()["tasks_success"], known["tasks_success"] + customer.done)
        if not self.late:
            self.assertEqual(self.g.known()["challenges_failed"], known["challenges_failed"])
        return self.g.lines()[lines:]

    def assert_said_once(self, lines, text):
        """One line when it begins, one when it is over."""
        self.assertEqual(len([line for line in lines if "not accepted" in line]), 1, lines)
        self.assertIn(text, next(line for line in lines if "not accepted" in line))
        self.assertEqual(len([line for line in lines if "accepted again" in line]), 1, lines)
        self.assertLessEqual(len(lines), 6, lines)


class Silence(Faulty, unittest.TestCase):
    flags = ("--directory.timeout_ms=%d" % QUIET_MS, "--directory.check_registry=false")
    late = True

    def test_delay(self):
        self.assert_said_once(self.ail("timeout", 2, delay_ms=10 * QUIET_MS), "")

    def test_drip(self):
        self.assert_said_once(self.ail("timeout", 2, drip_ms=100), "")

    def test_drop(self):
        self.assert_said_once(self.ail("network", drop=True), "")

    def test_lost_replies_count_nothing_twice(self):
        before = self.g.known()["batches_repeated"]
        self.assert_said_once(self.ail("network", 4, lose_reply=True), "")
        self.assertGreater(self.g.known()["batches_repeated"], before)


class Refusals(Faulty, unittest.TestCase):
    io = "io_uring"
    options = {"env": FRUGAL}

    @classmethod
    def setUpClass(cls):
        if not harness.uring():
            raise unittest.SkipTest("io_uring is refused here")
        super().setUpClass()

    def test_server_errors(self):
        for status in (500, 502, 503):
            with self.subTest(status=status):
                self.assert_said_once(self.ail("server_error", 2, status=status), str(status))

    def test_a_rate_limit_is_kept(self):
        begin = time.monotonic()
        self.assert_said_once(self.ail("rate_limited", 2, status=429, retry_after_s=1), "429")
        self.assertGreaterEqual(time.monotonic() - begin, 1)

    def test_another_refusal(self):
        self.assert_said_once(self.ail("refused", status=422), "422")

    def test_garbage(self):
        self.assert_said_once(self.ail("malformed", garbage=True), "makes no sense")

    def test_a_web_page(self):
        self.assert_said_once(self.ail("malformed", html=True), "makes no sense")

    def test_json_that_is_no_answer(self):
        self.assert_said_once(self.ail("malformed", body_bytes=1000), "makes no sense")

    def test_large_bodies_are_not_taken_in(self):
        self.g.wait_beats(2)
        with self.g.growth(mib=8):  # a single one has 9.5
            self.assert_said_once(self.ail("network", 5, body_bytes=10_000_000), "")


class Redirects(Faulty, unittest.TestCase):
    def test_another_origin_is_not_asked(self):
        with Elsewhere() as elsewhere:
            self.assert_said_once(self.ail("network", redirect=elsewhere.url + "/v1/heartbeat"), "redirect")
            self.assertEqual(elsewhere.came, [])

    def test_private_addresses_are_not_asked(self):
        for url in ("http://10.0.0.1/v1/heartbeat", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd"):
            with self.subTest(url=url):
                self.assert_said_once(self.ail("network", 2, redirect=url), "")

    def test_round_and_round_within_the_origin_comes_to_an_end(self):
        self.assert_said_once(self.ail("network", 2, redirect=self.d.url + "/v1/heartbeat"), "")


class Strangers(Together, unittest.TestCase):
    """A directory that no longer knows the node gets it back, with its current token."""
    def tearDown(self):
        self.d.mend()
        self.g.wait_beats(2)

    def test_unknown_tokens_and_nodes(self):
        for status in (401, 404, 410):
            with self.subTest(status=status), Customer(self.g):
                before, counted = self.g.known()["registrations"], self.g.failures("not_registered")
                self.d.fault(path="/v1/heartbeat", status=status, count=1)
                n = self.g.wait_known(lambda n, before=before: n.get("registrations", 0) > before, "another registration")
                self.assertEqual(n["registration"]["current_node_token"], "(hidden)")
                self.assertEqual(self.g.failures("not_registered"), counted + 1)
                self.g.wait_beats(2)
                self.assertEqual(self.g.known()["challenges_failed"], 0)

    def test_a_directory_that_lost_everything(self):
        with Customer(self.g):
            for _ in range(3):
                self.d.fault(forget_nodes=True)
                self.g.wait_member()
        self.assertEqual(self.g.home.credentials()["node_id"], "n1")

    def test_a_node_that_the_registry_has_lost(self):
        with Customer(self.g):
            before = self.g.known()["registrations"]
            self.d.fault(path="/v1/registry/*", status=404, count=1)
            self.g.wait_known(lambda n: n.get("registrations", 0) > before, "another registration")
        self.assertGreater(len(self.g.lines_with("does not list this node")), 0)

    def test_an_unreachable_registry_says_nothing(self):
        before = self.g.known()["registrations"]
        for fault in ({"status": 500}, {"drop": True}, {"garbage": True}, {"status": 401}):
            self.d.fault(path="/v1/registry/*", count=2, **fault)
            wait_for(lambda: not self.d.view()["faults"], 30, "the registry to be asked twice")
        self.assertEqual(self.g.known()["registrations"], before)

    def test_a_directory_that_never_knows_it_is_not_hammered(self):
        """Registering anew helps nobody if every heartbeat is then refused: ever rarer, and with few words."""
        lines, before = len(self.g.lines()), self.g.metric("taskgate_registrations_total")
        begin = time.monotonic()
        with Customer(self.g):
            self.d.fault(path="/v1/heartbeat", status=401)
            self.g.wait_metric("taskgate_registrations_total", before + 3)
            time.sleep(20 * BEAT_MS / 1000)
        tries = self.g.metric("taskgate_registrations_total") - before
        # The time between two of them doubles, from two beats to 64: after six there is one in 64 beats.
        self.assertLessEqual(tries, 7 + (time.monotonic() - begin) * 1000 / BEAT_MS / 64)
        lines = [line for line in self.g.lines()[lines:] if "registered as" not in line]
        self.assertLessEqual(len([line for line in lines if "not accepted" in line]), 1, lines)
        self.assertLessEqual(len(lines), 4, lines)


class Clocks(unittest.TestCase):
    def test_a_directory_whose_clock_is_off(self):
        for skew in (-7200, 7200):
            d, g = member()
            with d, g, Customer(g):
                g.wait_member()
                d.fault(clock_skew_s=skew)
                g.wait_beats(5)
                self.assertEqual((g.known()["registrations"], g.failures("not_registered")), (1, 0))
                self.assertEqual(g.lines_with("warn"), [x for x in g.lines_with("warn") if "receipts: refused" in x])
                self.assertLess(len(g.lines_with("receipts: refused")), 5)  # of those on their way then, some were taken

    def test_receipts_that_its_clock_calls_over_are_counted_as_refused(self):
        d, g = member()
        with d, g:
            g.wait_member()
            d.fault(clock_skew_s=7200)
            for i in range(5):
                g.echo(task_id="c-%d" % i)
            g.wait_metric("taskgate_receipts_refused_total", 5)
            self.assertEqual(len(g.lines_with("receipts: refused: 422 IICP-E027")), 1)


class Receipts(Together, unittest.TestCase):
    """Receipts outlast every trouble that can pass, and each earns once."""
    flags = ("--directory.timeout_ms=%d" % CALL_MS,)

    def test_every_receipt_comes_through(self):
        faults = ({"status": 500}, {"status": 429}, {"drop": True}, {"lose_reply": True}, {"status": 401},
                  {"delay_ms": 10 * CALL_MS})
        for number, fault in enumerate(faults):
            with self.subTest(fault=fault):
                before = self.g.known()["awards"]
                self.d.fault(path="/v1/credits/award", count=2, **fault)
                with self.g.client() as c:
                    for i in range(10):
                        answer = c.ask(post_task(ECHO, {"text": "x"}, task_id="f%d-%d" % (number, i)))
                        self.assertEqual(answer.status, 200)
                self.g.wait_known(lambda n, before=before: n["awards"] >= before + 10, "ten awards", 60)
                self.g.wait_beats(2)
                self.assertEqual(self.g.known()["awards"], before + 10)

    def test_a_queue_that_is_full_drops_the_oldest_and_counts(self):
        d, g = member("--receipts.entries=16")
        with d, g:
            g.wait_member()
            d.fault(path="/v1/credits/award", status=503, retry_after_s=600)
            for i in range(40):
                g.echo(task_id="q-%d" % i)
            g.wait_metric("taskgate_receipts_dropped_total", 40 - 16 - 4)
            self.assertGreaterEqual(40 - g.metric("taskgate_receipts_dropped_total"), 16)
            self.assertLess(len(g.home.text("receipts", "default.log")), 64 * 1024)


class AtTheEnd(unittest.TestCase):
    def test_a_directory_that_is_away_does_not_hold_up_the_end(self):
        d, g = member("--directory.timeout_ms=%d" % CALL_MS)
        with d:
            g.wait_member()
            d.fault(method="DELETE", delay_ms=600000)
            g.stop()
            self.assertEqual(len(g.lines_with("not deregistered")), 1)
            self.assertEqual(g.lines_with("not waiting any longer"), [])

    def test_one_that_never_answers_is_left_after_five_seconds(self):
        d, g = member("--directory.timeout_ms=60000")
        with d:
            g.wait_member()
            d.fault(method="DELETE", delay_ms=600000)
            g.stop()
            self.assertEqual(len(g.lines_with("not waiting any longer for: directory")), 1)


class RegistrationTrouble(unittest.TestCase):
    def test_a_registration_that_meets_every_trouble_at_once(self):
        faults = [{"status": 500}, {"lose_reply": True}]
        with Devnet("--heartbeat-ms", str(BEAT_MS), *STALE) as d:
            for fault in faults:
                d.fault(path="/v1/register", count=1, **fault)
            with Node(d) as g, Customer(g):
                g.wait_member()
                self.assertEqual(len(g.lines_with("registered as n1")), 1)
                self.assertLessEqual(len(g.lines_with("warn")), 2)

    def test_answers_that_are_no_registration(self):
        for fault in ({"garbage": True}, {"html": True}, {"body_bytes": 10_000_000}):
            with Devnet("--heartbeat-ms", str(BEAT_MS), *STALE) as d:
                d.fault(path="/v1/register", count=1, **fault)
                with Node(d) as g, Customer(g):
                    g.wait_member()
                    self.assertEqual(len(g.lines_with("warn")), 1)

    def test_a_rough_day(self):
        """All faults at once, for single requests: in the end both sides agree on every task."""
        home = Home()
        with Devnet("--heartbeat-ms", "100", *STALE) as d, Node(d, "--directory.timeout_ms=%d" % CALL_MS, home=home, beat_ms=100) as g:
            g.wait_member()
            with Customer(g, pause_s=0.05) as customer:
                d.fault(path="/v1/credits/award", html=True, count=1)
                for fault in ({"drop": True}, {"status": 500}, {"lose_reply": True}, {"garbage": True}, {"status": 401},
                              {"html": True}, {"body_bytes": 100000}, {"delay_ms": 50}, {"drip_ms": 1}, {"status": 404}):
                    d.fault(path="/v1/heartbeat", count=2, **fault)
                wait_for(lambda: not d.view()["faults"], 90, "all faults to be used up")
                g.wait_beats(3)
            n = g.wait_tasks(customer.done)
            self.assertEqual((n["tasks_success"], n["tasks_failed"]), (customer.done, 0))
            g.wait_known(lambda n: n["awards"] >= customer.done, "all receipts", 60)
            self.assertEqual(g.known()["awards"], customer.done)


if __name__ == "__main__":
    harness.main(at_once=8)
