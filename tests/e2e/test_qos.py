# SPDX-License-Identifier: Apache-2.0
"""Admission: who waits for a slot, who is refused, in which order those who wait get in; and time limits of tasks."""
import time

import harness
from client import ECHO, NOOP, RUN_MS, noop, post_task
from harness import MODES, variants

FOREVER_MS = 60000


def echo(value, qos, timeout_ms=FOREVER_MS, **more):
    return post_task(ECHO, value, constraints={"qos": qos, "timeout_ms": timeout_ms, **more})


class OneSlot(harness.Served):
    """A gateway with one slot, and a task that holds it."""
    def setUp(self):
        self.clients = []

    def tearDown(self):
        for c in self.clients:
            c.reset()  # whoever still waits is not worth waiting for
        super().tearDown()

    def hold(self, ms=FOREVER_MS):
        """Who holds the slot for a time, or until reset."""
        with self.g.accepting():
            return self.ask(noop(ms, qos="realtime"))

    def release(self, holder):
        self.clients.remove(holder)
        holder.reset()

    def ask(self, request):
        c = self.g.client()
        self.clients.append(c)
        c.send(request)
        return c

    def waited(self):
        return self.g.counter("taskgate_tasks_waited_total")

    def ask_and_wait(self, request):
        """Sent, and seen waiting."""
        before = self.waited()
        c = self.ask(request)
        harness.gateway.wait_for(lambda: self.waited() > before, 30, "a task to wait")
        return c

    def assert_refused(self, answer, qos, seconds=2):
        self.assertEqual(answer.status, 429, answer)
        self.assertEqual(answer.header("retry-after"), str(seconds))
        error = answer.json()["error"]
        self.assertEqual(error, {"code": "IICP-E021", "message": "capacity_exceeded", "qos_class": qos,
                                 "retry_after_ms": seconds * 1000})


@variants()
class FullLane(OneSlot):
    """A runner whose lane is full of tasks without end."""
    config = """
[runner.noop]
type = "noop"
max_batch = 1
streams = 1

[runner.echo]
type = "echo"
"""
    flags = ("--lane.rows=16", "--lane.bytes=64KiB", "--admission.wait_ms=%d" % FOREVER_MS, "--executor.mode=thread")

    def test_it_holds_up_no_other_runner(self):
        for _ in range(16):
            self.hold()
        for qos in ("realtime", "realtime", "interactive"):
            self.ask_and_wait(noop(0, qos=qos))
        for qos in ("realtime", "interactive", "batch"):
            self.assertEqual(self.ask(echo(qos, qos, timeout_ms=FOREVER_MS // 3)).read().status, 200)


@variants(modes=MODES)
class Waiting(OneSlot):
    flags = ("--admission.max_concurrent=1", "--admission.wait_ms=%d" % FOREVER_MS)

    def test_the_second_gets_in_when_the_slot_comes_free(self):
        for qos in ("realtime", "interactive"):
            first = self.hold(RUN_MS)
            second = self.ask_and_wait(echo("second", qos))
            self.assertTrue(second.silent(0.02))
            self.assertEqual(first.read().status, 200)
            answer = second.read()
            self.assertEqual(answer.json()["result"], "second")

    def test_the_slot_is_handed_over_without_polling(self):
        """Twenty hand-overs in a row: with a look every 50 ms the last would come half a second late on average."""
        first = self.hold(100)
        rest = [self.ask(noop(0, qos="realtime")) for _ in range(20)]
        self.assertEqual(first.read().status, 200)
        begin = time.monotonic()
        self.assertEqual([c.read().status for c in rest], [200] * 20)
        self.assertLess(time.monotonic() - begin, FOREVER_MS / 1000 / 2)  # woken, not waited out

    def test_lower_classes_are_refused_at_once_in_the_words_of_the_client(self):
        self.hold()
        for spelling in ("batch", "best_effort", "best-effort", "whenever", "b\u00e4tch", 'qu"ote'):
            self.assert_refused(self.ask(echo(1, spelling)).read(), spelling)
        self.assert_refused(self.ask(post_task(ECHO, 1)).read(), "best_effort")

    def test_qos_class_goes_before_qos(self):
        first = self.hold()
        self.assert_refused(self.ask(echo(1, "realtime", qos_class="batch")).read(), "batch")
        waiting = self.ask_and_wait(echo("in", "batch", qos_class="realtime"))
        self.release(first)
        self.assertEqual(waiting.read().json()["result"], "in")

    def test_a_null_qos_class_leaves_it_to_qos(self):
        self.hold()
        self.assert_refused(self.ask(echo(1, "batch", qos_class=None)).read(), "batch")

    def test_realtime_goes_before_interactive_and_each_in_order_of_arrival(self):
        first = self.hold()
        order = [("i1", "interactive"), ("i2", "interactive"), ("r1", "realtime"), ("r2", "realtime")]
        # Each takes its time, so that answers tell the order of their turns.
        waiting = {name: self.ask_and_wait(noop(60, qos=qos)) for name, qos in order}
        self.release(first)
        turns = [waiting[name] for name in ("r1", "r2", "i1", "i2")]
        while any(c.silent(0) for c in turns):
            # Asked from the last to the first: whoever comes before one that was answered was answered before, too.
            answered = [not c.silent(0) for c in reversed(turns)]
            self.assertEqual(answered, sorted(answered), "somebody was overtaken")
            time.sleep(0.005)
        self.assertEqual([c.read().status for c in turns], [200] * 4)

    def test_a_refusal_does_not_hold_up_what_waits(self):
        first = self.hold()
        waiting = self.ask_and_wait(echo("in", "realtime"))
        for _ in range(50):
            self.assert_refused(self.ask(echo(1, "batch")).read(), "batch")
        self.release(first)
        self.assertEqual(waiting.read().json()["result"], "in")

    def test_time_runs_out_while_waiting(self):
        self.hold()
        begin = time.monotonic()
        answer = self.ask(echo(1, "realtime", timeout_ms=150)).read()
        self.assert_error(answer, 504, "task_timeout")
        self.assertEqual(answer.json()["status"], "timeout")
        self.assertGreaterEqual(time.monotonic() - begin, 0.149)

    def test_health_and_metrics_answer_while_tasks_wait(self):
        self.hold()
        self.ask_and_wait(echo(1, "realtime"))
        health = self.g.health()
        self.assertEqual((health["active_jobs"], health["available"], health["load"]), (1, False, 1))

    def test_requests_on_the_waiting_connection_keep_their_order(self):
        first = self.hold()
        c = self.ask_and_wait(echo("first", "realtime") + b"GET /nowhere HTTP/1.1\r\nHost: t\r\n\r\n"
                              + echo("last", "realtime"))
        self.release(first)
        self.assertEqual(c.read().json()["result"], "first")
        self.assertEqual(c.read().status, 404)
        self.assertEqual(c.read().json()["result"], "last")


@variants()
class WaitEnds(OneSlot):
    flags = ("--admission.max_concurrent=1", "--admission.wait_ms=200", "--admission.retry_after_s=7")

    def test_after_the_wait_the_answer_is_429(self):
        self.hold()
        begin = time.monotonic()
        self.assert_refused(self.ask(echo(1, "interactive")).read(), "interactive", 7)
        self.assertGreaterEqual(time.monotonic() - begin, 0.199)


@variants()
class NoWait(OneSlot):
    flags = ("--admission.max_concurrent=1", "--admission.wait_ms=0")

    def test_everyone_is_refused_at_once(self):
        first = self.hold()
        for qos in ("realtime", "interactive", "batch"):
            self.assert_refused(self.ask(echo(1, qos)).read(), qos)
        self.assertTrue(first.silent(0), "the refusals came while the first task ran")
        self.assertEqual(self.waited(), 0)

    def test_a_refused_task_leaves_its_nonce_unused(self):
        first = self.hold()
        request = post_task(ECHO, 1, nonce="n-1", constraints={"qos": "realtime"})
        self.assert_refused(self.ask(request).read(), "realtime")
        self.release(first)
        self.g.wait_active(0)
        self.assertEqual(self.ask(request).read().status, 200)
        self.assert_error(self.ask(request).read(), 409, "IICP-E011")


@variants(modes=MODES)
class TwoWorkers(OneSlot):
    flags = ("--server.workers=2", "--admission.max_concurrent=1", "--admission.wait_ms=%d" % FOREVER_MS)

    def test_workers_share_one_limit_and_wake_one_another(self):
        """Connections are spread over the workers; whoever holds the slot, everybody else gets in after."""
        for _ in range(3):
            first = self.hold()
            clients = [self.ask(echo(i, "realtime")) for i in range(16)]
            refused = [self.ask(echo(i, "batch")) for i in range(16)]
            self.assertEqual([c.read().status for c in refused], [429] * 16)
            self.release(first)
            self.assertEqual([c.read().json()["result"] for c in clients], list(range(16)))


@variants(modes=MODES)
class TimeLimits(harness.Served):
    flags = ("--task.timeout_ms=150",)

    def assert_timeout(self, answer):
        self.assert_error(answer, 504, "task_timeout")
        self.assertEqual(answer.json()["status"], "timeout")
        self.assertIs(answer.json()["generated_by_ai"], False)
        self.assertEqual(answer.json()["task_id"], "t-1")

    def test_a_task_that_takes_longer_than_it_may_is_504(self):
        begin = time.monotonic()
        self.assert_timeout(self.g.task(NOOP, {"sleep_ms": 3000}, constraints={"timeout_ms": 200}))
        self.assertGreaterEqual(time.monotonic() - begin, 0.199)

    def test_one_that_names_no_limit_has_the_configured_one(self):
        self.assert_timeout(self.g.task(NOOP, {"sleep_ms": 3000}))
        self.assert_timeout(self.g.task(NOOP, {"sleep_ms": 3000}, constraints={"timeout_ms": None}))

    def test_the_time_begins_when_the_task_comes_not_when_the_gateway_fell_silent(self):
        with self.g.client() as c:
            self.assertEqual(c.ask(echo(1, "batch")).status, 200)
            time.sleep(3.2)
            answer = c.ask(noop(50, timeout_ms=3000))
            self.assertEqual(answer.status, 200, answer)
            self.assertLess(answer.json()["metrics"]["latency_ms"], 3000)

    def test_the_connection_goes_on_and_later_answers_keep_their_order(self):
        with self.g.client() as c:
            c.send(noop(3000, timeout_ms=100) + echo(5, "batch"))
            self.assert_timeout(c.read())
            self.assertEqual(c.read().json()["result"], 5)

    def test_hundreds_that_time_out_at_once_all_say_so(self):
        clients = [self.g.client() for _ in range(20)]
        for c in clients:
            c.send(noop(2000, timeout_ms=100) * 20)
        for c in clients:
            for _ in range(20):
                self.assert_timeout(c.read())
            c.close()


if __name__ == "__main__":
    harness.main()
