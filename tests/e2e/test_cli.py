# SPDX-License-Identifier: Apache-2.0
"""The command line: what ends by itself, with which exit status, and which one line it says."""
import os
import re
import socket
import tempfile
import unittest

import harness
from client import ECHO
from gateway import Gateway, RUNNERS, io_uring_works, run_once

OK, NO_START, USAGE, CONFIG = 0, 1, 2, 78


class Configured(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="taskgate-cli-")
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "c.toml")

    def check(self, text, *flags, env=None):
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(text)
        return run_once("serve", "--check-config", "--config", self.path, *flags, env=env)

    def assert_problem(self, got, *lines):
        """Exactly these complaints, each on one line."""
        code, out, err = got
        self.assertEqual(code, CONFIG, got)
        self.assertEqual(out, "")
        self.assertEqual(len(err.splitlines()), len(lines), err)
        for line, pattern in zip(err.splitlines(), lines):
            self.assertTrue(re.search(pattern, line), (line, pattern))


class Words(unittest.TestCase):
    def test_help_names_every_key_and_flag(self):
        for args in (("--help",), ("help",), ("serve", "--help")):
            code, out, err = run_once(*args)
            self.assertEqual((code, err), (OK, ""))
            for word in ("usage: taskgate", "--server.listen", "--shutdown.drain_ms", "--check-config", "runner-test"):
                self.assertIn(word, out)

    def test_version(self):
        for args in (("--version",), ("version",)):
            code, out, err = run_once(*args)
            self.assertEqual((code, err), (OK, ""))
            self.assertTrue(re.fullmatch(r"taskgate \d+\.\d+\.\d+\n", out), out)

    def test_an_unknown_command_is_a_usage_error(self):
        code, out, err = run_once("frobnicate")
        self.assertEqual((code, out), (USAGE, ""))
        self.assertEqual(len(err.splitlines()), 1)
        self.assertIn("frobnicate", err)

    def test_the_printed_configuration_is_one_that_can_be_read_back(self):
        code, out, err = run_once("serve", "--print-config", "--server.workers=3", env={"TASKGATE_NODE_REGION": "x-1"})
        self.assertEqual((code, err), (OK, ""))
        self.assertIn("workers = 3", out)
        self.assertIn('"x-1"', out)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "again.toml")
            with open(path, "w", encoding="utf-8") as f:
                f.write(out)
            code, again, err = run_once("serve", "--print-config", "--config", path)
            self.assertEqual((code, err), (OK, ""))
            self.assertIn("workers = 3", again)


class CheckConfig(Configured):
    def test_a_good_file_is_0(self):
        code, out, err = self.check(RUNNERS + "[server]\nlisten = ['127.0.0.1:0']\n")
        self.assertEqual(code, OK, err)
        self.assertEqual(out, "configuration is valid\n")

    def test_an_unknown_key_is_told_with_its_line_and_the_nearest_one(self):
        self.assert_problem(self.check(RUNNERS + "[server]\nwrokers = 3\n"),
                            r'c\.toml:15: unknown key "server\.wrokers" .*"server\.workers"')

    def test_a_value_out_of_range_is_told_with_its_line(self):
        self.assert_problem(self.check("[server]\n\nworkers = 65\n"), r"c\.toml:3: server\.workers: 65")

    def test_a_value_of_another_type(self):
        self.assert_problem(self.check('[server]\nworkers = "many"\n'), r"c\.toml:2: server\.workers: .*many")

    def test_text_that_is_no_toml(self):
        self.assert_problem(self.check("[server\nworkers = 1\n"), r"c\.toml:1")

    def test_every_problem_is_told_in_one_go(self):
        self.assert_problem(self.check("[server]\nworkers = 65\nbaklog = 1\n", "--limits.body_bytes=1", "--log.levle=info"),
                            r".", r".", r".", r".")

    def test_an_unknown_flag(self):
        self.assert_problem(self.check(RUNNERS, "--server.wrokers=3"), r'"--server\.wrokers" .*"--server\.workers"')

    def test_a_misspelt_variable(self):
        self.assert_problem(self.check(RUNNERS, env={"TASKGATE_SERVER_WROKERS": "3"}), r"TASKGATE_SERVER_WROKERS.*WORKERS")

    def test_bad_runner_options_are_told_with_their_lines(self):
        self.assert_problem(self.check('[runner.x]\ntype = "knn"\n[runner.y]\ntype = "noop"\nsleepms = 3\n'),
                            r'c\.toml:1: runner\.x: "data" is missing', r'c\.toml:5: runner\.y\.sleepms: .*sleep_ms')

    def test_an_unknown_kind_of_runner(self):
        self.assert_problem(self.check('[runner.x]\ntype = "eco"\n'), r"c\.toml:[12]: runner\.x.*eco")

    def test_two_runners_for_one_intent(self):
        self.assert_problem(self.check('[runner.a]\ntype = "echo"\n[runner.b]\ntype = "echo"\n'), r"runner\.b: .*echo:v1")

    def test_a_data_file_that_is_not_there(self):
        self.assert_problem(self.check('[runner.x]\ntype = "knn"\ndata = "/nowhere/x.npy"\n'), r"c\.toml:3: runner\.x\.data: .*/nowhere/x\.npy")

    def test_a_file_that_is_not_there(self):
        code, out, err = run_once("serve", "--check-config", "--config", "/nowhere/c.toml")
        self.assertEqual((code, out), (CONFIG, ""))
        self.assertEqual(len(err.splitlines()), 1)
        self.assertTrue(re.search(r"/nowhere/c\.toml: .*No such file", err), err)

    def test_flags_go_before_the_environment_and_that_before_the_file(self):
        text = '[node]\nregion = "file"\nid = "file"\nmodel = "file"\n'
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(text)
        env = {"TASKGATE_NODE_REGION": "env", "TASKGATE_NODE_ID": "env", "TASKGATE_CONFIG": "/nowhere"}
        _code, out, _err = run_once("serve", "--print-config", "--config", self.path, "--node.id=flag", env=env)
        self.assertTrue(re.search(r'region = "env"', out), out)
        self.assertTrue(re.search(r'id = "flag"', out), out)
        self.assertTrue(re.search(r'model = "file"', out), out)


class NoStart(Configured):
    def serve(self, *flags, text=RUNNERS, **options):
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(text)
        return run_once("serve", "--config", self.path, *flags, **options)

    def complaints(self, err):
        return [line for line in err.splitlines() if " info " not in line]

    def assert_no_start(self, got, pattern, code=NO_START):
        self.assertEqual(got[0], code, got)
        said = self.complaints(got[2])
        self.assertEqual(len(said), 1, got[2])
        self.assertTrue(re.search(pattern, said[0]), said)

    def test_a_port_in_use(self):
        with Gateway() as g:
            address = "127.0.0.1:%d" % g.port
            for io in ("epoll", "io_uring"):
                self.assert_no_start(self.serve("--server.listen=" + address, "--server.io=" + io),
                                     re.escape(address) + r": Address already in use")
            self.assertEqual(g.task(ECHO, 1).status, 200)

    def test_a_port_used_by_somebody_else(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            self.assert_no_start(self.serve("--server.listen=127.0.0.1:%d" % s.getsockname()[1]),
                                 r"Address already in use")

    def test_one_of_two_addresses_in_use(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            got = self.serve("--server.listen=127.0.0.1:0,127.0.0.1:%d" % s.getsockname()[1])
            self.assert_no_start(got, r"Address already in use")

    def test_an_address_that_is_not_ours(self):
        self.assert_no_start(self.serve("--server.listen=192.0.2.1:0"), r"192\.0\.2\.1:0: Cannot assign")

    def test_an_unknown_user(self):
        self.assert_no_start(self.serve("--server.listen=127.0.0.1:0", "--process.user=no-such-user-here"),
                             r"no-such-user-here")

    def test_a_missing_file(self):
        code, _out, err = run_once("serve", "--config", "/nowhere/c.toml")
        self.assertEqual(code, CONFIG)
        self.assertEqual(len(err.splitlines()), 1)

    def test_no_runner_at_all_cannot_be_configured_by_accident(self):
        code, _out, err = self.serve("--server.listen=127.0.0.1:0", text='[runner.x]\n')
        self.assertNotEqual(code, OK)
        self.assertIn("runner.x", err)

    def test_bad_runner_options(self):
        got = self.serve("--server.listen=127.0.0.1:0", "--runner.noop.sleep_ms=-1")
        self.assert_no_start(got, r"runner\.noop\.sleep_ms: .*-1.* 0 to 300000", CONFIG)

    def test_what_a_look_at_the_configuration_finds_a_start_ends_with_as_well(self):
        for flag, pattern in (("--directory.url=ftp://x", r"directory\.url: "),
                              ("--pricing.multiplier=lots", r"pricing\.multiplier: "),
                              ("--availability.windows=9-17", r"availability\.windows: "),
                              ("--node.input_modalities=text,smell", r'node\.input_modalities: "smell" is none of text,'),
                              ("--node.supported_profiles=" + ",".join("abcdefghijklmnopq"), r"node\.supported_profiles: at most 16"),
                              ("--topology.worker_cpus=x", r"topology.worker_cpus"),
                              ("--directory.policy_manifest=/nowhere/x.json", r"directory\.policy_manifest: .*No such file")):
            flags = ("--server.listen=127.0.0.1:0", flag)
            self.assert_no_start(self.serve(*flags), pattern, CONFIG)
            self.assert_no_start(self.serve("--check-config", *flags), pattern, CONFIG)

    def test_what_only_a_start_can_find_is_no_error_of_the_configuration(self):
        flags = ("--server.listen=192.0.2.1:0",)
        self.assertEqual(self.serve("--check-config", *flags)[0], OK)
        self.assert_no_start(self.serve(*flags), r"Cannot assign")

    @unittest.skipUnless(os.geteuid() == 0, "only root can give up being root")
    def test_what_an_unprivileged_user_may_not_do(self):
        import pwd
        nobody = pwd.getpwnam("nobody")
        os.chmod(os.path.dirname(self.path), 0o755)
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(RUNNERS)
        os.chmod(self.path, 0)
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setgid(nobody.pw_gid)
                os.setuid(nobody.pw_uid)
                code, _out, err = run_once("serve", "--config", self.path)
                os._exit(0 if code == CONFIG and "Permission denied" in err and len(err.splitlines()) == 1 else 1)
            finally:
                os._exit(2)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)


@unittest.skipUnless(os.geteuid() == 0, "only root can give up being root")
class Privileges(unittest.TestCase):
    def test_it_becomes_the_configured_user_once_it_listens(self):
        with Gateway("--process.user=nobody") as g:
            with open("/proc/%d/status" % g.process.pid, encoding="ascii") as f:
                status = f.read()
            uids = re.search(r"^Uid:\s+(\d+)\s+(\d+)\s+(\d+)", status, re.M).groups()
            self.assertNotIn("0", uids)
            self.assertRegex(status, r"(?m)^CapPrm:\s+0+$")
            self.assertRegex(status, r"(?m)^NoNewPrivs:\s+1$")
            self.assertEqual(g.task(ECHO, 1).status, 200)


class Choices(unittest.TestCase):
    def test_auto_takes_io_uring_where_it_works_and_says_which(self):
        with Gateway() as g:
            kind = g.wait_log(r"worker.* on (io_uring|epoll),").group(1)
            self.assertEqual(kind, "io_uring" if io_uring_works() else "epoll")

    def test_several_addresses_are_all_served(self):
        with Gateway("--server.listen=127.0.0.1:0,127.0.0.2:0", "--server.workers=2") as g:
            port = int(g.wait_log(r"listening on http://127\.0\.0\.2:(\d+)").group(1))
            with socket.create_connection(("127.0.0.2", port)) as s:
                s.sendall(b"GET /iicp/health HTTP/1.1\r\nHost: t\r\n\r\n")
                self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 200 "))

    def test_the_log_can_be_json(self):
        import json
        with Gateway("--log.format=json", ready=False) as g:
            g.wait_log(r"taskgate \S+: \d+ worker")
            for line in g.log().splitlines():
                self.assertEqual(set(json.loads(line)), {"ts", "level", "msg"})


if __name__ == "__main__":
    harness.main()
