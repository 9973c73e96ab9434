# SPDX-License-Identifier: Apache-2.0
"""Methods, limits, versions and expectations, by docs/http.md."""
import re
import time

import harness
from client import ECHO, Closed, chunk, envelope, get, noop, post, post_task
from gateway import wait_for
from harness import variants

BODY = envelope(ECHO, 1).encode()


def head_of(size, body=True, *lines):
    """A POST head that announces @size bytes."""
    lines = ["POST /v1/task HTTP/1.1", "Host: t", "Content-Type: application/json",
             *(["Content-Length: %d" % size] if body else []), *lines, "", ""]
    return "\r\n".join(lines).encode()


@variants()
class Methods(harness.Served):
    def test_an_unknown_path_is_404_for_every_method_but_options(self):
        with self.g.client() as c:
            for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "BREW"):
                self.assertEqual(c.ask(get("/nowhere", method=method)).status, 404, method)
            for path in ("/", "/v1/task/", "/v1/tas", "/V1/task", "/v1//task", "/v1/task%20"):
                self.assert_error(c.ask(get(path)), 404, "not_found")

    def test_a_wrong_method_is_405_and_told_the_right_ones(self):
        with self.g.client() as c:
            for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "BREW", "post"):
                answer = c.ask(get("/v1/task", method=method))
                self.assertEqual((answer.status, answer.header("allow")), (405, "POST, OPTIONS"), method)
            for path in ("/iicp/health", "/metrics"):
                answer = c.ask(post(b"{}", path=path))
                self.assert_error(answer, 405, "method_not_allowed")
                self.assertEqual(answer.header("allow"), "GET, HEAD, OPTIONS")

    def test_options_is_204_on_any_path(self):
        with self.g.client() as c:
            for path in ("/v1/task", "/iicp/health", "/metrics", "/nowhere", "*"):
                answer = c.ask(get(path, "Origin: http://page", "Access-Control-Request-Method: POST",
                                   method="OPTIONS"))
                self.assertEqual((answer.status, answer.body), (204, b""))
                self.assertEqual(answer.header("access-control-max-age"), "86400")
            self.assert_alive(c)

    def test_head_is_get_without_the_body(self):
        with self.g.client() as c:
            for path in ("/iicp/health", "/nowhere", "/v1/task"):
                with_body, without = c.ask(get(path)), c.ask(get(path, method="HEAD"))
                self.assertEqual(with_body.status, without.status)
                self.assertEqual(without.body, b"")
                for name in ("content-type", "content-length", "allow"):
                    self.assertEqual(with_body.header(name), without.header(name), (path, name))
            self.assert_alive(c)

    def test_head_has_no_body_even_if_it_is_refused(self):
        for status, request in (
                (413, get("/iicp/health", "Content-Length: %d" % 10 ** 9, method="HEAD")),
                (400, get("/iicp/health", "Transfer-Encoding: chunked", method="HEAD") + b"zz\r\n"),
                (400, b"\r\n" + get("/iicp/health", "X : y", method="HEAD")),
                (417, get("/iicp/health", "Expect: tea", method="HEAD")),
                (414, get("/" + "a" * 10000, method="HEAD")),
                (501, get("/iicp/health", "Transfer-Encoding: gzip, chunked", method="HEAD"))):
            for pieces in (None, (1, 4, 20)):
                with self.subTest(status=status, pieces=pieces), self.g.client() as c:
                    if pieces:
                        c.send_slowly(request, pieces)
                    else:
                        c.send(request)
                    answer = c.read(head_only=True)
                    self.assertEqual((answer.status, answer.closes), (status, True))
                    self.assertEqual((c.unread, c.closed()), (b"", True))

    def test_get_with_a_body_reads_past_it(self):
        with self.g.client() as c:
            c.send(get("/iicp/health", "Content-Length: 20") + b"GET / HTTP/1.1\r\n\r\nx" + b"y" + get("/nowhere"))
            self.assertEqual([c.read().status, c.read().status], [200, 404])


@variants()
class Versions(harness.Served):
    def ask_1_0(self, c, *lines, path="/iicp/health"):
        return c.ask(("\r\n".join(["GET %s HTTP/1.0" % path, *lines, "", ""])).encode())

    def test_version_1_0_closes(self):
        with self.g.client() as c:
            answer = self.ask_1_0(c)
            self.assertEqual((answer.status, answer.header("connection")), (200, "close"))
            self.assertTrue(c.closed())

    def test_version_1_0_with_keep_alive_stays_and_is_told_so(self):
        with self.g.client() as c:
            for _ in range(3):
                answer = self.ask_1_0(c, "Connection: Keep-Alive")
                self.assertEqual((answer.status, answer.header("connection")), (200, "keep-alive"))
            answer = self.ask_1_0(c, "Connection: keep-alive", "Connection: close")
            self.assertEqual(answer.header("connection"), "close")
            self.assertTrue(c.closed())

    def test_a_task_by_version_1_0(self):
        answer = self.g.ask(post_task(ECHO, 7).replace(b"HTTP/1.1", b"HTTP/1.0"))
        self.assertEqual((answer.json()["result"], answer.closes), (7, True))

    def test_version_1_1_stays_and_says_nothing_of_it(self):
        with self.g.client() as c:
            self.assertIsNone(c.ask(get("/iicp/health")).header("connection"))
            self.assert_alive(c)

    def test_close_among_other_options_closes_and_what_follows_is_not_answered(self):
        with self.g.client() as c:
            c.send(get("/iicp/health", "Connection: x, CLOSE") + post_task(ECHO, 1))
            self.assertTrue(c.read().closes)
            self.assertTrue(c.closed())


@variants()
class Limits(harness.Served):
    flags = ("--limits.body_bytes=100KiB", "--limits.head_bytes=4KiB", "--limits.target_bytes=1KiB",
             "--limits.headers=20", "--limits.requests_per_connection=0")

    def too_large(self, c):
        answer = c.read()
        self.assert_error(answer, 413, "payload_too_large")
        self.assertTrue(answer.closes)
        self.assertEqual(answer.interim, 0)
        self.assertTrue(c.closed())

    def test_a_body_over_the_limit_is_refused_before_it_is_sent(self):
        for lines in ((), ("Expect: 100-continue",)):
            for size in (100 * 1024 + 1, 10 ** 9, 2 ** 63, 2 ** 64 - 1):
                with self.subTest(size=size, lines=lines), self.g.client() as c:
                    c.send(head_of(size, True, *lines))
                    self.too_large(c)

    def test_a_chunked_body_over_the_limit_is_refused_as_soon_as_it_is(self):
        piece = chunk(b" " * 10240)
        with self.g.client() as c:
            c.send(head_of(0, False, "Transfer-Encoding: chunked") + piece * 10)
            self.assertTrue(c.silent(0.05))
            c.send_lossy(piece)
            self.too_large(c)

    def test_the_answer_reaches_a_client_that_goes_on_sending(self):
        with self.g.client() as c:
            c.send_lossy(head_of(8 << 20) + b" " * (8 << 20))
            self.assertEqual(c.read().status, 413)

    def test_a_body_at_the_limit_is_taken(self):
        whole = 100 * 1024
        text = "x" * (whole - len(envelope(ECHO, "")))
        body = envelope(ECHO, text).encode()
        self.assertEqual(len(body), whole)
        self.assertEqual(self.g.ask(post(body)).json()["result"], text)
        request = post(b"", "Transfer-Encoding: chunked", length=False)
        self.assertEqual(self.g.ask(request + chunk(body) + b"0\r\n\r\n").json()["result"], text)

    def test_long_targets_are_414(self):
        with self.g.client() as c:
            self.assertEqual(c.ask(get("/" + "a" * 1023)).status, 404)
            answer = c.ask(get("/" + "a" * 1024))
            self.assert_error(answer, 414, "uri_too_long")
            self.assertTrue(c.closed())

    def test_a_target_without_end_is_414_before_its_end(self):
        with self.g.client() as c:
            self.assertEqual(c.ask(b"GET /" + b"a" * 1100).status, 414)

    def test_long_heads_are_431(self):
        with self.g.client() as c:
            self.assertEqual(c.ask(get("/nowhere", "X: " + "a" * 4000)).status, 404)
            answer = c.ask(get("/nowhere", "X: " + "a" * 4097))
            self.assert_error(answer, 431, "headers_too_large")
            self.assertTrue(c.closed())

    def test_a_head_without_end_is_431_before_its_end(self):
        with self.g.client() as c:
            self.assertEqual(c.ask(b"GET / HTTP/1.1\r\nX: " + b"a" * 4100).status, 431)

    def test_many_headers_are_431(self):
        with self.g.client() as c:
            self.assertEqual(c.ask(get("/nowhere", *["X: y"] * 19)).status, 404)
            self.assertEqual(c.ask(get("/nowhere", *["X: y"] * 20)).status, 431)


@variants()
class RequestsPerConnection(harness.Served):
    flags = ("--limits.requests_per_connection=3",)

    def test_after_so_many_requests_the_connection_closes_and_says_so(self):
        with self.g.client() as c:
            c.send(get("/iicp/health") * 5)
            self.assertEqual([c.read().closes for _ in range(3)], [False, False, True])
            self.assertTrue(c.closed())


class Crowded(harness.Served):
    """A gateway that may have no room left for the harness either."""

    def has_room(self):
        try:
            return self.g.health()["active_jobs"] == 0
        except (Closed, OSError):
            return False

    def tearDown(self):
        wait_for(self.has_room, 30, "a connection to become free")


@variants()
class Connections(Crowded):
    flags = ("--limits.connections=4", "--timeout.idle_full_ms=0")

    def test_more_connections_than_allowed_are_closed_at_once_and_room_comes_back(self):
        with self.g.client() as first:
            wait_for(lambda: b"\ntaskgate_connections_open 1\n" in first.ask(get("/metrics")).body, 30,
                     "the harness's own connections to be gone")
            self.fill_up(first)
        wait_for(self.has_room, 30, "a connection to become free")

    def fill_up(self, first):
        held = [first] + [self.g.client() for _ in range(3)]
        for c in held:
            self.assert_alive(c)
        with self.g.client() as extra:
            self.assertTrue(extra.closed())
        for c in held[1:]:
            c.close()


@variants()
class Room(Crowded):
    flags = ("--limits.connections=4", "--timeout.idle_full_ms=100")

    def test_who_is_silent_goes_for_who_comes(self):
        silent = [wait_for(self.served, 30, "room") for _ in range(4)]
        wait_for(self.room_was_made, 30, "a silent connection to go")
        for c in silent:
            c.close()

    def test_who_is_in_the_midst_of_a_request_stays(self):
        busy = [wait_for(self.begun, 30, "room") for _ in range(4)]
        time.sleep(0.3)
        self.assertIsNone(self.served())
        for c in busy:
            c.send(BODY)
            self.assertEqual(c.read().status, 200)
            c.close()

    def served(self):
        """A connection that has been answered, None if it was turned away."""
        return self.after(lambda c: c.ask(get("/iicp/health")))

    def begun(self):
        def begin(c):
            c.send(head_of(len(BODY), True, "Expect: 100-continue"))
            c.read_interim()
        return self.after(begin)

    def after(self, what):
        c = self.g.client()
        try:
            what(c)
            return c
        except (Closed, OSError):
            c.close()
            return None

    def room_was_made(self):
        with self.served() or self.g.client() as c:
            try:
                return re.search(rb"\ntaskgate_connections_evicted_total [1-9]", c.ask(get("/metrics")).body)
            except (Closed, OSError):
                return None


@variants()
class Expectations(harness.Served):
    def test_the_body_is_asked_for_when_it_is_wanted(self):
        with self.g.client() as c:
            for _ in range(3):
                c.send(head_of(len(BODY), True, "Expect: 100-continue"))
                c.read_interim()
                c.send(BODY)
                answer = c.read()
                self.assertEqual((answer.status, answer.interim), (200, 0))

    def test_nobody_is_asked_for_a_body_that_cannot_come(self):
        with self.g.client() as c:
            c.send(noop(200) + head_of(len(BODY), True, "Expect: 100-continue"))
            c.half_close()
            answer = c.read()
            self.assertEqual((answer.status, answer.closes), (200, True))
            self.assertTrue(c.closed())

    def test_for_chunks_too(self):
        with self.g.client() as c:
            c.send(head_of(0, False, "Transfer-Encoding: chunked", "expect: 100-Continue"))
            c.read_interim()
            c.send(chunk(BODY) + b"0\r\n\r\n")
            self.assertEqual(c.read().status, 200)

    def test_a_body_that_came_along_needs_no_asking(self):
        answer = self.g.ask(head_of(len(BODY), True, "Expect: 100-continue") + BODY)
        self.assertEqual((answer.status, answer.interim), (200, 0))

    def test_an_earlier_answer_comes_before_the_asking(self):
        with self.g.client() as c:
            c.send(noop(80) + head_of(len(BODY), True, "Expect: 100-continue"))
            self.assertEqual(c.read().interim, 0)
            c.read_interim()
            c.send(BODY)
            self.assertEqual(c.read().status, 200)

    def test_without_a_body_or_in_version_1_0_it_is_ignored(self):
        answer = self.g.ask(get("/iicp/health", "Expect: 100-continue"))
        self.assertEqual((answer.status, answer.interim), (200, 0))
        with self.g.client() as c:
            c.send(head_of(len(BODY), True, "Expect: 100-continue").replace(b"1.1", b"1.0"))
            self.assertTrue(c.silent(0.1))
            c.send(BODY)
            self.assertEqual(c.read().interim, 0)


if __name__ == "__main__":
    harness.main()
