#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The faults of `taskgate devnet`: each must befall exactly the requests it is meant for, and nothing else."""
import email.utils
import http.client
import json
import os
import socket
import tempfile
import time
import unittest

import harness
from devnet import CHAT, Devnet, hmac_hex, registration
from gateway import run_once


class Faulty(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Devnet()

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()

    def setUp(self):
        self.d.mend()
        self.d.fault(forget_nodes=True)

    def status(self, path="/v1/discover", method="GET"):
        return self.d.ask(method, path)[0]


class Choosing(Faulty):
    def test_a_fault_befalls_its_path_only_and_until_it_is_removed(self):
        self.d.fault(path="/v1/discover", status=500)
        self.assertEqual([self.status() for _ in range(3)], [500] * 3)
        self.assertEqual(self.status("/v1/directory-key"), 200)
        self.d.mend()
        self.assertEqual(self.status(), 200)

    def test_a_count_uses_it_up(self):
        self.d.fault(path="/v1/discover", status=503, count=2)
        self.assertEqual([self.status() for _ in range(4)], [503, 503, 200, 200])
        self.assertEqual(self.d.view()["faults"], [])

    def test_several_faults_take_turns_in_their_order(self):
        for status in (401, 404, 410):
            self.d.fault(path="/v1/discover", status=status, count=1)
        self.assertEqual([self.status() for _ in range(4)], [401, 404, 410, 200])

    def test_a_star_stands_for_the_rest_of_a_path(self):
        self.d.fault(path="/v1/registry/*", status=500)
        self.assertEqual((self.status("/v1/registry/nodes/x"), self.status()), (500, 200))

    def test_all_paths_unless_one_is_named_but_never_the_switches_themselves(self):
        self.d.fault(status=500)
        self.assertEqual({self.status(p) for p in ("/v1/discover", "/v1/bootstrap", "/nowhere")}, {500})
        self.assertEqual({self.status(p) for p in ("/", "/devnet")}, {200})

    def test_a_method_and_the_other_prefix(self):
        self.d.fault(path="/v1/register", method="DELETE", status=500)
        self.assertEqual(self.d.register()[0], 201)
        self.assertEqual(self.status("/api/v1/register", "DELETE"), 500)

    def test_they_are_shown_with_what_is_left_of_them(self):
        fault = {"path": "/v1/heartbeat", "count": 3, "delay_ms": 1, "status": 429, "retry_after_s": 7}
        self.assertEqual(self.d.fault(**fault)["faults"], [fault])
        applied = self.d.view()["faults_applied"]
        self.status("/v1/heartbeat", "POST")
        view = self.d.view()
        self.assertEqual((view["faults"], view["faults_applied"]), ([{**fault, "count": 2}], applied + 1))

    def test_a_list_of_faults(self):
        status, view = self.d.json("POST", "/devnet/faults", [{"status": 500, "count": 1}, {"clock_skew_s": 60}, {"drop": True}])
        self.assertEqual((status, len(view["faults"]), view["clock_skew_s"]), (201, 2, 60))

    def test_mistakes_are_told_and_change_nothing(self):
        for body, member in (({"sttaus": 500}, "sttaus"), ({"status": 200}, "status"), ({"status": "500"}, "status"),
                             ({"delay_ms": -1}, "delay_ms"), ({"drop": 1}, "drop"), ({"path": ""}, "path"),
                             ({"redirect": "http://x/\r\nX: y"}, "redirect"), ({"redirect": "x" * 256}, "redirect"),
                             ({"clock_skew_s": 1.5}, "clock_skew_s"), ({"forget_nodes": "yes"}, "forget_nodes")):
            with self.subTest(body=body):
                status, reply = self.d.json("POST", "/devnet/faults", body)
                self.assertEqual((status, reply["code"]), (422, "validation_error"))
                self.assertIn('"%s" ' % member, reply["message"])
        self.assertEqual(self.d.view()["faults"], [])

    def test_there_is_an_end_to_their_number(self):
        self.assertEqual(self.d.json("POST", "/devnet/faults", [{"drop": True, "path": "/x"}] * 65)[0], 422)
        self.assertEqual(len(self.d.view()["faults"]), 64)


class Answers(Faulty):
    def test_statuses_come_with_an_error_that_clients_can_read(self):
        for wanted in (401, 404, 410, 429, 500, 502, 503):
            self.d.fault(status=wanted, count=1)
            status, headers, text = self.d.ask("GET", "/v1/discover")
            body = json.loads(text)
            self.assertEqual((status, body["error"]["code"]), (wanted, body["code"]))
            self.assertEqual(headers["Retry-After"], "1" if wanted in (429, 503) else None)

    def test_retry_after(self):
        self.d.fault(status=429, retry_after_s=17)
        self.assertEqual(self.d.ask("GET", "/v1/discover")[1]["Retry-After"], "17")

    def test_what_was_asked_is_not_done(self):
        self.d.fault(path="/v1/register", status=500, count=1)
        self.assertEqual(self.d.register(node_id="n1")[0], 500)
        self.assertEqual(self.d.view()["nodes"], [])

    def test_delay(self):
        self.d.fault(delay_ms=300, count=1)
        begin = time.monotonic()
        self.assertEqual(self.status(), 200)
        self.assertGreaterEqual(time.monotonic() - begin, 0.3)

    def test_a_delay_holds_up_nobody_else(self):
        self.d.fault(path="/v1/bootstrap", delay_ms=600000)
        with socket.create_connection(("127.0.0.1", self.d.port)) as s:
            s.sendall(b"GET /v1/bootstrap HTTP/1.1\r\nHost: t\r\n\r\n")
            self.assertEqual(self.status(), 200)
            s.settimeout(0.2)
            with self.assertRaises(TimeoutError):
                s.recv(1)

    def test_drop_leaves_undone_what_lose_reply_does(self):
        for fault, known in (("drop", []), ("lose_reply", ["n1"])):
            self.d.fault(path="/v1/register", count=1, **{fault: True})
            with self.assertRaises(http.client.RemoteDisconnected):
                self.d.register(node_id="n1")
            self.assertEqual([n["node_id"] for n in self.d.view()["nodes"]], known)

    def test_a_batch_whose_reply_got_lost_is_counted_once(self):
        node = self.d.node()
        batch = {"metrics": {"tasks_success": 4}, "metrics_batch_id": "b-1"}
        self.d.fault(path="/v1/heartbeat", lose_reply=True, count=1)
        with self.assertRaises(http.client.RemoteDisconnected):
            self.d.heartbeat(node, **batch)
        self.assertEqual(self.d.heartbeat(node, **batch)[1]["metrics_batch_accepted"], "b-1")
        self.assertEqual(self.d.view("n1")["tasks_success"], 4)

    def test_garbage(self):
        self.d.fault(garbage=True, count=1)
        status, headers, text = self.d.ask("GET", "/v1/discover")
        self.assertEqual((status, headers["Content-Type"]), (200, "application/json"))
        with self.assertRaises(ValueError):
            json.loads(text)

    def test_html(self):
        self.d.fault(html=True, count=1)
        status, headers, text = self.d.ask("GET", "/v1/discover")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn(b"<h1>", text)

    def test_redirects(self):
        self.d.fault(redirect="http://10.0.0.1/v1/heartbeat?x=1", count=1)
        status, headers, _text = self.d.ask("POST", "/v1/heartbeat", {})
        self.assertEqual((status, headers["Location"]), (307, "http://10.0.0.1/v1/heartbeat?x=1"))

    def test_bodies_of_any_size(self):
        for size in (2, 3, 100, 10_000_000):
            self.d.fault(body_bytes=size, count=1)
            status, headers, text = self.d.ask("GET", "/v1/discover")
            self.assertEqual((status, len(text), headers["Content-Length"]), (200, size, str(size)))
            self.assertEqual(json.loads(text), "x" * (size - 2))

    def test_who_does_not_want_a_large_body_may_go(self):
        self.d.fault(body_bytes=1 << 30, count=1)
        with socket.create_connection(("127.0.0.1", self.d.port)) as s:
            s.sendall(b"GET /v1/discover HTTP/1.1\r\nHost: t\r\n\r\n")
            self.assertTrue(s.recv(4096).startswith(b"HTTP/1.1 200 "))
        self.assertEqual(self.status(), 200)

    def test_drip_sends_byte_by_byte(self):
        self.d.fault(path="/v1/directory-key", drip_ms=1, count=1)
        pieces, begin = [], time.monotonic()
        with socket.create_connection(("127.0.0.1", self.d.port), timeout=60) as s:
            s.sendall(b"GET /v1/directory-key HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
            while True:
                piece = s.recv(65536)
                if not piece:
                    break
                pieces.append(piece)
        whole = b"".join(pieces)
        self.assertEqual(json.loads(whole.split(b"\r\n\r\n")[1])["algorithm"], "ed25519")
        # A reader that was held up gets several at once, but none before its time.
        self.assertGreater(len(pieces), 1)
        self.assertGreaterEqual((time.monotonic() - begin) * 1000, len(whole) - 1)

    def test_faults_add_up(self):
        self.d.fault(delay_ms=100, status=404, drip_ms=1, count=1)
        begin = time.monotonic()
        self.assertEqual(self.status(), 404)
        self.assertGreaterEqual(time.monotonic() - begin, 0.2)


class Acts(Faulty):
    def date(self):
        return email.utils.parsedate_to_datetime(self.d.ask("GET", "/v1/directory-key")[1]["Date"]).timestamp()

    def test_the_clock(self):
        for skew in (3600, -3600):
            self.d.fault(clock_skew_s=skew)
            self.assertLess(abs(self.date() - time.time() - skew), 60)
        self.d.mend()
        self.assertLess(abs(self.date() - time.time()), 60)

    def test_the_clock_decides_whether_a_receipt_is_over(self):
        node = self.d.node()
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 300))
        signature = hmac_hex(node["node_hmac_key"], "t:1:::%s:%s" % ("a" * 32, "b" * 64))
        receipt = {"node_id": "n1", "task_id": "t", "tokens_used": 1, "amount": 0.001, "nonce": "a" * 32,
                   "expires_at": expires, "signature": signature, "response_hash": "b" * 64}
        self.d.fault(clock_skew_s=600)
        self.assertEqual(self.d.json("POST", "/v1/credits/award", receipt, node["node_token"])[0], 422)
        self.d.mend()
        self.assertEqual(self.d.json("POST", "/v1/credits/award", receipt, node["node_token"])[0], 201)

    def test_stale_nodes_vanish_until_they_report(self):
        node = self.d.node()
        self.d.fault(stale_nodes=True)
        self.assertEqual((self.d.found(), self.d.ask("GET", "/v1/registry/nodes/n1")[0]), ([], 404))
        self.assertEqual(self.d.heartbeat(node)[0], 200)
        self.assertEqual(self.d.found(), ["n1"])

    def test_a_restart_forgets_all_nodes_and_keeps_the_key(self):
        node = self.d.node()
        key = self.d.view()["public_key"]
        restarts = self.d.view()["restarts"]
        self.d.fault(forget_nodes=True)
        self.assertEqual(self.d.heartbeat(node)[0], 404)
        self.assertEqual((self.d.view()["restarts"], self.d.view()["public_key"]), (restarts + 1, key))
        self.assertFalse(self.d.node(current_node_token=node["node_token"])["recovered"])

    def test_a_rotated_key_makes_old_tokens_void(self):
        node = self.d.node()
        self.assertEqual(self.d.json("POST", "/v1/heartbeat", {}, node["jwt_token"])[0], 200)
        self.d.fault(rotate_key=True)
        self.assertEqual(self.d.json("POST", "/v1/heartbeat", {}, node["jwt_token"])[0], 401)
        self.assertEqual(self.d.heartbeat(node)[0], 200)


class FromTheStart(unittest.TestCase):
    def test_from_the_command_line(self):
        with Devnet("--faults", '{"path":"/v1/register","status":500,"count":1}') as d:
            self.assertEqual([d.register()[0] for _ in range(2)], [500, 201])

    def test_from_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "faults.json")
            with open(path, "w", encoding="utf-8") as f:
                json.dump([{"path": "/v1/discover", "status": 503}, {"clock_skew_s": -60}], f)
            with Devnet("--faults", path) as d:
                self.assertEqual((d.ask("GET", "/v1/discover")[0], d.view()["clock_skew_s"]), (503, -60))

    def test_mistakes_are_told(self):
        for text, why in (('{"status":200}', '"status" must be'), ("{", "malformed JSON at byte 1"), ("/nowhere", "cannot read /nowhere"),
                          ('[{"x":1}]', '"x" is no member of a fault'), ("[7]", "must be an object")):
            code, out, err = run_once("devnet", "--listen=127.0.0.1:0", "--faults", text)
            self.assertEqual((code, out), (2, ""), err)
            self.assertIn(why, err)


class UnderFaults(unittest.TestCase):
    """A client that does what nodes do gets through, whatever happens to single requests."""
    def test_a_node_survives_a_rough_day(self):
        faults = [{"count": 1, **f} for f in ({"drop": True}, {"status": 500}, {"lose_reply": True}, {"garbage": True},
                                              {"status": 429}, {"html": True}, {"body_bytes": 100000}, {"delay_ms": 20})]
        with Devnet("--faults", json.dumps([{"path": p, **f} for f in faults for p in ("/v1/register", "/v1/heartbeat")])) as d:
            node = self.insist(lambda: d.json("POST", "/v1/register", registration(node_id="n1")), 201, "node_token")
            for beat in range(10):
                body = {"node_id": "n1", "metrics": {"tasks_success": 1}, "metrics_batch_id": "b%d" % beat}
                self.insist(lambda body=body: d.json("POST", "/v1/heartbeat", body, node["node_token"]), 200, "ok")
            self.assertEqual((d.view("n1")["tasks_success"], d.found("?intent=" + CHAT), d.view()["faults"]), (10, ["n1"], []))

    def insist(self, call, wanted, member):
        for _ in range(20):
            try:
                status, reply = call()
                if status == wanted and isinstance(reply, dict) and member in reply:
                    return reply
            except (OSError, http.client.HTTPException, ValueError):
                pass
        raise AssertionError("no success in twenty attempts")


if __name__ == "__main__":
    harness.main()
