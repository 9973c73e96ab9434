#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`taskgate devnet` as a program and a server: flags, HTTP, many clients. The other test_devnet_*.py look at its routes."""
import json
import re
import signal
import socket
import threading
import unittest

import harness
from devnet import KEY, Devnet, Directory, registration
from gateway import run_once, wait_for


class Http(Directory):
    def test_every_answer_may_be_read_by_any_page(self):
        for method, path in (("GET", "/v1/discover"), ("POST", "/v1/register"), ("GET", "/nowhere"), ("OPTIONS", "/v1/register")):
            _status, headers, _text = self.d.ask(method, path)
            self.assertEqual(headers["Access-Control-Allow-Origin"], "*")
        status, headers, text = self.d.ask("OPTIONS", "/anything")
        self.assertEqual((status, headers["Access-Control-Max-Age"], text), (204, "86400", b""))

    def test_unknown_paths_and_methods(self):
        self.assert_error(self.d.json("GET", "/v2/register"), 404, "not_found")
        self.assert_error(self.d.json("GET", "/v1/register"), 405, "method_not_allowed")
        self.assertEqual(self.d.ask("GET", "/v1/register")[1]["Allow"], "POST, DELETE, OPTIONS")
        self.assertEqual(self.d.ask("POST", "/v1/discover", {})[1]["Allow"], "GET, HEAD, OPTIONS")

    def test_head_is_get_without_the_body(self):
        status, headers, text = self.d.ask("HEAD", "/v1/directory-key")
        self.assertEqual((status, text), (200, b""))
        self.assertGreater(int(headers["Content-Length"]), 80)

    def raw(self, data):
        with socket.create_connection(("127.0.0.1", self.d.port), timeout=60) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            pieces = []
            while True:
                piece = s.recv(65536)
                if not piece:
                    return b"".join(pieces)
                pieces.append(piece)

    def test_malformed_and_oversized_requests(self):
        self.assertTrue(self.raw(b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 "))
        self.assertTrue(self.raw(b"GET / HTTP/1.1\r\nHost: t\r\nX: " + b"a" * 20000).startswith(b"HTTP/1.1 431 "))
        head = b"POST /v1/register HTTP/1.1\r\nHost: t\r\nContent-Length: 300000\r\n\r\n"
        self.assertTrue(self.raw(head).startswith(b"HTTP/1.1 413 "))

    def test_chunked_bodies_and_pipelined_requests(self):
        body = json.dumps(registration(node_id="n1")).encode()
        pieces = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 7]), body[i:i + 7]) for i in range(0, len(body), 7))
        request = b"POST /v1/register HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n"
        got = self.raw(request + b"GET /v1/registry/nodes/n1 HTTP/1.1\r\nHost: t\r\n\r\n")
        self.assertEqual(re.findall(rb"HTTP/1\.1 (\d+) ", got), [b"201", b"200"])

    def test_a_chunked_body_that_is_too_large(self):
        request = b"POST /v1/register HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.assertTrue(self.raw(request + b"50000\r\n" + b" " * 0x50000).startswith(b"HTTP/1.1 413 "))

    def test_the_page_for_people(self):
        status, headers, text = self.d.ask("GET", "/")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn(b"/devnet", text)

    def test_the_view_shows_registrations_without_their_secrets(self):
        node = self.d.node(node_hmac_key=KEY)
        self.d.node(current_node_token=node["node_token"])
        text = json.dumps(self.d.view())
        self.assertNotIn(KEY, text)
        self.assertNotIn(node["node_token"], text)
        self.assertEqual(self.d.view("n1")["registration"]["limits"]["max_concurrent"], 4)


class Load(unittest.TestCase):
    def test_many_nodes_at_once_lose_nothing(self):
        failures = []

        def live(d, name):
            try:
                node = d.node(name)
                for beat in range(20):
                    status, _reply = d.heartbeat(node, load=beat / 20, metrics={"tasks_success": 3},
                                                 metrics_batch_id="b%d" % beat, health_models=["m%d" % beat])
                    assert status == 200
                    d.found("?limit=50")
                    d.view()
                    if beat % 5 == 0:
                        node = d.node(name, current_node_token=node["node_token"])
            except Exception as why:  # told by the main thread
                failures.append("%s: %r" % (name, why))

        with Devnet("--log=warn") as d:
            threads = [threading.Thread(target=live, args=(d, "n%d" % i)) for i in range(12)]
            for t in threads:
                t.start()
            for t in threads:
                t.join(120)
            self.assertEqual(failures, [])
            self.assertEqual((d.view()["tasks"], len(d.view()["nodes"])), (12 * 60, 12))

    def test_idle_connections_do_not_keep_others_out(self):
        with Devnet("--log=warn") as d:
            idle = [socket.create_connection(("127.0.0.1", d.port)) for _ in range(100)]
            try:
                self.assertEqual(d.node()["node_id"], "n1")
            finally:
                for s in idle:
                    s.close()


class CommandLine(unittest.TestCase):
    def usage(self, *flags):
        code, out, err = run_once("devnet", *flags)
        self.assertEqual((code, out), (2, ""), err)
        self.assertEqual(len(err.splitlines()), 1, err)
        return err

    def test_help_names_every_flag_and_that_state_is_in_memory(self):
        code, out, err = run_once("devnet", "--help")
        self.assertEqual((code, err), (0, ""))
        for flag in ("--listen", "--seed", "--faults", "--strict", "--heartbeat-ms", "--log", "memory"):
            self.assertIn(flag, out)

    def test_wrong_flags_are_told(self):
        self.assertIn('unknown flag "sede", did you mean --seed?', self.usage("--sede=x"))
        self.assertIn('unexpected argument "x"', self.usage("x"))
        self.assertIn('no value for "--seed"', self.usage("--seed"))
        self.assertIn("from 10 to 3600000", self.usage("--heartbeat-ms=9"))
        self.assertIn("true or false", self.usage("--strict=perhaps"))
        self.assertIn("debug, info, warn or error", self.usage("--log=loud"))

    def test_addresses_that_cannot_be_listened_on(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            taken = "127.0.0.1:%d" % s.getsockname()[1]
            for address, why in ((taken, "Address already in use"), ("127.0.0.1", "ADDRESS:PORT"), ("x:1", "not a numeric"),
                                 ("0.0.0.0:0", "not a loopback address"), ("127.0.0.1:70000", "ADDRESS:PORT")):
                code, out, err = run_once("devnet", "--listen", address)
                self.assertEqual((code, out), (1, ""), err)
                self.assertIn("cannot listen on %s: " % address, err)
                self.assertIn(why, err)

    def test_both_signals_end_it_cleanly_even_while_it_serves(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            d = Devnet("--faults", '{"delay_ms":600000}')
            waiting = socket.create_connection(("127.0.0.1", d.port))
            waiting.sendall(b"GET /v1/discover HTTP/1.1\r\nHost: t\r\n\r\n")
            wait_for(lambda: d.view()["faults_applied"] == 1, 30, "the request to be waiting")
            d.stop(number)
            waiting.close()

    def test_the_access_log_has_a_line_for_each_request_and_no_secret(self):
        d = Devnet()
        node = d.node()
        d.heartbeat(node)
        d.heartbeat({"node_id": "n1\nforged line", "node_token": "x"})
        d.stop()
        self.assertNotIn("forged", d.log())
        self.assertRegex(d.log(), r"POST /v1/register 201 \d+ bytes \d+\.\d ms node n1")
        self.assertRegex(d.log(), r"POST /v1/heartbeat 200 \d+ bytes \d+\.\d ms node n1")
        self.assertNotIn(node["node_token"], d.log())
        self.assertNotIn(node["node_hmac_key"], d.log())


if __name__ == "__main__":
    harness.main()
