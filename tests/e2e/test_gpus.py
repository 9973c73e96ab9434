# SPDX-License-Identifier: Apache-2.0
"""Several GPUs, emulated ones: which are taken, that all of them work, and what happens when they go."""
import json
import os
import unittest

import harness
from client import ECHO, NOOP, get
from faulty import Faulty
from gateway import Gateway, run_once, wait_for
from test_telemetry import FAKE_NVML, Script

EMULATED = os.environ["TASKGATE_EMULATED"]
QUICK = "direct_kib=16,graphs=0,buffer_kib=64,pin_mib=64"  # an emulated device takes its time over everything else
CONFIG = """
[runner.echo]
type = "echo"
max_batch = 16

[runner.noop]
type = "noop"
"""


def uuid(n):
    return "GPU-00000000-0000-0000-0000-%012x" % n


class Emulated(Faulty):
    kind = "cuda"

    def start(self, *flags, gpu="device=all", count=3, deaths_max=1, env=None, **options):
        lines = "|".join("%s,%s" % (line, QUICK) for line in gpu.split("|"))
        self.g = Gateway("--server.workers=2", "--executor.gpu=" + lines, "--executor.deaths_max=%d" % deaths_max,
                         "--executor.retry_ms=600000", *flags, config=CONFIG, command=(EMULATED,),
                         env={"EMULATED_DEVICES": str(count), **(env or {})}, **options)

    def uuids(self):
        return [dict(labels)["gpu"] for name, labels in sorted(self.metrics()) if name == "taskgate_device_info"]

    def share(self, clients=6, tasks=60):
        self.load(clients, tasks)
        self.assertEqual(self.join_load(), {200: clients * tasks})

    def lose(self, device):
        self.kill_executor(device)
        wait_for(lambda: not self.up(device), 60, "the withdrawal")


class Choice(Emulated, unittest.TestCase):
    def test_all_that_are_there_are_taken_and_work(self):
        self.start()
        self.assertEqual(self.uuids(), [uuid(n) for n in range(3)])
        self.share()
        rows = [self.of_device("rows_total", n) for n in range(3)]
        self.assertTrue(all(rows), rows)
        self.assertEqual(self.g.task(NOOP, {}).status, 200)  # by the cpu, beside them
        self.assert_reconciled()
        self.g.stop()

    def test_those_that_are_named_by_uuid_or_index_and_no_other(self):
        self.start(gpu="device=%s|device=0" % uuid(2))
        self.assertEqual(self.uuids(), [uuid(2), uuid(0)])
        self.share()
        self.g.stop()

    def test_what_the_environment_hides_is_not_there(self):
        self.start(env={"CUDA_VISIBLE_DEVICES": "2,1"})
        self.assertEqual(self.uuids(), [uuid(2), uuid(1)])
        self.g.stop()

    def test_one_that_the_environment_hides_is_taken_if_it_is_named(self):
        self.start(gpu="device=0|device=" + uuid(2), env={"CUDA_VISIBLE_DEVICES": "0"})
        self.assertEqual(self.uuids(), [uuid(0), uuid(2)])
        self.assertNotIn("no GPU is", self.g.log())  # as parts of GPUs (MIG) are, of which a process sees one
        self.share()
        self.g.stop()

    def test_one_that_is_not_there_is_named_and_the_others_serve(self):
        self.start(gpu="device=1|device=GPU-00000000-0000-0000-0000-000000000077")
        self.share()
        self.assertFalse(self.up(1))
        self.assertEqual(self.readiness(), [])
        degraded = self.g.ask(get("/readyz", "Connection: close")).json()["degraded"]
        self.assertEqual(degraded, [{"device": "cuda1", "reasons": ["device_withdrawn", "no_device"]}])
        self.assertRegex(self.g.log(), "device cuda1: no GPU is .*77")
        self.assertRegex(self.g.log(), "device cuda1 cannot be opened: ")
        self.g.stop()

    def test_one_named_twice_is_an_error(self):
        self.start(gpu="device=1|device=" + uuid(1), ready=False)
        self.assertEqual(self.g.wait(), 78)
        self.assertIn("is named twice", self.g.log())

    def test_topo_shows_a_place_for_each(self):
        command = ("topo", "--json", "--executor.mode=process", "--executor.gpu=device=all," + QUICK)
        code, out, err = run_once(*command, env={"EMULATED_DEVICES": "3"}, program=EMULATED)
        self.assertEqual(code, 0, err)
        self.assertEqual(len(json.loads(out)["plan"]["executors"]), 4)  # and the cpu's


class Loss(Emulated, unittest.TestCase):
    def test_the_cpu_stands_in_for_the_last_one_and_says_so(self):
        self.start(count=2)
        self.lose(0)
        self.assert_served()
        self.assertEqual(self.count("taskgate_tasks_fallback_total"), 0)
        self.lose(1)
        wait_for(lambda: self.readiness() == [], 60, "readiness")
        self.share()
        self.assertEqual(self.count("taskgate_tasks_fallback_total"), 360)
        self.assertIn("the cpu stands in", self.g.log())
        self.assert_reconciled()
        self.g.stop()

    def test_a_gateway_that_insists_on_gpus_refuses_instead(self):
        self.start("--executor.device=cuda", count=2)
        self.lose(0)
        self.lose(1)
        wait_for(lambda: self.readiness() == ["device_withdrawn"], 60, "readiness to go")
        self.assertEqual(self.g.task(ECHO, 1).status, 503)
        self.assertEqual(self.g.task(NOOP, {}).status, 200)
        self.assertEqual(self.count("taskgate_tasks_fallback_total"), 0)
        self.g.stop()

    def test_one_that_is_killed_under_load_loses_nothing(self):
        self.start(deaths_max=0)
        self.load(clients=4)
        for n in range(1, 4):
            self.kill_executor(n % 3)
            wait_for(lambda n=n: self.count("taskgate_executor_restarts_total") == n, 60, "a new one")
        total = self.join_load()
        self.assertLessEqual(set(total), {200, 502}, total)
        self.assert_reconciled()
        self.g.stop()


class Energy(Emulated, unittest.TestCase):
    def test_each_gpus_energy_goes_to_the_tasks_that_ran_on_it(self):
        script = Script({"gpus": 2, "uuid.0": 0, "uuid.1": 1, "energy.0": 1000000, "energy.1": 1000000})
        self.start("--telemetry.nvml=" + FAKE_NVML, "--telemetry.interval_ms=50", count=2, env={"FAKE_NVML": script.path})
        joules = ("taskgate_gpu_energy_joules_total", (("intent", ECHO),))
        wait_for(lambda: joules in self.metrics(), 60, "the first sample")
        wait_for(lambda: self.g.task(ECHO, 1) and self.of_device("rows_total", 0) and self.of_device("rows_total", 1), 60, "rows")
        for gpu in ("energy.0", "energy.1"):  # either alone is charged: both have been busy
            before = self.metrics()[joules]
            energy = 1000000

            def more():
                nonlocal energy
                energy += 100000000
                script.say({gpu: energy})
                return self.g.task(ECHO, [0] * 1000) and self.metrics()[joules] > before
            wait_for(more, 60, "joules of " + gpu)
        self.g.stop()


if __name__ == "__main__":
    harness.main(at_once=2)
