# SPDX-License-Identifier: Apache-2.0
"""Nonces, task ids, origins and traces: what is remembered of a request, and for how long."""
import itertools
import re
import time

import harness
from client import ECHO, KNN, envelope, get, post, post_task
from gateway import wait_for
from harness import variants

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00-%s-00f067aa0ba902b7-01" % TRACE


def with_nonce(spelling, task_id="t"):
    return post('{"task_id":"%s","intent":"%s","payload":1,"nonce":%s}' % (task_id, ECHO, spelling))


@variants()
class Nonces(harness.Served):
    flags = ("--server.workers=2",)

    def test_the_second_use_is_a_replay(self):
        request = post_task(ECHO, 1, nonce="once")
        self.assertEqual(self.g.ask(request).status, 200)
        for _ in range(8):  # whichever worker gets the connection
            answer = self.g.ask(request)
            self.assert_error(answer, 409, "IICP-E011")
            self.assertEqual(answer.json()["message"], "replay_detected")

    def test_another_spelling_of_the_same_nonce_is_a_replay(self):
        self.assertEqual(self.g.ask(with_nonce('"caf\u00e9/1"')).status, 200)
        for spelling in ('"caf\\u00e9/1"', '"c\\u0061f\u00e9\\/1"', '"caf\\u00E9\\u002f1"'):
            self.assert_error(self.g.ask(with_nonce(spelling)), 409, "IICP-E011")

    def test_other_nonces_are_not(self):
        for spelling in ('"case"', '"Case"', '"case "', '"case\\u0000"', '"%s"' % ("n" * 256)):
            self.assertEqual(self.g.ask(with_nonce(spelling)).status, 200, spelling)

    def test_an_empty_or_null_nonce_is_none(self):
        for spelling in ('""', "null"):
            for _ in range(3):
                self.assertEqual(self.g.ask(with_nonce(spelling)).status, 200)

    def test_it_is_used_up_even_if_the_payload_is_refused(self):
        bad = post_task(KNN, {"vector": []}, nonce="used")
        self.assert_error(self.g.ask(bad), 422, "validation_error")
        self.assert_error(self.g.ask(bad), 409, "IICP-E011")

    def test_a_refusal_before_the_window_does_not_use_it_up(self):
        unknown = post_task("urn:iicp:intent:llm:chat:v1", 1, nonce="kept")
        for _ in range(2):
            self.assert_error(self.g.ask(unknown), 422, "unknown_intent")
        self.assertEqual(self.g.ask(post_task(ECHO, 1, nonce="kept")).status, 200)

    def test_of_many_at_once_one_wins(self):
        clients = [self.g.client() for _ in range(16)]
        for c in clients:
            c.send(post_task(ECHO, 1, nonce="race"))
        self.assertEqual(sorted(c.read().status for c in clients), [200] + [409] * 15)
        for c in clients:
            c.close()

    def test_a_task_id_may_be_used_again(self):
        for _ in range(3):
            self.assertEqual(self.g.task(ECHO, 1, task_id="again").status, 200)


@variants(io=("epoll",))
class ShortWindow(harness.Served):
    flags = ("--iicp.replay_window_s=1",)

    def test_a_nonce_is_forgotten_after_the_window(self):
        request = post_task(ECHO, 1, nonce="short")
        self.assertEqual(self.g.ask(request).status, 200)
        wait_for(lambda: self.g.ask(request).status == 200, 30, "the nonce to be forgotten")


@variants()
class TaskIds(harness.Served):
    flags = ("--iicp.idempotency=true", "--server.workers=2")

    def test_a_task_id_seen_before_is_a_duplicate(self):
        self.assertEqual(self.g.task(ECHO, 1, task_id="one").status, 200)
        for _ in range(4):
            answer = self.g.task(ECHO, 1, task_id="one")
            self.assert_error(answer, 409, "IICP-E010")
            self.assertEqual(answer.json()["message"], "duplicate_task")
            self.assertEqual(answer.json()["task_id"], "one")

    def test_another_spelling_is_a_duplicate(self):
        self.assertEqual(self.g.ask(with_nonce("null", "two/x")).status, 200)
        self.assert_error(self.g.ask(with_nonce("null", "tw\\u006f\\/x")), 409, "IICP-E010")

    def test_an_empty_task_id_is_always_new(self):
        for _ in range(3):
            self.assertEqual(self.g.task(ECHO, 1, task_id="").status, 200)

    def test_a_replay_is_told_before_a_duplicate(self):
        request = post_task(ECHO, 1, task_id="three", nonce="three")
        self.assertEqual(self.g.ask(request).status, 200)
        self.assert_error(self.g.ask(request), 409, "IICP-E011")

    def test_nonces_and_task_ids_are_not_mixed_up(self):
        self.assertEqual(self.g.ask(post_task(ECHO, 1, task_id="same", nonce="same")).status, 200)
        self.assertEqual(self.g.ask(post_task(ECHO, 1, task_id="other", nonce="other")).status, 200)


def window(late_s=0.0):
    """Windows of 60 s are counted by the monotonic clock, of which a worker's idea may be a little late."""
    return (time.monotonic() - late_s) // 60


class Limited(harness.Served):
    limit = 5

    def in_one_window(self, ask):
        """What @ask answers of an origin of its own. One that steps over the end of a window is asked of another origin."""
        for number in itertools.count():
            begin, origin = window(late_s=1), "http://page-%s-%d" % (self.id(), number)
            answers = ask(origin)
            if window() == begin:
                return origin, answers

    def use_up(self, origin):
        with self.g.client() as c:
            return [c.ask(post_task(ECHO, 1, "Origin: " + origin)) for _ in range(self.limit + 2)]

    def assert_limited(self):
        """Returns the origin that has used up its share."""
        origin, answers = self.in_one_window(self.use_up)
        self.assertEqual([a.status for a in answers], [200] * self.limit + [429] * 2)
        self.assert_error(answers[-1], 429, "IICP-E023")
        self.assertEqual(answers[-1].header("retry-after"), "60")
        self.assertEqual(answers[-1].json()["error"]["retry_after_ms"], 60000)
        return origin


@variants()
class Origins(Limited):
    flags = ("--iicp.task_rate_limit=5",)

    def test_an_origin_has_so_many_tasks_a_minute(self):
        self.assert_limited()

    def test_another_origin_and_none_are_not_touched(self):
        self.assert_limited()
        self.assertEqual(self.g.ask(post_task(ECHO, 1, "Origin: http://two")).status, 200)
        for _ in range(2 * self.limit):
            self.assertEqual(self.g.task(ECHO, 1).status, 200)

    def test_health_is_not_limited(self):
        origin = self.assert_limited()
        self.assertEqual(self.g.ask(get("/iicp/health", "Origin: " + origin)).status, 200)


@variants(io=("epoll",))
class OriginsByEnvironment(Limited):
    limit = 2

    @classmethod
    def setUpClass(cls):
        cls.g = harness.gateway.Gateway("--server.workers=2", *cls.variant_flags(), env={"IICP_TASK_RATE_LIMIT": "2"})

    def test_the_limit_holds_over_all_workers(self):
        def ask(origin):
            return [self.g.ask(post_task(ECHO, 1, "Origin: " + origin)).status for _ in range(10)]
        self.assertEqual(self.in_one_window(ask)[1], [200] * 2 + [429] * 8)


@variants(io=("epoll",))
class NoRateLimit(harness.Served):
    flags = ("--iicp.task_rate_limit=0",)

    def test_0_turns_it_off(self):
        with self.g.client() as c:
            for _ in range(200):
                self.assertEqual(c.ask(post_task(ECHO, 1, "Origin: http://page")).status, 200)


@variants()
class Traces(harness.Served):
    def trace_of(self, *lines, request=None):
        answer = self.g.ask(request or post_task(ECHO, 1, *lines))
        trace = answer.header("x-iicp-trace-id")
        self.assertTrue(re.fullmatch(r"[0-9a-f]{32}", trace), answer)
        self.assertNotEqual(trace, "0" * 32)
        return trace

    def test_the_callers_trace_comes_back(self):
        self.assertEqual(self.trace_of("traceparent: " + PARENT), TRACE)
        self.assertEqual(self.trace_of("TraceParent:  " + PARENT + " "), TRACE)

    def test_on_errors_too(self):
        for body in (b"{", envelope("nothing", 1)):
            self.assertEqual(self.trace_of(request=post(body, "traceparent: " + PARENT)), TRACE)

    def test_an_invalid_one_is_ignored(self):
        for bad in (PARENT[:-1], PARENT + "0", PARENT.upper(), PARENT.replace("-", "_"), "ff" + PARENT[2:],
                    PARENT.replace(TRACE, "0" * 32), PARENT.replace("00f067aa0ba902b7", "0" * 16),
                    PARENT.replace("4bf9", "4bg9"), "x"):
            with self.subTest(bad):
                self.assertNotEqual(self.trace_of("traceparent: " + bad), TRACE)

    def test_without_one_every_task_has_its_own(self):
        self.assertEqual(len({self.trace_of() for _ in range(20)}), 20)

    def test_a_trace_in_the_body_is_not_taken_for_it(self):
        self.assertNotEqual(self.trace_of(request=post_task(ECHO, 1, trace={"trace_id": TRACE})), TRACE)


@variants(io=("epoll",))
class Tools(harness.Served):
    flags = ("--iicp.allow_tool_execution",)

    def test_where_they_are_allowed_they_are_merely_unknown(self):
        self.assert_error(self.g.task("urn:iicp:intent:tool:shell:v1", 1), 422, "unknown_intent")


if __name__ == "__main__":
    harness.main()
