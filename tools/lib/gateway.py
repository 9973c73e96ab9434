# SPDX-License-Identifier: Apache-2.0
"""A gateway of our own: started with the embedded configuration, talked to over one kept-alive connection, stopped."""
import http.client
import itertools
import json
import os
import re
import subprocess
import time

START_S = 60
STOP_S = 30


class GatewayError(Exception):
    """What went wrong, in words for the person at the terminal."""


def clean_environment():
    """Ours, without what would configure the gateway by accident."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("TASKGATE", "IICP_"))}


class Gateway:
    """Its log goes to a file; readiness and the port it got are read from there."""

    def __init__(self, program, log_path, port, state_dir, *flags):
        self.log_path = log_path
        with open(log_path, "wb") as log:
            # A session of its own: Ctrl-C in the terminal is for us, and we tell the gateway in our own time.
            self.process = subprocess.Popen(
                [program, "serve", "--server.listen=127.0.0.1:%d" % port, *flags], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env={**clean_environment(), "IICP_HOME": state_dir}, start_new_session=True)
        try:
            self.summary = self._wait_log(r"taskgate \S+: (.*)")
            self.port = int(self._wait_log(r"listening on http://127\.0\.0\.1:(\d+)"))
        except BaseException:
            self.stop()
            raise

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def _wait_log(self, pattern):
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            ended = self.process.poll() is not None  # looked at first: what it said last is in the log by then
            match = re.search(pattern, self.log())
            if match:
                return match.group(1)
            if ended:
                self._explain_end()
            time.sleep(0.02)
        raise GatewayError("the gateway did not start within %d s; see %s" % (START_S, self.log_path))

    def _explain_end(self):
        if "Address already in use" in self.log():
            raise GatewayError("the port is taken by another program; choose one with --port, as in --port 9584")
        raise GatewayError("the gateway did not start:\n" + self.log().rstrip())

    def stop(self):
        """SIGTERM: it answers what it has accepted, then ends. True if it did so cleanly."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(STOP_S) == 0
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Client:
    """One connection, one request at a time."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.numbers = itertools.count(1)

    def get(self, path):
        self.connection.request("GET", path)
        return self._answer()

    def task(self, intent, payload):
        """The result of a task; GatewayError if it was not done."""
        task_id = "quickstart-%d" % next(self.numbers)
        body = json.dumps({"task_id": task_id, "intent": intent, "payload": payload})
        self.connection.request("POST", "/v1/task", body.encode(), {"Content-Type": "application/json"})
        answer = json.loads(self._answer())
        if answer["task_id"] != task_id or answer["status"] != "success":
            raise GatewayError("an answer is not what was asked for: %s" % answer)
        return answer["result"]

    def _answer(self):
        response = self.connection.getresponse()
        text = response.read().decode()
        if response.status != 200:
            raise GatewayError("HTTP status %d: %s" % (response.status, text))
        return text

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
