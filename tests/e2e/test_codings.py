# SPDX-License-Identifier: Apache-2.0
"""Coded request bodies, and answers that are compressed for those who want it."""
import gzip
import zlib

import harness
from client import ECHO, KNN, chunk, envelope, get, noop, post, post_task
from digits import load
from gateway import wait_for
from harness import Served, variants

BODY = envelope(ECHO, {"text": "hello"}).encode()
LIMIT = 65536  # of a body, in these gateways


def packed(coding, data):
    return zlib.compress(data) if coding == "deflate" else gzip.compress(data)


def coded(coding, data):
    return post(data, "Content-Encoding: " + coding)


def metric(g, name):
    text = g.ask(get("/metrics", "Connection: close")).body.decode()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))


@variants()
class _Bodies(Served):
    flags = ("--limits.body_bytes=%d" % LIMIT,)

    def assert_echoed(self, answer):
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json()["result"], {"text": "hello"}, answer)

    def test_every_coding_says_the_same(self):
        for coding in ("gzip", "x-gzip", "GZIP", "deflate", "identity"):
            data = BODY if coding == "identity" else packed(coding, BODY)
            with self.subTest(coding), self.g.client() as c:
                self.assert_echoed(c.ask(coded(coding, data)))
                self.assert_echoed(c.ask(post(BODY)))

    def test_chunked_and_in_any_pieces(self):
        data = gzip.compress(BODY)
        head = post(b"", "Content-Encoding: gzip", "Transfer-Encoding: chunked", length=False)
        for size in (1, 7, len(data)):
            chunks = b"".join(chunk(data[i:i + size]) for i in range(0, len(data), size)) + chunk(b"")
            with self.subTest(size), self.g.client() as c:
                self.assert_echoed(c.ask(head + chunks))
        with self.g.client() as c:
            c.send_slowly(coded("gzip", data))
            self.assert_echoed(c.read())

    def test_pipelined_between_plain_ones(self):
        with self.g.client() as c:
            c.send((coded("gzip", gzip.compress(BODY)) + post(BODY) + coded("deflate", zlib.compress(BODY))) * 10)
            for _ in range(30):
                self.assert_echoed(c.read())

    def test_many_members_are_one_body(self):
        data = b"".join(gzip.compress(BODY[i:i + 10]) for i in range(0, len(BODY), 10))
        self.assert_echoed(self.g.ask(coded("gzip", data)))

    def test_a_waiting_task_keeps_its_decoded_body(self):
        with self.own("--admission.max_concurrent=1", "--admission.wait_ms=60000") as g, g.client() as first, g.client() as second:
            first.send(noop(60000))
            g.wait_active(1)
            waits = envelope(ECHO, {"text": "hello"}, constraints={"qos": "interactive", "timeout_ms": 60000}).encode()
            second.send(coded("gzip", gzip.compress(waits)))
            wait_for(lambda: g.counter("taskgate_tasks_waited_total") == 1, 30, "the task to wait")
            for _ in range(3):  # bodies that would take its place in memory
                g.ask(coded("gzip", gzip.compress(b"x" * 30000)))
            first.reset()
            self.assert_echoed(second.read())

    def test_a_bomb_is_over_the_limit(self):
        bombs = [("gzip", gzip.compress(b"\0" * (64 << 20))), ("deflate", zlib.compress(b" " * (LIMIT + 1)))]
        for coding, data in bombs:
            self.assertLess(len(data), LIMIT)
            with self.subTest(coding), self.g.client() as c:
                answer = c.ask(coded(coding, data))
                self.assert_error(answer, 413, "payload_too_large")
                self.assertIn(coding + " body is over the limit once decoded", answer.json()["message"])
                self.assert_alive(c)

    def test_a_body_of_exactly_the_limit_is_taken(self):
        text = envelope(ECHO, {"text": "x" * (LIMIT - len(envelope(ECHO, {"text": ""})))}).encode()
        self.assertEqual(len(text), LIMIT)
        self.assertEqual(self.g.ask(coded("gzip", gzip.compress(text))).status, 200)
        self.assert_error(self.g.ask(coded("gzip", gzip.compress(text + b" "))), 413, "payload_too_large")

    def test_blocks_without_end_are_refused(self):
        answer = self.g.ask(coded("deflate", b"\x78\x01" + b"\0\0\0\xff\xff" * 13000))
        self.assert_error(answer, 413, "payload_too_large")
        self.assertIn("takes more work than its size explains", answer.json()["message"])

    def test_what_is_no_such_stream_is_named(self):
        whole = gzip.compress(BODY)
        cases = [
            ("gzip", whole[:-1], "gzip body is truncated"),
            ("gzip", whole[:5], "gzip body is truncated"),
            ("gzip", whole + b"and more behind", "gzip body is followed by other bytes"),
            ("gzip", BODY, "gzip body is corrupt"),
            ("gzip", zlib.compress(BODY), "gzip body is corrupt"),
            ("gzip", whole[:-8] + b"\0\0\0\0" + whole[-4:], "gzip body is corrupt"),
            ("deflate", zlib.compress(BODY)[:-1], "deflate body is truncated"),
            ("deflate", zlib.compress(BODY)[2:-4], "deflate body is corrupt"),
            ("deflate", zlib.compress(BODY) + b"\0", "deflate body is followed by other bytes"),
        ]
        before = metric(self.g, "taskgate_http_decode_failures_total")
        with self.g.client() as c:
            for coding, data, message in cases:
                with self.subTest(message, data=data[:8]):
                    answer = c.ask(coded(coding, data))
                    self.assert_error(answer, 400, "bad_request")
                    self.assertEqual(answer.json()["message"], message)
            self.assert_alive(c)
        self.assertEqual(metric(self.g, "taskgate_http_decode_failures_total") - before, len(cases))

    def test_other_codings_are_told_what_to_use(self):
        for coding in ("br", "zstd", "compress", "gzip, gzip", "gzip, deflate", "gzip;q=1", "gzip,"):
            with self.subTest(coding), self.g.client() as c:
                answer = c.ask(coded(coding, BODY))
                self.assert_error(answer, 415, "unsupported_media_type")
                self.assertEqual(answer.header("accept-encoding"), "gzip, deflate")
                self.assert_alive(c)
        two = post(gzip.compress(BODY), "Content-Encoding: gzip", "Content-Encoding: gzip")
        self.assert_error(self.g.ask(two), 415, "unsupported_media_type")
        answer = self.g.ask(post(BODY, "Content-Type: text/plain"))
        self.assertEqual(answer.status, 415)
        self.assertIsNone(answer.header("accept-encoding"), "it was not the coding")

    def test_a_coding_without_a_body_is_no_matter(self):
        answer = self.g.ask(get("/iicp/health", "Content-Encoding: gzip"))
        self.assertEqual(answer.status, 200)

    def test_a_real_digit_gets_its_answer(self):
        vector = load()[0][1500]
        plain, zipped = (self.g.ask(r).json()["result"] for r in (
            post(envelope(KNN, {"vector": vector, "k": 3})),
            coded("gzip", gzip.compress(envelope(KNN, {"vector": vector, "k": 3}).encode()))))
        self.assertEqual(plain, zipped)


ACCEPT = "Accept-Encoding: "


@variants()
class _Answers(Served):
    large = post_task(ECHO, {"text": "hello " * 5000})

    def ask_coded(self, request, accept):
        return self.g.ask(request.replace(b"Host: t\r\n", b"Host: t\r\n" + (ACCEPT + accept).encode() + b"\r\n", 1))

    def test_large_answers_are_compressed_for_who_accepts_it(self):
        for accept in ("gzip", "br, GZIP;q=0.4", "*", "gzip, identity;q=0.1"):
            with self.subTest(accept):
                answer = self.ask_coded(self.large, accept)
                self.assertEqual(answer.header("content-encoding"), "gzip")
                self.assertEqual(answer.header("vary"), "Accept-Encoding")
                self.assertLess(len(answer.body), 2000)
                answer.body = gzip.decompress(answer.body)
                self.assertEqual(answer.json()["result"], {"text": "hello " * 5000})

    def test_others_get_them_as_they_are(self):
        for accept in ("identity", "gzip;q=0", "br", "gzip;q=0, *", "*;q=0", "", "gzip;q=x", "identity, gzip;q=0.5"):
            with self.subTest(accept):
                answer = self.ask_coded(self.large, accept)
                self.assertIsNone(answer.header("content-encoding"))
                self.assertEqual(answer.header("vary"), "Accept-Encoding", "another client may get it otherwise")
                self.assertEqual(answer.json()["result"], {"text": "hello " * 5000})
        answer = self.g.ask(self.large)
        self.assertIsNone(answer.header("content-encoding"))

    def test_small_answers_stay_as_they_are(self):
        answer = self.ask_coded(post_task(ECHO, {"text": "hello"}), "gzip")
        self.assertIsNone(answer.header("content-encoding"))
        self.assertIsNone(answer.header("vary"))

    def test_huge_answers_stay_as_they_are(self):
        answer = self.ask_coded(post_task(ECHO, {"text": "x" * (1 << 20)}), "gzip")
        self.assertEqual(answer.status, 200)
        self.assertIsNone(answer.header("content-encoding"))

    def test_pipelined_with_others(self):
        zipped = self.large.replace(b"Host: t\r\n", b"Host: t\r\nAccept-Encoding: gzip\r\n", 1)
        with self.g.client() as c:
            for _ in range(5):
                c.send((zipped + self.large) * 2)
                for _ in range(2):
                    self.assertEqual(len(gzip.decompress(c.read().body)), len(c.read().body))

    def test_metrics_are_compressed_and_head_tells_the_same(self):
        with self.own("--http.gzip_min_bytes=1000") as g:
            answer = g.ask(get("/metrics", ACCEPT + "gzip"))
            self.assertEqual(answer.header("content-encoding"), "gzip")
            self.assertIn(b"taskgate_http_compressed_total 0\n", gzip.decompress(answer.body))
            head = g.ask(get("/metrics", ACCEPT + "gzip", method="HEAD"))
            self.assertEqual(head.header("content-encoding"), "gzip")
            self.assertEqual(metric(g, "taskgate_http_compressed_total"), 2)

    def test_zero_turns_it_off(self):
        with self.own("--http.gzip_min_bytes=0") as g:
            answer = g.ask(self.large.replace(b"Host: t\r\n", b"Host: t\r\nAccept-Encoding: gzip\r\n", 1))
            self.assertIsNone(answer.header("content-encoding"))
            self.assertIsNone(answer.header("vary"))


if __name__ == "__main__":
    harness.main()
