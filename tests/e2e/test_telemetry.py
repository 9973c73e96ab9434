# SPDX-License-Identifier: Apache-2.0
"""What /metrics says of the GPUs and of who used the device, with a library that plays NVIDIA's."""
import os
import tempfile
import unittest

import harness
from client import ECHO, NOOP, get, noop
from exposition import Exposition
from gateway import Gateway, wait_for
from harness import MODES, variants

FAKE_NVML = os.environ["FAKE_NVML_LIBRARY"]
GPU = "GPU-fake-0"


def scrape(g):
    answer = g.ask(get("/metrics"))
    assert answer.status == 200, answer
    return Exposition(answer.body.decode())


def names(g):
    return {name for name, _labels in scrape(g).values}


class Script:
    """What the library says next: numbers by the names that tests/support/fake_nvml.c explains."""
    def __init__(self, lines):
        self.folder = tempfile.TemporaryDirectory(prefix="taskgate-nvml-")
        self.path = os.path.join(self.folder.name, "script")
        self.lines = {}
        self.say(lines)

    def say(self, lines):
        """Change some; None takes a line away."""
        self.lines.update(lines)
        with open(self.path + ".next", "w", encoding="ascii") as f:
            f.writelines("%s %d\n" % line for line in self.lines.items() if line[1] is not None)
        os.replace(self.path + ".next", self.path)


class WithGpu(unittest.TestCase):
    flags = ()

    def setUp(self):
        self.script = Script({"power.0": 300000, "energy.0": 1000000, "temperature.0": 50})
        self.g = Gateway("--server.workers=1", "--telemetry.nvml=" + FAKE_NVML, "--telemetry.interval_ms=50",
                         *self.flags, env={"FAKE_NVML": self.script.path})
        self.addCleanup(self.g.stop)
        wait_for(lambda: "taskgate_gpu_power_watts" in names(self.g), 60, "the first sample")


class Readings(WithGpu):
    flags = ("--telemetry.stale_ms=4000",)

    def test_they_are_on_the_page_with_the_uuid(self):
        m = scrape(self.g)
        self.assertEqual(m.get("taskgate_gpu_power_watts", gpu=GPU), 300)
        self.assertEqual(m.get("taskgate_gpu_temperature_celsius", gpu=GPU), 50)
        self.assertEqual(m.get("taskgate_gpu_board_energy_joules_total", gpu=GPU), 1000)
        self.assertEqual(m.get("taskgate_gpu_info", gpu=GPU, pci="00000000:01:00.0"), 1)
        self.assertEqual(m.get("taskgate_gpu_telemetry_up"), 1)
        self.assertNotIn("taskgate_gpu_utilization_ratio", names(self.g))

    def test_without_a_gpu_that_tasks_run_on_nothing_is_charged_to_one(self):
        self.g.task(ECHO, 1)
        self.assertNotIn("taskgate_gpu_energy_joules_total", names(self.g))
        self.assertNotIn("taskgate_gpu_seconds_total", names(self.g))
        self.assertIn("taskgate_device_seconds_total", names(self.g))

    def test_a_driver_that_hangs_holds_nobody_up(self):
        self.script.say({"hang.power": 1})
        wait_for(lambda: scrape(self.g).get("taskgate_gpu_telemetry_up") == 0, 60, "the readings to be stale")
        self.assertNotIn("taskgate_gpu_power_watts", names(self.g))
        self.assertEqual(self.g.task(ECHO, 1).status, 200)
        self.g.wait_log(r"no news of the GPUs for 4000 ms")
        self.script.say({"hang.power": None})
        wait_for(lambda: scrape(self.g).get("taskgate_gpu_power_watts", gpu=GPU) == 300, 60, "the driver to come back")
        self.g.wait_log(r"there is news of the GPUs again")

    def test_it_ends_with_a_driver_that_hangs(self):
        self.script.say({"hang.power": 1})
        wait_for(lambda: scrape(self.g).get("taskgate_gpu_telemetry_up") == 0, 60, "the readings to be stale")
        self.g.stop()
        self.assertIn("its thread is left behind", self.g.log())

    def test_a_gpu_that_is_lost_is_said_to_be(self):
        self.script.say({"fail.power": 15})
        wait_for(lambda: scrape(self.g).get("taskgate_gpu_lost", gpu=GPU) == 1, 60, "the loss to be seen")
        self.assertNotIn("taskgate_gpu_power_watts", names(self.g))
        self.assertNotIn("taskgate_gpu_board_energy_joules_total", names(self.g))
        self.g.wait_log(r"GPU GPU-fake-0 is lost")

    def test_an_xid_is_counted_and_logged(self):
        self.script.say({"xid.0": 79})
        wait_for(lambda: scrape(self.g).get("taskgate_gpu_xid_total", gpu=GPU, xid="79") == 1, 60, "the event")
        self.g.wait_log(r"GPU GPU-fake-0: XID 79")


class Energy(WithGpu):
    flags = ("--telemetry.gpu=" + GPU, "--telemetry.tenants=2", "--task.timeout_ms=60000")

    def charged(self, **labels):
        return scrape(self.g).get("taskgate_gpu_energy_joules_total", **labels)

    def test_it_is_charged_to_those_who_kept_the_device_busy_and_never_more_than_was_drawn(self):
        wait_for(lambda: "taskgate_gpu_energy_joules_total" in names(self.g), 60, "energy to be known")
        self.assertEqual(self.charged(), 0)
        drawn = 1000000
        while self.charged(intent=NOOP) == 0 and drawn < 100000000:
            with self.g.client() as c:
                c.send(noop(300))
                drawn += 100000
                self.script.say({"energy.0": drawn})
                self.assertEqual(c.read().status, 200)
        self.assertGreater(self.charged(intent=NOOP), 0)
        self.assertLessEqual(self.charged(), (drawn - 1000000) / 1000)
        self.assertEqual(self.charged(intent=ECHO), 0)
        self.assertGreater(scrape(self.g).get("taskgate_tenant_gpu_energy_joules_total", tenant="other"), 0)
        self.assertGreaterEqual(scrape(self.g).get("taskgate_gpu_seconds_total", intent=NOOP), 0.3)

    def test_tenants_share_it_and_late_ones_are_other(self):
        """A look that falls between a task's time and its row charges that time to somebody else: so each sends until it
        has been charged."""
        def seconds(**labels):
            return scrape(self.g).get("taskgate_tenant_device_seconds_total", **labels)

        sent = 0

        def charged(least, tenant, **sender):
            nonlocal sent
            sent += 1
            self.assertEqual(self.g.task(NOOP, {"sleep_ms": 100}, **sender).status, 200)
            return seconds(tenant=tenant) >= least
        for name, tenant in (("node-a", "node-a"), ("node-b", "node-b"), ("node-c", "other"), (None, "other")):
            sender = {"source_node_id": name} if name else {}
            least = seconds(tenant=tenant) + 0.1
            wait_for(lambda: charged(least, tenant, **sender), 60, "%s to be charged as %s" % (name, tenant))
        wait_for(lambda: seconds() >= 0.1 * sent, 60, "the time of all tasks, whoever is charged for it")
        tenants = {dict(labels).get("tenant") for name, labels in scrape(self.g).values if "tenant" in name}
        self.assertEqual(tenants, {"node-a", "node-b", "other"})


@variants(modes=MODES)
class DeviceSeconds(harness.Served):
    flags = ("--telemetry.nvml=libnvidia-ml-nowhere.so.1",)

    def test_they_are_the_time_tasks_took_on_the_device(self):
        before = scrape(self.g)
        self.assertEqual(self.g.ask(noop(300)).status, 200)
        self.assertEqual(self.g.task(ECHO, 1).status, 200)

        def grown(intent):
            name = "taskgate_device_seconds_total"
            return scrape(self.g).get(name, intent=intent) - before.get(name, intent=intent)
        wait_for(lambda: grown(NOOP) >= 0.3, 30, "the time of the longer one")
        wait_for(lambda: grown(ECHO) > 0, 30, "the time of the shorter one")

    def test_without_the_library_nothing_is_said_of_gpus(self):
        self.assertFalse([n for n in names(self.g) if "gpu" in n or "tenant" in n])
        self.assertIn("GPUs are not watched", self.g.log())

    def test_a_device_in_a_process_of_its_own_is_charged_for_too(self):
        with self.own("--executor.mode=process") as g:
            self.assertEqual(g.ask(noop(200)).status, 200)
            wait_for(lambda: scrape(g).get("taskgate_device_seconds_total", intent=NOOP) >= 0.2, 30, "its time")


if __name__ == "__main__":
    harness.main()
