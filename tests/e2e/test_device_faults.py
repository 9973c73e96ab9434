# SPDX-License-Identifier: Apache-2.0
"""A device whose process dies or hangs: what clients, balancers and operators see of it, and that nothing is lost."""
import os
import signal
import time
import unittest

import exposition
import harness
from client import ECHO, get, noop
from faulty import CONFIG, Faulty, children_of, parent_of
from gateway import Gateway, wait_for

HANG = "--executor.hang_ms=2500"  # no batch takes that long because the machine has other work
POISON_BYTES = 77
POISON = "p" * (POISON_BYTES - 2)  # as JSON text, with its quotes


class Deaths(Faulty, unittest.TestCase):
    def test_a_killed_executor_is_replaced_and_every_task_is_answered(self):
        self.start()
        self.load()
        killed = set()
        for _ in range(10):
            killed.add(self.kill_executor())
            wait_for(lambda: self.count("taskgate_executor_restarts_total") == len(killed), 60, "a new one")
        total = self.join_load()
        # What was on the device in two deaths is refused; whatever else was there is run again.
        self.assertLessEqual(set(total), {200, 502}, total)
        self.assertGreater(total[200], 0)
        self.assertEqual(self.count("taskgate_executor_deaths_total"), 10)
        self.assert_reconciled()
        self.assert_served()
        self.g.stop()

    def die_of(self, settings, *flags, clients=4, tasks=100):
        """Each process dies of its own @settings under load, so there are several deaths; all tasks are answered."""
        self.start(*flags, settings="cpu;" + settings)
        self.load(clients, tasks)
        total = self.join_load()
        self.assertEqual(sum(total.values()), clients * tasks)
        self.assertLessEqual(set(total), {200, 502}, total)
        self.assertGreater(self.count("taskgate_executor_deaths_total"), 0)
        self.assert_reconciled()
        self.wait_ready()
        self.g.stop()
        return total

    def test_abort_in_a_submission(self):
        self.assertEqual(self.die_of("abort=20"), {200: 400})

    def test_segfault_in_a_submission(self):
        self.assertEqual(self.die_of("segfault=20"), {200: 400})

    def test_exit_in_a_submission(self):
        self.assertEqual(self.die_of("exit=20"), {200: 400})

    def test_abort_while_a_batch_ends(self):
        self.assertEqual(self.die_of("abort=20;at_end"), {200: 400})

    def test_a_sticky_error_takes_the_process_with_it(self):
        self.assertEqual(self.die_of("fail=20;fault=sticky"), {200: 400})
        self.assertIn("a sticky error while running echo", self.g.log())
        self.assertNotIn("lost", self.g.log())

    def test_a_lost_device_takes_the_process_with_it(self):
        self.assertEqual(self.die_of("fail=20;fault=lost"), {200: 400})
        self.assertIn("the device is lost while running echo", self.g.log())

    def test_a_batch_that_never_ends_is_killed(self):
        self.assertEqual(self.die_of("hang=20", HANG, tasks=20), {200: 80})
        self.assertIn("a batch has been running", self.g.log())
        self.assertEqual(self.g.log().count("device_restarting"), self.g.log().count("a new executor process is up"))

    def test_a_submission_that_never_returns_is_killed(self):
        self.assertEqual(self.die_of("stuck=20", HANG, tasks=20), {200: 80})
        # Which of the two is seen first depends on whether another batch was on the device.
        self.assertRegex(self.g.log(), "it has given no sign of life|a batch has been running")

    def test_errors_that_leave_the_device_sound_cost_no_process(self):
        self.start(settings="cpu;fail=5;every;fault=retry")
        self.load(tasks=50)
        self.assertEqual(set(self.join_load()), {200})
        self.assertEqual(self.count("taskgate_executor_deaths_total"), 0)
        self.assertGreater(self.count("taskgate_device_faults_total"), 0)
        self.assert_reconciled()
        self.g.stop()

    def test_a_task_that_fails_by_its_own_doing_is_told_so(self):
        self.start(settings="cpu;fail=1;every;fault=task")
        answer = self.g.task(ECHO, 1)
        self.assertEqual((answer.status, answer.json()["code"]), (502, "backend_error"))
        self.assertEqual(self.count("taskgate_executor_deaths_total"), 0)
        self.assert_reconciled()
        self.g.stop()

    def test_one_that_dies_at_once_makes_no_storm(self):
        began = time.monotonic()
        self.start(settings="cpu;abort=1")
        self.load(tasks=3)
        self.assertEqual(sum(self.join_load().values()), 12)
        deaths = self.count("taskgate_executor_deaths_total")
        self.assertGreater(deaths, 3)
        self.assertLessEqual(deaths, (time.monotonic() - began) * 4 + 1, "a birth each 250 ms")
        self.assert_reconciled()
        self.g.stop()


class Poison(Faulty, unittest.TestCase):
    def test_a_task_that_kills_twice_is_refused_and_no_other(self):
        self.start(settings="cpu;poison_bytes=%d" % POISON_BYTES)
        self.load()
        answer = self.g.task(ECHO, POISON, constraints={"timeout_ms": 60000})
        self.assertEqual((answer.status, answer.json()["code"]), (502, "poison_task"), answer)
        self.assertIsNone(answer.header("retry-after"))
        self.assertEqual(set(self.join_load()), {200})  # those in its batch included
        self.assertEqual(self.count("taskgate_executor_deaths_total"), 2)
        self.assertEqual(self.count("taskgate_rows_poisoned_total"), 1)
        self.assert_reconciled()
        self.g.stop()

    def test_a_task_that_outlasts_its_deadline_in_a_death_is_timed_out(self):
        self.start()
        with self.g.client() as c:
            c.send(noop(60000, timeout_ms=3000))
            self.g.wait_active(1)
            self.kill_executor()
            answer = c.read()
        self.assertEqual((answer.status, answer.json()["code"]), (504, "task_timeout"))
        self.assert_reconciled()
        self.g.stop()

    def test_long_tasks_are_run_again_from_the_beginning(self):
        self.start()
        clients = [self.g.client() for _ in range(5)]
        for c in clients:
            c.send(noop(3000))
        self.g.wait_active(5)
        wait_for(lambda: self.count("taskgate_batches_inflight") == 5, 60, "five batches")
        self.kill_executor()
        self.assertEqual([c.read().status for c in clients], [200] * 5)
        self.assertEqual(self.count("taskgate_rows_requeued_total"), 5)
        self.assert_reconciled()
        self.g.stop()


class Withdrawal(Faulty, unittest.TestCase):
    def withdraw(self, deaths):
        for n in range(deaths):
            if n:
                wait_for(lambda n=n: self.count("taskgate_executor_restarts_total") >= n, 60, "a new one")
            self.kill_executor()
        wait_for(lambda: self.readiness() == ["device_withdrawn"], 60, "the withdrawal")

    def test_a_device_that_dies_too_often_is_withdrawn_and_tried_again(self):
        self.start("--executor.retry_ms=8000", deaths_max=3)
        self.withdraw(3)
        health = self.g.health()
        self.assertEqual((health["available"], health["status"]), (False, "degraded"))
        answer = self.g.task(ECHO, 1)
        self.assertEqual((answer.status, answer.json()["code"]), (503, "device_unavailable"), answer)
        self.assertGreater(int(answer.header("retry-after")), 0)
        values = self.metrics()
        self.assertEqual(values[("taskgate_ready", ())], 0)
        self.assertEqual(values[("taskgate_not_ready_reason", (("reason", "device_withdrawn"),))], 1)
        self.assertEqual(values[("taskgate_device_withdrawals_total", ())], 1)
        self.wait_ready()
        self.assert_served()
        self.assertTrue(self.g.health()["available"])
        self.withdraw(1)  # on trial, one death is enough
        self.assertEqual(self.count("taskgate_device_withdrawals_total"), 2)
        self.assert_reconciled()
        self.g.stop()

    def test_what_was_running_is_answered_at_once(self):
        self.start("--executor.retry_ms=600000", deaths_max=1)
        with self.g.client() as c:
            c.send(noop(60000))
            wait_for(lambda: self.count("taskgate_batches_inflight") == 1, 60, "a batch")
            self.kill_executor()
            answer = c.read()
        self.assertEqual((answer.status, answer.json()["code"]), (503, "device_unavailable"), answer)
        self.assert_reconciled()
        self.g.stop()

    def test_giving_up_ends_the_gateway_with_a_status_of_its_own(self):
        self.start("--executor.when_withdrawn=exit", deaths_max=1)
        self.kill_executor()
        self.assertEqual(self.g.wait(), 4)
        self.assertIn("device_withdrawn", self.g.log())

    def test_one_that_hangs_while_it_is_opened_is_killed_and_tried_again(self):
        self.start("--executor.start_ms=3000", "--executor.retry_ms=600000", deaths_max=1, settings="cpu;open_ms=600000|cpu")
        self.assertRegex(self.g.log(), r"device fault0 cannot be opened: it has been opening its device for \d+ ms: killed")
        wait_for(lambda: "device_withdrawn: fault0" in self.g.log(), 60, "the withdrawal")
        self.assert_served()
        self.g.stop()

    def test_a_start_that_waits_for_a_device_can_be_ended(self):
        self.start(settings="cpu;open_ms=600000", ready=False)
        wait_for(lambda: children_of(self.g.process.pid, "keeper") and self.executor(), 60, "a process that opens it")
        self.g.signal(signal.SIGTERM)
        self.assertEqual(self.g.wait(), 1)
        self.assertIn("not waited for, since the gateway is to end", self.g.log())

    def test_a_device_that_cannot_be_opened_at_all_ends_the_start(self):
        g = Gateway("--executor.mode=process", "--executor.device=fault",
                    "--executor.device_settings=cpu;open_fail", config=CONFIG, ready=False)
        self.g = g
        self.assertEqual(g.wait(), 1)
        self.assertIn("open_fail is set", g.log())


class Family(Faulty, unittest.TestCase):
    def test_without_its_keeper_the_gateway_says_so_and_refuses(self):
        self.start()
        executor = self.executor()
        os.kill(self.keeper(), signal.SIGKILL)
        wait_for(lambda: self.readiness() == ["keeper_lost"], 60, "the news")
        wait_for(lambda: parent_of(executor)[0] is None, 60, "the executor to go with its keeper")
        self.assertEqual(self.g.task(ECHO, 1).json()["code"], "device_unavailable")
        self.g.stop()

    def test_giving_up_counts_a_lost_keeper(self):
        self.start("--executor.when_withdrawn=exit")
        os.kill(self.keeper(), signal.SIGKILL)
        self.assertEqual(self.g.wait(), 4)
        self.assertIn("keeper_lost: fault0", self.g.log())

    def test_what_a_lost_keepers_executor_had_is_answered_at_once(self):
        self.start()
        with self.g.client() as c:
            c.send(noop(60000))
            wait_for(lambda: self.count("taskgate_batches_inflight") == 1, 60, "a batch")
            os.kill(self.keeper(), signal.SIGKILL)
            answer = c.read()
        self.assertEqual((answer.status, answer.json()["code"]), (503, "device_unavailable"), answer)
        self.assertEqual(self.count("taskgate_batches_inflight"), 0)
        self.assertEqual(self.count("taskgate_rows_failed_total"), 1)
        self.assert_reconciled()
        self.g.stop()

    def test_they_go_with_the_gateway(self):
        self.start()
        family = self.keeper(), self.executor()
        self.g.process.kill()
        for pid in family:
            wait_for(lambda pid=pid: parent_of(pid)[0] is None, 60, "process %d to end" % pid)

    def test_a_stop_while_the_executor_comes_up_again_is_clean(self):
        self.start()
        self.kill_executor()
        self.g.stop()

    def test_signals_to_the_whole_group_are_the_gateways_to_answer(self):
        self.start()
        keeper, executor = self.keeper(), self.executor()
        for pid in (keeper, executor):
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
        time.sleep(0.2)
        self.assertEqual((self.keeper(), self.executor()), (keeper, executor))
        self.assert_served()
        self.g.stop()


class Probes(unittest.TestCase):
    def test_balancers_are_told_and_the_metrics_agree(self):
        for mode in ("inline", "thread", "process"):
            with self.subTest(mode=mode), Gateway("--executor.mode=" + mode, "--executor.device=cpu", config=CONFIG) as g:
                self.assertEqual(g.ask(get("/healthz")).json(), {"status": "ok"})
                self.assertEqual(g.ask(get("/readyz")).json(), {"ready": True, "reasons": []})
                self.assertEqual(g.ask(get("/readyz", method="HEAD")).status, 200)
                page = exposition.Exposition(g.ask(get("/metrics")).body.decode())
                self.assertEqual(page.values[("taskgate_ready", ())], 1)
                reasons = [n for (name, _), n in page.values.items() if name == "taskgate_not_ready_reason"]
                self.assertTrue(reasons and not any(reasons), reasons)

    def test_a_gateway_that_drains_lives_and_is_not_ready(self):
        with Gateway("--shutdown.grace_ms=60000", config=CONFIG) as g:
            g.signal(signal.SIGTERM)
            wait_for(lambda: g.ask(get("/readyz")).status == 503, 60, "readiness to go")
            self.assertEqual(g.ask(get("/readyz")).json()["reasons"], ["draining"])
            self.assertEqual(g.ask(get("/healthz")).status, 200)
            g.stop(expected=3)  # a second signal cuts the grace short


if __name__ == "__main__":
    harness.main(at_once=2)
