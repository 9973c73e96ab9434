# SPDX-License-Identifier: Apache-2.0
"""A devnet under test, a node that can be dialled back, and what nodes say."""
import hashlib
import hmac
import http.client
import http.server
import json
import re
import signal
import subprocess
import threading
import unittest

from gateway import REPORT, START_S, STOP_S, TASKGATE, clean_environment
from log import Log

CHAT = "urn:iicp:intent:llm:chat:v1"
EMBED = "urn:iicp:intent:llm:embedding:v1"
KEY = "0123456789abcdef" * 4
CX = {"algorithm": "X25519", "encoding": "base64url", "key": "e06Qm75__kTEZaIgA31gjuNYl9Me-XLwf3SJLLD3PxM",
      "key_id": "cx-d19bf3f082782c87", "features": ["response_encryption_v1"]}
TIMEOUT_S = 60


class Devnet:
    """Started on a port of the kernel's choice; always stopped, and its exit and its log looked at."""
    def __init__(self, *flags):
        self.process = subprocess.Popen([TASKGATE, "devnet", "--listen", "127.0.0.1:0", *flags],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        bufsize=0, env=clean_environment())
        self.written = Log(self.process.stderr)
        line = self.process.stdout.readline().decode()
        match = re.fullmatch(r"devnet listening on http://127\.0\.0\.1:(\d+)\n", line)
        if not match:
            self.process.kill()
            self.process.wait(START_S)
            raise AssertionError("no start: %r\n%s" % (line, self.log()))
        self.port = int(match.group(1))
        self.url = "http://127.0.0.1:%d" % self.port

    def lines(self):
        return self.written.lines()

    def log(self):
        return self.written.text()

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("devnet did not end; log:\n" + self.log()) from None
        finally:
            self.written.close(STOP_S)
            self.process.stdout.close()
        if code != 0 or REPORT.search(self.log()):
            raise AssertionError("exit status %d; log:\n%s" % (code, self.log()))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()

    # ---- requests --------------------------------------------------------------------------------------

    def ask(self, method, path, body=None, token=None, headers=()):
        """One request on a connection of its own: status, headers, and the body as it came."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            send = {"Content-Type": "application/json", **dict(headers)}
            if token:
                send["Authorization"] = "Bearer " + token
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, data, send)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def json(self, method, path, body=None, token=None, headers=()):
        status, _headers, text = self.ask(method, path, body, token, headers)
        return status, json.loads(text)

    def register(self, **members):
        return self.json("POST", "/v1/register", registration(**members))

    def heartbeat(self, node, **members):
        return self.json("POST", "/v1/heartbeat", {"node_id": node["node_id"], **members}, node["node_token"])

    def node(self, node_id="n1", **members):
        """A node that is taken in without being dialled."""
        status, reply = self.register(node_id=node_id, **members)
        assert status == 201, (status, reply)
        return reply

    def discover(self, query=""):
        status, reply = self.json("GET", "/v1/discover" + query)
        assert status == 200 and reply["count"] == len(reply["nodes"]), (status, reply)
        return reply["nodes"]

    def found(self, query=""):
        return [n["node_id"] for n in self.discover(query)]

    def view(self, node_id=None):
        status, reply = self.json("GET", "/devnet")
        assert status == 200, reply
        if node_id is None:
            return reply
        return next(n for n in reply["nodes"] if n["node_id"] == node_id)

    def fault(self, **members):
        status, reply = self.json("POST", "/devnet/faults", members)
        assert status == 201, (status, reply)
        return reply

    def mend(self):
        status, reply = self.json("DELETE", "/devnet/faults")
        assert status == 200 and reply["faults"] == [], reply


def registration(**members):
    """A body that is accepted, and whose node need not be dialled. A member of None is left out."""
    body = {"endpoint": "http://127.0.0.1:9", "region": "eu-central",
            "capabilities": [{"intent": CHAT, "models": ["demo"], "max_tokens": 8192}],
            "limits": {"max_concurrent": 4, "tokens_per_min": 10000},
            "transport_method": "direct", "nat_type": "full_cone"}
    body.update(members)
    return {k: v for k, v in body.items() if v is not None}


def hmac_hex(key, message):
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


class FakeNode:
    """Answers GET and HEAD of /iicp/health with a status, and remembers who asked for what."""
    def __init__(self, status=200):
        self.asked = asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                asked.append((self.command, self.path))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_HEAD = answer

            def log_message(self, *unused):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = "http://127.0.0.1:%d" % self.port
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


def capability(**members):
    return [{"intent": CHAT, **members}]


class Directory(unittest.TestCase):
    """A devnet for the whole class, emptied before each test."""
    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.d = Devnet("--seed", "test", *cls.flags)

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()

    def setUp(self):
        self.d.mend()
        self.d.fault(forget_nodes=True)

    def assert_error(self, answer, status, code):
        """All the places where clients look for an error say the same."""
        self.assertEqual(answer[0], status, answer)
        body = answer[1]
        self.assertEqual(body["code"], code, body)
        self.assertEqual(body["error"], {"code": code, "message": body["message"]})

    def assert_field(self, answer, field):
        self.assertEqual(answer[0], 422, answer)
        self.assertEqual(list(answer[1]["errors"]), [field], answer)
        self.assertTrue(answer[1]["errors"][field][0].startswith("The %s field " % field), answer)
        self.assertEqual(answer[1]["message"], answer[1]["errors"][field][0])
