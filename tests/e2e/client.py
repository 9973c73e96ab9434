# SPDX-License-Identifier: Apache-2.0
"""HTTP by raw socket: what is sent is what the test wrote, and every answer is checked for what all answers owe."""
import email.utils
import json
import select
import socket
import struct
import time

TIMEOUT_S = 120  # never a speed limit: only an end to hanging
RUN_MS = 1500  # of a task that must be under way when something happens to it, and then end: far longer than a pause of ours
BAD_VERSION = "an answer must begin with HTTP/1.1"

CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-allow-headers":
        "Content-Type, Authorization, traceparent, tracestate, X-IICP-Consumer-Token",
}

ECHO = "urn:iicp:intent:x.taskgate:echo:v1"
NOOP = "urn:iicp:intent:x.taskgate:noop:v1"
KNN = "urn:iicp:intent:x.taskgate:knn:v1"


def post(body, *lines, path="/v1/task", length=True):
    """POST with a JSON body. @lines are more header lines."""
    if isinstance(body, str):
        body = body.encode()
    head = ["POST %s HTTP/1.1" % path, "Host: t"]
    if not any(line.lower().startswith("content-type:") for line in lines):
        head.append("Content-Type: application/json")
    if length:
        head.append("Content-Length: %d" % len(body))
    return "\r\n".join([*head, *lines, "", ""]).encode() + body


def envelope(intent, payload, **members):
    body = {"task_id": "t-1", "intent": intent, "payload": payload}
    body.update(members)
    return json.dumps(body)


def post_task(intent, payload, *lines, **members):
    return post(envelope(intent, payload, **members), *lines)


def noop(ms, *lines, **constraints):
    """A task that takes @ms, and may say so late: its own time limit is far off unless given."""
    constraints.setdefault("timeout_ms", 60000)
    return post_task(NOOP, {"sleep_ms": ms}, *lines, constraints=constraints)


def get(path, *lines, method="GET"):
    return "\r\n".join(["%s %s HTTP/1.1" % (method, path), "Host: t", *lines, "", ""]).encode()


def chunk(data, extension=b""):
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


class Response:
    def __init__(self, status, headers, body, interim):
        self.status, self.headers, self.body, self.interim = status, headers, body, interim

    def header(self, name):
        return self.headers.get(name.lower())

    def json(self):
        return json.loads(self.body)

    @property
    def closes(self):
        return self.header("connection") == "close"

    def __repr__(self):
        return "<%d %s %r>" % (self.status, self.headers, self.body[:300])


class Closed(Exception):
    """The gateway closed the connection where an answer was expected."""


class Client:
    def __init__(self, port, timeout=TIMEOUT_S, receive_buffer=None):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    # ---- out -------------------------------------------------------------------------------------------

    def send(self, data):
        self.sock.sendall(data)

    def send_lossy(self, data):
        """Send to somebody who may have closed already."""
        try:
            self.sock.sendall(data)
        except OSError:
            pass

    def send_slowly(self, data, pieces=None, pause=0.0):
        """Byte by byte, or in pieces of the given sizes, each in a packet of its own."""
        at = 0
        for size in pieces or [1] * len(data):
            self.send(data[at:at + size])
            at += size
            if pause:
                time.sleep(pause)
        self.send(data[at:])

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        """Go away without good-bye."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()

    # ---- in --------------------------------------------------------------------------------------------

    def _more(self):
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionResetError:
            raise Closed("reset, after %r" % self.unread[:200]) from None
        if not data:
            raise Closed("end, after %r" % self.unread[:200])
        self.unread += data

    def _head(self):
        while b"\r\n\r\n" not in self.unread:
            self._more()
        head, self.unread = self.unread.split(b"\r\n\r\n", 1)
        lines = head.decode("ascii").split("\r\n")
        version, status, _reason = lines[0].split(" ", 2)
        assert version == "HTTP/1.1", (BAD_VERSION, lines[0])
        headers = {}
        for line in lines[1:]:
            name, value = line.split(": ", 1)
            assert name.lower() not in headers, ("twice in one answer", name)
            headers[name.lower()] = value
        return int(status), headers

    def _body(self, status, headers, head_only):
        if status == 204:
            assert "content-length" not in headers, "204 has no length"
            return b""
        length = int(headers["content-length"])
        if head_only:
            return b""
        pieces, have = [self.unread], len(self.unread)
        while have < length:
            self.unread = b""
            self._more()
            pieces.append(self.unread)
            have += len(self.unread)
        everything = b"".join(pieces)
        self.unread = everything[length:]
        return everything[:length]

    def read(self, head_only=False):
        """The next final answer, with the interim ones before it counted."""
        interim = 0
        status, headers = self._head()
        while status == 100:
            assert not headers, headers
            interim += 1
            status, headers = self._head()
        check_owed(headers)
        body = self._body(status, headers, head_only)
        answer = Response(status, headers, body, interim)
        if status >= 400 and not head_only:
            check_error(answer)
        return answer

    def read_interim(self):
        status, headers = self._head()
        assert status == 100 and not headers, (status, headers)

    def ask(self, request):
        self.send(request)
        return self.read(head_only=request.startswith(b"HEAD "))

    def closed(self):
        """True once the gateway has closed its side, having sent nothing more."""
        try:
            self._more()
        except Closed:
            return not self.unread
        return False

    def silent(self, seconds):
        """True if nothing comes, not even the end."""
        return not self.unread and not select.select([self.sock], [], [], seconds)[0]


def check_owed(headers):
    """What every answer carries, whatever went wrong."""
    for name, value in CORS.items():
        assert headers.get(name) == value, (name, headers)
    date = email.utils.parsedate_to_datetime(headers["date"])
    assert abs(date.timestamp() - time.time()) < 300, headers["date"]


def check_error(answer):
    """Both places where clients look for an error say the same."""
    assert answer.header("content-type") == "application/json", answer
    body = answer.json()
    assert body["error"]["code"] == body["code"], answer
    assert body["error"]["message"] == body["message"], answer
    assert body["code"] and body["message"], answer
