#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Commands for a node's operator: init, healthcheck, register and deregister."""
import json
import os
import pty
import stat
import subprocess
import time
import tomllib
import unittest

import harness
from devnet import Devnet
from folder import InFolder
from gateway import Gateway, TASKGATE, clean_environment, free_port, run_once, wait_for


class Help(unittest.TestCase):
    def test_every_command_explains_itself_and_refuses_what_it_does_not_know(self):
        for command in ("init", "doctor", "healthcheck", "register", "deregister", "discover", "submit", "conformance"):
            with self.subTest(command=command):
                code, out, err = run_once(command, "--help")
                self.assertEqual((code, err), (0, ""))
                self.assertIn("usage: taskgate %s" % command, out)
                self.assertIn("Exit status", out)
                code, out, err = run_once(command, "--nonsense")
                self.assertEqual((code, out, len(err.splitlines())), (2, "", 1), err)

    def test_a_word_that_is_nearly_a_command(self):
        code, _out, err = run_once("sumbit")
        self.assertEqual(code, 2)
        self.assertIn('did you mean "submit"', err)


class Init(InFolder):
    def init(self, *flags, env=None):
        return self.run_in("init", "--output", self.path, "--state-dir", self.state, *flags, env=env)

    def test_what_it_writes_is_valid_commented_and_names_a_key(self):
        code, out, err = self.init("--region", "eu-test", "--directory", "http://127.0.0.1:9", "--lab")
        self.assertEqual((code, err), (0, ""))
        with open(self.path, "rb") as f:
            written = tomllib.load(f)
        self.assertEqual(written["node"]["region"], "eu-test")
        self.assertEqual(written["directory"], {"url": "http://127.0.0.1:9", "allow_private": True})
        self.assertRegex(written["node"]["id"], r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
        with open(self.path, encoding="utf-8") as f:
            self.assertGreater(f.read().count("#"), 10)
        self.assertIn("next:", out)
        keys = os.listdir(os.path.join(self.state, "cx"))
        key = os.path.join(self.state, "cx", keys[0])
        self.assertEqual((len(keys), stat.S_IMODE(os.stat(key).st_mode)), (1, 0o600))
        with open(key, encoding="utf-8") as f:
            secret = json.load(f)
        self.assertIn(secret["public_key"]["key_id"], out)
        self.assertNotIn(secret["private_key"], out)
        self.assertEqual(run_once("serve", "--check-config", "--config", self.path)[0], 0)

    def test_what_to_do_next_names_the_port_that_was_asked_for(self):
        for listen, called in ((":7001", "127.0.0.1:7001"), ("0.0.0.0:7002", "127.0.0.1:7002"), ("[::]:7003", "127.0.0.1:7003"),
                               ("192.0.2.7:7004", "192.0.2.7:7004")):
            code, out, err = self.init("--yes", "--force", "--listen", listen)
            self.assertEqual(code, 0, err)
            self.assertIn("curl -s http://%s/iicp/health\n" % called, out)

    def test_nothing_is_replaced_unless_asked_and_a_key_never(self):
        self.assertEqual(self.init("--node-id", "n1")[0], 0)
        first = open(self.path, encoding="utf-8").read()
        cx = os.path.join(self.state, "cx")
        key = open(os.path.join(cx, os.listdir(cx)[0]), encoding="utf-8").read()
        code, out, err = self.init("--node-id", "n1", "--region", "other")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("--force", err)
        self.assertEqual(open(self.path, encoding="utf-8").read(), first)
        self.assertEqual(self.init("--node-id", "n1", "--region", "other", "--force")[0], 0)
        self.assertIn("other", open(self.path, encoding="utf-8").read())
        self.assertEqual(open(os.path.join(cx, os.listdir(cx)[0]), encoding="utf-8").read(), key)

    def test_a_key_that_others_can_read_is_told_as_serve_tells_it(self):
        self.assertEqual(self.init("--node-id", "n1")[0], 0)
        cx = os.path.join(self.state, "cx")
        path = os.path.join(cx, os.listdir(cx)[0])
        os.chmod(path, 0o644)
        code, _out, err = self.init("--node-id", "n1", "--force")
        self.assertEqual(code, 1)
        self.assertIn(path + ": others can read the key file; chmod 0600 it", err)

    def test_a_configuration_that_serve_would_refuse_is_not_written(self):
        code, _out, err = self.init("--listen", "nowhere")
        self.assertEqual(code, 78, err)
        self.assertIn("server.listen", err)
        self.assertEqual(os.listdir(self.folder), [])

    def test_on_a_terminal_it_asks_for_what_no_flag_says(self):
        main, other = pty.openpty()
        try:
            process = subprocess.Popen([TASKGATE, "init", "--output", self.path, "--state-dir", self.state, "--model", "given"],
                                       stdin=other, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment())
            os.write(main, b"\neu-asked\n\n")  # where to listen: as proposed; region; no directory
            out, err = process.communicate(timeout=60)
        finally:
            os.close(main)
            os.close(other)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn(b"Region [unknown]", err)
        self.assertNotIn(b"Model", err)
        with open(self.path, "rb") as f:
            written = tomllib.load(f)
        self.assertEqual((written["node"]["region"], written["node"]["model"]), ("eu-asked", "given"))
        self.assertEqual(written["server"]["listen"], ["127.0.0.1:9484"])

    def test_what_cannot_be_written_is_told(self):
        code, out, err = self.run_in("init", "--output", os.path.join(self.folder, "no", "such", "c.toml"), "--yes")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("No such file", err)


class Healthcheck(InFolder):
    def test_a_serving_node_is_live_and_ready_and_a_stopped_one_is_not(self):
        state = self.state
        with Gateway("--server.workers=1", env={"IICP_HOME": state}) as g:
            path = os.path.join(state, "run", "default", "health-v1.json")
            wait_for(lambda: os.path.exists(path), 30, "the health file")
            for flags in ((), ("--ready",), ("--node", "default")):
                self.assertEqual(self.run_in("healthcheck", *flags)[0], 0)
            code, out, _err = self.run_in("healthcheck", "--json", "--ready")
            found = json.loads(out)
            self.assertEqual((code, found["healthy"], found["liveness"], found["pid"]), (0, True, "live", g.process.pid))
            g.stop()
        code, out, _err = self.run_in("healthcheck")
        self.assertEqual(code, 1)
        self.assertTrue(out.startswith("not live: stopped"), out)

    def write(self, **members):
        path = os.path.join(self.state, "run", "default")
        os.makedirs(path, exist_ok=True)
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + members.pop("shift_s", 0)))
        body = {"health_schema_version": 1, "process_epoch": 1, "pid": 1, "sequence": 1, "emitted_at": when,
                "lifecycle": "serving", "liveness": "live", "readiness": "ready", "reason_codes": [],
                "progress": {"runtime": {"age_ms": 1, "stale_after_ms": 30000}}}
        body.update(members)
        with open(os.path.join(path, "health-v1.json"), "w", encoding="utf-8") as f:
            json.dump(body, f)

    def test_what_the_file_says(self):
        cases = (({}, 0, 0), ({"readiness": "not_ready", "reason_codes": ["no_capacity"]}, 0, 1),
                 ({"readiness": "degraded"}, 0, 0), ({"liveness": "not_live"}, 1, 1), ({"liveness": "starting"}, 1, 1),
                 ({"shift_s": -60}, 1, 1), ({"progress": {"runtime": {"age_ms": 40000, "stale_after_ms": 30000}}}, 1, 1),
                 ({"health_schema_version": 2}, 2, 2), ({"liveness": "fine"}, 2, 2), ({"progress": None}, 2, 2))
        for members, live, ready in cases:
            with self.subTest(members=members):
                self.write(**members)
                self.assertEqual(self.run_in("healthcheck")[0], live)
                self.assertEqual(self.run_in("healthcheck", "--ready")[0], ready)

    def test_no_file_or_a_torn_one_is_2(self):
        self.assertEqual(self.run_in("healthcheck")[0], 2)
        self.write()
        with open(os.path.join(self.state, "run", "default", "health-v1.json"), "w", encoding="utf-8") as f:
            f.write('{"health_schema_version":1,')
        self.assertEqual(self.run_in("healthcheck")[0], 2)
        self.assertEqual(self.run_in("healthcheck", "--node", "../x")[0], 2)


class Register(InFolder):
    def test_into_the_directory_and_out_again(self):
        with Devnet() as d:
            port = free_port()
            common = ("--directory.url=" + d.url, "--directory.allow_private=true", "--node.id=n1",
                      "--directory.public_endpoint=http://127.0.0.1:%d" % port)
            code, out, err = self.run_in("register", *common)
            self.assertEqual((code, out), (1, ""), err)
            self.assertIn("IICP-E036", err)  # nobody there to be called back
            with Gateway("--server.workers=1", "--server.listen=127.0.0.1:%d" % port):
                code, out, err = self.run_in("register", *common)
                self.assertEqual(code, 0, err)
                self.assertIn("registered as n1", out)
                path = os.path.join(self.state, "nodes", "default.json")
                self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
                with open(path, encoding="utf-8") as f:
                    token = json.load(f)["node_token"]
                self.assertNotIn(token, out + err)
                self.assertEqual(d.found(), ["n1"])
                intents = [c["intent"] for c in d.view("n1")["registration"]["capabilities"]]
                self.assertIn("urn:iicp:intent:x.taskgate:echo:v1", intents)
            self.assertEqual(self.run_in("deregister", *common)[0], 0)
            self.assertEqual(d.found(), [])
            code, _out, err = self.run_in("deregister", *common)
            self.assertIn(code, (0, 1), err)  # it knows the node no longer: 404, or 401 for its token

    def test_it_tells_what_serving_would_tell(self):
        """In a lab no address need be given, and clients want a key."""
        with Devnet() as d:
            port = free_port()
            here = "--server.listen=127.0.0.1:%d" % port
            lab = ("--directory.url=" + d.url, "--directory.allow_private=true", "--node.id=n1",
                   "--availability.windows=08:00-09:00@0.5", "--availability.timezone=UTC", here)
            with Gateway("--server.workers=1", here):
                code, _out, err = self.run_in("register", *lab)
                self.assertEqual(code, 0, err)
            once = d.view("n1")["registration"]
            with Gateway("--server.workers=1", *lab, env={"IICP_HOME": self.state}):
                wait_for(lambda: d.view("n1")["heartbeats"], 30, "the node to register by itself")
                served = d.view("n1")["registration"]
            for volatile in (once, served):
                volatile.pop("current_node_token", None)
            self.assertEqual(once, served)
            self.assertEqual(once["endpoint"], "http://127.0.0.1:%d" % port)

    def test_a_node_that_serves_registers_by_itself(self):
        """Else the two would void each other's tokens."""
        with Devnet() as d:
            here = ("--directory.url=" + d.url, "--directory.allow_private=true", "--node.id=n1",
                    "--server.listen=127.0.0.1:%d" % free_port())
            with Gateway("--server.workers=1", *here, env={"IICP_HOME": self.state}):
                wait_for(lambda: "n1" in d.found(), 30, "n1 to be registered")
                code, out, err = self.run_in("register", *here)
                self.assertEqual((code, out), (1, ""), err)
                self.assertIn('another process is the node "default"', err)
                self.assertEqual(d.view("n1")["registrations"], 1)

    def test_a_node_that_serves_is_not_deregistered_beside_it(self):
        """It would be back with its next heartbeat."""
        with Devnet() as d:
            here = ("--directory.url=" + d.url, "--directory.allow_private=true", "--node.id=n1",
                    "--server.listen=127.0.0.1:%d" % free_port())
            with Gateway("--server.workers=1", *here, env={"IICP_HOME": self.state}):
                wait_for(lambda: "n1" in d.found(), 30, "n1 to be registered")
                code, out, err = self.run_in("deregister", *here)
                self.assertEqual((code, out, len(err.splitlines())), (1, "", 1), err)
                self.assertRegex(err, r'a process serves as the node "default": stop it, and it deregisters itself')
                self.assertEqual(d.found(), ["n1"])
            self.assertEqual(d.found(), [])

    def test_without_directory_credentials_or_answer(self):
        self.assertEqual(self.run_in("register")[0], 1)
        nowhere = "--directory.url=http://127.0.0.1:%d" % free_port()
        code, _out, err = self.run_in("deregister", nowhere)
        self.assertEqual(code, 1)
        self.assertIn("no credentials", err)
        code, _out, err = self.run_in("register", nowhere, "--directory.public_endpoint=http://127.0.0.1:9")
        self.assertEqual(code, 4, err)


if __name__ == "__main__":
    harness.main()
