# SPDX-License-Identifier: Apache-2.0
"""User kernels in the real program: what compiles, what does not and how that is said. No GPU is needed."""
import os
import re
import unittest

import harness
from gateway import Gateway, run_once
from kernels import ENDLESS, EXAMPLES, SOUND, WILD, Sources, table

OK, NO_START, USAGE, CONFIG = 0, 1, 2, 78


class Kernels(Sources, unittest.TestCase):
    def check(self, source, more="", count=1):
        """What --check-config makes of a kernel runner with that source."""
        path = os.path.join(self.folder.name, "c.toml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(table(source, more, count))
        return run_once("serve", "--check-config", "--config", path)

    def assert_refused(self, source, pattern, more="", count=1):
        """The same line from --check-config and from a start, and both end."""
        code, out, err = self.check(source, more, count)
        self.assertEqual((code, out), (CONFIG, ""), err)
        self.assertRegex(err.splitlines()[-1], pattern)
        g = Gateway(config=table(source, more, count), ready=False)
        self.assertEqual(g.wait(), CONFIG)
        self.assertRegex(g.log(), pattern)

    def test_a_sound_source_is_a_valid_configuration(self):
        for source in (SOUND, WILD):
            code, out, err = self.check(self.source(source))
            self.assertEqual((code, err), (OK, ""))
            self.assertIn("configuration is valid", out)

    def test_warnings_are_logged_and_refuse_nothing(self):
        code, _, err = self.check(self.source(SOUND.replace("{", "{ int unused;")))
        self.assertEqual(code, OK, err)
        self.assertRegex(err, r"warn +\S+k\.cu\(2\): warning .*\"unused\"")

    def test_a_syntax_error_has_the_users_line(self):
        source = self.source(SOUND.replace("in[0] + 1;", "in[0] + 1"))
        self.assert_refused(source, r"(?m)^\S*:3: runner\.k\.source: " + re.escape(source) + r"\(4\): error: expected a \";\"")

    def test_another_function_is_told_the_right_form(self):
        self.assert_refused(self.source(SOUND.replace("int run", "void run").replace("return 0;", "")),
                            r"runner\.k\.source: .*the function must be: __device__ int run\(const int \*in, int \*out\)")

    def test_files_that_are_no_source(self):
        self.assert_refused("/nowhere/none.cu", r"runner\.k\.source: /nowhere/none\.cu: No such file or directory")
        self.assert_refused(self.folder.name, r"is no regular file")
        self.assert_refused(self.source(b""), r"is empty")
        self.assert_refused(self.source(b"int\0x;"), r"is no text: it has a byte of value 0")
        self.assert_refused(self.source(bytes(range(1, 256)) * 20), r"k\.cu\(1\): error: ")
        self.assert_refused(self.source(b"\n" * (1 << 20) + b"\n"), r"is over 1 MiB")

    def test_a_compilation_that_never_ends_is_stopped(self):
        self.assert_refused(self.source(ENDLESS), r"runner\.k\.compile_ms: compiling \S+ took over 1000 ms and was stopped",
                            "compile_ms = 1000\n")

    def test_more_numbers_than_a_row_may_have(self):
        self.assert_refused(self.source(SOUND), r":4: runner\.k\.in: the count must be from 1 to 65536", count=70000)

    def test_a_library_that_is_not_there(self):
        self.assert_refused(self.source(SOUND), r"runner\.k\.nvrtc: /nowhere/libnvrtc\.so: cannot open",
                            'nvrtc = "/nowhere/libnvrtc.so"\n')

    def test_no_compiler_process_is_left(self):
        self.check(self.source(ENDLESS, "left.cu"), "compile_ms = 500\n")
        for entry in os.listdir("/proc"):
            try:
                with open("/proc/%s/cmdline" % entry, "rb") as f:
                    self.assertNotIn(b"left.cu", f.read())
            except OSError:
                continue


class Without(Sources, unittest.TestCase):
    def setUp(self):
        with Gateway() as g:
            if not re.search("no GPU", g.log()):
                self.skipTest("this machine has a GPU")

    def test_it_does_not_start_without_a_gpu_and_says_for_whom(self):
        g = Gateway(config=table(self.source(SOUND)), ready=False)
        self.assertEqual(g.wait(), NO_START)
        self.assertRegex(g.log(), r"error runner\.k: a kernel runner computes on a GPU only: ")

    def test_nor_where_the_configuration_leaves_none(self):
        g = Gateway("--executor.device=cpu", config=table(self.source(SOUND)), ready=False)
        self.assertEqual(g.wait(), CONFIG)
        self.assertRegex(g.log(), r"runner\.k: a kernel runner computes on a GPU only: executor\.device leaves no GPU")
        g = Gateway("--runner.k.device=cpu", config=table(self.source(SOUND)), ready=False)
        self.assertEqual(g.wait(), CONFIG)
        self.assertIn("runner.k.device: a kernel runner computes on a GPU only", g.log())


class ByHand(Sources, unittest.TestCase):
    def test_the_examples_compile_as_they_say(self):
        for name in ("haversine.cu", "softmax.cu"):
            path = os.path.join(EXAMPLES, name)
            with open(path, encoding="utf-8") as f:
                lines = re.findall(r'^ \*   (\w+) = "?([^"\n]*)"?$', f.read(), re.MULTILINE)
            keys = ["%s=%s" % (k, v) for k, v in lines if k not in ("type", "source")]
            code, out, err = run_once("compile-kernel", path, *keys)
            self.assertEqual((code, err), (OK, ""))
            self.assertIn("compiles", out)

    def test_a_source_that_does_not_compile(self):
        code, out, err = run_once("compile-kernel", self.source("nonsense;"), "in=i32:1", "out=i32:1")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("k.cu(1): error: ", err)

    def test_wrong_command_lines(self):
        for args in ((), ("a.cu", "in")):
            code, out, err = run_once("compile-kernel", *args)
            self.assertEqual((code, out), (USAGE, ""))
            self.assertIn("usage: taskgate compile-kernel", err)
        code, out, err = run_once("compile-kernel", "--help")
        self.assertEqual((code, err), (OK, ""))
        self.assertIn("fast_math", out)

    def test_the_harness_checks_what_it_can(self):
        code, out, err = run_once("runner-test", "kernel", "--option", "source=" + self.source(SOUND), "--option", "in=i32:1",
                                  "--option", "out=i32:1", "--payload", '{"row":[1]}', "--payload", '{"rows":[[1],[2]]}')
        self.assertEqual(code, OK, out + err)
        self.assertIn("it computes on a GPU only", out)


if __name__ == "__main__":
    harness.main(at_once=2)
