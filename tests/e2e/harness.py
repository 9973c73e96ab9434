# SPDX-License-Identifier: Apache-2.0
"""Test cases over variants of the gateway, and a runner that meson understands."""
import concurrent.futures
import sys
import threading
import unittest

import gateway

IO = ("io_uring", "epoll")
MODES = ("inline", "thread")


def variants(io=IO, modes=("inline",)):
    """Class decorator: one test class for each network loop and executor mode, sharing a gateway each."""
    def expand(base):
        module = sys.modules[base.__module__]
        for one_io in io:
            for mode in modes:
                name = "%s_%s_%s" % (base.__name__.lstrip("_"), one_io, mode)
                members = {"io": one_io, "mode": mode, "__module__": base.__module__}
                setattr(module, name, type(name, (base, unittest.TestCase), members))
        return base
    return expand


class Served:
    """Mix-in: a gateway for the whole class. `flags` and `config` say which; `own()` starts another one."""
    io, mode = "epoll", "inline"
    flags = ()
    config = gateway.RUNNERS

    @classmethod
    def variant_flags(cls):
        return ("--server.io=" + cls.io, "--executor.mode=" + cls.mode)

    @classmethod
    def setUpClass(cls):
        if cls.io == "io_uring" and not uring():
            raise unittest.SkipTest("io_uring is refused here")
        cls.g = gateway.Gateway("--server.workers=1", *cls.variant_flags(), *cls.flags, config=cls.config)

    @classmethod
    def tearDownClass(cls):
        cls.g.stop()

    def tearDown(self):
        """Whatever a test did, its tasks are over and the gateway still serves."""
        self.g.wait_active(0)

    def own(self, *flags, **options):
        return gateway.Gateway("--server.workers=1", *self.variant_flags(), *flags, **options)

    def assert_error(self, answer, status, code, field=None, offset=None):
        self.assertEqual(answer.status, status, answer)
        error = answer.json()["error"]
        self.assertEqual(error["code"], code, answer)
        if field is not None:
            self.assertEqual(error.get("field"), field, answer)
        if offset is not None:
            self.assertEqual(error.get("offset"), offset, answer)

    def assert_alive(self, client):
        """The connection still serves."""
        self.assertEqual(client.ask(b"GET /iicp/health HTTP/1.1\r\nHost: t\r\n\r\n").status, 200)


_uring = []


def uring():
    if not _uring:
        _uring.append(gateway.io_uring_works())
    return _uring[0]


class Tap:
    """Numbers and prints the cases of a run, in whatever order they end."""
    def __init__(self):
        self.number, self.lock = 0, threading.Lock()

    def say(self, ok, test, note="", text=""):
        with self.lock:
            self.number += 1
            lines = ["%s %d - %s%s" % ("ok" if ok else "not ok", self.number, name_of(test), note)]
            print("\n".join(lines + ["# " + line for line in text.rstrip().splitlines()]), flush=True)


class TapResult(unittest.TestResult):
    def __init__(self, tap):
        super().__init__()
        self.tap = tap

    def addSuccess(self, test):
        super().addSuccess(test)
        self.tap.say(True, test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.tap.say(True, test, " # SKIP " + reason)

    def addError(self, test, err):
        super().addError(test, err)
        self.explain(test, self.errors[-1][1])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.explain(test, self.failures[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.explain(subtest, self._exc_info_to_string(err, test))

    def explain(self, test, text):
        served = getattr(test, "g", None)  # a gateway that a whole class shares; others add their logs themselves
        if isinstance(served, gateway.Gateway):
            text += served.end_of_log()
        self.tap.say(False, test, text=text)


def name_of(test):
    return test.id().replace("__main__.", "").replace("#", "")


def main(at_once=4):
    """TAP for all cases of the calling file, or for those whose name contains an argument. @at_once: so many classes run
    side by side, as cases wait more than they work; fair since each class has a gateway of its own."""
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    classes = {}
    for test in flatten(suite):
        if len(sys.argv) == 1 or any(a in test.id() for a in sys.argv[1:]):
            classes.setdefault(type(test), []).append(test)
    tap = Tap()
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        fine = all(list(pool.map(lambda tests: run_class(tests, tap), classes.values())))
    print("1..%d" % tap.number, flush=True)
    sys.exit(0 if fine else 1)


def run_class(tests, tap):
    result = TapResult(tap)
    unittest.TestSuite(tests).run(result)
    return result.wasSuccessful()


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item
