#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may send tasks: the three modes, this node's own token, and consumer tokens as a real directory issues them."""
import base64
import json
import signal
import time
import unittest

import ed25519
import harness
from client import ECHO, NOOP, post_task
from gateway import RUNNERS, wait_for
from member import Together, member


def parts(token):
    claims, signature = token.split(".")
    return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))), signature


def forge(seed, **claims):
    """A consumer token of a directory of our own."""
    now = int(time.time())
    body = {"v": 1, "iss": "http://d", "sub": "asker", "aud": "n1", "intent": ECHO, "iat": now, "exp": now + 300, **claims}
    text = base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=")
    return (text + b"." + ed25519.sign(seed, b"iicp:consumer-token:v1\n" + text).hex().encode()).decode()


class Asking(Together):
    mode = "required"

    @classmethod
    def setUpClass(cls):
        if cls.io == "io_uring" and not harness.uring():
            raise unittest.SkipTest("io_uring is refused here")
        cls.flags = ("--auth.mode=" + cls.mode,)
        super().setUpClass()
        cls.g.wait_log("has a key for consumer tokens")
        cls.asker = cls.d.node("asker")
        cls.d.node("n2")

    def token(self, target="n1", intent=ECHO):
        status, reply = self.d.json("POST", "/v1/consumer-token", {"target_node_id": target, "intent": intent},
                                    self.asker["node_token"], {"X-Node-Id": "asker"})
        self.assertEqual(status, 201, reply)
        return reply["token"]

    def own(self):
        return self.g.home.credentials()["node_token"]

    def ask(self, *lines, intent=ECHO, payload=None, **members):
        return self.g.ask(post_task(intent, {"text": "x"} if payload is None else payload, *lines, **members))

    def with_token(self, token, intent=ECHO, payload=None):
        return self.ask("X-IICP-Consumer-Token: " + token, intent=intent, payload=payload)

    def assert_refused(self, answer):
        """Always the same answer, whatever was wrong."""
        self.assertEqual((answer.status, answer.json()["code"]), (401, "unauthorized"), answer)
        self.assertEqual(set(answer.json()["error"]), {"code", "message"})

    def wrong_ones(self):
        good, own = self.token(), self.own()
        claims, signature = good.split(".")
        expired = "".join(self.late_token())
        return {
            "another key": forge(b"k" * 32),
            "another audience": self.token("n2"),
            "another intent": self.token(intent=NOOP),
            "over": expired,
            "cut short": good[:-2],
            "without its signature": claims + ".",
            "without its claims": "." + signature,
            "claims of another": parts_swap(good, self.token("n2")),
            "a bit turned": claims + "." + ("0" if signature[0] != "0" else "1") + signature[1:],
            "longer": good + "00",
            "no token": "x",
            "the node's own, in the wrong place": own,
        }

    def late_token(self):
        """Issued an hour ago, for five minutes."""
        self.d.fault(clock_skew_s=-3600)
        try:
            return self.token()
        finally:
            self.d.mend()


def parts_swap(one, other):
    return other.split(".")[0] + "." + one.split(".")[1]


class Required(Asking, unittest.TestCase):
    def test_nobody_without_credentials(self):
        self.assert_refused(self.ask())

    def test_the_nodes_own_token_in_the_body_or_as_bearer(self):
        self.assertEqual(self.ask(auth={"node_token": self.own()}).status, 200)
        self.assertEqual(self.ask("Authorization: Bearer " + self.own()).status, 200)

    def test_anything_like_it_is_refused(self):
        for wrong in (self.own()[:-1], self.own() + "x", self.own().swapcase() + "z", "", "x", self.asker["node_token"]):
            self.assert_refused(self.ask(auth={"node_token": wrong}))
            if wrong:
                self.assert_refused(self.ask("Authorization: Bearer " + wrong))
        self.assert_refused(self.ask("Authorization: Basic " + self.own()))
        self.assert_refused(self.ask(auth={"node_token": [self.own()]}))

    def test_consumer_tokens_for_this_intent_or_any(self):
        token = self.token()
        for _ in range(3):
            self.assertEqual(self.with_token(token).status, 200)
        self.assert_refused(self.with_token(token, NOOP, {"sleep_ms": 0}))
        anything = self.token(intent="*")
        self.assertEqual(self.with_token(anything).status, 200)
        self.assertEqual(self.with_token(anything, NOOP, {"sleep_ms": 0}).status, 200)

    def test_forged_ones_are_refused_and_counted(self):
        wrong = self.wrong_ones()
        before = self.g.metric("taskgate_unauthorized_total")
        answers = {}
        for what, token in wrong.items():
            with self.subTest(what=what):
                answer = self.with_token(token)
                self.assert_refused(answer)
                answers[what] = answer.json()["message"]
        self.assertEqual(len(set(answers.values())), 1)
        self.assertEqual(self.g.metric("taskgate_unauthorized_total"), before + len(wrong))

    def test_a_refused_task_uses_up_nothing(self):
        for _ in range(2):
            self.assert_refused(self.ask(nonce="auth-nonce"))
        self.assertEqual(self.ask(nonce="auth-nonce", auth={"node_token": self.own()}).status, 200)

    def test_health_and_metrics_stay_open(self):
        self.assertEqual(self.g.health()["status"], "ok")
        self.assertGreater(self.g.metric("taskgate_uptime_seconds"), 0)


class RequiredOnUring(Asking, unittest.TestCase):
    io = "io_uring"

    def test_forged_ones_and_good_ones(self):
        for what, token in self.wrong_ones().items():
            with self.subTest(what=what):
                self.assert_refused(self.with_token(token))
        self.assertEqual(self.with_token(self.token()).status, 200)
        self.assertEqual(self.ask(auth={"node_token": self.own()}).status, 200)


class Optional(Asking, unittest.TestCase):
    mode = "optional"

    def test_who_shows_nothing_is_let_in_and_who_shows_something_wrong_is_not(self):
        self.assertEqual(self.ask().status, 200)
        self.assertEqual(self.with_token(self.token()).status, 200)
        for what, token in self.wrong_ones().items():
            with self.subTest(what=what):
                self.assert_refused(self.with_token(token))
        self.assert_refused(self.ask(auth={"node_token": "x"}))


class Open(Asking, unittest.TestCase):
    mode = "open"

    def test_credentials_are_not_looked_at(self):
        for token in (self.token(), forge(b"k" * 32), "x"):
            self.assertEqual(self.with_token(token).status, 200)
        self.assertEqual(self.ask(auth={"node_token": "x"}).status, 200)


class Changes(unittest.TestCase):
    def test_a_reload_closes_and_opens_the_door(self):
        d, g = member()
        with d, g:
            g.wait_member()
            for mode, status in (("required", 401), ("open", 200)):
                g.write_config(RUNNERS + '[auth]\nmode = "%s"\n' % mode)
                g.signal(signal.SIGHUP)
                wait_for(lambda status=status: g.echo().status == status, 30, "mode " + mode)

    def test_a_new_token_takes_over_when_the_node_registers_anew(self):
        d, g = member("--auth.mode=required")
        with d, g:
            g.wait_member()
            old = g.home.credentials()["node_token"]
            self.assertEqual(g.echo(auth={"node_token": old}).status, 200)
            d.fault(forget_nodes=True)
            wait_for(lambda: g.home.credentials()["node_token"] != old, 30, "new credentials")
            g.wait_member()
            self.assertEqual(g.echo(auth={"node_token": g.home.credentials()["node_token"]}).status, 200)
            self.assertEqual(g.echo(auth={"node_token": old}).status, 401)

    def test_a_directory_key_that_was_changed_is_fetched_when_tokens_begin_to_fail(self):
        d, g = member("--auth.mode=required")
        with d, g:
            g.wait_log("has a key for consumer tokens")
            asker = d.node("asker")

            def token():
                return d.json("POST", "/v1/consumer-token", {"target_node_id": "n1", "intent": "*"}, asker["node_token"],
                              {"X-Node-Id": "asker"})[1]["token"]
            before = token()
            self.assertEqual(g.echo("x", "X-IICP-Consumer-Token: " + before).status, 200)
            d.fault(rotate_key=True)
            after = token()
            wait_for(lambda: g.echo("x", "X-IICP-Consumer-Token: " + after).status == 200, 30, "the new key")
            self.assertEqual(g.echo("x", "X-IICP-Consumer-Token: " + before).status, 401)
            g.wait_log("a new key for consumer tokens")
            g.wait_beats(3)
            self.assertEqual(len(g.lines_with("a new key for consumer tokens")), 1)

    def test_forgers_do_not_make_the_node_pester_its_directory(self):
        d, g = member("--auth.mode=required", beat_ms=500)
        with d, g:
            g.wait_log("has a key for consumer tokens")
            begin, asked = time.monotonic(), 0
            while time.monotonic() - begin < 2.5:
                g.echo("x", "X-IICP-Consumer-Token: " + forge(b"k" * 32))
                asked += 1
            fetched = len([line for line in d.lines() if "GET /v1/directory-key" in line])
            self.assertLessEqual(fetched, 2 + (time.monotonic() - begin) / 1.0, asked)


if __name__ == "__main__":
    harness.main(at_once=8)
