# SPDX-License-Identifier: Apache-2.0
"""No allocation while serving: every one the process makes is counted, and there are none after the start."""
import os
import struct
import tempfile
import unittest

import harness
from client import ECHO, KNN, NOOP, chunk, get, noop, post, post_task
from gateway import Gateway
from harness import MODES, variants

COUNTER = os.environ.get("COUNT_MALLOC", "")


def one_of_each():
    """Requests that take every path a client without TLS or compression can take, with the status each gets."""
    vector = [float(i % 17) for i in range(64)]
    chunked = post(b"", "Transfer-Encoding: chunked", length=False) + \
        chunk(b'{"task_id":"c","intent":"%s",' % ECHO.encode()) + chunk(b'"payload":1}') + b"0\r\n\r\n"
    return [
        (post_task(ECHO, {"text": "x" * 100}), 200),
        (post_task(ECHO, "y" * 100000), 200),
        (post_task(NOOP, {}), 200),
        (noop(1), 200),
        (post_task(KNN, {"vector": vector, "k": 3}, nonce=os.urandom(8).hex()), 200),
        (post_task(KNN, {"vectors": [vector] * 8, "k": 128}), 200),
        (chunked, 200),
        (post_task(KNN, {"vector": [1], "k": 3}), 422),
        (post_task("urn:iicp:intent:x.nobody:none:v1", 1), 422),
        (post("{\"task_id\":"), 400),
        (noop(3000, timeout_ms=100), 504),
        (get("/iicp/health"), 200),
        (get("/metrics"), 200),
        (get("/nowhere"), 404),
    ]


@variants(modes=MODES)
class Allocations(harness.Served):
    @classmethod
    def setUpClass(cls):
        if not COUNTER:
            raise unittest.SkipTest("a sanitizer has an allocator of its own")
        if cls.io == "io_uring" and not harness.uring():
            raise unittest.SkipTest("io_uring is refused here")
        cls.file = tempfile.NamedTemporaryFile()
        cls.file.truncate(4096)
        cls.counter = cls.file.name + ".so"  # LD_PRELOAD is a list parted by blanks: the build may lie where there are some
        os.symlink(COUNTER, cls.counter)
        cls.addClassCleanup(os.unlink, cls.counter)
        cls.g = Gateway("--server.workers=1", *cls.variant_flags(),
                        env={"LD_PRELOAD": cls.counter, "COUNT_MALLOC_FILE": cls.file.name})

    def count(self):
        with open(self.file.name, "rb") as f:
            return struct.unpack("<Q", f.read(8))[0]

    def serve_all(self):
        for request, status in one_of_each():
            with self.g.client() as c:  # each on a connection of its own ...
                self.assertEqual(c.ask(request).status, status, request[:200])
        with self.g.client() as c:  # ... and all on one, pipelined
            requests = one_of_each()
            c.send(b"".join(r for r, _ in requests))
            for request, status in requests:
                self.assertEqual(c.read().status, status, request[:200])

    def test_no_request_costs_an_allocation(self):
        self.serve_all()
        before = self.count()
        self.assertGreater(before, 0, "starting allocates, or the counter does not count")
        for _ in range(10):
            self.serve_all()
        self.assertEqual(self.count(), before)


if __name__ == "__main__":
    harness.main()
