# SPDX-License-Identifier: Apache-2.0
"""With a GPU or without: somebody serves, and the log says who and why. Both kinds of machine run all of this."""
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest

import harness
from client import ECHO, get
from exposition import Exposition
from faulty import children_of
from gateway import Gateway, run_once, wait_for

FAKE_CUDA = os.environ.get("FAKE_CUDA_LIBRARY", "")  # plays the driver's library
MACHINE_PY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "machine.py")

REASONS = r"(no NVIDIA driver|driver is too old|but no device|does not answer|built without CUDA)"


class Auto(unittest.TestCase):
    def test_somebody_serves_and_the_log_says_who(self):
        with Gateway() as g:
            self.assertEqual(g.task(ECHO, {"a": [1, 2]}).json()["result"], {"a": [1, 2]})
            self.assertRegex(g.log(), "no GPU: .*" + REASONS + "|device cuda:")

    def test_the_cpu_by_name_looks_for_no_gpu(self):
        with Gateway("--executor.device=cpu") as g:
            self.assertEqual(g.task(ECHO, 7).json()["result"], 7)
            self.assertNotIn("no GPU", g.log())
            self.assertRegex(g.log(), "device cpu")

    def test_one_runner_on_the_cpu_beside_whatever_serves_the_others(self):
        with Gateway("--runner.echo.device=cpu") as g:
            self.assertEqual(g.task(ECHO, [None]).json()["result"], [None])


class Missing(unittest.TestCase):
    """A driver that says what the test wants, or none and a GPU on the bus: the cpu serves, and why is told everywhere."""
    def reason(self, version=13000, answer=100, env=None):
        played = {"LD_LIBRARY_PATH": os.path.dirname(FAKE_CUDA), "FAKE_CUDA_VERSION": str(version), "FAKE_CUDA_ANSWER": str(answer)}
        with Gateway("--topology.mode=off", "--server.workers=1", "--telemetry.nvml=", env={**played, **(env or {})}) as g:
            if "without CUDA" in g.log():
                self.skipTest("built without CUDA")
            self.assertEqual(g.task(ECHO, 1).status, 200)
            answer = g.ask(get("/readyz")).json()
            self.assertEqual((answer["ready"], answer["reasons"]), (True, []))
            degraded = answer.get("degraded", [])
            page = Exposition(g.ask(get("/metrics")).body.decode())
            told = [dict(labels)["reason"] for (name, labels), n in page.values.items() if name == "taskgate_device_reason" and n]
            self.assertEqual([d["device"] for d in degraded], ["cuda"] * len(told))
            self.assertEqual([r for d in degraded for r in d["reasons"]], told)
            return told, g.log()

    def test_each_reason_is_told_apart(self):
        for played, word, said in (({"version": 12040}, "driver_too_old", "too old for this build"),
                                   ({"answer": 100}, "no_device", "no device"),
                                   ({"answer": 46}, "device_lost", "does not answer"),
                                   ({"answer": "die"}, "device_lost", "the driver died")):
            with self.subTest(word=word):
                told, log = self.reason(**played)
                self.assertEqual(told, [word])
                self.assertRegex(log, "no GPU: .*" + said)

    def test_a_start_that_waits_for_a_driver_that_hangs_can_be_ended(self):
        g = Gateway(env={"LD_LIBRARY_PATH": os.path.dirname(FAKE_CUDA), "FAKE_CUDA_ANSWER": "hang"}, ready=False)
        wait_for(lambda: g.log() or children_of(g.process.pid, "taskgate"), 60, "the process that asks it")
        g.signal(signal.SIGTERM)
        self.assertEqual(g.wait(), 0)
        if "without CUDA" not in g.log():
            self.assertIn("the driver has not answered yet, and the gateway is to end", g.log())

    def test_no_driver_is_a_reason_where_there_is_a_gpu(self):
        with tempfile.NamedTemporaryFile("wb", suffix=".xml") as f:
            f.write(subprocess.run([sys.executable, MACHINE_PY, "--cores=8", "--gpus=1"], capture_output=True, check=True).stdout)
            f.flush()
            self.assertEqual(self.reason(version=0, env={"HWLOC_XMLFILE": f.name})[0], ["no_driver"])
            f.seek(0)
            f.truncate()
            f.write(subprocess.run([sys.executable, MACHINE_PY, "--cores=8"], capture_output=True, check=True).stdout)
            f.flush()
            told, log = self.reason(version=0, env={"HWLOC_XMLFILE": f.name})
            self.assertEqual(told, [], "nobody misses one")
            self.assertIn("no GPU: no NVIDIA driver is installed", log)


class Insisting(unittest.TestCase):
    def insist(self, *flags):
        """The log of a gateway that serves, or None if this machine has a GPU."""
        g = Gateway(*flags, ready=False)
        code = g.wait()
        log = g.log()
        g.stop(expected=code)
        return code, log

    def setUp(self):
        with Gateway() as g:
            if not re.search("no GPU", g.log()):
                self.skipTest("this machine has a GPU")
            self.with_cuda = "built without CUDA" not in g.log()

    def test_a_gpu_by_name_does_not_start_without_one(self):
        code, log = self.insist("--executor.device=cuda")
        self.assertEqual(code, 1)
        self.assertRegex(log, 'executor.device = "cuda": .*' + REASONS)

    def test_a_runner_that_insists_does_not_start_without_one(self):
        code, log = self.insist("--runner.echo.device=cuda")
        self.assertEqual(code, 1 if self.with_cuda else 78)
        self.assertRegex(log, 'runner.echo.device = "cuda": .*' + (REASONS if self.with_cuda else "has no part for a GPU"))

    def test_a_runner_that_cannot_is_named(self):
        code, log = self.insist("--runner.noop.type=noop", "--runner.noop.device=cuda")
        self.assertEqual(code, 78)
        self.assertIn("has no part for a GPU", log)

    def test_contradicting_settings_are_named(self):
        code, log = self.insist("--executor.device=cpu", "--runner.echo.device=cuda")
        self.assertEqual(code, 78)
        self.assertIn("leaves no GPU", log)


class Checked(unittest.TestCase):
    """What is wrong on any machine is found without a GPU, by --check-config too."""
    def test_mistakes_about_devices(self):
        for flags, said in (
                (["--executor.gpu=device=1|device=1"], "executor.gpu: 1 is named twice"),
                (["--executor.gpu=device="], 'executor.gpu: "device=" is too long, or names no device'),
                (["--runner.noop.type=noop", "--runner.noop.device=cuda"], "has no part for a GPU"),
                (["--executor.device=cpu", "--runner.echo.device=cuda"], "leaves no GPU"),
                (["--executor.mode=inline", "--executor.device=null", "--executor.device_settings=service_us=1|service_us=2"],
                 "need threads or processes of their own")):
            for how in (["serve", "--check-config"], ["serve", "--server.listen=127.0.0.1:0"], ["topo"]):
                code, _, err = run_once(*how, *flags)
                self.assertEqual(code, 78, (how, flags, err))
                self.assertIn(said, err)


if __name__ == "__main__":
    harness.main()
