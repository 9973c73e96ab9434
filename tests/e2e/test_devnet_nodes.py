#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`taskgate devnet`: what registered nodes report, how they are found, and what is signed and paid for them."""
import base64
import json
import unittest

import ed25519
import harness
from devnet import CHAT, CX, EMBED, KEY, Devnet, Directory, capability, hmac_hex
from gateway import wait_for


class Heartbeats(Directory):
    def test_the_reply(self):
        node = self.d.node()
        status, reply = self.d.heartbeat(node, load=0.25, active_jobs=1, available=True, status="available")
        self.assertEqual(status, 200)
        self.assertEqual((reply["ok"], reply["next_heartbeat_ms"], reply["reputation_model"]), (True, 30000, "outcome-v2"))
        self.assertIsNone(reply["metrics_batch_accepted"])
        self.assertRegex(reply["challenge"], r"^[0-9a-f]{32}$")
        self.assertEqual(self.d.discover()[0]["load"], 0.25)

    def test_credentials(self):
        node = self.d.node()
        body = {"node_id": "n1"}
        for token, wanted in ((None, 401), ("wrong", 401), (node["node_token"], 200), (node["jwt_token"], 200),
                              (node["jwt_token"][:-4] + "AAAA", 401)):
            self.assertEqual(self.d.json("POST", "/v1/heartbeat", body, token)[0], wanted, token)
        self.assert_error(self.d.json("POST", "/v1/heartbeat", {"node_id": "n2"}, node["node_token"]), 404, "IICP-E003")
        self.assert_error(self.d.json("POST", "/v1/heartbeat", {}, node["node_token"]), 401, "unauthorized")
        status, _reply = self.d.json("POST", "/v1/heartbeat", {}, node["node_token"], {"X-Node-Id": "n1"})
        self.assertEqual(status, 200)

    def test_each_broken_rule_is_told_with_its_field(self):
        node = self.d.node()
        for members, field in (
                ({"load": 1.5}, "load"), ({"load": "low"}, "load"), ({"active_jobs": -1}, "active_jobs"),
                ({"available": 1}, "available"), ({"metrics": []}, "metrics"),
                ({"metrics": {"tasks_success": 1001}}, "metrics.tasks_success"),
                ({"metrics": {"tasks_failed": -1}}, "metrics.tasks_failed"),
                ({"metrics_batch_id": ""}, "metrics_batch_id"), ({"metrics_batch_id": "b" * 65}, "metrics_batch_id"),
                ({"metrics_batch_id": "\u00e9"}, "metrics_batch_id"), ({"health_models": "demo"}, "health_models"),
                ({"health_models": ["m" * 129]}, "health_models.0"),
                ({"backend_stability": {"retry_after_s": 86401}}, "backend_stability.retry_after_s"),
                ({"backend_stability": {"backend_state": "fine"}}, "backend_stability.backend_state"),
                ({"challenge_response": "short"}, "challenge_response")):
            with self.subTest(field=field):
                self.assert_field(self.d.heartbeat(node, **members), field)
        self.assertEqual(self.d.view("n1")["heartbeats"], 0)

    def test_batches_are_counted_once_however_often_they_come(self):
        node = self.d.node()
        for batch, success, failed in (("a-1", 10, 1), ("a-1", 10, 1), ("a-2", 5, 0), ("a-1", 10, 1)):
            status, reply = self.d.heartbeat(node, metrics={"tasks_success": success, "tasks_failed": failed},
                                             metrics_batch_id=batch)
            self.assertEqual((status, reply["metrics_batch_accepted"]), (200, batch))
        view = self.d.view("n1")
        self.assertEqual((view["tasks_success"], view["tasks_failed"]), (15, 1))
        self.assertEqual((view["batches_accepted"], view["batches_repeated"]), (2, 2))
        self.assertEqual(self.d.view()["tasks"], 16)

    def test_failures_cost_reputation(self):
        node = self.d.node()
        good = self.d.heartbeat(node, metrics={"tasks_success": 100}, metrics_batch_id="1")[1]["reputation_score"]
        bad = self.d.heartbeat(node, metrics={"tasks_failed": 100}, metrics_batch_id="2")[1]["reputation_score"]
        self.assertGreater(good, 0.95)
        self.assertLess(bad, 0.6)

    def test_challenges_are_verified_with_the_key_as_text(self):
        node = self.d.node(node_hmac_key=KEY)
        first = self.d.heartbeat(node)[1]["challenge"]
        second = self.d.heartbeat(node, challenge_response=hmac_hex(KEY, first))[1]["challenge"]
        self.assertNotEqual(first, second)
        self.d.heartbeat(node, challenge_response=hmac_hex(KEY, first))  # the reply with the second may be lost
        self.d.heartbeat(node, challenge_response=hmac_hex("other", second))
        self.d.heartbeat(node)
        view = self.d.view("n1")
        self.assertEqual((view["challenges_passed"], view["challenges_failed"]), (2, 2))

    def test_no_models_hide_the_node_and_new_ones_show_it(self):
        node = self.d.node()
        for models, found in (([], []), (["a", "b"], ["n1"])):
            self.d.heartbeat(node, health_models=models)
            self.assertEqual(self.d.found(), found)
        self.d.heartbeat(node)
        self.assertEqual(self.d.discover()[0]["models"], ["a", "b"])
        self.assertEqual((self.d.found("?model=b"), self.d.found("?model=demo")), (["n1"], []))

    def test_draining_hides_the_node_in_both_ways_of_saying_so(self):
        node = self.d.node()
        for members in ({"status": "draining"}, {"backend_stability": {"backend_state": "draining"}}):
            self.d.heartbeat(node, **members)
            self.assertEqual(self.d.found(), [])
            self.d.heartbeat(node, status="available")
            self.assertEqual(self.d.found(), ["n1"])

    def test_a_busy_node_is_listed_as_such_and_last(self):
        node = self.d.node("busy")
        self.d.node("idle")
        self.d.heartbeat(node, available=False, load=1)
        self.assertEqual([(n["node_id"], n["available"]) for n in self.d.discover()], [("idle", True), ("busy", False)])


class Silence(unittest.TestCase):
    def test_a_silent_node_vanishes_and_the_next_beat_brings_it_back(self):
        with Devnet("--heartbeat-ms=100") as d:
            node = d.node()
            self.assertEqual(d.heartbeat(node)[1]["next_heartbeat_ms"], 100)
            wait_for(lambda: d.found() == [], 30, "the node to vanish")
            self.assertTrue(d.view("n1")["stale"])
            self.assertEqual(d.ask("GET", "/v1/registry/nodes/n1")[0], 404)
            self.assertEqual(d.heartbeat(node)[0], 200)
            self.assertGreaterEqual(d.view("n1")["heartbeats"], 2)


class Discovering(Directory):
    def setUp(self):
        super().setUp()
        self.a = self.d.node("a", region="eu-west", relay_capable=True, policy={"allow_remote_inference": True},
                             cx_public_key=CX, capabilities=capability(models=["big"], input_modalities=["text", "image"]))
        self.b = self.d.node("b", region="us-east", pricing={"credit_cost_multiplier": 3},
                             capabilities=[{"intent": EMBED, "models": ["small"]}])

    def test_every_parameter_chooses(self):
        for query, found in (
                ("", ["a", "b"]), ("?intent=" + CHAT, ["a"]), ("?intent=" + EMBED.replace(":", "%3A"), ["b"]),
                ("?region=us-east", ["b"]), ("?model=big", ["a"]), ("?model=none", []), ("?modality=image", ["a"]),
                ("?modality=text", ["a", "b"]), ("?modality=video", []), ("?cip_capable=true", ["a"]),
                ("?relay_capable=1", ["a"]), ("?relay_capable=false", ["a", "b"]), ("?max_multiplier=2.5", ["a"]),
                ("?min_reputation=0.7", ["a", "b"]), ("?min_reputation=0.9", []), ("?limit=1", ["a"]),
                ("?region=us-east&intent=" + CHAT, []), ("?qos=batch", ["a", "b"]), ("?qos=best-effort", ["a", "b"]),
                ("?qos=interactive", []), ("?qos=realtime", [])):
            with self.subTest(query=query):
                self.assertEqual(self.d.found(query), found)

    def test_bad_parameters_are_told(self):
        for query, field in (("limit=0", "limit"), ("limit=51", "limit"), ("limit=x", "limit"), ("qos=fast", "qos"),
                             ("intent=chat", "intent"), ("modality=smell", "modality"), ("view=all", "view"),
                             ("min_reputation=2", "min_reputation"), ("max_multiplier=-1", "max_multiplier"),
                             ("relay_capable=maybe", "relay_capable")):
            with self.subTest(query=query):
                self.assert_field(self.d.json("GET", "/v1/discover?" + query), field)

    def tasks(self, node, success, failed=0):
        for i in range(0, success + failed, 1000):
            self.d.heartbeat(node, metrics={"tasks_success": min(1000, success - i) if i < success else 0,
                                            "tasks_failed": failed if i == 0 else 0}, metrics_batch_id="t%d" % i)

    def test_quality_classes_want_experience(self):
        self.tasks(self.a, 99)
        self.assertEqual(self.d.found("?qos=interactive"), [])
        self.d.heartbeat(self.a, metrics={"tasks_success": 1}, metrics_batch_id="one more")
        self.assertEqual((self.d.found("?qos=interactive"), self.d.found("?qos=realtime")), (["a"], []))
        self.tasks(self.b, 1000)
        self.assertEqual(self.d.found("?qos=realtime"), ["b"])
        self.d.heartbeat(self.b, metrics={"tasks_failed": 900}, metrics_batch_id="bad day")
        self.assertEqual((self.d.found("?qos=realtime"), self.d.found("?qos=interactive")), ([], ["a", "b"]))

    def test_the_reply_and_the_public_view(self):
        _status, reply = self.d.json("GET", "/v1/discover?intent=" + CHAT)
        self.assertTrue(reply["relay_available"])
        self.assertGreaterEqual(reply["query_ms"], 0)
        node = reply["nodes"][0]
        self.assertEqual((node["endpoint"], node["region"], node["models"]), ("http://127.0.0.1:9", "eu-west", ["big"]))
        self.assertEqual((node["cx_public_key"], node["relay_capable"], node["transport_endpoint"]), (CX, True, None))
        self.assertNotIn("endpoint", self.d.discover("?view=public")[0])

    def test_ten_nodes_unless_more_are_asked_for(self):
        for i in range(55):
            self.d.node("n%d" % i)
        self.assertEqual((len(self.d.found()), len(self.d.found("?limit=50"))), (10, 50))

    def test_bootstrap(self):
        for i in range(25):
            self.d.node("n%d" % i)
        for query, count in (("", 5), ("?limit=20", 20), ("?limit=1", 1)):
            _status, reply = self.d.json("GET", "/v1/bootstrap" + query)
            self.assertEqual((reply["count"], len(reply["peers"])), (count, count))
            self.assertEqual(set(reply["peers"][0]), {"node_id", "endpoint", "region", "last_seen"})
        self.assert_field(self.d.json("GET", "/v1/bootstrap?limit=21"), "limit")

    def test_registry_knows_uuids_by_their_beginning_and_others_in_full(self):
        self.d.node("b8a1f3d0-7c52-4a5e-9b1a-2d3c4e5f6071")
        self.d.node("long-node-name")
        for prefix, status in (("b8a1f3d0", 200), ("b8a1f3d0-7c52-4a5e-9b1a-2d3c4e5f6071", 200), ("b8a1f3d1", 404),
                               ("b8a1f3d", 404), ("long-nod", 404), ("long-node-name", 200), ("a", 200), ("c", 404)):
            self.assertEqual(self.d.ask("GET", "/v1/registry/nodes/" + prefix)[0], status, prefix)


class Tokens(Directory):
    def key(self):
        _status, reply = self.d.json("GET", "/v1/directory-key")
        self.assertEqual(reply["algorithm"], "ed25519")
        return bytes.fromhex(reply["public_key"])

    def claims(self, token, purpose):
        text, signature = token.split(".")
        self.assertEqual(len(signature), 128)
        self.assertTrue(ed25519.verify(self.key(), purpose + b"\n" + text.encode(), bytes.fromhex(signature)))
        return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))

    def test_consumer_tokens(self):
        node = self.d.node("a")
        self.d.node("b")
        body = {"node_id": "a", "target_node_id": "b", "intent": CHAT}
        status, reply = self.d.json("POST", "/v1/consumer-token", body, node["node_token"])
        self.assertEqual(status, 201)
        claims = self.claims(reply["token"], b"iicp:consumer-token:v1")
        self.assertEqual(set(claims), {"v", "iss", "sub", "aud", "intent", "iat", "exp"})
        self.assertEqual((claims["v"], claims["iss"], claims["sub"], claims["aud"]), (1, self.d.url, "a", "b"))
        self.assertEqual((claims["intent"], claims["exp"] - claims["iat"]), (CHAT, 300))

    def test_consumer_tokens_are_refused(self):
        node = self.d.node("a")
        ask = {"node_id": "a", "target_node_id": "a", "intent": "*"}
        self.assertEqual(self.d.json("POST", "/v1/consumer-token", ask, node["jwt_token"])[0], 201)
        self.assert_error(self.d.json("POST", "/v1/consumer-token", ask), 401, "unauthorized")
        self.assert_error(self.d.json("POST", "/v1/consumer-token", {**ask, "target_node_id": "z"}, node["node_token"]),
                          404, "IICP-E003")
        self.assert_field(self.d.json("POST", "/v1/consumer-token", {**ask, "intent": "chat"}, node["node_token"]), "intent")

    def test_relay_tickets(self):
        node = self.d.node("w")
        self.d.node("r")
        head = {"X-Node-Id": "w"}
        seen = set()
        for body, audience in (({}, "*"), ({"relay_node_id": "r"}, "r")):
            status, reply = self.d.json("POST", "/v1/relay/ticket", body, node["node_token"], head)
            self.assertEqual((status, reply["worker_node_id"], reply["relay_node_id"]), (201, "w", audience))
            self.assertEqual(reply["algorithm"], "ed25519")
            claims = self.claims(reply["ticket"], b"iicp:relay-bind-ticket:v1")
            self.assertEqual((claims["typ"], claims["sub"], claims["aud"]), ("relay-bind-ticket", "w", audience))
            self.assertEqual((claims["v"], claims["exp"] - claims["iat"]), (1, 120))
            self.assertRegex(claims["jti"], r"^[0-9a-f]{32}$")
            seen.add(claims["jti"])
        self.assertEqual(len(seen), 2)
        answer = self.d.json("POST", "/v1/relay/ticket", {"relay_node_id": "z"}, node["node_token"], head)
        self.assert_error(answer, 404, "IICP-E003")
        self.assert_error(self.d.json("POST", "/v1/relay/ticket", {}, None, head), 401, "unauthorized")

    def test_a_rotated_key_signs_what_follows(self):
        before = self.key()
        self.d.fault(rotate_key=True)
        self.assertNotEqual(self.key(), before)
        self.test_consumer_tokens()

    def test_a_seed_makes_keys_reproducible(self):
        keys = []
        for seed in ("one", "one", "two"):
            with Devnet("--seed", seed) as d:
                keys.append((d.json("GET", "/v1/directory-key")[1]["public_key"], d.node()["node_token"]))
        self.assertEqual(keys[0], keys[1])
        self.assertNotEqual(keys[0][0], keys[2][0])
        self.assertNotEqual(keys[0][1], keys[2][1])


class Credits(Directory):
    def receipt(self, node, nonce="0" * 32, tokens=2500, querying=None, **members):
        digest = "ab" * 32
        message = "t-1:%d:::%s:%s" % (tokens, nonce, digest) + (":" + querying if querying else "")
        body = {"node_id": node["node_id"], "task_id": "t-1", "tokens_used": tokens, "amount": tokens / 1000, "nonce": nonce,
                "expires_at": "2100-01-01T00:00:00Z", "signature": hmac_hex(node["node_hmac_key"], message),
                "response_hash": digest, "reason": "task_completion"}
        if querying:
            body["querying_node_id"] = querying
        body.update(members)
        return self.d.json("POST", "/v1/credits/award", body, node["node_token"])

    def test_receipts_are_paid_once(self):
        node = self.d.node()
        status, reply = self.receipt(node)
        self.assertEqual((status, reply["awarded"], reply["balance"], reply["node_id"]), (201, 2.5, 2.5, "n1"))
        self.assert_error(self.receipt(node), 409, "nonce_replay")
        self.assertEqual(self.receipt(node, "1" * 32, querying="q-1")[1]["balance"], 5)
        view = self.d.view()
        self.assertEqual((view["credits"], view["nodes"][0]["awards"]), (5, 2))

    def test_receipts_that_do_not_hold(self):
        node = self.d.node()
        for bad in ({"signature": "0" * 64}, {"task_id": "t-2"}, {"amount": 2.6}, {"expires_at": "2020-01-01T00:00:00Z"},
                    {"querying_node_id": "added later"}, {"response_hash": "cd" * 32}, {"tokens_used": 9999}):
            with self.subTest(bad=bad):
                self.assert_error(self.receipt(node, **bad), 422, "IICP-E027")
        self.assertEqual(self.receipt(node)[0], 201)  # a refused receipt has not used up its nonce

    def test_each_broken_rule_is_told_with_its_field(self):
        node = self.d.node()
        for members, field in (({"expires_at": None}, "expires_at"), ({"expires_at": "tomorrow"}, "expires_at"),
                               ({"nonce": "x" * 32}, "nonce"), ({"amount": -1}, "amount"), ({"tokens_used": "9"}, "tokens_used"),
                               ({"signature": "ab"}, "signature"), ({"response_hash": "ab"}, "response_hash")):
            with self.subTest(field=field):
                self.assert_field(self.receipt(node, **members), field)

    def test_small_tasks_earn_a_thousandth(self):
        node = self.d.node()
        self.assertEqual(self.receipt(node, tokens=0, amount=0.001)[1]["awarded"], 0.001)

    def test_only_the_node_itself_is_paid(self):
        self.d.node()
        other = self.d.node("n2")
        self.assertEqual(self.receipt({**other, "node_id": "n1"})[0], 401)

    def test_times_with_an_offset_are_understood(self):
        node = self.d.node()
        self.assertEqual(self.receipt(node, expires_at="2100-01-01T00:00:00.123+02:00")[0], 201)


if __name__ == "__main__":
    harness.main()
