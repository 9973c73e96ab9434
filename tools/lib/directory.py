# SPDX-License-Identifier: Apache-2.0
"""A local directory of our own (`taskgate devnet`): started on a free port, asked what it knows, stopped."""
import http.client
import json
import os
import select
import subprocess
import time

from gateway import STOP_S, GatewayError, clean_environment

START_S = 30
HEARTBEAT_MS = 1000


class Directory:
    def __init__(self, program, log_path):
        self.log_path = log_path
        with open(log_path, "wb") as log:
            # In a session of its own, like the gateway: it must outlive the gateway's good-bye.
            self.process = subprocess.Popen(
                [program, "devnet", "--listen", "127.0.0.1:0", "--heartbeat-ms", str(HEARTBEAT_MS), "--log", "warn"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=clean_environment(), start_new_session=True)
        try:
            self.url = self._read_url()
        except BaseException:
            self.stop()
            raise

    def _read_url(self):
        """Its first line ends in the address."""
        ready, _, _ = select.select([self.process.stdout], [], [], START_S)
        line = self.process.stdout.readline().decode() if ready else ""
        if "http://" not in line:
            raise GatewayError("the local directory did not start; see " + os.path.relpath(self.log_path))
        return line.split()[-1]

    def node(self, node_id):
        """What it knows of a node; {} if nothing."""
        connection = http.client.HTTPConnection(self.url.split("//")[1], timeout=30)
        try:
            connection.request("GET", "/devnet")
            nodes = json.loads(connection.getresponse().read())["nodes"]
        finally:
            connection.close()
        return next((n for n in nodes if n["node_id"] == node_id), {})

    def wait_node(self, node_id, condition, seconds):
        """The node as soon as the condition holds, or else as it is after so many seconds."""
        until = time.monotonic() + seconds
        node = self.node(node_id)
        while not condition(node) and time.monotonic() < until:
            time.sleep(0.05)
            node = self.node(node_id)
        return node

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
