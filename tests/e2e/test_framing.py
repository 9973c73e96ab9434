# SPDX-License-Identifier: Apache-2.0
"""Requests that two programs could read differently. Each is refused, and nothing behind it is ever answered."""
import harness
from client import ECHO, chunk, envelope, get, post_task
from harness import variants

BODY = envelope(ECHO, "whole").encode()
SMUGGLED = post_task(ECHO, "smuggled") + get("/iicp/health")
HOST = b"Host: t\r\n"
JSON = b"Content-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
DONE = b"0\r\n\r\n"


def task(*lines, body=BODY, version=b"1.1"):
    return b"POST /v1/task HTTP/" + version + b"\r\n" + HOST + JSON + b"".join(lines) + b"\r\n" + body


def line(start=b"GET /iicp/health HTTP/1.1\r\n", *lines):
    return start + b"".join(lines) + b"\r\n"


# Where the body ends is not certain. Name, request, status.
LENGTHS = [
    ("length and chunked", task(LENGTH, CHUNKED, body=DONE), 400),
    ("chunked and length", task(CHUNKED, LENGTH, body=DONE), 400),
    ("two lengths", task(LENGTH, b"Content-Length: 5\r\n"), 400),
    ("the same length twice", task(LENGTH, LENGTH), 400),
    ("a list of lengths", task(b"Content-Length: 5, 5\r\n"), 400),
    ("a sign", task(b"Content-Length: +5\r\n"), 400),
    ("a negative length", task(b"Content-Length: -1\r\n"), 400),
    ("a hexadecimal length", task(b"Content-Length: 0x10\r\n"), 400),
    ("an empty length", task(b"Content-Length: \r\n"), 400),
    ("a length with a space within", task(b"Content-Length: 1 0\r\n"), 400),
    ("a length over 64 bits", task(b"Content-Length: 18446744073709551621\r\n"), 400),
    ("a space before the colon of the length", task(b"Content-Length : 5\r\n"), 400),
    ("a space before the colon of the coding", task(b"Transfer-Encoding : chunked\r\n", body=DONE), 400),
    ("chunked twice", task(b"Transfer-Encoding: chunked, chunked\r\n", body=DONE), 400),
    ("chunked on two lines", task(CHUNKED, CHUNKED, body=DONE), 400),
    ("chunked not last", task(b"Transfer-Encoding: chunked, gzip\r\n", body=DONE), 400),
    ("another coding alone", task(b"Transfer-Encoding: gzip\r\n", body=DONE), 400),
    ("identity", task(b"Transfer-Encoding: identity\r\n", LENGTH), 400),
    ("an empty coding", task(b"Transfer-Encoding: \r\n", body=DONE), 400),
    ("chunked in quotes", task(b'Transfer-Encoding: "chunked"\r\n', body=DONE), 400),
    ("almost chunked", task(b"Transfer-Encoding: xchunked\r\n", body=DONE), 400),
    ("chunked behind a vertical tab", task(b"Transfer-Encoding: \x0bchunked\r\n", body=DONE), 400),
    ("another coding first", task(b"Transfer-Encoding: gzip, chunked\r\n", body=DONE), 501),
    ("chunked in HTTP/1.0", task(CHUNKED, body=DONE, version=b"1.0"), 400),
]

ONE_VALUE = ("Content-Type", "Authorization", "Origin", "traceparent", "X-IICP-Consumer-Token", "X-Node-Id")

LINES = [
    ("a folded line", line(b"GET /iicp/health HTTP/1.1\r\n", HOST, b"X: a\r\n b\r\n"), 400),
    ("a first line that is folded", line(b"GET /iicp/health HTTP/1.1\r\n", b" X: a\r\n", HOST), 400),
    ("a bare line feed", line(b"GET /iicp/health HTTP/1.1\n", HOST), 400),
    ("a bare line feed in a header", line(b"GET /iicp/health HTTP/1.1\r\n", HOST, b"X: a\n"), 400),
    ("a bare carriage return", line(b"GET /iicp/health HTTP/1.1\r\n", HOST, b"X: a\rb\r\n"), 400),
    ("a NUL in a value", line(b"GET /iicp/health HTTP/1.1\r\n", HOST, b"X: a\0b\r\n"), 400),
    ("a NUL in a name", line(b"GET /iicp/health HTTP/1.1\r\n", HOST, b"X\0: a\r\n"), 400),
    ("a control character in a value", line(b"GET /iicp/health HTTP/1.1\r\n", HOST, b"X: \x01\r\n"), 400),
    ("no colon", line(b"GET /iicp/health HTTP/1.1\r\n", HOST, b"nothing\r\n"), 400),
    ("an empty name", line(b"GET /iicp/health HTTP/1.1\r\n", HOST, b": x\r\n"), 400),
    ("a name with a space", line(b"GET /iicp/health HTTP/1.1\r\n", HOST, b"X Y: x\r\n"), 400),
    ("a name that is no token", line(b"GET /iicp/health HTTP/1.1\r\n", HOST, b"X(: x\r\n"), 400),
    ("no host", line(b"GET /iicp/health HTTP/1.1\r\n"), 400),
    ("two hosts", line(b"GET /iicp/health HTTP/1.1\r\n", HOST, b"Host: u\r\n"), 400),
    ("the same host twice", line(b"GET /iicp/health HTTP/1.1\r\n", HOST, HOST), 400),
    ("an empty host", line(b"GET /iicp/health HTTP/1.1\r\n", b"Host:\r\n"), 400),
    ("a host that is none", line(b"GET /iicp/health HTTP/1.1\r\n", b"Host: a b\r\n"), 400),
    ("a host with a path", line(b"GET /iicp/health HTTP/1.1\r\n", b"Host: a/b\r\n"), 400),
    ("a host with a large port", line(b"GET /iicp/health HTTP/1.1\r\n", b"Host: a:65536\r\n"), 400),
    *(("two values of " + name, task(LENGTH, ("%s: a\r\n%s: b\r\n" % (name, name.upper())).encode()), 400)
      for name in ONE_VALUE),
    ("an absolute target without a host line", line(b"GET http://t/iicp/health HTTP/1.1\r\n"), 400),
    ("two spaces", line(b"GET  /iicp/health HTTP/1.1\r\n", HOST), 400),
    ("a tab for a space", line(b"GET\t/iicp/health HTTP/1.1\r\n", HOST), 400),
    ("a space behind the version", line(b"GET /iicp/health HTTP/1.1 \r\n", HOST), 400),
    ("no version", line(b"GET /iicp/health\r\n", HOST), 400),
    ("a version in lower case", line(b"GET /iicp/health http/1.1\r\n", HOST), 400),
    ("a version of two digits", line(b"GET /iicp/health HTTP/1.10\r\n", HOST), 400),
    ("a version without a point", line(b"GET /iicp/health HTTP/11\r\n", HOST), 400),
    ("version 2.0", line(b"GET /iicp/health HTTP/2.0\r\n", HOST), 505),
    ("version 1.2", line(b"GET /iicp/health HTTP/1.2\r\n", HOST), 505),
    ("version 0.9", line(b"GET /iicp/health HTTP/0.9\r\n", HOST), 505),
    ("the start of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("a relative target", line(b"GET iicp/health HTTP/1.1\r\n", HOST), 400),
    ("a fragment", line(b"GET /iicp/health#x HTTP/1.1\r\n", HOST), 400),
    ("a high byte in the target", line(b"GET /\xe9 HTTP/1.1\r\n", HOST), 400),
    ("an asterisk with GET", line(b"GET * HTTP/1.1\r\n", HOST), 400),
    ("two empty lines first", b"\r\n\r\n" + line(b"GET /iicp/health HTTP/1.1\r\n", HOST), 400),
    ("a line feed first", b"\n" + line(b"GET /iicp/health HTTP/1.1\r\n", HOST), 400),
    ("a TLS greeting", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ("another expectation", line(b"GET /iicp/health HTTP/1.1\r\n", HOST, b"Expect: 200-ok\r\n"), 417),
]


def chunked(*parts):
    return task(CHUNKED, body=b"".join(parts))


CHUNKS = [
    ("a size that is no number", chunked(b"zz\r\n", BODY, b"\r\n", DONE)),
    ("a size with 0x", chunked(b"0x%x\r\n" % len(BODY), BODY, b"\r\n", DONE)),
    ("a size with a sign", chunked(b"+%x\r\n" % len(BODY), BODY, b"\r\n", DONE)),
    ("a negative size", chunked(b"-1\r\n", BODY, b"\r\n", DONE)),
    ("a size behind a space", chunked(b" %x\r\n" % len(BODY), BODY, b"\r\n", DONE)),
    ("a size before a space", chunked(b"%x \r\n" % len(BODY), BODY, b"\r\n", DONE)),
    ("an empty size", chunked(b"\r\n", BODY, b"\r\n", DONE)),
    ("a size over 64 bits", chunked(b"1%016x\r\n" % len(BODY), BODY, b"\r\n", DONE)),
    ("a size of 2^63", chunked(b"8000000000000000\r\n", BODY, b"\r\n", DONE)),
    ("a size of 2^64 - 1", chunked(b"ffffffffffffffff\r\n", BODY, b"\r\n", DONE)),
    ("a bare line feed behind the size", chunked(b"%x\n" % len(BODY), BODY, b"\r\n", DONE)),
    ("a bare carriage return behind the size", chunked(b"%x\r" % len(BODY), BODY, b"\r\n", DONE)),
    ("a bare line feed behind the data", chunked(b"%x\r\n" % len(BODY), BODY, b"\n", DONE)),
    ("more data than the size", chunked(b"%x\r\n" % (len(BODY) - 1), BODY, b"\r\n", DONE)),
    ("less data than the size", chunked(b"%x\r\n" % (len(BODY) + 1), BODY, b"\r\n", DONE)),
    ("a bare line feed in an extension", chunked(b"%x;a\n\r\n" % len(BODY), BODY, b"\r\n", DONE)),
    ("a NUL in an extension", chunked(b"%x;a\0\r\n" % len(BODY), BODY, b"\r\n", DONE)),
    ("17 KiB of extensions", chunked(b"%x;" % len(BODY), b"a" * 17000, b"\r\n", BODY, b"\r\n", DONE)),
    ("a trailer that is no line", chunked(chunk(BODY), b"0\r\nnothing\r\n\r\n")),
    ("a trailer with a space before the colon", chunked(chunk(BODY), b"0\r\nX : y\r\n\r\n")),
    ("a folded trailer", chunked(chunk(BODY), b"0\r\nX: y\r\n z\r\n\r\n")),
    ("20 KiB of trailers", chunked(chunk(BODY), b"0\r\n", b"X: y\r\n" * 3400, b"\r\n")),
]


@variants()
class Refused(harness.Served):
    def refused(self, request, status):
        """One answer, then the end, whatever followed; and the same whether it comes whole or in pieces."""
        for pieces in (None, (1, 2, 7, 30)):
            with self.g.client() as c:
                if pieces:
                    c.send_slowly(request, pieces)
                else:
                    c.send(request)
                c.send_lossy(SMUGGLED)
                answer = c.read()
                self.assertEqual(answer.status, status, answer)
                self.assertTrue(answer.closes, answer)
                self.assertTrue(c.closed())

    def refused_all(self, rows):
        for name, request, status in rows:
            with self.subTest(name):
                self.refused(request, status)

    def test_a_body_whose_end_is_not_certain(self):
        self.refused_all(LENGTHS)

    def test_a_malformed_line(self):
        self.refused_all(LINES)

    def test_malformed_chunks(self):
        self.refused_all((name, request, 400) for name, request in CHUNKS)

    def test_nothing_of_them_was_run(self):
        before = self.counter("taskgate_tasks_accepted_total")
        self.refused_all(LENGTHS)
        self.refused_all((name, request, 400) for name, request in CHUNKS)
        self.assertEqual(self.counter("taskgate_tasks_accepted_total"), before)

    def counter(self, name):
        for text in self.g.ask(get("/metrics")).body.decode().splitlines():
            if text.startswith(name + " "):
                return int(text.split()[1])
        raise AssertionError("no counter " + name)

    def test_answers_owed_before_the_faulty_request_come_first(self):
        with self.g.client() as c:
            c.send(post_task(ECHO, 1) + get("/nowhere") + LENGTHS[0][1] + SMUGGLED)
            self.assertEqual([c.read().status for _ in range(3)], [200, 404, 400])
            self.assertTrue(c.closed())

    def test_the_answer_arrives_although_megabytes_follow(self):
        with self.g.client() as c:
            c.send(LENGTHS[0][1])
            for _ in range(64):
                c.send_lossy(b"x" * 65536)
            self.assertEqual(c.read().status, 400)


@variants()
class Accepted(harness.Served):
    """Odd but lawful, however it is cut."""
    def accepted(self, request, result="whole"):
        for pieces in (None, [1] * len(request)):
            with self.g.client() as c:
                if pieces:
                    c.send_slowly(request, pieces)
                else:
                    c.send(request)
                answer = c.read()
                self.assertEqual(answer.status, 200, answer)
                self.assertEqual(answer.json()["result"], result)
                self.assert_alive(c)

    def test_chunks_of_one_byte(self):
        self.accepted(chunked(*[chunk(BODY[i:i + 1]) for i in range(len(BODY))], DONE))

    def test_sizes_in_capitals_and_with_leading_zeros(self):
        self.accepted(chunked(b"%016X\r\n" % len(BODY), BODY, b"\r\n000\r\n\r\n"))

    def test_extensions_and_trailers_are_ignored(self):
        trailers = b"Content-Length: 0\r\nTransfer-Encoding: gzip\r\nHost: evil\r\nX: y\r\n"
        self.accepted(chunked(chunk(BODY, b';a=b;c="d e"'), b"0;last\r\n", trailers, b"\r\n"))

    def test_the_coding_in_other_case_and_with_spaces(self):
        self.accepted(task(b"transfer-ENCODING:  Chunked \r\n", body=chunk(BODY) + DONE))

    def test_an_empty_line_first(self):
        self.accepted(b"\r\n" + task(LENGTH))

    def test_tabs_around_values(self):
        self.accepted(task(b"Content-Length:\t%d\t\r\n" % len(BODY)))

    def test_a_length_with_leading_zeros(self):
        self.accepted(task(b"Content-Length: 000%d\r\n" % len(BODY)))

    def test_high_bytes_in_values(self):
        self.accepted(task(LENGTH, b"X: \xff\xfe\r\n"))

    def test_an_absolute_target(self):
        self.accepted(task(LENGTH).replace(b"/v1/task", b"http://elsewhere:80/v1/task"))

    def test_a_chunked_body_cut_at_every_byte(self):
        request = chunked(chunk(BODY[:9]), chunk(BODY[9:], b";x"), b"0\r\nX: y\r\n\r\n")
        with self.g.client() as c:
            for at in range(1, len(request)):
                c.send_slowly(request, (at,))
                self.assertEqual(c.read().json()["result"], "whole", at)

    def test_the_last_byte_of_one_request_with_the_first_of_the_next(self):
        request = chunked(chunk(BODY), DONE)
        with self.g.client() as c:
            c.send(request[:-1])
            for _ in range(20):
                c.send(request[-1:] + request[:-1])
                self.assertEqual(c.read().json()["result"], "whole")


if __name__ == "__main__":
    harness.main()
