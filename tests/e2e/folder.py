# SPDX-License-Identifier: Apache-2.0
"""For commands: a folder of a test's own, with the state of a node in it."""
import os
import tempfile
import unittest

from gateway import run_once


class InFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="taskgate-commands-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(self.folder, "taskgate.toml")
        self.state = os.path.join(self.folder, "state")

    def run_in(self, *args, env=None):
        return run_once(*args, env={"IICP_HOME": self.state, **(env or {})})
