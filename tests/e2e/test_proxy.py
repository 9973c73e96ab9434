# SPDX-License-Identifier: Apache-2.0
"""PROXY headers from a load balancer, and limits per peer, with and without one."""
import signal
import socket
import ssl
import struct

import gateway
import harness
from certificates import Authority
from client import Client, Closed, get
from harness import Served, variants

HEALTH = get("/iicp/health")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL = SIGNATURE + b"\x20\0\0\0"
TRUST = ("--server.proxy_protocol=true", "--server.proxy_trusted=127.0.0.0/8,::1")


def v1(source="192.0.2.1"):
    family = "TCP6" if ":" in source else "TCP4"
    other = "::1" if ":" in source else "198.51.100.2"
    return ("PROXY %s %s %s 56324 443\r\n" % (family, source, other)).encode()


def v2(source="192.0.2.1", extra=b""):
    if ":" in source:
        body = socket.inet_pton(socket.AF_INET6, source) + bytes(16)
    else:
        body = socket.inet_aton(source) + bytes(4)
    body += struct.pack(">HH", 56324, 443) + extra
    return SIGNATURE + (b"\x21\x21" if ":" in source else b"\x21\x11") + struct.pack(">H", len(body)) + body


class Balanced(gateway.Gateway):
    """A gateway that expects headers: our own questions come with one that says nothing."""

    def client(self, header=LOCAL, **options):
        c = Client(self.port, **options)
        c.send(header)
        return c


def metric(g, name):
    text = g.ask(get("/metrics", "Connection: close")).body.decode()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))


@variants()
class _Headers(Served):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.g.stop()
        cls.g = Balanced("--server.workers=1", *cls.variant_flags(), *TRUST)

    def test_either_version_and_family_is_taken_off(self):
        extra = b"\x01\0\x02h2" + b"\xea" + struct.pack(">H", 1000) + bytes(1000)
        for header in (v1(), v1("2001:db8::1"), b"PROXY UNKNOWN\r\n", v2(), v2("2001:db8::1"), v2(extra=extra), LOCAL):
            with self.subTest(header[:20]), self.g.client(header) as c:
                self.assertEqual(c.ask(HEALTH).status, 200)
                self.assert_alive(c)

    def test_it_comes_before_tls(self):
        authority = Authority()
        self.addCleanup(authority.close)
        certificate, key = authority.issue("balanced")
        context = ssl.create_default_context(cafile=authority.ca)
        with Balanced("--server.workers=1", *self.variant_flags(), *TRUST, "--limits.connections_per_peer=1",
                      "--server.tls_listen=127.0.0.1:0", "--tls.certificate=" + certificate, "--tls.key=" + key) as g:
            port = int(g.wait_log(r"listening on https://127\.0\.0\.1:(\d+)").group(1))
            with Client(port) as c:
                c.send(v2())
                c.sock = context.wrap_socket(c.sock, server_hostname="localhost")
                self.assert_alive(c)
                with Client(port) as second:
                    second.send(v2())
                    self.assertTrue(second.closed(), "its peer has a connection already")
            with Client(port) as c:
                c.send_lossy(b"\x16\x03\x01\x02\x00")
                self.assertTrue(c.closed(), "TLS without a header")

    def test_in_any_pieces(self):
        for header in (v1(), v2("2001:db8::1")):
            with self.subTest(header[:20]), Client(self.g.port) as c:
                c.send_slowly(header + HEALTH, pause=0.0005)
                self.assertEqual(c.read().status, 200)
            with Client(self.g.port) as c:
                c.send(header + HEALTH * 3)
                for _ in range(3):
                    self.assertEqual(c.read().status, 200)

    def test_what_is_no_header_closes_without_a_word(self):
        cases = [HEALTH, b"PROXY TCP4 nonsense\r\n" + HEALTH, b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n" + HEALTH,
                 SIGNATURE + b"\x21\x11\xff\xff", SIGNATURE + b"\x21\x12\0\x0c" + bytes(12),
                 b"PROXY UNKNOWN " + b"x" * 200, b"\x16\x03\x01"]
        before = metric(self.g, "taskgate_connections_refused_proxy_total")
        for bad in cases:
            with self.subTest(bad[:20]), Client(self.g.port) as c:
                c.send_lossy(bad)
                self.assertTrue(c.closed())
                self.assertEqual(c.unread, b"")
        self.assertEqual(metric(self.g, "taskgate_connections_refused_proxy_total") - before, len(cases))

    def test_an_unfinished_header_holds_nobody_else_up(self):
        begun = [self.g.client(v1()[:n]) for n in range(1, 40)]
        self.assertEqual(self.g.ask(HEALTH).status, 200)
        for c in begun:
            c.half_close()
            self.assertTrue(c.closed())

    def test_a_header_that_never_ends_is_cut_in_time(self):
        with Balanced("--server.workers=1", "--timeout.idle_ms=300", *self.variant_flags(), *TRUST) as g:
            with g.client(v1()[:10]) as c:
                self.assertTrue(c.closed())

    def test_untrusted_peers_are_turned_away(self):
        g = gateway.Gateway("--server.workers=1", *self.variant_flags(), "--server.proxy_protocol=true",
                            "--server.proxy_trusted=10.0.0.0/8", "--server.listen=127.0.0.1:0")
        with g, Client(g.port) as c:
            c.send_lossy(v1() + HEALTH)
            self.assertTrue(c.closed())

    def test_trusting_nobody_is_said_at_once(self):
        with gateway.Gateway("--server.workers=1", *self.variant_flags(), "--server.proxy_protocol=true") as g:
            g.wait_log("server.proxy_trusted is empty: every TCP connection is turned away")


@variants()
class _Limits(Served):
    """The limit counts over both workers."""

    def test_connections_of_one_peer_are_limited(self):
        with gateway.Gateway("--server.workers=2", *self.variant_flags(), "--limits.connections_per_peer=10") as g:
            open_now = [g.client() for _ in range(10)]
            for c in open_now:
                self.assertEqual(c.ask(HEALTH).status, 200)
            for _ in range(5):
                with g.client() as extra:
                    extra.send_lossy(HEALTH)
                    self.assertTrue(extra.closed())
            open_now.pop().close()
            self.assertEqual(self.in_time(g).status, 200)
            text = open_now[0].ask(get("/metrics")).body
            refused = next(line for line in text.splitlines() if line.startswith(b"taskgate_connections_refused_peer_"))
            self.assertGreaterEqual(int(refused.split()[1]), 5)
            for c in open_now:
                c.close()
            self.in_time(g)

    def in_time(self, g):
        """An answer as soon as the gateway has noticed that somebody left."""
        answers = []

        def try_it():
            try:
                answers.append(g.ask(HEALTH))
            except (AssertionError, OSError, Closed):
                return False
            return True
        gateway.wait_for(try_it, 30, "a place to be free")
        return answers[-1]

    def test_the_limit_follows_a_reload(self):
        with self.own() as g:
            g.write_config(gateway.RUNNERS + "\n[limits]\nconnections_per_peer = 1\n")
            g.signal(signal.SIGHUP)
            g.wait_log("reload: limits.connections_per_peer = 1")
            gateway.wait_for(lambda: not self.two_at_once(g), 30, "the limit to be in force")
            g.write_config(gateway.RUNNERS)
            g.signal(signal.SIGHUP)
            g.wait_log("reload: limits.connections_per_peer = 0")
            gateway.wait_for(lambda: self.two_at_once(g), 30, "the limit to be gone")

    def two_at_once(self, g):
        """True if a second connection is answered beside a first one."""
        with g.client() as first, g.client() as second:
            try:
                return first.ask(HEALTH).status == second.ask(HEALTH).status
            except (OSError, Closed):
                return False

    def test_the_address_behind_the_balancer_counts(self):
        with Balanced("--server.workers=2", *self.variant_flags(), *TRUST, "--limits.connections_per_peer=2") as g:
            mine = [g.client(h) for h in (v1("192.0.2.1"), v2("192.0.2.1"))]
            others = [g.client(v2("192.0.2.%d" % i)) for i in range(2, 6)]
            others += [g.client(h) for h in (v1("2001:db8:0:1::1"), v2("2001:db8:0:1::2"), v2("2001:db8:0:2::1"))]
            for c in mine + others:
                self.assertEqual(c.ask(HEALTH).status, 200)
            for header in (v1("192.0.2.1"), v2("::ffff:192.0.2.1"), v1("2001:db8:0:1:ffff::9")):
                with self.subTest(header[:40]), g.client(header) as c:
                    c.send_lossy(HEALTH)
                    self.assertTrue(c.closed())
            for c in mine + others:
                c.close()


if __name__ == "__main__":
    harness.main()
