# SPDX-License-Identifier: Apache-2.0
"""A gateway under test: started on a port of the kernel's choice, watched, and always stopped.

A test that leaves a crash, a sanitizer's report or an exit status other than the expected one behind fails, even if
every answer was right.
"""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

from client import Client, post_task
from log import Log

TASKGATE = os.environ.get("TASKGATE", "taskgate")
START_S = 120  # an end to hanging, under a sanitizer on a busy machine too
STOP_S = 120
LOG_TOLD = 40  # lines, with a case that fails

# One noop task in a batch, and room for many at once: tasks of different length do not hold one another.
RUNNERS = """
[runner.echo]
type = "echo"

[runner.noop]
type = "noop"
max_batch = 1
streams = 64

[runner.digits]
type = "knn"
data = "builtin:digits"
rows = "1-1000"
"""

# A compiler's "static assertion" is about a user's kernel.
REPORT = re.compile(r"Sanitizer|runtime error:|(?<!static )assertion|Assertion|stack smashing|core dumped")


HOME = tempfile.TemporaryDirectory(prefix="taskgate-home-")  # nobody's: what ends up there is gone with the tests


def clean_environment(extra=None):
    """Ours, without what would configure the gateway by accident, and with a home of its own."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("TASKGATE", "IICP_", "STATE_DIRECTORY"))}
    env["HOME"] = HOME.name
    env.update(extra or {})
    return env


class Gateway:
    def __init__(self, *flags, config=RUNNERS, env=None, ready=True, command=(TASKGATE,)):
        self.folder = tempfile.TemporaryDirectory(prefix="taskgate-e2e-")
        self.config_path = os.path.join(self.folder.name, "taskgate.toml")
        self.state_dir = os.path.join(self.folder.name, "state")
        self.write_config(config)
        self.stopped = False
        # What is not about time limits of tasks has time enough; a flag of the test's own comes later, and wins.
        command = [*command, "serve", "--config", self.config_path, "--server.listen=127.0.0.1:0", "--task.timeout_ms=60000",
                   *flags]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, bufsize=0,
                                        env=clean_environment({"IICP_HOME": self.state_dir, **(env or {})}))
        self.written = Log(self.process.stderr)
        if ready:
            self.port = self._find_port()

    def write_config(self, text):
        with open(self.config_path, "w", encoding="utf-8") as f:
            f.write(text)

    # ---- its log ---------------------------------------------------------------------------------------

    def lines(self):
        return self.written.lines()

    def log(self):
        return self.written.text()

    def wait_log(self, pattern, seconds=START_S, begin=0):
        """The match of the first line, from line number @begin on, that fits."""
        match = self.written.wait_for(pattern, seconds, begin)
        if not match:
            raise AssertionError("no log line fits %r in:\n%s" % (pattern, "\n".join(self.lines()[begin:])))
        return match

    def _find_port(self):
        try:
            port = int(self.wait_log(r"listening on http://127\.0\.0\.1:(\d+)").group(1))
            self.wait_log(r"taskgate \S+: \d+ worker")
            return port
        except BaseException:
            self.kill()
            raise

    # ---- its end ---------------------------------------------------------------------------------------

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=STOP_S):
        """The exit status, once the process has ended by itself."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the gateway did not end within %d s; log:\n%s" % (seconds, self.log())) from None
        self.written.close(STOP_S)
        self.folder.cleanup()
        self.stopped = True
        if REPORT.search(self.log()):
            raise AssertionError("the gateway reported a fault:\n" + self.log())
        return code

    def kill(self):
        if not self.stopped:
            self.process.kill()
            self.process.wait()
            self.stopped = True

    def stop(self, expected=0):
        """SIGTERM, and the exit status it must lead to."""
        if self.stopped:
            return
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        code = self.wait()
        if code != expected:
            raise AssertionError("exit status %d, not %d; log:\n%s" % (code, expected, self.log()))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
            return
        value.add_note(self.end_of_log())
        try:
            self.stop()  # the first failure is the one to be told, but a crash explains it
        except AssertionError as why:
            value.add_note("besides: %s" % why)

    def end_of_log(self):
        """What to tell with a failure."""
        return "\n".join(["the end of the gateway's log:", *self.lines()[-LOG_TOLD:]])

    # ---- talking to it ---------------------------------------------------------------------------------

    def client(self, **options):
        return Client(self.port, **options)

    def ask(self, request):
        """One request on a connection of its own."""
        with self.client() as c:
            return c.ask(request)

    def task(self, intent, payload, **members):
        return self.ask(post_task(intent, payload, **members))

    def health(self):
        return self.ask(b"GET /iicp/health HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").json()

    def counter(self, name):
        """A line of the metrics without labels."""
        text = self.ask(b"GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").body.decode()
        return int(re.search("^%s (\\d+)$" % name, text, re.M).group(1))

    @contextlib.contextmanager
    def accepting(self, count=1):
        """So many tasks are sent in here: waits until all are accepted, and takes those that are over by then for accepted."""
        before = self.counter("taskgate_tasks_accepted_total")
        yield
        wait_for(lambda: self.counter("taskgate_tasks_accepted_total") >= before + count, 30, "%d tasks to be accepted" % count)

    def wait_active(self, count, seconds=30):
        """Until so many tasks are accepted and unfinished: they must last longer than a busy machine may pause."""
        wait_for(lambda: self.health()["active_jobs"] == count, seconds, "active_jobs to become %d" % count)


def wait_for(condition, seconds, what):
    """What @condition() returns once that is true."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > until:
            raise AssertionError("waited %d s in vain for %s" % (seconds, what))
        time.sleep(0.005)
    return found


_reserved = []


def free_port():
    """A port of 127.0.0.1 that nobody else is given as long as this process runs: bound without a listener, so that whoever
    connects is refused. A server that sets SO_REUSEADDR, as ours do, can listen on it."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    _reserved.append(s)
    return s.getsockname()[1]


def run_once(*args, env=None, seconds=START_S, program=TASKGATE):
    """A command that ends by itself: its status, what it printed, and what it complained about."""
    done = subprocess.run([program, *args], stdin=subprocess.DEVNULL, capture_output=True, env=clean_environment(env),
                          timeout=seconds, check=False)
    out, err = done.stdout.decode(), done.stderr.decode()
    if REPORT.search(err):
        raise AssertionError("the gateway reported a fault:\n" + err)
    return done.returncode, out, err


def io_uring_works():
    """Containers may refuse it; then only epoll can be shown."""
    g = Gateway("--server.io=io_uring", ready=False)
    try:
        g.wait_log(r"taskgate \S+: \d+ worker|cannot open the network loop")
        if "cannot open the network loop" in g.log():
            g.wait()
            return False
        g.stop()
        return True
    finally:
        g.kill()


def dumps(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
