#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Confidential tasks, from a client of our own to the node and back; what is tampered with; and that nothing leaks."""
import json
import os
import signal
import unittest

import harness
from client import ECHO, NOOP, envelope, post
from devnet import Devnet
from gateway import wait_for
from harness import variants
from member import BEAT_MS, STALE, Home, Node, member

try:
    from confidential import Sealed, decode, encode
except ImportError:
    if os.environ.get("CI"):
        raise
    print("1..0 # SKIP python3-cryptography is not installed", flush=True)
    raise SystemExit(0) from None


@variants()
class RoundTrips:
    @classmethod
    def setUpClass(cls):
        if cls.io == "io_uring" and not harness.uring():
            raise unittest.SkipTest("io_uring is refused here")
        cls.d, cls.g = member("--server.io=" + cls.io, "--admission.max_concurrent=2", "--admission.wait_ms=60000")
        cls.g.wait_member()
        cls.key = cls.g.known()["registration"]["cx_public_key"]

    @classmethod
    def tearDownClass(cls):
        cls.g.stop()
        cls.d.stop()

    def ask(self, sealed, payload, **members):
        return self.g.ask(post(sealed.request(payload, **members)))

    def assert_refused(self, body, status, code, message=None):
        answer = self.g.ask(post(body if isinstance(body, str) else json.dumps(body)))
        self.assertEqual((answer.status, answer.json()["code"]), (status, code), answer)
        if message:
            self.assertIn(message, answer.json()["message"])
        self.g.wait_active(0)
        return answer

    def test_with_a_plain_reply(self):
        answer = self.ask(Sealed(self.key, "c-1", ECHO), {"text": "secret"})
        self.assertEqual((answer.status, answer.json()["result"]), (200, {"text": "secret"}))

    def test_with_a_sealed_reply(self):
        task = Sealed(self.key, "c-2", ECHO)
        answer = self.ask(task, {"text": "secret"}, reply=True)
        self.assertNotIn(b"secret", answer.body)
        inside = task.open(answer)
        self.assertEqual((inside["status"], inside["result"], inside["task_id"]), ("success", {"text": "secret"}, "c-2"))

    def test_the_same_task_twice_is_sealed_differently(self):
        task = Sealed(self.key, "c-3", ECHO)
        one, two = (self.ask(task, {"text": "x"}, reply=True).json()["iicp_conf_resp"] for _ in range(2))
        self.assertNotEqual(one["nonce"], two["nonce"])
        self.assertNotEqual(one["encrypted_body"], two["encrypted_body"])

    def test_ids_of_every_kind(self):
        for task_id in ('quote" and \\', "é\u0000\n\U0001f600", "", "x" * 256, "a|b"):
            with self.subTest(task_id=task_id):
                task = Sealed(self.key, task_id, ECHO)
                answer = self.ask(task, {"text": "x"}, reply=True)
                self.assertEqual(answer.status, 200, answer)
                self.assertEqual(task.open(answer)["task_id"], task_id)

    def test_escapes_in_an_id_are_read_before_it_is_compared(self):
        task = Sealed(self.key, "A-é", ECHO)
        body = task.request({"text": "x"}, reply=True).replace('"task_id": "A-\\u00e9"', '"task_id": "\\u0041-é"')
        self.assertIn("\\u0041", body)
        self.assertEqual(task.open(self.g.ask(post(body)))["result"], {"text": "x"})

    def test_large_payloads(self):
        text = "0123456789abcdef" * 60000
        task = Sealed(self.key, "c-big", ECHO)
        self.assertEqual(task.open(self.ask(task, {"text": text}, reply=True))["result"], {"text": text})

    def test_a_task_that_waits_for_its_place(self):
        task = Sealed(self.key, "c-wait", ECHO)
        with self.g.client() as busy, self.g.client() as c:
            with self.g.accepting(2):
                for i in range(2):
                    busy.send(post(envelope(NOOP, {"sleep_ms": 700}, task_id="w-%d" % i, constraints={"timeout_ms": 60000})))
            c.send(post(task.request({"text": "patient"}, reply=True, constraints={"qos": "interactive", "timeout_ms": 60000})))
            self.assertEqual(task.open(c.read())["result"], {"text": "patient"})
            self.assertEqual([busy.read().status, busy.read().status], [200, 200])

    def test_many_at_once_on_one_connection(self):
        tasks = [Sealed(self.key, "p-%d" % i, ECHO) for i in range(30)]
        with self.g.client() as c:
            patient = {"qos": "interactive", "timeout_ms": 60000}
            c.send(b"".join(post(t.request({"text": "n%d" % i}, reply=True, constraints=patient))
                            for i, t in enumerate(tasks)))
            for i, task in enumerate(tasks):
                self.assertEqual(task.open(c.read())["result"], {"text": "n%d" % i})

    def test_an_error_of_the_runner_is_told_plainly_and_says_nothing(self):
        task = Sealed(self.key, "c-err", NOOP)
        answer = self.g.ask(post(task.request({"sleep_ms": "CANARY"}, reply=True)))
        self.assertEqual(answer.status, 422)
        self.assertNotIn(b"CANARY", answer.body)

    def test_tampered_envelopes(self):
        task = Sealed(self.key, "c-bad", ECHO)
        good = task.envelope({"text": "x"})
        other = encode(b"c-other|" + ECHO.encode())
        flipped = encode(bytes([decode(good["encrypted_body"])[0] ^ 1]) + decode(good["encrypted_body"])[1:])
        for change, message in (({"aad": other}, "aad"), ({"recipient_key_id": "cx-0000000000000000"}, "recipient_key_id"),
                                ({"encrypted_body": encode(b"short")}, "too short"), ({"version": 2}, "version"),
                                ({"version": None}, "version"), ({"encrypted_body": flipped}, "does not open"),
                                ({"encrypted_body": "no base64!"}, "malformed"), ({"nonce": encode(b"x" * 11)}, "malformed"),
                                ({"nonce": encode(b"x" * 12)}, "does not open"), ({"plaintext_size": 1}, "plaintext_size"),
                                ({"kem_ciphertext": encode(b"\0" * 32)}, "kem_ciphertext"), ({"aad": None}, "aad"),
                                ({"kem_ciphertext": encode(os.urandom(32))}, "does not open")):
            with self.subTest(change=change):
                conf = {k: v for k, v in {**good, **change}.items() if v is not None}
                self.assert_refused(task.request(None, conf=conf), 400, "IICP-CX-02", message)

    def test_a_task_that_was_renamed_or_redirected_on_its_way(self):
        conf = Sealed(self.key, "c-mine", ECHO).envelope({"text": "x"})
        for renamed in ({"task_id": "c-theirs", "intent": ECHO}, {"task_id": "c-mine", "intent": NOOP}):
            self.assert_refused({**renamed, "iicp_conf": conf}, 400, "IICP-CX-02", "aad")

    def test_a_tag_cut_short(self):
        task = Sealed(self.key, "c-tag", ECHO)
        conf = task.envelope({"text": "x"})
        for cut in (1, 4, 15):
            body = encode(decode(conf["encrypted_body"])[:-cut])
            self.assert_refused(task.request(None, conf={**conf, "encrypted_body": body, "plaintext_size": None}), 400, "IICP-CX-02")

    def test_a_sealed_reply_to_a_plain_request(self):
        self.assert_refused(envelope(ECHO, {"text": "x"}, cx_response_encryption="required"), 400, "IICP-CX-03")

    def test_a_plaintext_that_is_no_json(self):
        task = Sealed(self.key, "c-text", ECHO)
        answer = self.assert_refused(task.request(b"CANARY{"), 400, "validation_error")
        self.assertNotIn(b"CANARY", answer.body)

    def test_what_was_done_and_refused_is_counted(self):
        before = [self.g.metric("taskgate_confidential_%s_total" % k) for k in ("tasks", "refused")]
        task = Sealed(self.key, "c-count", ECHO)
        self.assertEqual(self.ask(task, {"text": "x"}).status, 200)
        self.assert_refused(task.request(None, conf=task.envelope({}, version=9)), 400, "IICP-CX-02")
        after = [self.g.metric("taskgate_confidential_%s_total" % k) for k in ("tasks", "refused")]
        self.assertEqual(after, [before[0] + 1, before[1] + 1])


class Keys(unittest.TestCase):
    def key(self, g):
        return g.wait_member()["registration"]["cx_public_key"]

    def file(self, home):
        [name] = os.listdir(home.file("cx"))
        return home.file("cx", name)

    def test_the_key_outlives_the_process(self):
        home = Home()
        with Devnet("--heartbeat-ms", str(BEAT_MS), *STALE) as d:
            with Node(d, home=home) as g:
                key = self.key(g)
            with Node(d, home=home) as g:
                self.assertEqual(self.key(g), key)
                task = Sealed(key, "t", ECHO)
                self.assertEqual(task.open(g.ask(post(task.request({"text": "x"}, reply=True))))["result"], {"text": "x"})

    def test_another_key_for_the_same_node_is_refused_by_the_directory(self):
        home = Home()
        with Devnet("--heartbeat-ms", str(BEAT_MS), *STALE) as d:
            g = Node(d, home=home)
            self.key(g)
            g.kill()
            os.remove(self.file(home))
            with Node(d, home=home) as g:
                g.wait_log("registration refused: 403 IICP-E049")
                self.assertEqual(g.echo().status, 200)

    def nothing_starts(self, devnet, home, mode, why):
        g = Node(devnet, "--cx.mode=" + mode, home=home, ready=False)
        self.assertEqual(g.wait(), 1)
        self.assertIn("no confidential tasks: " + why, g.log())

    def test_with_a_key_file_that_others_can_read_nothing_starts(self):
        home = Home()
        with Devnet("--heartbeat-ms", str(BEAT_MS), *STALE) as d:
            with Node(d, home=home) as g:
                key = self.key(g)
            os.chmod(self.file(home), 0o644)
            for mode in ("auto", "on"):
                self.nothing_starts(d, home, mode, "others can read the key file")
            os.chmod(self.file(home), 0o600)
            with Node(d, home=home) as g:
                self.assertEqual(self.key(g), key)

    def test_a_damaged_key_file(self):
        """It is never replaced: with cx.mode=on nothing starts, with auto it goes without."""
        home, why = Home(), "the key file is damaged"
        with Devnet("--heartbeat-ms", str(BEAT_MS), *STALE) as d:
            with Node(d, home=home) as g:
                key = self.key(g)
            path = self.file(home)
            os.truncate(path, 40)
            with open(path, "rb") as f:
                content = f.read()
            with Node(d, home=home) as g:
                self.assertNotIn("cx_public_key", g.wait_member()["registration"])
                self.assertEqual(len(g.lines_with("no confidential tasks: " + why)), 1)
                answer = g.ask(post(Sealed(key, "t", ECHO).request({"text": "x"})))
                self.assertEqual((answer.status, answer.json()["code"]), (400, "IICP-CX-01"))
            self.nothing_starts(d, home, "on", why)
            with open(path, "rb") as f:
                self.assertEqual(f.read(), content)

    def test_a_node_without_a_key_says_so(self):
        with Node(None) as g:
            answer = g.ask(post(json.dumps({"task_id": "t", "intent": ECHO, "iicp_conf": {"version": 1}})))
            self.assertEqual((answer.status, answer.json()["code"]), (400, "IICP-CX-01"))


class Canaries(unittest.TestCase):
    """What is secret turns up nowhere but where it belongs: in its file, and with its directory."""
    def collect(self, g, answers):
        """Everything that somebody else can see of a node."""
        pid = g.process.pid
        seen = {"answers": b"".join(a.body + repr(a.headers).encode() for a in answers)}
        for path in ("/metrics", "/iicp/health"):
            seen[path] = g.ask(b"GET %s HTTP/1.1\r\nHost: t\r\n\r\n" % path.encode()).body
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            seen["argv"] = f.read()
        with open(g.home.file("run", "default", "health-v1.json"), "rb") as f:
            seen["health file"] = f.read()
        with open(g.home.file("receipts", "default.log"), "rb") as f:
            seen["receipts"] = f.read()
        return seen

    def test_secrets_stay_secret(self):
        canary, forged = "CANARY-PLAINTEXT", "CANARY-CREDENTIAL"
        d, g = member("--log.level=debug", "--auth.mode=optional", "--directory.timeout_ms=400")
        with d, g:
            key = g.wait_member()["registration"]["cx_public_key"]
            task = Sealed(key, "canary", ECHO)
            answers = [g.ask(post(task.request({"text": canary}, reply=True))),
                       g.ask(post(Sealed(key, "canary-2", NOOP).request({"sleep_ms": canary}))),
                       g.ask(post(Sealed(key, "canary-3", ECHO).request(canary.encode()))),
                       g.ask(post(envelope(ECHO, {"text": "x"}, auth={"node_token": forged}))),
                       g.ask(post(envelope(ECHO, {"text": "x"}), "Authorization: Bearer " + forged)),
                       g.ask(post(envelope(NOOP, {"sleep_ms": canary}))),
                       g.ask(post('{"task_id":"t","intent":"%s","payload":"%s' % (ECHO, canary)))]
            for fault in ({"status": 401}, {"garbage": True}, {"status": 500}, {"drop": True}):
                for path in ("/v1/heartbeat", "/v1/credits/award"):
                    d.fault(path=path, count=1, **fault)
            g.echo()
            wait_for(lambda: not [f for f in d.view()["faults"] if f.get("path") == "/v1/heartbeat"], 30, "some trouble")
            g.wait_beats(2)
            g.signal(signal.SIGHUP)
            kept = g.home.credentials()
            [name] = os.listdir(g.home.file("cx"))
            private = json.loads(g.home.text("cx", name))["private_key"]
            seen = self.collect(g, answers)
            g.stop()
            seen["log"] = g.log().encode()
            self.assertEqual((answers[0].status, answers[3].status, answers[4].status), (200, 401, 401))
            self.assertGreater(len(seen["log"]), 500)
            for what, secret in (("token", kept["node_token"]), ("HMAC key", kept["node_hmac_key"]), ("private key", private),
                                 ("plaintext", canary), ("credential", forged)):
                self.assertGreaterEqual(len(secret), 16)
                for where, text in seen.items():
                    self.assertNotIn(secret.encode(), text, "%s in %s" % (what, where))

    def test_no_core_is_ever_dumped(self):
        with Node(None) as g:
            with open("/proc/%d/limits" % g.process.pid, encoding="ascii") as f:
                self.assertRegex(f.read(), r"(?m)^Max core file size +0 +0 ")

    def test_the_devnet_log_has_none_either(self):
        d, g = member()
        with d:
            with g:
                g.wait_member()
                g.echo()
                kept = g.home.credentials()
            self.assertNotIn(kept["node_token"], d.log())
            self.assertNotIn(kept["node_hmac_key"], d.log())


if __name__ == "__main__":
    harness.main()
