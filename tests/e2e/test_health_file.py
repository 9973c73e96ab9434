# SPDX-License-Identifier: Apache-2.0
"""The health file that probes on this machine read: what it says over a life, and that nothing depends on it."""
import json
import os
import signal
import stat
import unittest

import harness
from client import ECHO, noop
from gateway import STOP_S, Gateway, wait_for

KEYS = ["health_schema_version", "process_epoch", "pid", "sequence", "emitted_at", "lifecycle", "liveness", "readiness",
        "reason_codes", "progress"]


def path_of(g, name="default"):
    return os.path.join(g.state_dir, "run", name, "health-v1.json")


def read(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def wait_file(path, condition, what):
    """Rewritten by a rename, so that every reading is whole."""
    def looks():
        return os.path.exists(path) and condition(read(path))
    wait_for(looks, 30, what)
    return read(path)


class HealthFile(unittest.TestCase):
    def test_says_that_the_node_serves_and_goes_on_saying_so(self):
        with Gateway("--node.name=n-1") as g:
            path = path_of(g, "n-1")
            first = wait_file(path, lambda h: True, "the health file")
            self.assertEqual(list(first), KEYS)
            self.assertEqual(first["health_schema_version"], 1)
            self.assertEqual(first["pid"], g.process.pid)
            self.assertEqual((first["lifecycle"], first["liveness"], first["readiness"], first["reason_codes"]),
                             ("serving", "live", "ready", []))
            self.assertEqual(first["progress"]["runtime"]["stale_after_ms"], 30000)
            self.assertRegex(first["emitted_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
            self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode), 0o700)
            later = wait_file(path, lambda h: h["sequence"] >= first["sequence"] + 3, "more of them")
            self.assertEqual(later["process_epoch"], first["process_epoch"])
            self.assertEqual(later["liveness"], "live", "idle workers are alive")
            self.assertLess(later["progress"]["runtime"]["age_ms"], 30000)

    def test_says_that_it_drains_and_that_it_has_stopped(self):
        g = Gateway("--shutdown.drain_ms=60000")
        path = path_of(g)
        wait_file(path, lambda h: True, "the health file")
        with g.client() as c:
            c.send(noop(60000))
            g.wait_active(1)
            g.signal(signal.SIGTERM)
            copy = wait_file(path, lambda h: h["lifecycle"] == "draining", "the drain to be told")
            self.assertEqual((copy["liveness"], copy["readiness"], copy["reason_codes"]),
                             ("live", "not_ready", ["draining"]))
            c.reset()  # a task that nobody waits for does not hold up the end
        g.process.wait(STOP_S)  # wait() removes the folder
        copy = read(path)
        self.assertEqual(g.wait(), 0)
        self.assertEqual((copy["lifecycle"], copy["liveness"], copy["readiness"]), ("stopped", "not_live", "not_ready"))

    def test_says_that_there_is_no_room(self):
        with Gateway("--admission.max_concurrent=1") as g:
            with g.client() as c:
                c.send(noop(60000))
                full = wait_file(path_of(g), lambda h: h["readiness"] == "not_ready", "the node to be full")
                self.assertEqual(full["reason_codes"], ["no_capacity"])
                c.reset()
            wait_file(path_of(g), lambda h: h["readiness"] == "ready", "room")

    def test_can_be_turned_off(self):
        with Gateway("--node.health_file=false") as g:
            self.assertEqual(g.task(ECHO, 1).status, 200)
            self.assertFalse(os.path.exists(g.state_dir))

    def test_where_there_is_no_place_for_it_one_warning_is_all(self):
        for flag, why in (("--node.state_dir=/proc/nowhere", "No such file"), ("--node.name=a/b", "no name for a folder")):
            with Gateway(flag) as g:
                g.wait_log("no health file is written: .*" + why)
                self.assertEqual(g.task(ECHO, 1).status, 200)

    def test_a_second_process_of_that_name_leaves_it_alone(self):
        with Gateway() as g:
            mine = wait_file(path_of(g), lambda h: True, "the health file")
            with Gateway(env={"IICP_HOME": g.state_dir}) as second:
                second.wait_log("another process has a node of this node.name")
                self.assertEqual(second.task(ECHO, 1).status, 200)
                self.assertEqual(read(path_of(g))["pid"], mine["pid"])

    def test_after_a_kill_it_goes_stale_and_the_next_process_takes_over(self):
        g = Gateway()
        before = wait_file(path_of(g), lambda h: True, "the health file")
        g.kill()
        self.assertEqual(read(path_of(g))["lifecycle"], "serving", "nobody was left to say more")
        with Gateway(env={"IICP_HOME": g.state_dir}) as again:
            after = wait_file(path_of(g), lambda h: h["pid"] == again.process.pid, "the next process")
            self.assertGreater(after["process_epoch"], before["process_epoch"])
            self.assertEqual(after["sequence"], 1)
        g.folder.cleanup()


if __name__ == "__main__":
    harness.main()
