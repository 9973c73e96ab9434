# SPDX-License-Identifier: Apache-2.0
"""`taskgate topo`, and that `serve` does what it shows."""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import harness
from client import ECHO
from faulty import children_of
from gateway import Gateway, run_once, wait_for

OK, USAGE, CONFIG = 0, 2, 78
MACHINE_PY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "machine.py")
SVG = "{http://www.w3.org/2000/svg}"


def topo(*args, **options):
    code, out, err = run_once("topo", *args, **options)
    assert code == OK, (code, out, err)
    return out


def cpus_of(text):
    """A list such as 0-3,8 as a set."""
    cpus = set()
    for item in filter(None, text.split(",")):
        first, _, last = item.partition("-")
        cpus |= set(range(int(first), int(last or first) + 1))
    return cpus


def threads_of(pid):
    """Name and allowed cpus of each thread."""
    threads = {}
    for tid in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/status" % (pid, tid), encoding="ascii") as f:
                status = f.read()
        except OSError:
            continue  # it has ended meanwhile
        allowed = re.search(r"^Cpus_allowed_list:\s+(\S+)", status, re.M).group(1)
        threads[re.search(r"^Name:\s+(\S+)", status, re.M).group(1)] = cpus_of(allowed)
    return threads


class Described(unittest.TestCase):
    """A machine of two packages with four GPUs and a card each."""
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="taskgate-topo-")
        cls.path = os.path.join(cls.folder.name, "host.xml")
        with open(cls.path, "w", encoding="utf-8") as f:
            subprocess.run([sys.executable, MACHINE_PY, "--packages=2", "--cores=64", "--smt=2", "--gpus=4", "--nics=1"],
                           stdout=f, check=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def plan(self, *flags):
        return json.loads(topo("--json", "--machine", self.path, *flags))

    def test_json_puts_executors_by_their_gpus_and_workers_by_their_cards(self):
        answer = self.plan("--server.listen=:9484")
        machine, plan = answer["machine"], answer["plan"]
        node_of = {c["cpu"]: c["node"] for c in machine["cpus"]}
        core_of = {c["cpu"]: c["core"] for c in machine["cpus"]}
        device = {d["bus"]: d for d in machine["devices"]}
        self.assertTrue(plan["pinned"])
        self.assertEqual((len(plan["executors"]), len(machine["cpus"]), machine["cores"]), (9, 256, 128))
        self.assertIsNone(plan["executors"][0]["device"], "the cpu's own comes first")
        seats = plan["executors"][1:] + plan["workers"]
        for seat in seats:
            self.assertEqual([node_of[seat["cpu"]]], device[seat["device"]]["nodes"], seat)
            self.assertEqual(seat["node"], node_of[seat["cpu"]])
        self.assertEqual(len({s["device"] for s in plan["executors"][1:]}), 8)
        self.assertEqual({device[s["device"]]["kind"] for s in plan["workers"]}, {"nic"})
        seats.append(plan["executors"][0])
        self.assertEqual(len({core_of[s["cpu"]] for s in seats}), len(seats), "siblings are left idle")
        others = cpus_of(plan["others"]["cpus"])
        self.assertFalse({core_of[s["cpu"]] for s in seats} & {core_of[c] for c in others})

    def test_text_names_every_seat_and_device(self):
        text = topo("--machine=" + self.path, "--server.listen=:9484")
        for i in range(8):
            self.assertRegex(text, r"cpu \d+ +executor %d: on the node of GPU 0000:" % (i + 1))
            self.assertRegex(text, r"cpu \d+ +worker %d: on the node of card eth[01]" % i)
        self.assertEqual(len(re.findall(r"gpu 0000:\S+  NVIDIA H200", text)), 8)

    def test_text_tells_of_executors_that_are_not_pinned_which_gpu_they_drive(self):
        text = topo("--machine=" + self.path, "--topology.mode=off")
        self.assertEqual(len(re.findall(r"executor [1-8]: not pinned, drives GPU 0000:\S+$", text, re.M)), 8)

    def test_the_picture_is_svg_that_needs_nothing_else(self):
        text = topo("--machine", self.path, "--svg", "--server.listen=:9484")
        root = xml.etree.ElementTree.fromstring(text)
        self.assertEqual(root.tag, SVG + "svg")
        words = {"".join(t.itertext()) for t in root.iter(SVG + "text")}
        self.assertTrue({"W0", "W7", "E0", "E8"} <= words, words)
        classes = [r.get("class") for r in root.iter(SVG + "rect")]
        self.assertEqual((classes.count("worker") - 1, classes.count("executor") - 1), (8, 9), "and one each in the legend")
        self.assertFalse(re.search(r"href|url\(|@import", text))
        for rect in root.iter(SVG + "rect"):
            self.assertLessEqual(int(rect.get("x")) + int(rect.get("width")), int(root.get("width")))
            self.assertLessEqual(int(rect.get("y")) + int(rect.get("height")), int(root.get("height")))

    def test_the_cpu_device_has_no_gpus(self):
        plan = self.plan("--executor.device=cpu")["plan"]
        self.assertEqual([s["device"] for s in plan["executors"]], [None])

    def test_the_operators_lists_win(self):
        plan = self.plan("--topology.worker_cpus=200,7-8", "--executor.device=cpu", "--topology.executor_cpus=100")["plan"]
        self.assertEqual([s["cpu"] for s in plan["workers"]], [200, 7, 8])
        self.assertEqual([s["cpu"] for s in plan["executors"]], [100])

    def test_off_pins_nobody(self):
        plan = self.plan("--topology.mode=off")["plan"]
        self.assertFalse(plan["pinned"])
        self.assertEqual({s["cpu"] for s in plan["workers"] + plan["executors"]}, {None})

    def test_a_machine_in_words(self):
        machine = json.loads(topo("--json", "--machine", "synthetic:package:1 core:6 pu:2"))["machine"]
        self.assertEqual((machine["cores"], len(machine["cpus"])), (6, 12))


class Mistakes(unittest.TestCase):
    def assert_said(self, got, code, pattern):
        self.assertEqual((got[0], got[1]), (code, ""), got)
        self.assertEqual(len(got[2].splitlines()), 1, got[2])
        self.assertRegex(got[2], pattern)

    def test_each_is_told_in_one_line(self):
        for args, pattern in (
                (["--topology.worker_cpus=1023"], r"^--topology\.worker_cpus: there is no cpu 1023 on this machine \(allowed: "),
                (["--topology.executor_cpus=1-"], r'^--topology\.executor_cpus: "1-" is no list of cpus'),
                (["--topology.mode=on"], r"^--topology\.mode: .*auto, off"),
                (["--machine", "/nowhere/m.xml"], r"/nowhere/m\.xml: No such file"),
                (["--machine", __file__], r"cannot be read as a machine"),
                (["--machine", "synthetic:cheese"], r"does not describe a machine"),
                (["--jsn"], r'"--jsn"')):
            self.assert_said(run_once("topo", *args), CONFIG, pattern)

    def test_a_file_and_a_variable_are_named_too(self):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as f:
            f.write('[topology]\n\nworker_cpus = "1023"\n')
            f.flush()
            self.assert_said(run_once("topo", "--config", f.name), CONFIG, r"\.toml:3: topology\.worker_cpus: there is no cpu")
        self.assert_said(run_once("topo", env={"TASKGATE_TOPOLOGY_WORKER_CPUS": "1023"}), CONFIG,
                         r"^TASKGATE_TOPOLOGY_WORKER_CPUS: there is no cpu")

    def test_a_flag_without_its_value(self):
        self.assert_said(run_once("topo", "--machine"), USAGE, "wants a file")

    def test_check_config_and_serve_refuse_the_same(self):
        for args in (["--check-config"], ["--server.listen=127.0.0.1:0"]):
            got = run_once("serve", "--topology.worker_cpus=1023", *args)
            self.assertEqual(got[0], CONFIG, got)
            self.assertIn("--topology.worker_cpus: there is no cpu 1023", got[2])

    def test_help(self):
        out = topo("--help")
        for word in ("--json", "--svg", "--machine"):
            self.assertIn(word, out)


class Here(unittest.TestCase):
    def setUp(self):
        self.cpus = sorted(os.sched_getaffinity(0))

    def wait_threads(self, g, wanted):
        """Each thread takes its name and its seat itself, when it comes to run."""
        wait_for(lambda: wanted.items() <= threads_of(g.process.pid).items(), 30, "threads as %r" % wanted)

    def test_the_plan_uses_what_is_allowed(self):
        answer = json.loads(topo("--json"))
        allowed = {c["cpu"] for c in answer["machine"]["cpus"] if c["allowed"]}
        self.assertEqual(allowed, set(self.cpus))
        for seat in answer["plan"]["workers"] + answer["plan"]["executors"]:
            self.assertIn(seat["cpu"], allowed | {None})
        self.assertTrue(cpus_of(answer["plan"]["others"]["cpus"]) <= allowed)

    def test_on_one_cpu_nobody_is_pinned(self):
        plan = json.loads(subprocess.run(["taskset", "-c", str(self.cpus[0]), os.environ["TASKGATE"], "topo", "--json"],
                                         capture_output=True, check=True).stdout)["plan"]
        self.assertFalse(plan["pinned"])
        self.assertEqual(plan["others"]["cpus"], str(self.cpus[0]))

    def test_a_worker_runs_where_the_list_says_and_serves(self):
        cpu = self.cpus[-1]
        for huge in ("false", "true"):
            with Gateway("--topology.worker_cpus=%d" % cpu, "--topology.huge_pages=" + huge, "--executor.mode=inline") as g:
                self.wait_threads(g, {"worker-0": {cpu}})
                self.assertEqual(g.task(ECHO, 1).status, 200)

    def test_serve_follows_the_plan_that_topo_shows(self):
        flags = ("--executor.mode=thread", "--server.workers=1", "--server.listen=127.0.0.1:0")
        plan = json.loads(topo("--json", *flags))["plan"]
        seats = {"worker-0": plan["workers"][0], "executor": plan["executors"][0]}
        wanted = {name: set(self.cpus) if seat["cpu"] is None else {seat["cpu"]} for name, seat in seats.items()}
        with Gateway(*flags) as g:
            self.wait_threads(g, {**wanted, "taskgate": cpus_of(plan["others"]["cpus"])})

    @unittest.skipUnless(len(os.sched_getaffinity(0)) > 1, "takes two cpus")
    def test_worker_and_executor_by_list(self):
        first, last = self.cpus[0], self.cpus[-1]
        with Gateway("--executor.mode=thread", "--topology.worker_cpus=%d" % last, "--topology.executor_cpus=%d" % first) as g:
            self.wait_threads(g, {"worker-0": {last}, "executor": {first}})
            self.assertEqual(g.task(ECHO, 1).status, 200)

    @unittest.skipUnless({0, 1} <= os.sched_getaffinity(0) and os.path.exists("/proc/self/numa_maps"), "takes cpus 0 and 1, and NUMA")
    def test_the_process_of_a_device_has_its_own_memory_on_the_node_of_its_cpu(self):
        with tempfile.NamedTemporaryFile("wb", suffix=".xml") as f:  # two nodes, of which this machine has the first
            f.write(subprocess.run([sys.executable, MACHINE_PY, "--packages=2", "--cores=1"], capture_output=True, check=True).stdout)
            f.flush()
            with Gateway("--server.workers=1", "--executor.mode=process", "--executor.device=fault", "--executor.device_settings=cpu",
                         "--topology.worker_cpus=1", "--topology.executor_cpus=0", env={"HWLOC_XMLFILE": f.name}) as g:
                if "no memory near its threads: Operation not permitted" in g.log():
                    self.skipTest("no memory policies here")
                executor = children_of(children_of(g.process.pid, "keeper")[0], "executor")[0]
                with open("/proc/%d/numa_maps" % executor, encoding="ascii", errors="replace") as maps:
                    policies = {line.split()[1] for line in maps if "heap" in line or "stack" in line}
                self.assertEqual(policies, {"prefer:0"})


if __name__ == "__main__":
    harness.main()
