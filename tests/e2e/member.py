# SPDX-License-Identifier: Apache-2.0
"""A gateway that is a member of a devnet: started with a short pulse, and asked what both sides know."""
import contextlib
import json
import os
import tempfile
import threading
import time

from client import Closed, ECHO, post_task
from devnet import Devnet
from exposition import Exposition
from gateway import Gateway, wait_for

BEAT_MS = 150
PATIENT_MS = 60000  # no answer is late because the machine has other work: a question asked twice would be counted twice
STALE = ("--stale-ms", "120000", "--liveness-ms", "60000")  # nor is a node absent that misses three beats
# AddressSanitizer keeps what is freed, up to 256 MiB, which is then taken for the program's own.
FRUGAL = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"}
LATE_S = 20  # of a customer's answer: some trouble of the directory held it up


class Home:
    """A state directory that outlives the gateways that use it."""
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="taskgate-state-")
        self.path = os.path.join(self.folder.name, "state")

    def file(self, *parts):
        return os.path.join(self.path, *parts)

    def text(self, *parts):
        with open(self.file(*parts), encoding="utf-8") as f:
            return f.read()

    def credentials(self, name="default"):
        return json.loads(self.text("nodes", name + ".json"))


class Node(Gateway):
    """Joins @devnet as @node_id (empty: none is configured); without a devnet it stays out. State lies in @home, or goes with the gateway."""
    def __init__(self, devnet, *flags, home=None, node_id="n1", env=None, beat_ms=BEAT_MS, **options):
        self.devnet, self.node_id = devnet, node_id
        self.home = home or Home()
        url = ("--directory.url=" + devnet.url, "--directory.allow_private=true") if devnet else ()
        called = ("--node.id=" + node_id,) if node_id else ()
        super().__init__("--server.workers=1", *url, "--directory.heartbeat_ms=%d" % beat_ms,
                         "--directory.timeout_ms=%d" % PATIENT_MS, *called, *flags,
                         env={"IICP_HOME": self.home.path, **(env or {})}, **options)

    # ---- what the directory knows ------------------------------------------------------------------------

    def known(self):
        """The directory's view of this node; {} if it has none."""
        return next((n for n in self.devnet.view()["nodes"] if n["node_id"] == self.node_id), {})

    def wait_known(self, condition, what, seconds=30):
        wait_for(lambda: condition(self.known()), seconds, what)
        return self.known()

    def wait_member(self):
        return self.wait_known(lambda n: n.get("heartbeats", 0) >= 2, "heartbeats")

    def wait_beats(self, more):
        until = self.known()["heartbeats"] + more
        return self.wait_known(lambda n: n.get("heartbeats", 0) >= until, "%d more heartbeats" % more)

    def wait_tasks(self, count):
        """Until the directory has counted so many; then a few beats more, so that too many would show."""
        self.wait_known(lambda n: n.get("tasks_success", 0) + n.get("tasks_failed", 0) >= count, "%d tasks" % count)
        return self.wait_beats(3)

    # ---- what it says itself -----------------------------------------------------------------------------

    def metrics(self):
        return Exposition(self.ask(b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n").body.decode())

    def metric(self, name, **labels):
        return self.metrics().get(name, **labels)

    def wait_metric(self, name, least, seconds=30, **labels):
        wait_for(lambda: self.metric(name, **labels) >= least, seconds, "%s to reach %d" % (name, least))

    def failures(self, reason):
        return self.metric("iicp_heartbeat_failures_total", reason=reason)

    def lines_with(self, text):
        return [line for line in self.lines() if text in line]

    def echo(self, text="x", *lines, **members):
        return self.ask(post_task(ECHO, {"text": text}, *lines, **members))

    @contextlib.contextmanager
    def growth(self, mib):
        """What happens in here takes less memory than that, at any moment. Only with FRUGAL a sanitizer knows how much it is."""
        with open("/proc/%d/clear_refs" % self.process.pid, "w", encoding="ascii") as f:
            f.write("5")  # forget the peak so far
        before = self.peak_kib()
        yield
        grown = self.peak_kib() - before
        assert grown < mib * 1024, "the peak has grown by %d KiB" % grown

    def peak_kib(self):
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as f:
            return int(next(line for line in f if line.startswith("VmHWM:")).split()[1])


class Customer:
    """Somebody who sends task after task meanwhile, and remembers whatever was not right."""
    def __init__(self, gateway, pause_s=0.005):
        self.gateway, self.pause_s = gateway, pause_s
        self.done, self.wrong = 0, []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)

    def _work(self):
        try:
            with self.gateway.client() as c:
                while not self.over.wait(self.pause_s):
                    self._one(c)
        except (OSError, Closed) as why:
            self.wrong.append(repr(why))

    def _one(self, client):
        text = "task %d" % self.done
        begin = time.monotonic()
        answer = client.ask(post_task(ECHO, {"text": text}, task_id="customer-%d" % self.done))
        if answer.status != 200 or answer.json()["result"] != {"text": text}:
            self.wrong.append(repr(answer))
        elif time.monotonic() - begin > LATE_S:
            self.wrong.append("an answer that took %.1f s" % (time.monotonic() - begin))
        self.done += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.over.set()
        self.thread.join(60)
        assert kind or not self.wrong, self.wrong[:5]
        assert kind or self.done > 0, "no task was sent"


def member(*flags, devnet_flags=(), **options):
    """A devnet and a node in it; the caller stops both."""
    d = Devnet("--heartbeat-ms", str(options.get("beat_ms", BEAT_MS)), *STALE, *devnet_flags)
    try:
        return d, Node(d, *flags, **options)
    except BaseException:
        d.stop()
        raise


class Together:
    """Mix-in: devnet and node for a whole class. Which loop, and what else is configured, classes say."""
    io = "epoll"
    flags = ()
    devnet_flags = ()
    options = {}

    @classmethod
    def setUpClass(cls):
        cls.d, cls.g = member("--server.io=" + cls.io, *cls.flags, devnet_flags=cls.devnet_flags, **cls.options)
        cls.g.wait_member()

    @classmethod
    def tearDownClass(cls):
        try:
            cls.g.stop()
        finally:
            cls.d.stop()
