#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`taskgate devnet`: who is registered, who is refused, and why."""
import base64
import json
import socket
import unittest

import ed25519
import harness
from devnet import CHAT, CX, EMBED, KEY, Devnet, Directory, FakeNode, capability, hmac_hex, registration
from gateway import free_port


# What is put into a good body, and the field that must then be named.
BAD_REGISTRATIONS = [
    ({"endpoint": None}, "endpoint"),
    ({"endpoint": 7}, "endpoint"),
    ({"endpoint": "ftp://x.example"}, "endpoint"),
    ({"endpoint": "http://user@x.example"}, "endpoint"),
    ({"endpoint": "http://x.example/" + "a" * 255}, "endpoint"),
    ({"region": None}, "region"),
    ({"region": "9eu"}, "region"),
    ({"region": "eu central"}, "region"),
    ({"region": "e" * 65}, "region"),
    ({"capabilities": None}, "capabilities"),
    ({"capabilities": []}, "capabilities"),
    ({"capabilities": {}}, "capabilities"),
    ({"capabilities": ["chat"]}, "capabilities.0"),
    ({"capabilities": [{}]}, "capabilities.0.intent"),
    ({"capabilities": [{"intent": "chat"}]}, "capabilities.0.intent"),
    ({"capabilities": [{"intent": "urn:iicp:intent:llm:chat:v0"}]}, "capabilities.0.intent"),
    ({"capabilities": [{"intent": "urn:iicp:intent:Llm:chat:v1"}]}, "capabilities.0.intent"),
    ({"capabilities": capability() + [{"intent": CHAT + "x"}]}, "capabilities.1.intent"),
    ({"capabilities": capability(models=["a", "a"])}, "capabilities.0.models.1"),
    ({"capabilities": capability(models=[str(i) for i in range(65)])}, "capabilities.0.models"),
    ({"capabilities": capability(models=["m" * 256])}, "capabilities.0.models.0"),
    ({"capabilities": capability(models="demo")}, "capabilities.0.models"),
    ({"capabilities": capability(max_tokens=0)}, "capabilities.0.max_tokens"),
    ({"capabilities": capability(input_modalities=["text", "smell"])}, "capabilities.0.input_modalities.1"),
    ({"capabilities": capability(output_modalities=["taste"])}, "capabilities.0.output_modalities.0"),
    ({"capabilities": capability(supported_profiles=["p"] * 17)}, "capabilities.0.supported_profiles"),
    ({"capabilities": capability(quantization="q" * 33)}, "capabilities.0.quantization"),
    ({"capabilities": capability(inference_engine="e" * 33)}, "capabilities.0.inference_engine"),
    ({"limits": None}, "limits"),
    ({"limits": []}, "limits"),
    ({"limits": {"tokens_per_min": 1}}, "limits.max_concurrent"),
    ({"limits": {"max_concurrent": 0, "tokens_per_min": 1}}, "limits.max_concurrent"),
    ({"limits": {"max_concurrent": 257, "tokens_per_min": 1}}, "limits.max_concurrent"),
    ({"limits": {"max_concurrent": 1.5, "tokens_per_min": 1}}, "limits.max_concurrent"),
    ({"limits": {"max_concurrent": 1, "tokens_per_min": 0}}, "limits.tokens_per_min"),
    ({"node_id": "n" * 37}, "node_id"),
    ({"node_id": "-n"}, "node_id"),
    ({"node_id": "a b"}, "node_id"),
    ({"current_node_token": "t" * 65}, "current_node_token"),
    ({"transport_endpoint": "http://x.example"}, "transport_endpoint"),
    ({"transport_endpoint": "iicp://"}, "transport_endpoint"),
    ({"transport_method": "pigeon"}, "transport_method"),
    ({"nat_type": "carrier"}, "nat_type"),
    ({"transport_metadata": []}, "transport_metadata"),
    ({"relay_capable": "yes"}, "relay_capable"),
    ({"backend": "abacus"}, "backend"),
    ({"policy": {"allow_remote_inference": 1}}, "policy.allow_remote_inference"),
    ({"pricing": {"credit_cost_multiplier": 1001}}, "pricing.credit_cost_multiplier"),
    ({"pricing": {"credit_cost_multiplier": -1}}, "pricing.credit_cost_multiplier"),
    ({"pricing": {"pricing_model": "barter"}}, "pricing.pricing_model"),
    ({"pricing": {"declaration_signature": "zz"}}, "pricing.declaration_signature"),
    ({"availability": [{"start": "9:00", "end": "17:00"}]}, "availability.0.start"),
    ({"availability": [{"start": "09:00", "end": "24:00"}]}, "availability.0.end"),
    ({"availability": [{"start": "09:00", "end": "17:00", "share": 2}]}, "availability.0.share"),
    ({"node_hmac_key": "k" * 129}, "node_hmac_key"),
    ({"cx_public_key": {**CX, "key": "short"}}, "cx_public_key.key"),
    ({"cx_public_key": {**CX, "algorithm": "X448"}}, "cx_public_key.algorithm"),
    ({"sdk_language": "C++"}, "sdk_language"),
    ({"sdk_language": "c" * 33}, "sdk_language"),
    ({"operator_display_name": "o" * 65}, "operator_display_name"),
]


class Registering(Directory):
    def test_the_smallest_body_is_accepted_and_the_reply_has_all_a_node_needs(self):
        with FakeNode() as node:
            status, reply = self.d.register(node_id="n1", endpoint=node.url, transport_method=None, nat_type=None)
        self.assertEqual(status, 201, reply)
        self.assertEqual(set(reply), {"node_id", "node_token", "proxy_token", "node_hmac_key", "expires_at", "jwt_token",
                                      "jwt_expires_at", "directory", "observed_source_ip", "recovered", "lifetime_jobs"})
        self.assertEqual((len(reply["node_token"]), len(reply["node_hmac_key"])), (40, 64))
        self.assertEqual((reply["node_id"], reply["expires_at"], reply["recovered"]), ("n1", None, False))
        self.assertEqual((reply["directory"], reply["observed_source_ip"]), (self.d.url, "127.0.0.1"))
        self.assertEqual(node.asked, [("GET", "/iicp/health")])

    def test_a_node_without_an_id_is_given_one(self):
        uuid = self.d.node(None)["node_id"]
        self.assertRegex(uuid, r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$")
        self.assertEqual(self.d.ask("GET", "/v1/registry/nodes/" + uuid[:8])[0], 200)

    def test_each_broken_rule_is_told_with_its_field(self):
        for members, field in BAD_REGISTRATIONS:
            with self.subTest(field=field, members=str(members)[:60]):
                self.assert_field(self.d.register(**members), field)
        self.assertEqual(self.d.view()["nodes"], [])

    def test_values_at_the_edge_of_every_rule_are_accepted(self):
        status, reply = self.d.register(
            node_id="A" + "._:-" * 8 + "xyz", region="E" * 64, limits={"max_concurrent": 256, "tokens_per_min": 1},
            capabilities=capability(models=["m" * 255] + [str(i) for i in range(63)], max_tokens=1,
                                    input_modalities=["text", "image", "audio", "video"], quantization="q" * 32,
                                    supported_profiles=["p"] * 16) + [{"intent": "urn:iicp:intent:x.my-co:a_b-c:v12"}],
            pricing={"credit_cost_multiplier": 1000, "pricing_model": "flat"}, transport_endpoint="iicpsec://x:9484",
            availability=[{"start": "00:00", "end": "23:59", "share": 0}], sdk_language="c_-9", unknown={"member": []})
        self.assertEqual(status, 201, reply)

    def test_several_mistakes_are_told_at_once(self):
        status, reply = self.d.json("POST", "/v1/register", {"region": "9"})
        self.assertEqual(status, 422)
        self.assertEqual(set(reply["errors"]), {"endpoint", "region", "capabilities", "limits"})
        self.assertEqual(reply["message"], "The endpoint field is required. (and 3 more errors)")

    def test_a_body_full_of_mistakes_gets_an_answer_of_bounded_size(self):
        status, _headers, text = self.d.ask("POST", "/v1/register", registration(capabilities=[{"intent": "x"}] * 60 + [3] * 4))
        self.assertEqual(status, 422)
        self.assertLess(len(text), 16384)
        self.assertIn("(and 63 more errors)", json.loads(text)["message"])

    def test_text_that_is_no_json_object(self):
        for body in (b"{", b"[1]", b"nonsense", b'{"a":"\xff"}'):
            self.assert_error(self.d.json("POST", "/v1/register", body), 400, "validation_error")

    def test_prohibited_intents_are_refused(self):
        for name in ("social-scoring", "social_scoring", "csam", "predict-crime", "protected_trait"):
            answer = self.d.register(capabilities=[{"intent": "urn:iicp:intent:x.a:%s:v1" % name}])
            self.assert_error(answer, 422, "IICP-POLICY-001")

    def test_the_live_directorys_prefix_is_understood_once(self):
        self.assertEqual(self.d.json("POST", "/api/v1/register", registration())[0], 201)
        self.assert_error(self.d.json("POST", "/api/api/v1/register", registration()), 404, "not_found")


class DialBack(Directory):
    def register_at(self, url, **members):
        members = {"transport_method": None, "nat_type": None, **members}
        return self.d.register(endpoint=url, **members)

    def test_an_endpoint_that_nobody_listens_at(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.assert_error(self.register_at("http://127.0.0.1:%d" % s.getsockname()[1]), 422, "IICP-E036")

    def test_an_endpoint_that_says_nothing(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            self.assert_error(self.register_at("http://127.0.0.1:%d" % s.getsockname()[1]), 422, "IICP-E036")

    def test_an_endpoint_whose_health_is_not_well(self):
        for status in (503, 404, 302):
            with FakeNode(status) as node:
                self.assert_error(self.register_at(node.url), 422, "liveness_failed")

    def test_only_transport_and_a_concrete_nat_type_together_spare_the_call(self):
        with FakeNode(503) as node:
            for members in ({"transport_method": "direct"}, {"nat_type": "symmetric"},
                            {"transport_method": "direct", "nat_type": "unknown"}):
                self.assert_error(self.register_at(node.url, **members), 422, "liveness_failed")
            self.assertEqual(len(node.asked), 3)
            status, _reply = self.register_at(node.url, transport_method="direct", nat_type="symmetric")
            self.assertEqual((status, len(node.asked)), (201, 3))

    def test_a_trailing_slash_is_not_doubled(self):
        with FakeNode() as node:
            self.assertEqual(self.register_at(node.url + "/")[0], 201)
            self.assertEqual(node.asked, [("GET", "/iicp/health")])

    def test_probe_tells_whether_a_port_answers(self):
        with FakeNode() as node:
            status, reply = self.d.json("GET", "/v1/probe?host=127.0.0.1&port=%d" % node.port)
            self.assertEqual((status, reply["reachable"], reply["error"]), (200, True, None))
            self.assertGreaterEqual(reply["latency_ms"], 0)
            self.assertEqual(node.asked, [("HEAD", "/iicp/health")])
        status, reply = self.d.json("GET", "/v1/probe?host=127.0.0.1&port=%d" % free_port())
        self.assertEqual((status, reply["reachable"]), (200, False))
        self.assertTrue(reply["error"])

    def test_probe_wants_a_host_and_a_port_that_is_not_privileged(self):
        for query, field in (("port=9484", "host"), ("host=a/b&port=9484", "host"), ("host=x", "port"),
                             ("host=x&port=1023", "port"), ("host=x&port=65536", "port"), ("host=x&port=9x", "port")):
            self.assert_field(self.d.json("GET", "/v1/probe?" + query), field)


class Again(Directory):
    """Registering a node that is known."""
    def test_with_its_token_a_node_may_change_its_route_and_is_recovered(self):
        first = self.d.node()
        second = self.d.node(endpoint="http://127.0.0.2:9", current_node_token=first["node_token"])
        self.assertTrue(second["recovered"])
        self.assertNotEqual(second["node_token"], first["node_token"])
        self.assertNotEqual(second["node_hmac_key"], first["node_hmac_key"])
        self.assertEqual(self.d.discover()[0]["endpoint"], "http://127.0.0.2:9")
        self.assertEqual(self.d.heartbeat(first)[0], 401)
        self.assertEqual(self.d.heartbeat(second)[0], 200)

    def test_without_it_no_route_may_change(self):
        self.d.node(transport_endpoint="iicp://127.0.0.1:9", relay_endpoint="r:1")
        same = {"node_id": "n1", "transport_endpoint": "iicp://127.0.0.1:9", "relay_endpoint": "r:1"}
        for change in ({"endpoint": "http://127.0.0.2:9"}, {"transport_endpoint": "iicp://127.0.0.2:9"},
                       {"relay_endpoint": "r:2"}, {"transport_endpoint": None},
                       {"endpoint": "http://127.0.0.2:9", "current_node_token": "wrong"}):
            self.assert_error(self.d.register(**{**same, **change}), 403, "IICP-E050")
        status, reply = self.d.register(**same)
        self.assertEqual((status, reply["recovered"]), (201, False))

    def test_a_token_whose_successor_got_lost_still_proves_ownership(self):
        first = self.d.node()
        self.d.fault(path="/v1/register", lose_reply=True, count=1)
        with self.assertRaises(OSError):
            self.d.register(node_id="n1", current_node_token=first["node_token"])
        third = self.d.node(endpoint="http://127.0.0.2:9", current_node_token=first["node_token"])
        self.assertTrue(third["recovered"])

    def test_the_cx_key_never_changes(self):
        first = self.d.node(cx_public_key=CX)
        token = first["node_token"]
        other = {**CX, "key": "D6poTtKIZ7l_Smot7l34zpdOdrcBjj8iocTPJnhXDyA"}
        self.assert_error(self.d.register(node_id="n1", cx_public_key=other, current_node_token=token), 403, "IICP-E049")
        token = self.d.node(current_node_token=token)["node_token"]  # without the key: the known one stays
        self.assert_error(self.d.register(node_id="n1", cx_public_key=other, current_node_token=token), 403, "IICP-E049")
        self.assertEqual(self.d.node(cx_public_key=CX, current_node_token=token)["recovered"], True)
        self.assertEqual(self.d.discover()[0]["cx_public_key"], CX)

    def test_an_hmac_key_of_the_nodes_own_is_kept(self):
        self.assertEqual(self.d.node(node_hmac_key=KEY)["node_hmac_key"], KEY)
        self.assertNotEqual(self.d.node()["node_hmac_key"], KEY)

    def test_price_and_policy_stay_as_first_registered_while_capabilities_follow(self):
        self.d.node(pricing={"credit_cost_multiplier": 2}, policy={"allow_remote_inference": True}, relay_capable=True)
        self.d.node(pricing={"credit_cost_multiplier": 9}, policy={"allow_remote_inference": False},
                    capabilities=[{"intent": EMBED, "models": ["new"]}])
        node = self.d.discover()[0]
        self.assertEqual((node["credit_cost_multiplier"], node["cip_capable"], node["relay_capable"]), (2, True, True))
        self.assertEqual(node["models"], ["new"])
        self.assertEqual((self.d.found("?intent=" + CHAT), self.d.found("?intent=" + EMBED)), ([], ["n1"]))

    def test_what_was_counted_survives(self):
        first = self.d.node()
        self.d.heartbeat(first, metrics={"tasks_success": 5, "tasks_failed": 2}, metrics_batch_id="b")
        self.assertEqual(self.d.node(current_node_token=first["node_token"])["lifetime_jobs"], 7)

    def test_deregistering_needs_the_token_and_removes_the_node(self):
        node = self.d.node()
        body = {"node_id": "n1"}
        self.assert_error(self.d.json("DELETE", "/v1/register", body, "wrong"), 401, "unauthorized")
        self.assert_error(self.d.json("DELETE", "/v1/register", body), 401, "unauthorized")
        self.assertEqual(self.d.json("DELETE", "/v1/register", body, node["node_token"]), (200, {"deregistered": True}))
        self.assertEqual(self.d.found(), [])
        self.assert_error(self.d.json("DELETE", "/v1/register", body, node["node_token"]), 404, "IICP-E003")


class Strict(Directory):
    flags = ("--strict", "--register-limit=60000")

    def test_every_registration_of_a_known_node_needs_its_token(self):
        first = self.d.node()
        self.assert_error(self.d.register(node_id="n1"), 403, "IICP-E050")
        self.assertEqual(self.d.node(current_node_token=first["node_token"])["recovered"], True)

    def test_twenty_nodes_an_address_and_no_more(self):
        for i in range(20):
            self.d.node("n%d" % i)
        self.assert_error(self.d.register(node_id="n20"), 422, "IICP-E052")

    def test_who_fails_its_challenge_is_hidden_until_it_passes_one(self):
        node = self.d.node()
        challenge = self.d.heartbeat(node)[1]["challenge"]
        challenge = self.d.heartbeat(node, challenge_response="0" * 64)[1]["challenge"]
        self.assertEqual(self.d.found(), [])
        self.d.heartbeat(node, challenge_response=hmac_hex(node["node_hmac_key"], challenge))
        self.assertEqual(self.d.found(), ["n1"])


class Limits(unittest.TestCase):
    def test_too_many_registrations_from_one_address(self):
        with Devnet("--register-limit=3") as d:
            for _ in range(3):
                self.assertEqual(d.register()[0], 201)
            status, headers, text = d.ask("POST", "/v1/register", registration())
            self.assertEqual((status, headers["Retry-After"]), (429, "60"))
            reply = json.loads(text)
            self.assertEqual((reply["error"], reply["retry_after"]), ("IICP-E034", 60))

    def test_private_endpoints_are_refused_on_request(self):
        with Devnet("--allow-private=false") as d:
            for url in ("http://127.0.0.1:9", "http://localhost:9", "http://10.0.0.1:9", "http://[::1]:9",
                        "http://192.168.1.1", "http://[fd00::1]:9", "http://169.254.169.254"):
                status, reply = d.register(endpoint=url)
                self.assertEqual((status, reply["code"]), (422, "IICP-E035"), url)
            self.assertEqual(d.register(endpoint="http://8.8.8.8:9484")[0], 201)
            self.assertEqual(d.json("GET", "/v1/probe?host=127.0.0.1&port=9484")[1]["code"], "IICP-E035")


class Signatures(Directory):
    def price(self, n, key=KEY, model="per_token", text=None):
        message = '{"credit_cost_multiplier":%s,"pricing_model":"%s"}' % (text or json.dumps(n), model)
        return {"credit_cost_multiplier": n, "pricing_model": model, "declaration_signature": hmac_hex(key, message)}

    def test_signed_prices_are_verified_with_the_key_of_the_same_body(self):
        known = {1: "745f4a4f5cbabc2e4d70d4e85eebca936386513ef26e589abe61442aab1bb088",
                 1.5: "253328f762171ac84cf4546f285c130425d05464e8cf909044588f0149b6fbb5"}
        for n, signature in known.items():
            pricing = {"credit_cost_multiplier": n, "pricing_model": "per_token", "declaration_signature": signature}
            self.assertEqual(self.d.register(node_hmac_key=KEY, pricing=pricing)[0], 201)
            self.assert_error(self.d.register(pricing=pricing), 422, "IICP-E010")
            self.assert_error(self.d.register(node_hmac_key="other", pricing=pricing), 422, "IICP-E010")

    def test_an_integral_price_is_signed_as_an_integer_however_it_is_written(self):
        body = json.dumps(registration(node_hmac_key=KEY, pricing=self.price(777, text="2"))).replace("777", "2.0")
        self.assertEqual(self.d.json("POST", "/v1/register", body.encode())[0], 201)

    def test_heartbeats_change_the_price_if_they_are_signed_with_the_stored_key(self):
        node = self.d.node()
        self.assertEqual(self.d.heartbeat(node, pricing=self.price(0.1, node["node_hmac_key"]))[0], 200)
        found = self.d.discover()[0]
        self.assertEqual((found["credit_cost_multiplier"], found["pricing_attested"]), (0.1, True))
        before = self.d.view("n1")["heartbeats"]
        self.assert_error(self.d.heartbeat(node, pricing=self.price(9, KEY)), 422, "IICP-E010")
        self.assertEqual(self.d.discover()[0]["credit_cost_multiplier"], 0.1)
        self.assertEqual(self.d.view("n1")["heartbeats"], before)

    def delegation(self, seed=b"\x07" * 32, node_id="n1", not_after=4102444800, **members):
        pub = base64.b64encode(ed25519.public_key(seed)).decode()
        text = '{"node_id":"%s","not_after":%d,"operator_pub":"%s"}' % (node_id, not_after, pub)
        sig = base64.b64encode(ed25519.sign(seed, text.encode())).decode()
        return {"node_id": node_id, "operator_pub": pub, "not_after": not_after, "sig": sig, **members}

    def test_an_operators_delegation_is_verified(self):
        self.d.node(operator_delegation=self.delegation())
        self.assertTrue(self.d.discover()[0]["operator_verified"])

    def test_delegations_that_do_not_hold(self):
        other = base64.b64encode(ed25519.public_key(b"\x08" * 32)).decode()
        for bad in (self.delegation(node_id="n2"), self.delegation(not_after=1000), self.delegation(not_after=4102444801, sig="AAAA"),
                    self.delegation(operator_pub=other), {**self.delegation(), "not_after": 4102444801}):
            self.assert_field(self.d.register(node_id="n1", operator_delegation=bad), "operator_delegation")


if __name__ == "__main__":
    harness.main()
