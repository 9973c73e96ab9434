#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Commands that talk to nodes: discover, submit and conformance, with the real gateway and with nodes that misbehave."""
import http.server
import json
import os
import socket
import subprocess
import tempfile
import threading
import unittest

import harness
from client import ECHO, NOOP
from devnet import CX, Devnet
from gateway import Gateway, START_S, TASKGATE, clean_environment, free_port, run_once, wait_for

DONE, REFUSED, USAGE, NO_NODE, NOT_REACHED, BUSY, BACKEND, TIMEOUT, UNTRUSTED = range(9)
ENOUGH = ("[runner.echo]\ntype = \"echo\"\n[runner.noop]\ntype = \"noop\"\nmax_batch = 1\nstreams = 64\n")


def free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Scripted:
    """A node whose answers a test writes: each a status, members of the body, and headers. The last one repeats."""
    def __init__(self, *answers):
        self.asked, script = [], list(answers)
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                try:
                    body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                except ValueError:
                    body = {}
                asked.append((body, dict(self.headers)))
                status, members, headers = script.pop(0) if len(script) > 1 else script[0]
                text = json.dumps({"task_id": body.get("task_id"), **members}).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *unused):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


def error(status, code, **headers):
    return status, {"status": "error", "error": {"code": code, "message": "no"}}, headers


SUCCESS = (200, {"status": "success", "result": {"text": "pong"}}, {})


def submit(*args, env=None):
    return run_once("submit", "--intent", ECHO, *args, env=env)


class Payloads(unittest.TestCase):
    def test_from_the_argument_a_file_and_standard_input(self):
        with Scripted(SUCCESS) as node, tempfile.NamedTemporaryFile("w", suffix=".json") as f:
            f.write('{"n":2}')
            f.flush()
            self.assertEqual(submit("--url", node.url, '{"n":1}')[0], DONE)
            self.assertEqual(submit("--url", node.url, "--file", f.name)[0], DONE)
            done = subprocess.run([TASKGATE, "submit", "--intent", ECHO, "--url", node.url], input=b'{"n":3}',
                                  capture_output=True, env=clean_environment(), timeout=START_S, check=False)
            self.assertEqual(done.returncode, DONE, done.stderr)
            self.assertEqual([body["payload"] for body, _h in node.asked], [{"n": 1}, {"n": 2}, {"n": 3}])

    def test_what_is_no_json_is_refused_before_anybody_is_asked(self):
        with Scripted(SUCCESS) as node:
            code, out, err = submit("--url", node.url, "{")
            self.assertEqual((code, out, node.asked), (USAGE, "", []))
            self.assertIn("at byte 1", err)
            self.assertEqual(submit("--url", node.url)[0], USAGE)  # standard input is empty
            self.assertEqual(submit("--url", node.url, "--file", "/nowhere", )[0], USAGE)
            self.assertEqual(run_once("submit", "--url", node.url, "{}")[0], USAGE)  # no intent

    def test_what_the_node_is_sent(self):
        with Scripted(SUCCESS) as node, tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "token")
            with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as f:
                f.write("secret-token\n")
            code, out, err = submit("--url", node.url + "/", "--qos", "batch", "--model", "m", "--timeout-ms", "70000",
                                    "--task-id", "mine", "--token-file", path, "{}")
            self.assertEqual((code, json.loads(out)), (DONE, {"text": "pong"}), err)
            self.assertNotIn("secret-token", out + err)
            (body, headers), = node.asked
            self.assertEqual((body["task_id"], body["intent"], len(body["nonce"])), ("mine", ECHO, 36))
            self.assertEqual(body["constraints"], {"timeout_ms": 70000, "qos": "batch", "qos_class": "batch", "model": "m"})
            self.assertEqual(headers["Authorization"], "Bearer secret-token")
            os.chmod(path, 0o644)
            self.assertEqual(submit("--url", node.url, "--token-file", path, "{}")[0], USAGE)


class Outcomes(unittest.TestCase):
    def test_each_has_an_exit_status_of_its_own(self):
        cases = ((error(422, "validation_error"), REFUSED), (error(429, "IICP-E021"), BUSY),
                 (error(503, "IICP-E024"), BUSY), (error(502, "backend_error"), BACKEND), (error(500, "internal_error"), BACKEND),
                 (error(504, "task_timeout"), TIMEOUT), ((200, {"task_id": "another", "status": "success"}, {}), UNTRUSTED))
        for answer, expected in cases:
            with self.subTest(answer=answer), Scripted(answer) as node:
                code, out, err = submit("--url", node.url, "--retry-ms", "0", "{}")
                self.assertEqual((code, out, len(node.asked)), (expected, "", 1), err)
                if answer[0] != 200:
                    self.assertIn("%d %s" % (answer[0], answer[1]["error"]["code"]), err)

    def test_nobody_there(self):
        self.assertEqual(submit("--url", "http://127.0.0.1:%d" % free_port(), "--retry-ms", "0", "{}")[0], NOT_REACHED)
        self.assertEqual(submit("--url", "ftp://127.0.0.1", "{}")[0], NO_NODE)

    def test_busy_nodes_are_asked_again_when_they_said(self):
        with Scripted(error(429, "IICP-E021", **{"Retry-After": "1"}), error(503, "IICP-E024"), SUCCESS) as node:
            code, out, err = submit("--url", node.url, "{}")
            self.assertEqual((code, json.loads(out)), (DONE, {"text": "pong"}), err)
            self.assertEqual(len({body["nonce"] for body, _h in node.asked}), 3)
            self.assertEqual(len({body["task_id"] for body, _h in node.asked}), 3)
            self.assertIn("trying again in 1.0 s", err)

    def test_what_is_refused_for_good_is_not_repeated(self):
        with Scripted(error(409, "IICP-E011"), SUCCESS) as node:
            self.assertEqual(submit("--url", node.url, "{}")[0], REFUSED)
            self.assertEqual(len(node.asked), 1)

    def test_a_wait_longer_than_the_budget_is_not_waited(self):
        with Scripted(error(429, "IICP-E021", **{"Retry-After": "3000"})) as node:
            self.assertEqual(submit("--url", node.url, "--retry-ms", "1000", "{}")[0], BUSY)
            self.assertEqual(len(node.asked), 1)

    def test_json_is_the_whole_reply_on_a_line(self):
        with Scripted(SUCCESS) as node:
            _code, out, err = submit("--url", node.url, "--json", "--quiet", "--task-id", "t", "{}")
            self.assertEqual((out.count("\n"), err), (1, ""))
            self.assertEqual(json.loads(out), {"task_id": "t", "status": "success", "result": {"text": "pong"}})

    def test_a_reply_in_plain_to_a_sealed_request_is_not_shown(self):
        with Scripted(SUCCESS) as node:
            code, out, err = submit("--url", node.url, "--cx", "--cx-key", CX["key"], '{"my":"secret"}')
            self.assertEqual((code, out), (UNTRUSTED, ""), err)
            (body, _headers), = node.asked
            self.assertNotIn("payload", body)
            self.assertEqual(body["cx_response_encryption"], "required")
            self.assertEqual(body["iicp_conf"]["recipient_key_id"], CX["key_id"])


class WithDirectory(unittest.TestCase):
    """A devnet, and a gateway registered with it."""
    @classmethod
    def setUpClass(cls):
        cls.d = Devnet()
        cls.port = free_port()
        cls.flags = ("--directory.url=" + cls.d.url,)
        cls.g = Gateway("--server.workers=1", "--server.listen=127.0.0.1:%d" % cls.port, "--node.id=n1", *cls.flags,
                        "--directory.allow_private=true", "--directory.public_endpoint=http://127.0.0.1:%d" % cls.port,
                        "--admission.max_concurrent=4", config=ENOUGH)
        wait_for(lambda: "n1" in cls.d.found(), 30, "n1 to be registered")

    @classmethod
    def tearDownClass(cls):
        cls.g.stop()
        cls.d.stop()

    # ---- discover --------------------------------------------------------------------------------------

    def test_discover_shows_a_table_or_json(self):
        code, out, _err = run_once("discover", *self.flags, "--intent", ECHO)
        self.assertEqual(code, 0)
        self.assertRegex(out, r"(?m)^n1 .* yes  yes  http://127\.0\.0\.1:%d  echo,noop$" % self.port)
        code, out, _err = run_once("discover", *self.flags, "--json", "--limit=5")
        self.assertEqual((code, json.loads(out)["nodes"][0]["node_id"]), (0, "n1"))

    def test_discover_says_when_there_is_nothing(self):
        self.assertEqual(run_once("discover", *self.flags, "--intent", "urn:iicp:intent:llm:chat:v1")[0], 1)
        self.assertEqual(run_once("discover", *self.flags, "--region", "nowhere")[0], 1)
        self.assertEqual(run_once("discover")[0], 4)
        self.assertEqual(run_once("discover", "--directory.url=http://127.0.0.1:%d" % free_port())[0], 4)
        self.assertEqual(run_once("discover", *self.flags, "--limit=51")[0], USAGE)

    def test_every_question_reaches_the_directory(self):
        code, _out, err = run_once("discover", *self.flags, "--intent", ECHO, "--qos=batch", "--model=echo", "--modality=text",
                                   "--min-reputation=0", "--max-multiplier=1000", "--limit=3", "--view=dispatch")
        self.assertIn(code, (0, 1), err)

    # ---- submit ----------------------------------------------------------------------------------------

    def test_a_task_to_a_node_found_by_its_intent(self):
        code, out, err = submit(*self.flags, "--allow-private", '{"text":"hi"}')
        self.assertEqual((code, json.loads(out)), (DONE, {"text": "hi"}), err)
        self.assertIn("n1", err)
        code, out, err = submit(*self.flags, '{"text":"hi"}', env={"IICP_PROXY_ALLOW_LOOPBACK_NODES": "1"})
        self.assertEqual((code, json.loads(out)), (DONE, {"text": "hi"}), err)

    def test_addresses_of_this_host_that_a_directory_names_are_not_called(self):
        code, out, err = submit(*self.flags, "{}")
        self.assertEqual((code, out), (NO_NODE, ""))
        self.assertIn("not public", err)

    def test_a_confidential_task_goes_and_comes_back_sealed(self):
        code, out, err = submit(*self.flags, "--allow-private", "--cx", "--json", '{"text":"hi"}')
        self.assertEqual(code, DONE, err)
        reply = json.loads(out)
        self.assertEqual((reply["result"], reply["status"]), ({"text": "hi"}, "success"))

    def test_nodes_without_a_key_or_with_a_broken_one_get_no_confidential_task(self):
        intent = "urn:iicp:intent:x.test:sealed:v1"
        with Scripted(SUCCESS) as node:
            for name, key in (("plain", None), ("mixed", dict(CX, key_id="cx-0000000000000000")), ("deaf", dict(CX, features=[]))):
                self.d.register(node_id=name, endpoint=node.url, cx_public_key=key, capabilities=[{"intent": intent}])
            code, out, err = run_once("submit", *self.flags, "--allow-private", "--cx", "--intent", intent, "{}")
            self.assertEqual((code, out, node.asked), (NO_NODE, "", []), err)
            self.assertEqual(run_once("submit", *self.flags, "--allow-private", "--intent", intent, "{}")[0], DONE)

    def test_the_next_node_is_asked_where_one_is_busy_or_gone(self):
        intent = "urn:iicp:intent:x.test:several:v1"
        with Scripted(error(503, "IICP-E024")) as busy, Scripted(SUCCESS) as fine:
            for name, url in (("gone", "http://127.0.0.1:%d" % free_port()), ("busy", busy.url), ("fine", fine.url)):
                self.d.register(node_id=name, endpoint=url, capabilities=[{"intent": intent}])
            code, out, err = run_once("submit", *self.flags, "--allow-private", "--intent", intent, "{}")
            self.assertEqual((code, json.loads(out)), (DONE, {"text": "pong"}), err)
            code, _out, err = run_once("submit", *self.flags, "--allow-private", "--intent", intent, "--node=busy",
                                       "--retry-ms=0", "{}")
            self.assertEqual(code, BUSY, err)

    # ---- conformance -----------------------------------------------------------------------------------

    def report(self, *flags):
        code, out, err = run_once("conformance", "--json", *flags)
        report = json.loads(out)
        tests = {t["test_id"]: t for t in report["tests"]}
        self.assertEqual(report["pass_count"] + report["fail_count"] + report["skip_count"], len(tests), err)
        return code, report, tests

    def test_this_node_conforms(self):
        code, report, tests = self.report("http://127.0.0.1:%d" % self.port, *self.flags, "--directory.allow_private=true",
                                          "--intent", NOOP, "--slow-payload", '{"sleep_ms":2000}',
                                          "--node.state_dir=" + self.g.state_dir)
        failed = [t for t in report["tests"] if not t["passed"] and not t["skipped"]]
        skipped = [t["test_id"] for t in report["tests"] if t["skipped"]]
        self.assertEqual((code, failed, skipped), (0, [], ["NODE-TASK-05"]), report)
        self.assertTrue(tests["QOS-ADMIT-01"]["passed"] and tests["CX-03"]["passed"])

    def test_without_a_directory_what_needs_one_is_skipped(self):
        code, _report, tests = self.report("http://127.0.0.1:%d" % self.port)
        self.assertEqual(code, 0)
        for name in ("CONF-REACH-01", "CONF-DISC-01", "CX-03", "CX-04"):
            self.assertTrue(tests[name]["skipped"], tests[name])

    def test_whether_there_is_a_token_is_known_where_the_credentials_are(self):
        _code, _report, tests = self.report("http://127.0.0.1:%d" % self.port)
        self.assertTrue(tests["CONF-REG-01"]["skipped"], tests["CONF-REG-01"])
        with tempfile.TemporaryDirectory() as state:
            os.mkdir(os.path.join(state, "nodes"), 0o700)
            path = os.path.join(state, "nodes", "default.json")
            with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as f:
                json.dump({"node_id": "n1", "node_token": ""}, f)
            _code, _report, tests = self.report("http://127.0.0.1:%d" % self.port, "--node.state_dir=" + state)
        self.assertEqual((tests["CONF-REG-01"]["passed"], tests["CONF-REG-01"]["message"]), (False, "n1 has no token"))

    @unittest.skipUnless(os.geteuid() == 0, "only root listens there")
    def test_a_port_that_directories_do_not_probe_is_no_failure(self):
        port = next(p for p in range(700, 1000) if free(p))
        with Gateway("--server.workers=1", "--server.listen=127.0.0.1:%d" % port, config=ENOUGH):
            _code, _report, tests = self.report("http://127.0.0.1:%d" % port, *self.flags, "--directory.allow_private=true")
        self.assertTrue(tests["CONF-REACH-01"]["skipped"], tests["CONF-REACH-01"])
        self.assertIn("below 1024", tests["CONF-REACH-01"]["message"])

    def test_a_directory_is_found_below_api_as_well(self):
        paths = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                paths.append(self.path.split("?")[0])
                body = b'{"nodes":[]}' if self.path.startswith("/api/v1/") else b"{}"
                self.send_response(200 if self.path.startswith("/api/v1/") else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *unused):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            code, _out, err = run_once("discover", "--directory.url=http://127.0.0.1:%d" % server.server_address[1],
                                       "--intent", ECHO)
            server.shutdown()
        self.assertEqual((code, paths), (1, ["/v1/discover", "/api/v1/discover"]), err)

    def test_a_node_that_wants_credentials_is_checked_with_its_token(self):
        port = free_port()
        flags = ("--directory.url=" + self.d.url, "--directory.allow_private=true", "--node.id=guarded",
                 "--directory.public_endpoint=http://127.0.0.1:%d" % port)
        with Gateway("--server.workers=1", "--auth.mode=required", "--server.listen=127.0.0.1:%d" % port, *flags,
                     config=ENOUGH) as g:
            path = os.path.join(g.state_dir, "nodes", "default.json")
            wait_for(lambda: os.path.exists(path), 30, "the credentials")
            token = os.path.join(g.folder.name, "token")
            with open(path, encoding="utf-8") as f, open(os.open(token, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as t:
                t.write(json.load(f)["node_token"])
            code, _report, tests = self.report("http://127.0.0.1:%d" % port)
            self.assertEqual((code, tests["NODE-TASK-01"]["passed"]), (1, False))
            self.assertIn("401", tests["NODE-TASK-01"]["message"])
            code, report, tests = self.report("http://127.0.0.1:%d" % port, "--token-file", token)
            self.assertEqual(code, 0, report)
            self.assertTrue(tests["NODE-TASK-01"]["passed"] and tests["NODE-TASK-05"]["passed"], report)

    def test_a_server_that_is_no_node_fails(self):
        with Scripted((200, {"status": "success"}, {})) as node:  # answers every POST alike, and no GET
            code, report, tests = self.report(node.url, "--intent", ECHO)
            self.assertEqual(code, 1)
            for name in ("CONF-HEALTH-01", "NODE-TASK-02", "NODE-TASK-03", "NODE-TASK-07", "NODE-REPLAY-01", "TRACE-02", "CX-01"):
                self.assertFalse(tests[name]["passed"] or tests[name]["skipped"], tests[name])
            self.assertTrue(tests["NODE-TASK-01"]["passed"])

    def test_the_page_for_people_and_the_ways_it_ends(self):
        code, out, _err = run_once("conformance", "http://127.0.0.1:%d" % self.port)
        self.assertEqual(code, 0)
        self.assertRegex(out, r"(?m)^pass  NODE-TASK-01 ")
        self.assertRegex(out, r"\n\d+ passed, 0 failed, \d+ skipped\n$")
        self.assertEqual(run_once("conformance", "http://127.0.0.1:%d" % free_port())[0], 4)
        self.assertEqual(run_once("conformance")[0], USAGE)
        self.assertEqual(run_once("conformance", "nowhere")[0], USAGE)


if __name__ == "__main__":
    harness.main(at_once=3)
