# SPDX-License-Identifier: Apache-2.0
"""A gateway whose devices live in processes that can be killed, and what tests of that have in common."""
import os
import signal
import threading

import exposition
from client import ECHO, Client, get, post_task
from gateway import Gateway, wait_for

CONFIG = """
[runner.echo]
type = "echo"
max_batch = 16

[runner.noop]
type = "noop"
max_batch = 1
streams = 64
"""


def parent_of(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as f:
            name, rest = f.read().rsplit(")", 1)
    except OSError:
        return None, ""
    fields = rest.split()
    return (None if fields[0] == "Z" else int(fields[1])), name.split("(", 1)[1]


def children_of(pid, name):
    """Its processes of that name, oldest first."""
    return sorted(int(entry) for entry in os.listdir("/proc") if entry.isdigit() and parent_of(int(entry)) == (pid, name))


class Load(threading.Thread):
    """One client that sends task after task on one connection until told to stop, or a number of them."""
    def __init__(self, port, number, tasks=None):
        super().__init__(daemon=True)
        self.port, self.number, self.tasks = port, number, tasks
        self.statuses, self.wrong, self.failure = {}, 0, None
        self.over = threading.Event()

    def run(self):
        try:
            with Client(self.port) as c:
                while not self.over.is_set() and (self.tasks is None or sum(self.statuses.values()) < self.tasks):
                    self.one(c)
        except Exception as why:  # told to the test's own thread
            self.failure = why

    def one(self, c):
        payload = [self.number, sum(self.statuses.values())]
        answer = c.ask(post_task(ECHO, payload, constraints={"timeout_ms": 60000}))
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        if answer.status == 200:
            self.wrong += answer.json()["result"] != payload


class Faulty:
    """A gateway with its device in a process, and what is common to all tests."""
    kind = "fault"  # devices are called so, and numbered

    def start(self, *flags, settings="cpu", deaths_max=0, **options):
        """@settings of several devices have a | between them."""
        self.g = Gateway("--server.workers=2", "--executor.mode=process", "--executor.device=fault",
                         "--executor.device_settings=" + settings, "--executor.deaths_max=%d" % deaths_max,
                         *flags, config=CONFIG, **options)
        return self.g

    def setUp(self):
        self.g, self.loads = None, []

    def tearDown(self):
        for load in self.loads:
            load.over.set()
        if self.g:
            self.g.kill()

    def keeper(self, device=0):
        return children_of(self.g.process.pid, "keeper")[device]

    def executor(self, device=0):
        """Of that device; None while there is none."""
        found = children_of(self.keeper(device), "executor")
        return found[0] if found else None

    def kill_executor(self, device=0, how=signal.SIGKILL):
        """One that is up; the next one is another."""
        wait_for(lambda: self.up(device), 60, "device %d" % device)
        pid = self.executor(device)
        os.kill(pid, how)
        return pid

    def up(self, device=0):
        return self.of_device("up", device) == 1

    def of_device(self, name, device):
        return self.metrics()[("taskgate_device_" + name, (("device", "%s%d" % (self.kind, device)),))]

    def readiness(self):
        answer = self.g.ask(get("/readyz", "Connection: close"))
        body = answer.json()
        self.assertEqual(body["ready"], answer.status == 200, answer)
        self.assertEqual(body["ready"], not body["reasons"], answer)
        return body["reasons"]

    def wait_ready(self):
        wait_for(lambda: self.readiness() == [], 60, "readiness")

    def metrics(self):
        page = exposition.Exposition(self.g.ask(get("/metrics")).body.decode())
        return page.values

    def count(self, name):
        return self.metrics()[(name, ())]

    def load(self, clients=4, tasks=None):
        self.loads = [Load(self.g.port, n, tasks) for n in range(clients)]
        for load in self.loads:
            load.start()

    def join_load(self):
        """The answers by status, all right and all there."""
        total = {}
        for load in self.loads:
            if load.tasks is None:
                load.over.set()
            load.join(120)
            self.assertFalse(load.is_alive(), "an answer is missing")
            self.assertIsNone(load.failure, load.failure)
            self.assertEqual(load.wrong, 0)
            for status, n in load.statuses.items():
                total[status] = total.get(status, 0) + n
        return total

    def assert_reconciled(self):
        """Every task that was accepted has ended, one way or another."""
        self.g.wait_active(0)
        wait_for(self.reconciled, 60, "as many ends as beginnings")

    def reconciled(self):
        values = self.metrics()
        ended = sum(n for (name, labels), n in values.items()
                    if name == "iicp_tasks_total" and dict(labels)["status"] != "refused")
        accepted = values[("taskgate_tasks_accepted_total", ())]
        return accepted == ended + values[("taskgate_tasks_cancelled_total", ())]

    def assert_served(self):
        self.assertEqual(self.g.task(ECHO, "after").status, 200)
