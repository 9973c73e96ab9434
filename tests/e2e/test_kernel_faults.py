# SPDX-License-Identifier: Apache-2.0
"""User kernels that are served, above all those that misbehave: the executor's process dies or hangs and is replaced. On a
GPU, or on the emulated runtime; without a device, or without NVRTC, it ends with 77."""
import os
import re
import sys
import threading
import unittest

import harness
from client import Client, post_task
from faulty import Faulty
from gateway import Gateway, wait_for
from kernels import KERNEL, NVRTC, WILD, Sources, table, without_nvrtc

# A crash is what is to be seen, not what a sanitizer says of it.
CRASHES = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0:handle_sigbus=0"}
# Time spent on measuring the emulated device, and on large batches there, says nothing.
DEVICE = ("--executor.gpu=direct_kib=64,buffer_kib=64,graphs=0",) if NVRTC else ()
ECHO = '\n[runner.echo]\ntype = "echo"\nmax_batch = 16\n'


class OnDevice(Sources, Faulty):
    kind = "cuda"

    def start(self, *flags):
        self.g = Gateway("--server.workers=2", "--executor.mode=process", "--executor.device=cuda",
                         "--executor.deaths_max=0", *DEVICE, *flags, config=table(self.source(WILD)) + ECHO, env=CRASHES)

    def kernel(self, *numbers):
        with self.g.client(timeout=240) as c:  # two lives and two deaths, under a sanitizer
            return c.ask(post_task(KERNEL, {"rows": [[n] for n in numbers]}, constraints={"timeout_ms": 240000}))


class Served(OnDevice, unittest.TestCase):
    def test_rows_are_computed(self):
        self.start()
        self.assertEqual(self.kernel(1, 2, -3).json()["result"], {"rows": [[2], [3], [-2]]})
        self.assertEqual(self.g.task(KERNEL, {"row": [41]}).json()["result"], {"row": [42]})
        self.g.stop()

    def test_a_refused_row_is_a_refused_task(self):
        self.start()
        answer = self.kernel(1, 668)
        self.assertEqual((answer.status, answer.json()["error"]["code"]), (422, "validation_error"), answer)
        self.assertEqual(self.kernel(1).status, 200)
        self.assertEqual(self.count("taskgate_executor_deaths_total"), 0)
        self.g.stop()

    def test_many_tasks_at_once_have_their_own_answers(self):
        self.start()
        wrong = []

        def ask(first):
            with Client(self.g.port) as c:
                for n in range(first, first + 200):
                    answer = c.ask(post_task(KERNEL, {"row": [n]}))
                    if answer.status != 200 or answer.json()["result"] != {"row": [n + 1]}:
                        wrong.append((n, answer))

        threads = [threading.Thread(target=ask, args=(10000 * t,)) for t in range(1, 9)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)
        self.assertEqual(wrong, [])
        self.g.stop()


class Faults(OnDevice, unittest.TestCase):
    def poison(self, number, *flags):
        """A task that ends its process twice is refused; no other task notices, and the device is back."""
        self.start(*flags)
        self.load()
        answer = self.kernel(number)
        self.assertEqual((answer.status, answer.json()["code"]), (502, "poison_task"), answer)
        self.assertEqual(set(self.join_load()), {200})
        self.assertEqual(self.count("taskgate_executor_deaths_total"), 2)
        self.assertEqual(self.count("taskgate_rows_poisoned_total"), 1)
        self.wait_ready()
        self.assertEqual(self.kernel(5).json()["result"], {"rows": [[6]]})
        self.assert_reconciled()
        self.g.stop()

    def test_a_write_to_address_one_ends_the_process_and_no_other_task(self):
        self.poison(666)
        self.assertRegex(self.g.log(), r"cudaError(Misaligned|Illegal)Address|a sticky error|ended by signal 11")

    def test_a_loop_without_end_is_killed(self):
        self.poison(667, "--executor.hang_ms=5000")
        self.assertRegex(self.g.log(), "a batch has been running|it has given no sign of life")

    def test_a_replaced_process_needs_no_compiler(self):
        self.start()
        self.kill_executor()
        wait_for(lambda: self.count("taskgate_executor_restarts_total") == 1, 60, "a new one")
        self.assertEqual(self.kernel(1).json()["result"], {"rows": [[2]]})
        self.assertIsNone(re.search(r"cannot be compiled|compile_ms", self.g.log()))
        self.g.stop()


def skip(why):
    print("skipped: " + why.strip(), file=sys.stderr)
    sys.exit(77)


def need_device():
    g = Gateway("--executor.device=cuda", ready=False)
    try:
        g.wait_log(r"listening on|executor\.device = ")
        if "executor.device = " in g.log():
            g.wait()
            skip(g.log())
        g.stop()
    finally:
        g.kill()


if __name__ == "__main__":
    if not NVRTC:  # the emulated device is always there
        need_device()
    if without_nvrtc():
        skip(without_nvrtc())
    harness.main()
