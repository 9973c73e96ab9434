# SPDX-License-Identifier: Apache-2.0
"""Health and metrics: what they say, that it is well-formed, and that the numbers add up."""
import math
import unittest

import harness
from client import ECHO, KNN, NOOP, RUN_MS, get, noop, post, post_task
from exposition import Exposition
from gateway import Gateway, RUNNERS, wait_for
from harness import MODES, variants


def scrape(g):
    answer = g.ask(get("/metrics"))
    assert answer.status == 200, answer
    assert answer.header("content-type").startswith("text/plain; version=0.0.4"), answer
    return Exposition(answer.body.decode())


@variants(modes=MODES)
class Health(harness.Served):
    flags = ("--node.id=node-\u00e9", "--node.region=eu-central", "--node.model=demo", "--admission.max_concurrent=4")

    def test_it_has_every_member_and_tells_the_configuration(self):
        health = self.g.health()
        self.assertEqual(health["status"], "ok")
        self.assertEqual(health["node_id"], "node-\u00e9")
        self.assertEqual(health["region"], "eu-central")
        self.assertEqual(health["load"], 0)
        self.assertEqual(health["active_jobs"], 0)
        self.assertEqual(health["max_concurrent"], 4)
        self.assertEqual(health["effective_max_concurrent"], 4)
        self.assertIs(health["available"], True)
        self.assertEqual(health["model"], "demo")
        self.assertIn("demo", health["models"])
        self.assertIn(health["intent"], (ECHO, NOOP, KNN))
        self.assertEqual(health["pinhole_state"], {"active": False})
        self.assertEqual(health["backend_stability"], {"backend_state": "ok", "reason_class": "ok"})

    def test_it_counts_what_runs(self):
        clients = [self.g.client() for _ in range(4)]
        for n, c in enumerate(clients):
            c.send(noop(60000))
            self.g.wait_active(n + 1)
            health = self.g.health()
            self.assertEqual((health["load"], health["available"]), ((n + 1) / 4, n < 3))
        for n, c in enumerate(clients):
            c.reset()
            self.g.wait_active(3 - n)
        health = self.g.health()
        self.assertEqual((health["load"], health["available"]), (0, True))

    def test_it_is_200_and_quick_to_ask_many_times(self):
        with self.g.client() as c:
            c.send(get("/iicp/health") * 300)
            self.assertEqual({c.read().status for _ in range(300)}, {200})


@variants(modes=MODES)
class Metrics(harness.Served):
    flags = ("--server.workers=2", "--task.timeout_ms=10000", "--iicp.task_rate_limit=0")

    def setUp(self):
        wait_for(self.settled, 30, "every row to come back")
        self.before = scrape(self.g)

    def settled(self):
        """Also those that nobody waits for any more come back, and each is counted once."""
        m = scrape(self.g)
        return m.get("taskgate_tasks_accepted_total") == (m.get("taskgate_rows_total")
                                                          + m.get("taskgate_rows_expired_total"))

    def grown(self, name, **labels):
        return scrape(self.g).get(name, **labels) - self.before.get(name, **labels)

    def test_the_text_is_well_formed_from_the_start_and_under_way(self):
        for request in (post_task(ECHO, 1), noop(0, qos="realtime"), post_task(KNN, {}), post(b"{")):
            self.g.ask(request)
            scrape(self.g)

    def test_bounds_of_the_latency_histogram(self):
        self.g.task(ECHO, 1)
        self.assertEqual(scrape(self.g).bounds("iicp_task_latency_ms"),
                         [10, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, math.inf])

    def test_outcomes_reconcile_with_what_was_sent(self):
        good, late, refused = 30, 4, 9
        with self.g.client() as c:
            c.send(post_task(ECHO, 1) * good)
            c.send(noop(3000, timeout_ms=100, qos="realtime") * late)
            c.send(post_task(KNN, {"vector": []}) * refused)
            for expected in [200] * good + [504] * late + [422] * refused:
                self.assertEqual(c.read().status, expected)
        self.assertEqual(self.grown("iicp_tasks_total", status="success", intent=ECHO, qos="best_effort"), good)
        self.assertEqual(self.grown("iicp_tasks_total", status="timeout", intent=NOOP, qos="realtime"), late)
        self.assertEqual(self.grown("iicp_tasks_total", status="refused", intent=KNN), refused)
        self.assertEqual(self.grown("iicp_tasks_total"), good + late + refused)
        self.assertEqual(self.grown("iicp_task_latency_ms_count"), good + late)
        self.assertEqual(self.grown("taskgate_tasks_accepted_total"), good + late)
        self.assertGreaterEqual(self.grown("iicp_task_latency_ms_sum", intent=NOOP), 100 * late)
        wait_for(self.settled, 30, "the late ones to come back")

    def test_unknown_intents_are_counted_under_one_name(self):
        for i in range(20):
            self.g.task("urn:iicp:intent:x.junk%d:a:v1" % i, 1)
        self.assertEqual(self.grown("iicp_tasks_total", intent="other"), 20)
        intents = {dict(labels).get("intent") for (_name, labels) in scrape(self.g).values}
        self.assertLessEqual(intents, {None, ECHO, NOOP, KNN, "other"})

    def test_those_who_left_are_counted(self):
        c = self.g.client()
        with self.g.accepting():
            c.send(noop(2 * RUN_MS))
        c.reset()
        self.g.wait_active(0)
        self.assertEqual(self.grown("taskgate_tasks_cancelled_total"), 1)

    def test_requests_connections_and_malformed_ones_reconcile(self):
        before = self.before
        for _ in range(10):
            self.assertEqual(self.g.ask(get("/nowhere")).status, 404)
        for _ in range(5):
            self.assertEqual(self.g.ask(b"GET\r\n\r\n").status, 400)
        now = scrape(self.g)
        self.assertEqual(now.get("taskgate_http_requests_total") - before.get("taskgate_http_requests_total"), 11)
        self.assertEqual(now.get("taskgate_http_malformed_total") - before.get("taskgate_http_malformed_total"), 5)
        self.assertEqual(now.get("taskgate_connections_total") - before.get("taskgate_connections_total"), 16)
        wait_for(self.only_one_open, 30, "closed connections to be seen as such")

    def only_one_open(self):
        m = scrape(self.g)
        opened = m.get("taskgate_connections_total") - m.get("taskgate_connections_closed_total")
        return opened == m.get("taskgate_connections_open") == 1

    def test_bytes_are_counted(self):
        request = post_task(ECHO, "x" * 10000)
        answer = self.g.ask(request)
        self.assertGreaterEqual(self.grown("taskgate_http_received_bytes_total"), len(request))
        # What was sent is counted once the kernel has taken it, and then the answer may be here already.
        wait_for(lambda: self.grown("taskgate_http_sent_bytes_total") >= len(answer.body), 30, "the answer to be counted")

    def test_gauges_tell_what_is(self):
        with self.g.client() as c:
            c.send(noop(RUN_MS))
            wait_for(lambda: scrape(self.g).get("taskgate_tasks_active") == 1, 30, "a task to be shown")
            self.assertEqual(c.read().status, 200)
        self.assertEqual(scrape(self.g).get("taskgate_info", io=self.io, executor=self.mode), 1)

    def test_replays_are_counted(self):
        request = post_task(ECHO, 1, nonce="counted-" + self.id())
        for _ in range(4):
            self.g.ask(request)
        self.assertEqual(self.grown("taskgate_replays_refused_total"), 3)


class NoMetrics(unittest.TestCase):
    def test_disabled_they_are_503_and_the_rest_serves(self):
        with Gateway("--metrics.enabled=false") as g:
            answer = g.ask(get("/metrics"))
            self.assertEqual((answer.status, answer.json()["code"]), (503, "metrics_disabled"))
            self.assertEqual(g.ask(get("/metrics", method="HEAD")).status, 503)
            self.assertEqual(g.task(ECHO, 1).status, 200)


class ManyRunners(unittest.TestCase):
    def test_a_full_page_of_metrics_arrives_whole(self):
        twins = "".join('[runner.echo%d]\ntype = "echo"\nintent = "urn:iicp:intent:x.many:e%d:v1"\n' % (i, i)
                        for i in range(12))
        with Gateway("--lane.rows=16", "--lane.bytes=64KiB", config=RUNNERS + twins) as g:
            for i in range(12):
                for qos in ("realtime", "interactive", "batch", "best_effort"):
                    answer = g.task("urn:iicp:intent:x.many:e%d:v1" % i, i, constraints={"qos": qos})
                    self.assertEqual(answer.status, 200)
            self.assertEqual(scrape(g).get("iicp_tasks_total", status="success"), 48)


if __name__ == "__main__":
    harness.main()
