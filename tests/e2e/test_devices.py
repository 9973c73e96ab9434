# SPDX-License-Identifier: Apache-2.0
"""Several devices: all of them work, one that dies, hangs or is withdrawn stops no other, and what is told is true."""
import os
import signal
import threading
import unittest

import exposition
import harness
from client import ECHO, NOOP, get, noop, post_task
from faulty import CONFIG, Faulty
from gateway import Gateway, run_once, wait_for

TWO, THREE = "cpu|cpu", "cpu|cpu|cpu"


class Watch(threading.Thread):
    """Asks for readiness over and over; `never` is when it was told otherwise."""
    def __init__(self, test):
        super().__init__(daemon=True)
        self.test, self.over, self.never, self.asked = test, threading.Event(), [], 0

    def run(self):
        while not self.over.is_set():
            reasons = self.test.readiness()
            self.asked += 1
            if reasons:
                self.never.append(reasons)

    def end(self):
        self.over.set()
        self.join(60)
        self.test.assertGreater(self.asked, 0)
        self.test.assertEqual(self.never, [])


class Several(Faulty):
    def degraded(self):
        """Devices that /readyz names, with their reasons."""
        body = self.g.ask(get("/readyz", "Connection: close")).json()
        return {d["device"]: d["reasons"] for d in body.get("degraded", [])}

    def withdraw(self, device):
        """With deaths_max=1 and a long executor.retry_ms."""
        self.kill_executor(device)
        wait_for(lambda: "device_withdrawn" in self.degraded().get("fault%d" % device, []), 60, "the withdrawal")

    def rows(self, device):
        return self.of_device("rows_total", device)

    def assert_shared(self, devices):
        for device in range(devices):
            self.assertGreater(self.rows(device), 0, "device %d has had nothing" % device)
        self.assertEqual(sum(self.rows(d) for d in range(devices)), self.count("taskgate_rows_total"))


class Sharing(Several, unittest.TestCase):
    def test_all_of_them_work(self):
        self.start(settings=THREE)
        self.load(clients=8, tasks=100)
        self.assertEqual(self.join_load(), {200: 800})
        self.assert_shared(3)
        self.assert_reconciled()
        self.g.stop()
        self.assertIn("in a process for each device, device 3 x fault(cpu", self.g.log())

    def test_threads_do_it_too(self):
        self.start("--executor.mode=thread", settings=THREE)
        self.load(clients=8, tasks=100)
        self.assertEqual(self.join_load(), {200: 800})
        self.assert_shared(3)
        self.g.stop()

    def test_of_one_in_a_thread_that_is_lost_readiness_tells(self):
        self.start("--executor.mode=thread", settings="cpu;fail=1;every;fault=lost|cpu")
        self.load(clients=8)  # it is opened once a second, and lost at once
        wait_for(lambda: self.degraded() == {"fault0": ["device_lost"]}, 60, "the news")
        self.assertEqual(self.readiness(), [])
        wait_for(lambda: self.of_device("up", 0) == 0, 60, "the metric")
        total = self.join_load()
        self.assertLessEqual(set(total), {200, 502}, total)
        self.assertIn("device fault: the device is lost while running echo", self.g.log())
        wait_for(lambda: self.degraded() == {}, 60, "it to be back")
        self.assert_reconciled()
        self.g.stop()

    def test_a_slow_one_gets_less(self):
        self.start(settings="cpu;delay_ms=2|cpu;delay_ms=60")
        self.load(clients=16, tasks=60)
        self.assertEqual(self.join_load(), {200: 960})
        self.assert_shared(2)
        self.assertGreater(self.rows(0), 2 * self.rows(1))
        self.g.stop()

    def test_one_that_fails_at_once_is_not_taken_for_a_fast_one(self):
        self.start(settings="cpu;delay_ms=2|cpu;fail=1;every;fault=task")
        self.load(clients=8, tasks=200)
        total = self.join_load()
        self.assertLessEqual(set(total), {200, 502})
        self.assertGreater(total[200], total.get(502, 0), total)
        self.assert_reconciled()
        self.g.stop()

    def test_several_inline_are_refused_in_one_line(self):
        g = Gateway("--executor.mode=inline", "--executor.device=null", "--executor.device_settings=service_us=1|service_us=2",
                    ready=False)
        self.g = g
        self.assertEqual(g.wait(), 78)
        self.assertIn("need threads or processes of their own", g.log())

    def test_a_file_lists_them(self):
        with Gateway(config=CONFIG + '\n[executor]\nmode = "process"\ndevice = "fault"\n'
                     'device_settings = ["cpu;delay_ms=1", "cpu"]\n') as g:
            page = exposition.Exposition(g.ask(get("/metrics")).body.decode())
            names = {dict(labels)["device"] for name, labels in page.values if name == "taskgate_device_info"}
            self.assertEqual(names, {"fault0", "fault1"})

    def test_more_than_there_may_be_are_refused(self):
        code, _, err = run_once("serve", "--check-config", "--executor.device_settings=" + "|".join(["cpu"] * 17))
        self.assertEqual(code, 78)
        self.assertIn("more than 16", err)


class Deaths(Several, unittest.TestCase):
    def test_one_that_is_killed_again_and_again_stops_no_other_and_loses_nothing(self):
        self.start(settings=THREE)
        watch = Watch(self)
        watch.start()
        self.load(clients=6)
        for n in range(1, 7):
            self.kill_executor(n % 2)
            wait_for(lambda n=n: self.count("taskgate_executor_restarts_total") == n, 60, "a new one")
        total = self.join_load()
        watch.end()
        self.assertLessEqual(set(total), {200, 502}, total)  # 502: it was in two deaths
        self.assertGreater(total[200], 0)
        self.assertEqual(self.count("taskgate_executor_deaths_total"), 6)
        self.assertEqual([self.of_device("deaths_total", d) for d in range(3)], [3, 3, 0])
        self.assert_reconciled()
        self.assertRegex(self.g.log(), "device_restarting: fault0: ")
        self.g.stop()

    def test_while_one_hangs_the_others_serve(self):
        self.start("--executor.hang_ms=3000", settings="cpu|cpu;stuck=20")
        watch = Watch(self)
        self.load(clients=4, tasks=100)
        watch.start()
        self.assertEqual(self.join_load(), {200: 400})
        watch.end()
        self.assertGreater(self.rows(0), self.rows(1))
        self.assert_reconciled()
        self.g.stop()

    def test_long_tasks_of_the_one_that_dies_are_run_again(self):
        self.start(settings=TWO)
        clients = [self.g.client() for _ in range(4)]
        for c in clients:
            c.send(noop(2000, timeout_ms=60000))
        self.g.wait_active(4)
        wait_for(lambda: self.count("taskgate_batches_inflight") == 4, 60, "four batches")
        there = [self.of_device("batches_inflight", d) for d in range(2)]
        self.assertTrue(all(there), "both have some: %s" % there)
        self.kill_executor(0)
        self.assertEqual([c.read().status for c in clients], [200] * 4)
        self.assertEqual(self.count("taskgate_rows_requeued_total"), there[0])
        self.assert_reconciled()
        self.g.stop()


class Withdrawal(Several, unittest.TestCase):
    LONG = "--executor.retry_ms=600000"

    def test_the_others_go_on_serving_and_the_offer_shrinks(self):
        self.start(self.LONG, "--admission.max_concurrent=90", settings=THREE, deaths_max=1)
        self.assertEqual(self.g.health()["effective_max_concurrent"], 90)
        watch = Watch(self)
        watch.start()
        self.withdraw(1)
        wait_for(lambda: self.g.health()["effective_max_concurrent"] == 60, 60, "the offer to shrink")
        before = self.rows(1)
        self.load(clients=4, tasks=100)
        self.assertEqual(self.join_load(), {200: 400})
        watch.end()
        self.assertEqual(self.rows(1), before)
        values = self.metrics()
        self.assertEqual(values[("taskgate_ready", ())], 1)
        self.assertEqual(values[("taskgate_not_ready_reason", (("reason", "device_withdrawn"),))], 0)
        self.assertEqual(values[("taskgate_device_reason", (("device", "fault1"), ("reason", "device_withdrawn")))], 1)
        self.assertEqual(values[("taskgate_device_reason", (("device", "fault0"), ("reason", "device_withdrawn")))], 0)
        self.assertEqual([self.of_device("up", d) for d in range(3)], [1, 0, 1])
        self.assertTrue(self.g.health()["available"])
        self.assertIn("device_withdrawn: fault1: ", self.g.log())
        self.assert_reconciled()
        self.g.stop()

    def test_what_waits_for_one_that_goes_is_run_by_another(self):
        self.start(self.LONG, "--executor.hang_ms=600000", "--runner.echo.max_batch=1", "--runner.echo.streams=1",
                   settings="cpu;hang=1|cpu", deaths_max=1)
        clients = [self.g.client() for _ in range(40)]
        for n, c in enumerate(clients):
            c.send(post_task(ECHO, n, constraints={"timeout_ms": 60000}))
        wait_for(lambda: self.of_device("batches_inflight", 0) == 1, 60, "one that hangs")
        wait_for(lambda: self.count("taskgate_tasks_accepted_total") == 40, 60, "all to be there")
        wait_for(lambda: self.of_device("batches_inflight", 1) == 0, 60, "the other to have nothing to do")
        waiting = 40 - 1 - self.rows(1)
        self.withdraw(0)
        answers = [c.read() for c in clients]
        statuses = [a.status for a in answers]
        self.assertEqual(sorted(statuses), [200] * 39 + [503], "the one that was on the device")
        self.assertTrue(all(a.json()["result"] == n for n, a in enumerate(answers) if a.status == 200))
        self.assertEqual(self.count("taskgate_tasks_moved_total"), waiting)
        self.assert_reconciled()
        self.g.stop()

    def test_with_the_last_one_tasks_are_refused(self):
        self.start(self.LONG, settings=TWO, deaths_max=1)
        self.withdraw(0)
        self.assert_served()
        self.withdraw(1)
        wait_for(lambda: self.readiness() == ["device_withdrawn"], 60, "readiness to go")
        answer = self.g.task(ECHO, 1)
        self.assertEqual((answer.status, answer.json()["code"]), (503, "device_unavailable"), answer)
        self.assertEqual(set(self.degraded()), {"fault0", "fault1"})
        self.assertFalse(self.g.health()["available"])
        self.assert_reconciled()
        self.g.stop()

    def test_one_that_comes_back_is_used_again(self):
        self.start("--executor.retry_ms=1500", "--admission.max_concurrent=100", settings=TWO, deaths_max=1)
        self.withdraw(0)
        wait_for(lambda: self.degraded() == {}, 60, "it to come back")
        wait_for(lambda: self.g.health()["effective_max_concurrent"] == 100, 60, "the whole offer")
        before = self.rows(0)
        self.load(clients=8, tasks=50)
        self.assertEqual(self.join_load(), {200: 400})
        self.assertGreater(self.rows(0), before)
        self.g.stop()

    def test_a_runner_on_the_cpu_is_served_when_no_device_is_left(self):
        self.start(self.LONG, "--runner.noop.device=cpu", settings=TWO, deaths_max=1)
        self.withdraw(0)
        self.withdraw(1)
        wait_for(lambda: self.readiness() == ["device_withdrawn"], 60, "readiness to go")
        self.assertEqual(self.g.task(ECHO, 1).status, 503)
        self.assertEqual(self.g.task(NOOP, {}).status, 200)
        self.assertIn("runner.echo: no device is left: its tasks are refused", self.g.log())
        self.assertNotIn("runner.noop: no device", self.g.log())
        self.assert_reconciled()
        self.g.stop()

    def test_giving_up_waits_for_the_last_one(self):
        self.start("--executor.when_withdrawn=exit", self.LONG, settings=TWO, deaths_max=1)
        self.withdraw(0)
        self.assert_served()
        self.kill_executor(1)
        self.assertEqual(self.g.wait(), 4)

    def test_one_that_cannot_be_opened_at_the_start_is_named_and_the_other_serves(self):
        self.start(self.LONG, settings="cpu;open_fail|cpu")
        self.assert_served()
        self.assertEqual(self.readiness(), [])
        self.assertEqual(set(self.degraded()), {"fault0"})
        self.assertRegex(self.g.log(), "device fault0 cannot be opened: .*open_fail is set")
        self.g.stop()

    def test_none_that_can_be_opened_ends_the_start(self):
        self.start(settings="cpu;open_fail|cpu;open_fail", ready=False)
        self.assertEqual(self.g.wait(), 1)
        self.assertRegex(self.g.log(), "device fault1 cannot be opened: ")


class Family(Several, unittest.TestCase):
    def test_a_keeper_that_is_killed_takes_its_device_alone(self):
        self.start(settings=TWO)
        os.kill(self.keeper(0), signal.SIGKILL)
        self.g.wait_log("keeper_lost: fault0: .*; nothing is sent there")
        self.assertEqual(self.degraded(), {"fault0": ["keeper_lost"]})
        self.assertEqual(self.readiness(), [])
        self.load(clients=4, tasks=50)
        self.assertEqual(self.join_load(), {200: 200})
        self.g.stop()

    def test_what_waits_for_one_whose_keeper_is_killed_is_run_by_another(self):
        self.start("--executor.hang_ms=600000", "--runner.echo.max_batch=1", "--runner.echo.streams=1",
                   settings="cpu;hang=1|cpu")
        clients = [self.g.client() for _ in range(20)]
        for n, c in enumerate(clients):
            c.send(post_task(ECHO, n, constraints={"timeout_ms": 60000}))
        wait_for(lambda: self.of_device("batches_inflight", 0) == 1, 60, "one that hangs")
        wait_for(lambda: self.count("taskgate_tasks_accepted_total") == 20, 60, "all to be there")
        os.kill(self.keeper(0), signal.SIGKILL)
        self.assertEqual(sorted(c.read().status for c in clients), [200] * 19 + [503], "the one that was on the device")
        self.assert_reconciled()
        self.g.stop()


if __name__ == "__main__":
    harness.main(at_once=2)
