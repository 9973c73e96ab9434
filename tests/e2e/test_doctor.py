#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`taskgate doctor`: a node, its directory, and the host with its GPU, for which drivers and machines are played."""
import json
import os
import socket
import subprocess
import sys

import harness
from devnet import Devnet
from folder import InFolder
from gateway import Gateway, free_port, run_once, wait_for

LEVELS = ("ok", "warn", "fail")
FAKE_CUDA = os.environ.get("FAKE_CUDA_LIBRARY", "")  # plays the driver's library
FAKE_NVML = os.environ.get("FAKE_NVML_LIBRARY", "")
MACHINE_PY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "machine.py")


class Asked(InFolder):
    def doctor(self, *flags, env=None):
        code, out, err = self.run_in("doctor", "--json", *flags, env=env)
        report = json.loads(out)
        for check in report["checks"]:
            self.assertIn(check["level"], LEVELS)
            self.assertTrue(check["what"], check)
            self.assertTrue(check["level"] == "ok" or check["todo"], check)
        return code, report, {c["check"]: c for c in report["checks"]}


class Doctor(Asked):
    def readiness(self):
        try:
            with open(os.path.join(self.state, "run", "default", "health-v1.json"), encoding="utf-8") as f:
                return json.load(f)["readiness"]
        except FileNotFoundError:
            return None

    def test_before_the_first_start_nothing_fails(self):
        code, report, by = self.doctor("--server.listen=127.0.0.1:%d" % free_port())
        self.assertEqual((code, report["status"]), (0, "local_unhealthy"))
        self.assertEqual((by["ports"]["level"], by["health"]["level"]), ("ok", "warn"))

    def test_for_people_there_is_a_line_for_each(self):
        code, out, _err = self.run_in("doctor", "--server.listen=127.0.0.1:%d" % free_port())
        self.assertEqual(code, 0)
        self.assertRegex(out, r"(?m)^ok    certificate  ")
        self.assertTrue(out.endswith("status: local_unhealthy\n"), out)

    def test_a_port_that_is_taken_by_something_else(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen(8)
            code, _report, by = self.doctor("--server.listen=127.0.0.1:%d" % s.getsockname()[1], "--directory.timeout_ms=500")
        self.assertEqual((code, by["ports"]["level"]), (1, "fail"))

    def test_credentials_that_others_can_read_fail(self):
        os.makedirs(os.path.join(self.state, "nodes"))
        path = os.path.join(self.state, "nodes", "default.json")
        with open(path, "w", encoding="utf-8") as f:
            f.write("{}")
        os.chmod(path, 0o644)
        code, _report, by = self.doctor("--server.listen=127.0.0.1:%d" % free_port())
        self.assertEqual((code, by["credentials"]["level"]), (1, "fail"))

    def test_a_configuration_with_errors_is_78(self):
        code, out, err = self.run_in("doctor", "--server.workers=many")
        self.assertEqual((code, out), (78, ""))
        self.assertIn("server.workers", err)

    def test_a_directory_that_is_not_there(self):
        code, report, by = self.doctor("--server.listen=127.0.0.1:%d" % free_port(),
                                       "--directory.url=http://127.0.0.1:%d" % free_port())
        self.assertEqual((code, by["directory"]["level"]), (1, "fail"))
        self.assertIn("not reached", by["directory"]["what"])

    def test_a_registered_node_and_a_route_that_is_not_its_own(self):
        with Devnet("--heartbeat-ms=3600000") as d:  # a beat would bring the node back when the directory has forgotten it
            port = free_port()
            flags = ("--server.listen=127.0.0.1:%d" % port, "--directory.url=" + d.url, "--directory.allow_private=true",
                     "--directory.heartbeat_ms=3600000", "--directory.timeout_ms=60000")
            here = "--directory.public_endpoint=http://127.0.0.1:%d" % port
            with Gateway("--server.workers=1", *flags, here, "--node.id=n1", env={"IICP_HOME": self.state}) as g:
                wait_for(lambda: "n1" in d.found(), 30, "n1 to be registered")
                # The file that was written before the directory knew the node says so, until it is written again.
                wait_for(lambda: self.readiness() == "ready", 30, "a health file that is content")
                code, report, by = self.doctor(*flags, here, "--node.id=n1")
                self.assertEqual((code, report["status"]), (0, "limited_reach"), report)
                self.assertEqual([by[c]["level"] for c in ("health", "health-file", "directory", "clock", "registered")], ["ok"] * 5)
                code, report, by = self.doctor(*flags, "--directory.public_endpoint=http://127.0.0.1:9", "--node.id=n1")
                self.assertEqual((code, report["status"], by["registered"]["level"]), (1, "route_mismatch", "fail"))
                d.fault(forget_nodes=True)
                code, report, by = self.doctor(*flags, here, "--node.id=n1")
                self.assertEqual((code, report["status"]), (1, "directory_absent"))
                g.stop()


class Gpu(Asked):
    """With a driver's library that says what the test wants."""
    def look(self, *flags, version=13000, answer=100, env=None):
        """Level and words of the two checks."""
        played = {"LD_LIBRARY_PATH": os.path.dirname(FAKE_CUDA), "FAKE_CUDA_VERSION": str(version), "FAKE_CUDA_ANSWER": str(answer)}
        code, report, by = self.doctor("--server.listen=127.0.0.1:%d" % free_port(), *flags, env={**played, **(env or {})})
        if "without CUDA" in by["toolkit"]["what"]:
            self.skipTest("built without CUDA")
        return code, report["status"], by["gpu"], by["toolkit"]

    def test_each_reason_warns_where_a_gpu_is_welcome_and_fails_where_one_is_required(self):
        for played, what, todo in (({"version": 12040}, "too old for this build: it speaks CUDA 12.4", "update"),
                                   ({"answer": 100}, "no device", "nvidia-smi -L"),
                                   ({"answer": 46}, "does not answer: cudaErrorDevicesUnavailable", "Xid"),
                                   ({"answer": "die"}, "the driver died", "Xid")):
            with self.subTest(what=what):
                code, _status, gpu, _toolkit = self.look("--telemetry.nvml=", **played)
                self.assertEqual((code, gpu["level"]), (0, "warn"), gpu)
                self.assertIn(what, gpu["what"])
                self.assertIn(todo, gpu["todo"])
                code, status, gpu, _toolkit = self.look("--executor.device=cuda", **played)
                self.assertEqual((code, status, gpu["level"]), (1, "local_unhealthy", "fail"), gpu)
                self.assertIn(what, gpu["what"])

    def test_without_a_driver_only_who_insists_fails(self):
        machine = json.loads(run_once("topo", "--json")[1])["machine"]
        _code, _status, gpu, toolkit = self.look(version=0)
        self.assertEqual(gpu["level"], "warn" if any(d["kind"] == "gpu" for d in machine["devices"]) else "ok", gpu)
        self.assertIn("no NVIDIA driver", gpu["what"])
        self.assertEqual(toolkit["level"], "ok")
        _code, _status, gpu, _toolkit = self.look("--executor.device=cuda", version=0)
        self.assertEqual((gpu["level"], gpu["what"]), ("fail", 'executor.device = "cuda", but: no NVIDIA driver is installed'))
        _code, _status, gpu, _toolkit = self.look("--runner.e.type=echo", "--runner.e.device=cuda", version=0)
        self.assertEqual((gpu["level"], gpu["what"]), ("fail", 'runner.e.device = "cuda", but: no NVIDIA driver is installed'))

    def test_a_driver_that_nobody_wants_is_not_asked(self):
        for device in ("cpu", "null"):
            _code, _status, gpu, _toolkit = self.look("--executor.device=" + device, answer="die")
            self.assertEqual((gpu["level"], gpu["todo"]), ("ok", ""))
            self.assertIn("not wanted", gpu["what"])
        _code, _status, gpu, _toolkit = self.look("--executor.device=cpu", "--runner.e.type=echo", "--runner.e.device=cuda")
        self.assertEqual(gpu["level"], "fail")
        self.assertIn("executor.device leaves no GPU to it", gpu["what"])

    def test_versions_and_libraries(self):
        _code, _status, _gpu, toolkit = self.look("--telemetry.nvml=" + FAKE_NVML, version=13020)
        self.assertEqual(toolkit["level"], "ok")
        self.assertRegex(toolkit["what"], r"built with CUDA 13\.\d+, the driver speaks 13\.2; nvrtc: \S+; nvml: " + FAKE_NVML)
        _code, _status, _gpu, toolkit = self.look("--telemetry.nvml=libnvidia-ml-nowhere.so.1")
        self.assertEqual(toolkit["level"], "warn")
        self.assertIn("libnvidia-ml-nowhere.so.1 cannot be loaded", toolkit["what"])
        _code, _status, _gpu, toolkit = self.look("--telemetry.nvml=", version=12040)
        self.assertEqual(toolkit["level"], "warn")
        self.assertIn("the driver speaks 12.4", toolkit["what"])


class Host(Asked):
    """On a machine of two packages with four GPUs and a card each, which is not there."""
    def look(self, check, *flags):
        path = os.path.join(self.folder, "host.xml")
        with open(path, "w", encoding="utf-8") as f:
            subprocess.run([sys.executable, MACHINE_PY, "--packages=2", "--cores=64", "--smt=2", "--gpus=4", "--nics=1"],
                           stdout=f, check=True)
        env = {"HWLOC_XMLFILE": path}
        machine = json.loads(run_once("topo", "--json", env=env)[1])["machine"]
        if machine["cores"] != 128 or machine["quota_cpus"]:
            self.skipTest("the machine cannot be played here")
        by = self.doctor("--server.listen=127.0.0.1:%d" % free_port(), *flags, env=env)[2]
        if check != "placement" and "without CUDA" in by["toolkit"]["what"]:
            self.skipTest("nothing is pinned: built without CUDA")
        return by[check]

    def test_a_plan_with_everybody_near_is_told_in_short(self):
        found = self.look("placement", "--server.workers=4", "--executor.mode=thread")
        self.assertEqual((found["level"], found["todo"]), ("ok", ""), found)
        self.assertRegex(found["what"], r"^4 workers, 9 executors, 8 by their GPUs, 128 cores on 2 nodes; pinned: ")

    def test_an_executor_far_from_its_gpu(self):
        found = self.look("placement", "--server.workers=1", "--executor.mode=thread",
                          "--topology.executor_cpus=1,100,2,3,4,65,66,67,68")  # the cpu's executor comes first
        self.assertEqual(found["level"], "warn")
        self.assertIn("executor 1 on cpu 100 and its rows are on node 1, its GPU 0000:01:00.0 is on node 0", found["what"])
        self.assertIn("topology.executor_cpus", found["todo"])

    def test_threads_that_share_a_core(self):
        found = self.look("placement", "--topology.worker_cpus=3,131", "--executor.mode=inline")
        self.assertEqual(found["level"], "warn")
        self.assertIn("worker 0 on cpu 3 and worker 1 on cpu 131 share a core", found["what"])

    def test_memory_to_be_pinned_for_a_gpu_that_is_required(self):
        flags = ("--executor.device=cuda", "--executor.gpu=device=0,pin_mib=256")
        limit = self.look("memlock", *flags)
        self.assertIn("256 MiB of lanes", limit["what"])
        self.assertIn("256 MiB of lanes are pinned in pages of 4 KiB", self.look("huge-pages", *flags)["what"])
        self.assertNotIn("lanes", self.look("memlock", "--executor.device=cpu")["what"])

    def test_a_plan_that_cannot_be_made(self):
        found = self.look("placement", "--topology.worker_cpus=1023")
        self.assertEqual(found["level"], "fail")
        self.assertIn("taskgate topo", found["todo"])

    def test_more_threads_than_cores(self):
        found = self.look("placement", "--executor.mode=thread", "--server.workers=64", "--topology.mode=off")
        self.assertEqual(found["level"], "warn", "two nodes, and nobody is pinned")
        self.assertIn("topology.mode is off", found["what"])
        code, out, _err = run_once("doctor", "--json", "--executor.mode=thread", "--server.workers=64",
                                   "--server.listen=127.0.0.1:%d" % free_port(), env={"HWLOC_SYNTHETIC": "package:1 core:8 pu:2"})
        by = {c["check"]: c for c in json.loads(out)["checks"]}
        self.assertEqual((code, by["placement"]["level"]), (0, "warn"))
        self.assertRegex(by["placement"]["what"], r"65 (workers and executors for 8 cores|threads)|quota")


if __name__ == "__main__":
    harness.main()
