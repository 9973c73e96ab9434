# SPDX-License-Identifier: Apache-2.0
"""Where io_uring is refused the gateway serves on epoll, and says so."""
import os
import sys
import unittest

import harness
from client import ECHO, get
from gateway import Gateway, TASKGATE

DENY = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "deny_io_uring.py"), TASKGATE]


class Refused(unittest.TestCase):
    def test_auto_falls_back_to_epoll_and_says_so_everywhere(self):
        with Gateway("--server.workers=2", command=DENY) as g:
            self.assertIn("io_uring is refused here (Operation not permitted): serving on epoll", g.log())
            self.assertEqual(g.task(ECHO, 1).json()["result"], 1)
            self.assertEqual(g.health()["io"], "epoll")
            self.assertIn(b'io="epoll"', g.ask(get("/metrics")).body)

    def test_io_uring_by_name_does_not_start_without_it(self):
        g = Gateway("--server.io=io_uring", command=DENY, ready=False)
        self.assertEqual(g.wait(), 1)
        self.assertIn("Operation not permitted", g.log())
        g.stop(expected=1)


class Wanted(unittest.TestCase):
    def test_health_names_the_loop_in_use(self):
        with Gateway("--server.io=epoll") as g:
            self.assertEqual(g.health()["io"], "epoll")


if __name__ == "__main__":
    harness.main()
