#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A node's life in a directory: joining, reporting, its files, restarts, leaving. The directory is a real devnet."""
import base64
import http.server
import json
import os
import re
import signal
import stat
import threading
import time
import unittest

import ed25519
import harness
from client import ECHO, NOOP, noop, post_task
from devnet import Devnet
from gateway import RUNNERS, free_port, run_once, wait_for
from harness import variants
from member import BEAT_MS, STALE, Home, Node, Together, member


def utc(minutes):
    """HH:MM, so many minutes from now."""
    return time.strftime("%H:%M", time.gmtime(time.time() + 60 * minutes))


# ---- joining -----------------------------------------------------------------------------------------------------

class WhatIsTold(Together, unittest.TestCase):
    """Every field of a registration, from configuration."""
    flags = ("--node.region=eu-north", "--node.model=demo", "--node.max_tokens=777", "--node.tokens_per_min=4242",
             "--admission.max_concurrent=7", "--directory.operator_name=Zoë & sons", "--pricing.enabled=true",
             "--pricing.multiplier=1.50", "--pricing.model=flat", "--pricing.sign=true", "--cip.enabled=true",
             "--cip.allow_worker=true", "--iicp.allow_tool_execution=true",
             "--node.input_modalities=text, image", "--node.output_modalities=text",
             "--node.supported_profiles=urn:iicp:profile:a:v1,urn:iicp:profile:b:v1", "--directory.public_key=PUB",
             "--directory.supported_receipt_profiles=consumer_cosignature_v1",
             "--availability.windows=08:30-10:15@0.25,18:00-20:00@1", "--availability.timezone=Asia/Tokyo")

    def test_every_field_arrives(self):
        told = self.g.known()["registration"]
        self.assertEqual((told["node_id"], told["region"], told["endpoint"]),
                         ("n1", "eu-north", "http://127.0.0.1:%d" % self.g.port))
        self.assertEqual(told["limits"], {"max_concurrent": 7, "tokens_per_min": 4242})
        self.assertEqual([c["intent"].split(":")[-2] for c in told["capabilities"]], ["echo", "noop", "knn"])
        self.assertEqual([c["models"] for c in told["capabilities"]],
                         [["demo", "echo"], ["demo", "noop"], ["demo", "digits"]])
        self.assertEqual({c["max_tokens"] for c in told["capabilities"]}, {777})
        self.assertEqual(told["policy"], {"allow_remote_inference": True, "allow_tool_execution": True})
        self.assertEqual(told["operator_display_name"], "Zoë & sons")
        self.assertEqual((told["sdk_language"], told["implementation_name"]), ("c", "taskgate"))
        self.assertRegex(told["sdk_version"], r"^\d+\.\d+\.\d+$")
        self.assertNotIn("current_node_token", told)
        for c in told["capabilities"]:
            self.assertEqual((c["input_modalities"], c["output_modalities"]), (["text", "image"], ["text"]))
            self.assertEqual(c["supported_profiles"], ["urn:iicp:profile:a:v1", "urn:iicp:profile:b:v1"])
        self.assertEqual((told["public_key"], told["supported_receipt_profiles"]), ("PUB", ["consumer_cosignature_v1"]))

    def test_windows_are_told_in_utc_and_split_at_midnight(self):
        windows = [(w["start"], w["end"], w["share"]) for w in self.g.known()["registration"]["availability"]]
        self.assertEqual(sorted(windows), [("00:00", "01:15", 0.25), ("09:00", "11:00", 1), ("23:30", "23:59", 0.25)])

    def test_the_key_for_confidential_tasks_is_its_own(self):
        told = self.g.known()["registration"]["cx_public_key"]
        self.assertRegex(told["key"], r"^[\w-]{43}$")
        folder = self.g.home.file("cx")
        [name] = os.listdir(folder)
        kept = json.loads(self.g.home.text("cx", name))
        self.assertEqual(kept["public_key"]["key"], told["key"])

    def test_signed_prices_follow_with_the_beats(self):
        n = self.g.wait_known(lambda n: n.get("pricing_signed"), "a signed price")
        self.assertEqual(n["credit_cost_multiplier"], 1.5)

    def test_the_node_was_dialled_back_and_is_found(self):
        self.assertEqual(self.d.found("?intent=" + ECHO), ["n1"])


@variants()
class Reports(Together):
    """Heartbeats, on both loops."""
    def test_challenges_are_passed(self):
        n = self.g.wait_beats(5)
        self.assertGreaterEqual(n["challenges_passed"], 5)
        self.assertEqual(n["challenges_failed"], 0)

    def test_counts_equal_the_tasks_done_exactly(self):
        before = self.g.known()
        with self.g.client() as c:
            for i in range(37):
                self.assertEqual(c.ask(post_task(ECHO, {"text": "x"}, task_id="r-%d" % i)).status, 200)
            for i in range(5):
                slow = post_task(NOOP, {"sleep_ms": 2000}, constraints={"timeout_ms": 100})
                self.assertEqual(c.ask(slow).status, 504)
        wanted = before["tasks_success"] + before["tasks_failed"] + 42
        n = self.g.wait_tasks(wanted)
        self.assertEqual((n["tasks_success"] - before["tasks_success"], n["tasks_failed"] - before["tasks_failed"]), (37, 5))

    def test_more_than_a_batch_holds_is_told_in_several(self):
        before = self.g.known()
        with self.g.client() as c:
            for _ in range(23):
                c.send(b"".join(post_task(ECHO, {"text": "x"}, task_id="m-%d" % i) for i in range(100)))
                for _ in range(100):
                    self.assertEqual(c.read().status, 200)
        n = self.g.wait_tasks(before["tasks_success"] + before["tasks_failed"] + 2300)
        self.assertEqual(n["tasks_success"] - before["tasks_success"], 2300)
        self.assertGreaterEqual(n["batches_accepted"] - before["batches_accepted"], 3)

    def test_load_and_activity_are_seen(self):
        with self.g.client() as c:
            c.send(noop(60000) * 4)
            n = self.g.wait_known(lambda n: n.get("active_jobs") == 4, "four active jobs")
            self.assertGreater(n["load"], 0)
            c.reset()
        n = self.g.wait_known(lambda n: n.get("active_jobs") == 0, "no active jobs")
        self.assertEqual(n["load"], 0)

    def test_the_health_file_is_content_with_the_directory(self):
        wait_for(lambda: json.loads(self.g.home.text("run", "default", "health-v1.json"))["readiness"] == "ready", 30,
                 "a ready node")


@variants()
class Receipts(Together):
    """A node for these alone: of more than lies between a worker and the control thread, a busy machine loses some."""
    def test_receipts_earn_credits_for_every_success(self):
        with self.g.client() as c:
            for i in range(200):
                asker = {"source_node_id": "asker-%d" % i} if i % 2 else {}
                answer = c.ask(post_task(ECHO, {"text": "é\u0000\U0001f600"}, task_id='q"\\%d' % i, **asker))
                self.assertEqual(answer.status, 200)
        done = self.g.metric("iicp_tasks_total", status="success")
        n = self.g.wait_known(lambda n: n["awards"] >= done, "an award for each of %d" % done, 120)
        self.assertEqual(n["awards"], done)
        self.assertAlmostEqual(n["credits"], done * 0.001)
        self.g.wait_metric("taskgate_receipts_delivered_total", done)
        self.assertEqual(self.g.known()["awards"], done)
        self.assertEqual(self.g.metric("taskgate_receipts_refused_total"), 0)


class FullNodes(unittest.TestCase):
    def test_a_full_node_says_so(self):
        d, g = member("--admission.max_concurrent=2")
        with d, g:
            g.wait_member()
            with g.client() as c:
                c.send(noop(60000) * 2)
                n = g.wait_known(lambda n: n.get("active_jobs") == 2, "two active jobs")
                self.assertEqual((n["available"], n["load"]), (False, 1))
                c.reset()
            g.wait_known(lambda n: n["available"], "a node that is available again")


# ---- capacity ------------------------------------------------------------------------------------------------------

class Windows(unittest.TestCase):
    """The share of the hour: in health, in heartbeats, and in what is let in."""
    def node(self, windows, base=4):
        return member("--availability.timezone=UTC", "--availability.windows=" + windows,
                      "--admission.max_concurrent=%d" % base, "--admission.wait_ms=0")

    def slots(self, g):
        """So many of six are let in at once; they stay until all six have been judged."""
        before = g.metrics()
        clients = [g.client() for _ in range(6)]
        for c in clients:
            c.send(noop(60000))

        def grown(name, **labels):
            return g.metrics().get(name, **labels) - before.get(name, **labels)

        def judged():
            return grown("taskgate_tasks_accepted_total") + grown("iicp_tasks_total", status="refused")
        wait_for(lambda: judged() == 6, 30, "six tasks to be let in or refused")
        for c in clients:
            c.reset()
        g.wait_active(0)
        return grown("taskgate_tasks_accepted_total")

    def test_a_quarter_is_offered_in_its_window(self):
        d, g = self.node("%s-%s@0.25" % (utc(-120), utc(120)))
        with d, g:
            g.wait_member()
            self.assertEqual(g.health()["effective_max_concurrent"], 1)
            self.assertEqual(g.health()["max_concurrent"], 4)
            self.assertEqual(self.slots(g), 1)

    def test_half_is_offered_outside_of_all_windows(self):
        d, g = self.node("%s-%s@1" % (utc(120), utc(240)))
        with d, g:
            g.wait_member()
            self.assertEqual(g.health()["effective_max_concurrent"], 2)
            self.assertEqual(self.slots(g), 2)

    def test_a_share_of_nothing_closes_the_node(self):
        d, g = self.node("%s-%s@0" % (utc(-120), utc(120)))
        with d, g:
            n = g.wait_member()
            self.assertEqual((n["available"], g.health()["available"]), (False, False))
            answer = g.echo()
            self.assertEqual((answer.status, answer.json()["code"]), (429, "IICP-E021"))

    def test_a_reload_changes_them_and_tells_the_directory(self):
        d, g = member("--admission.wait_ms=0")
        with d, g:
            g.wait_member()
            g.write_config(RUNNERS + '[availability]\ntimezone = "UTC"\nwindows = "%s-%s@0.5"\n[admission]\nmax_concurrent = 2\n'
                           % (utc(-120), utc(120)))
            g.signal(signal.SIGHUP)
            wait_for(lambda: g.health()["effective_max_concurrent"] == 1, 30, "half of two")
            g.wait_known(lambda n: n["registration"].get("availability"), "windows at the directory")
            self.assertEqual(self.slots(g), 1)

    def test_windows_that_make_no_sense_leave_the_old_ones_in_force(self):
        with Devnet() as d, Node(d) as g:
            g.write_config(RUNNERS + '[availability]\ntimezone = "UTC"\nwindows = "%s-%s@0"\n' % (utc(-120), utc(120)))
            g.signal(signal.SIGHUP)
            wait_for(lambda: g.health()["effective_max_concurrent"] == 0, 30, "a closed node")
            g.write_config(RUNNERS + '[availability]\ntimezone = "UTC"\nwindows = "25:00-26:00@0"\n')
            g.signal(signal.SIGHUP)
            g.wait_log("the availability windows stay as they were")
            self.assertEqual(g.health()["effective_max_concurrent"], 0)


# ---- a backend -----------------------------------------------------------------------------------------------------

class Backend:
    """Answers GETs with the JSON that `says` maps their path to."""
    def __init__(self):
        self.says = says = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(says.get(self.path, {})).encode()
                self.send_response(200 if self.path in says else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *unused):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *unused):
                pass  # a node that ends does not wait for the answer

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


class Backends(unittest.TestCase):
    def node(self, backend, kind, *flags):
        return member("--backend.url=" + backend.url, "--backend.type=" + kind, "--backend.probe_ms=100", *flags)

    def stability(self, g, state, reason):
        said = {"backend_state": state, "reason_class": reason}
        wait_for(lambda: said.items() <= g.health()["backend_stability"].items(), 30, "a backend that is %s: %s" % (state, reason))

    def refusal(self, g):
        """A backend that once answered late was not seen to load then, and the node served."""
        answers = []
        wait_for(lambda: answers.append(g.echo()) or answers[-1].status != 200, 30, "a refusal")
        return answers[-1]

    def models(self, n):
        return n["registration"]["capabilities"][0]["models"]

    def test_models_that_change_are_registered_anew(self):
        with Backend() as b:
            b.says["/api/tags"] = {"models": [{"name": "llama"}, {"name": "alpha"}]}
            b.says["/api/ps"] = {"models": [{"name": "llama"}]}
            d, g = self.node(b, "ollama")
            with d, g:
                g.wait_member()
                # A backend that was slow at first is asked again; the node is registered anew then, too.
                n = g.wait_known(lambda n: self.models(n) == ["alpha", "llama"], "the first models")
                self.assertEqual(n["registration"]["backend"], "ollama")
                before, told = n["registrations"], len(g.lines_with("its models have changed"))
                b.says["/api/tags"] = {"models": [{"name": "llama"}, {"name": "mistral"}]}
                g.wait_known(lambda n: self.models(n) == ["llama", "mistral"], "the new models")
                n = g.wait_beats(3)
                self.assertEqual(n["registrations"], before + 1)
                self.assertEqual(len(g.lines_with("its models have changed")), told + 1)
                self.assertEqual(set(d.discover("?intent=" + ECHO)[0]["models"]), {"llama", "mistral"})

    def test_a_cold_backend_degrades_and_serves(self):
        with Backend() as b:
            b.says["/api/ps"] = {"models": []}
            d, g = self.node(b, "ollama", "--node.model=llama")
            with d, g:
                self.stability(g, "degraded", "backend_cold")
                self.assertEqual(g.echo().status, 200)
                b.says["/api/ps"] = {"models": [{"name": "llama"}]}
                self.stability(g, "ok", "ok")

    def test_a_loading_backend_drains_the_node_and_hides_it(self):
        loaded, loading = ({"models": [{"key": "m", "loaded_instances": [{"id": "m", "status": status}]}]}
                           for status in ("loaded", "loading"))
        with Backend() as b:
            b.says["/api/v1/models"] = loaded
            d, g = self.node(b, "lmstudio")
            with d, g:
                g.wait_member()
                self.assertEqual(g.echo().status, 200)
                b.says["/api/v1/models"] = loading
                self.stability(g, "draining", "backend_loading")
                answer = self.refusal(g)
                self.assertEqual((answer.status, answer.json()["code"]), (503, "IICP-E024"))
                self.assertEqual(answer.json()["error"]["reason"], "backend_loading")
                self.assertGreater(int(answer.header("retry-after")), 0)
                g.wait_known(lambda n: n["draining"], "a node that drains")
                wait_for(lambda: d.found("?intent=" + ECHO) == [], 30, "a node that is hidden")
                file = g.home.file("run", "default", "health-v1.json")
                wait_for(lambda: "provider_unavailable" in json.load(open(file, encoding="utf-8"))["reason_codes"], 30,
                         "the health file to say so")
                b.says["/api/v1/models"] = loaded
                self.stability(g, "ok", "ok")
                self.assertEqual(g.echo().status, 200)

    def test_a_backend_that_is_away_degrades(self):
        with Backend() as b:
            d, g = self.node(b, "ollama")
        with d, g:  # it is gone by now
            g.wait_member()
            self.stability(g, "degraded", "observer_error")
            self.assertEqual(g.echo().status, 200)


# ---- files and restarts ------------------------------------------------------------------------------------------

class Files(unittest.TestCase):
    def test_nothing_of_the_state_can_be_read_by_others(self):
        d, g = member()
        with d, g:
            g.wait_member()
            g.echo()
            wait_for(lambda: os.path.exists(g.home.file("receipts", "default.log")), 30, "receipts")
            seen = 0
            for folder, folders, files in os.walk(g.home.path):
                self.assertEqual(stat.S_IMODE(os.stat(folder).st_mode), 0o700, folder)
                for name in files:
                    try:
                        mode = os.stat(os.path.join(folder, name)).st_mode
                    except FileNotFoundError:
                        continue  # a new version, which has taken the place of the file it is for meanwhile
                    seen += 1
                    self.assertEqual(stat.S_IMODE(mode), 0o600, name)
            self.assertGreaterEqual(seen, 5)

    def test_with_credentials_that_others_can_read_nothing_starts(self):
        home = Home()
        with Devnet() as d:
            with Node(d, home=home) as g:
                g.wait_log("registered as n1")
            path = home.file("nodes", "default.json")
            os.chmod(path, 0o640)
            g = Node(d, home=home, ready=False)
            self.assertEqual(g.wait(), 1)
            self.assertRegex(g.log(), r"credentials: .*default\.json is open to others than its owner; chmod 0600 it")
            os.chmod(path, 0o600)
            with Node(d, home=home) as g:
                g.wait_log("registered as n1")


class Restarts(unittest.TestCase):
    def test_a_killed_node_comes_back_as_the_same(self):
        home = Home()
        with Devnet("--heartbeat-ms", str(BEAT_MS), *STALE, "--strict") as d:
            g = Node(d, home=home)
            g.wait_member()
            before = home.credentials()
            g.kill()
            with Node(d, home=home) as g:
                g.wait_log("registered as n1, known from before")
                self.assertEqual(g.known()["registration"]["current_node_token"], "(hidden)")
                n = g.wait_beats(3)
                self.assertEqual((n["registrations"], n["challenges_failed"]), (2, 0), d.log())
                after = home.credentials()
                self.assertNotEqual(before["node_token"], after["node_token"])

    def test_an_orderly_end_deregisters(self):
        with Devnet("--heartbeat-ms", str(BEAT_MS), *STALE) as d:
            for number in (signal.SIGTERM, signal.SIGINT):
                with Node(d) as g:
                    g.wait_member()
                    g.signal(number)
                    self.assertEqual(g.wait(), 0)
                    self.assertEqual(d.view()["nodes"], [])
                    self.assertEqual(len(g.lines_with("deregistered")), 1)

    def test_while_draining_the_directory_knows_at_once(self):
        d, g = member("--shutdown.drain_ms=20000")
        with d, g:
            g.wait_member()
            with g.client() as c:
                with g.accepting():
                    c.send(noop(2000))
                g.signal(signal.SIGTERM)
                wait_for(lambda: not d.view()["nodes"], 30, "the node to be gone from the directory")
                self.assertEqual(c.read().status, 200)
            self.assertEqual(g.wait(), 0)

    def test_receipts_of_a_killed_node_are_delivered_once_by_the_next(self):
        home, count = Home(), 25
        with Devnet("--heartbeat-ms", str(BEAT_MS), *STALE) as d:
            g = Node(d, home=home)
            g.wait_member()
            d.fault(path="/v1/credits/award", status=503, retry_after_s=600)
            with g.client() as c:
                for i in range(count):
                    self.assertEqual(c.ask(post_task(ECHO, {"text": "x"}, task_id="k-%d" % i)).status, 200)
            wait_for(lambda: home.text("receipts", "default.log").count("task_id") == count, 30, "all in the file")
            g.kill()
            self.assertEqual(d.view("n1")["awards"], 0)
            d.mend()
            with Node(d, home=home) as g:
                g.wait_log("%d from before are still to be delivered" % count)
                g.wait_metric("taskgate_receipts_delivered_total", count)
                g.wait_beats(3)
                self.assertEqual(d.view("n1")["awards"], count)
                self.assertAlmostEqual(d.view("n1")["credits"], count * 0.001)
            with Node(d, home=home) as g:
                g.wait_member()
                self.assertEqual(g.lines_with("from before"), [])

    def test_a_receipt_does_not_wait_for_a_heartbeat(self):
        d, g = member(beat_ms=60000)
        with d, g:
            g.wait_log("registered as n1")
            g.wait_known(lambda n: n.get("heartbeats") == 1, "the first heartbeat")
            g.echo(task_id="lonely")
            g.wait_known(lambda n: n["awards"] == 1, "an award")
            self.assertEqual(g.known()["heartbeats"], 1)

    def test_receipts_whose_answer_was_lost_earn_once(self):
        d, g = member()
        with d, g:
            g.wait_member()
            d.fault(path="/v1/credits/award", lose_reply=True, count=1)
            for i in range(3):
                g.echo(task_id="l-%d" % i)
            g.wait_metric("taskgate_receipts_delivered_total", 3)
            self.assertEqual(g.known()["awards"], 3)

    def test_receipts_that_are_over_are_dropped_and_counted(self):
        home = Home()
        with Devnet() as d:
            g = Node(d, home=home)
            g.wait_log("registered")
            d.fault(path="/v1/credits/award", status=503, retry_after_s=600)
            g.echo(task_id="old")
            # Whatever is on its way to the directory when the node is killed may be taken after that: not this one.
            wait_for(lambda: d.view()["faults_applied"] == 1, 30, "the old one to be put off")
            g.echo(task_id="young")
            wait_for(lambda: home.text("receipts", "default.log").count("task_id") == 2, 30, "both in the file")
            g.kill()
            lines = home.text("receipts", "default.log").split("\n")
            lines[0] = re.sub(r'"expires_ms":\d+', '"expires_ms":%d' % ((time.time() - 5) * 1000), lines[0])
            with open(home.file("receipts", "default.log"), "w", encoding="utf-8") as f:
                f.write("\n".join(lines))
            d.mend()
            with Node(d, home=home) as g:
                g.wait_metric("taskgate_receipts_expired_total", 1)
                g.wait_metric("taskgate_receipts_delivered_total", 1)
                self.assertEqual(d.view("n1")["awards"], 1)
                self.assertEqual(g.metric("taskgate_receipts_expired_total"), 1)
                self.assertEqual(g.metric("taskgate_receipts_delivered_total"), 1)


class Twins(unittest.TestCase):
    def test_a_second_process_of_one_name_does_not_start(self):
        home = Home()
        with Devnet("--heartbeat-ms", str(BEAT_MS), *STALE) as d, Node(d, home=home) as g:
            g.wait_member()
            twin = Node(d, home=home, ready=False)
            self.assertEqual(twin.wait(), 1)
            self.assertIn('another process is the node "default"', twin.log())
            g.wait_beats(3)
            self.assertEqual(g.known()["registrations"], 1)

    def test_names_of_their_own_make_them_two(self):
        home = Home()
        with Devnet("--heartbeat-ms", str(BEAT_MS), *STALE) as d, Node(d, home=home) as one:
            with Node(d, "--node.name=second", home=home, node_id="n2") as two:
                one.wait_member()
                two.wait_member()
                self.assertNotEqual(home.credentials()["node_token"], home.credentials("second")["node_token"])


class Prices(unittest.TestCase):
    def test_an_unsigned_price_that_cannot_change_is_warned_of(self):
        for flags, lines in ((("--pricing.enabled=true",), 1), (("--pricing.enabled=true", "--pricing.sign=true"), 0), ((), 0)):
            with Node(None, "--directory.url=http://127.0.0.1:9", *flags) as g:
                self.assertEqual(len(g.lines_with("pricing.sign is off")), lines)


class OwnKeys(unittest.TestCase):
    def test_a_key_of_ones_own_is_told_and_never_shown(self):
        home = Home()
        os.makedirs(home.path)
        path, secret = home.file("hmac"), "5ecret" * 10
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as f:
            f.write(secret + "\n")
        flags = ("--directory.hmac_key_file=" + path, "--pricing.enabled=true", "--pricing.sign=true", "--log.level=debug")
        with Devnet("--heartbeat-ms", str(BEAT_MS), *STALE) as d:
            with Node(d, *flags, home=home) as g:
                g.wait_member()
                self.assertGreaterEqual(g.wait_beats(2)["challenges_passed"], 1)
                self.assertEqual(g.known()["challenges_failed"], 0)
                self.assertNotIn(secret, g.log())
            os.chmod(path, 0o644)
            with Node(d, *flags, home=home, ready=False) as g:
                self.assertEqual(g.wait(), 1)
                self.assertIn("is open to others than its owner", g.log())


class Names(unittest.TestCase):
    def test_a_node_without_an_id_makes_one_of_the_hosts_name_and_keeps_it(self):
        home = Home()
        with Devnet("--heartbeat-ms", str(BEAT_MS), *STALE) as d:
            with Node(d, home=home, node_id="") as g:
                made = g.node_id = g.health()["node_id"]
                self.assertRegex(made, r"^%s-[0-9a-f]{8}$" % re.escape(os.uname().nodename[:27]))
                self.assertEqual(home.text("nodes", "default.id"), made)
                self.assertEqual(len(g.lines_with("node.id is not set: this node is " + made)), 1)
                g.wait_member()
            with Node(d, home=home, node_id="") as g:
                g.node_id = g.health()["node_id"]
                self.assertEqual(g.node_id, made)
                g.wait_member()
                self.assertEqual(g.lines_with("node.id is not set"), [])

    def test_where_no_id_can_be_kept_it_is_said_and_the_hosts_name_is_all_there_is(self):
        with Devnet("--heartbeat-ms", str(BEAT_MS), *STALE) as d:
            with Node(d, "--node.state_dir=/dev/null", node_id="") as g:
                g.node_id = g.health()["node_id"]
                self.assertEqual(g.node_id, os.uname().nodename)
                self.assertEqual(len(g.lines_with("set node.id")), 1)

    def test_without_a_directory_it_is_the_hosts_name(self):
        with Node(None, node_id="") as g:
            self.assertEqual(g.health()["node_id"], os.uname().nodename)
            self.assertFalse(os.path.exists(g.home.file("nodes")))


# ---- where it does not join -----------------------------------------------------------------------------------------

class Outside(unittest.TestCase):
    def test_a_loopback_endpoint_is_told_to_no_public_directory(self):
        with Node(None, "--directory.url=https://directory.example/api", "--directory.public_endpoint=http://127.0.0.1:9484") as g:
            g.wait_log("not registering, endpoint: a loopback or private one is not registered at a public directory")
            time.sleep(10 * BEAT_MS / 1000)
            self.assertEqual(len(g.lines_with("not registering")), 1)
            self.assertEqual(g.echo().status, 200)

    def test_a_node_that_nobody_can_find_is_not_registered(self):
        with Node(None, "--directory.url=https://directory.example/api") as g:
            g.wait_log("not registering, endpoint: there is none, directory.public_endpoint must say")
            self.assertEqual(g.echo().status, 200)

    def test_a_directory_that_takes_no_private_endpoints_is_not_pestered(self):
        d, g = member(devnet_flags=("--allow-private=false",))
        with d, g:
            g.wait_log("registration refused: 422 IICP-E035")
            begin, requests = time.monotonic(), d.view()["requests"]
            time.sleep(10 * BEAT_MS / 1000)
            requests = d.view()["requests"] - requests
            self.assertLess(requests, (time.monotonic() - begin) * 1000 / BEAT_MS)
            self.assertEqual(len(g.lines_with("registration refused")), 1)
            self.assertEqual(g.echo().status, 200)

    def test_what_the_operator_wrote_is_told_as_it_stands(self):
        seed, home = b"\x07" * 32, Home()
        pub = base64.b64encode(ed25519.public_key(seed)).decode()
        word = '{"node_id":"n1","not_after":4102444800,"operator_pub":"%s"}' % pub
        sig = base64.b64encode(ed25519.sign(seed, word.encode())).decode()
        os.mkdir(home.path, 0o700)
        files = {"delegation": json.dumps({**json.loads(word), "sig": sig}, indent=1) + "\n",
                 "manifest": '{"logs": {"kept_days": 0}}'}
        for name, text in files.items():
            with open(home.file(name), "w", encoding="utf-8") as f:
                f.write(text)
        flags = ("--directory.operator_delegation=" + home.file("delegation"),
                 "--directory.policy_manifest=" + home.file("manifest"),
                 "--node.inference_engine=taskgate", "--node.quantization=fp16", "--pricing.enabled=true",
                 "--pricing.effective_from=2026-01-31T00:00:00Z", "--pricing.effective_until=2126-01-31T00:00:00Z")
        with Devnet() as d, Node(d, *flags, home=home) as g:
            g.wait_log("registered as n1")
            told = g.known()["registration"]
            self.assertTrue(g.known()["operator_verified"])
            self.assertEqual(told["policy_manifest"], {"logs": {"kept_days": 0}})
            self.assertEqual({(c["inference_engine"], c["quantization"]) for c in told["capabilities"]}, {("taskgate", "fp16")})
            self.assertEqual((told["pricing"]["effective_from"], told["pricing"]["effective_until"]),
                             ("2026-01-31T00:00:00Z", "2126-01-31T00:00:00Z"))

    def test_what_is_no_object_is_found_by_a_look_at_the_configuration(self):
        home = Home()
        os.mkdir(home.path, 0o700)
        for text, why in (("[1]", "holds no JSON object"), ("{", "holds no JSON object"), ("", "holds no JSON object"),
                          ('{"a":"%s"}' % ("x" * 5000), "cannot be read: File too large"), (None, "cannot be read: No such file")):
            path = home.file("nowhere")
            if text is not None:
                path = home.file("manifest")
                with open(path, "w", encoding="utf-8") as f:
                    f.write(text)
            code, _out, err = run_once("serve", "--check-config", "--directory.policy_manifest=" + path)
            self.assertEqual(code, 78, err)
            self.assertRegex(err, r"directory\.policy_manifest: \S+ " + why)

    def test_a_model_of_a_runners_name_is_told_once(self):
        """Directories refuse models that are not distinct."""
        with Devnet() as d, Node(d, "--node.model=echo") as g:
            g.wait_log("registered as n1")
            models = [c["models"] for c in g.known()["registration"]["capabilities"]]
            self.assertEqual(models, [["echo"], ["echo", "noop"], ["echo", "digits"]])
            self.assertEqual(g.health()["models"], ["echo", "noop", "digits"])

    def test_a_directory_that_is_away_at_the_start_is_joined_later(self):
        port = free_port()
        with Node(None, "--directory.url=http://127.0.0.1:%d" % port, "--directory.allow_private=true") as g:
            g.wait_log("not reached for registration")
            self.assertEqual(g.echo().status, 200)
            file = g.home.file("run", "default", "health-v1.json")
            wait_for(lambda: "directory_unavailable" in json.load(open(file, encoding="utf-8"))["reason_codes"], 30,
                     "the health file to say so")
            d = Devnet("--listen", "127.0.0.1:%d" % port)
            with d:
                g.wait_log("registered as n1")
                self.assertEqual(len(g.lines_with("not reached for registration")), 1)

    def test_a_supervised_node_that_vanishes_thrice_ends_with_76(self):
        d, g = member(env={"IICP_SUPERVISED": "1"})
        with d:
            g.wait_member()
            d.fault(path="/v1/registry/*", status=404)
            self.assertEqual(g.wait(), 76)
            self.assertEqual(len(g.lines_with("does not list this node")), 3)
            self.assertEqual(len(g.lines_with("deregistered")), 1, g.log())
            self.assertEqual(d.view()["nodes"], [], d.log())

    def test_an_unsupervised_one_stays(self):
        d, g = member()
        with d, g:
            g.wait_member()
            d.fault(path="/v1/registry/*", status=404, count=4)
            g.wait_log(r"4 in a row")
            self.assertEqual(g.echo().status, 200)
            g.wait_beats(3)


if __name__ == "__main__":
    harness.main(at_once=8)
