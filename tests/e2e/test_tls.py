# SPDX-License-Identifier: Apache-2.0
"""TLS from outside: who gets in, what passes through, and what happens when certificates change."""
import os
import re
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import unittest

import harness
from certificates import RSA, Authority, openssl, replace
from client import ECHO, RUN_MS, TIMEOUT_S, Client, Closed, get, noop, post_task
from gateway import Gateway, run_once, wait_for
from harness import variants

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
HEALTH = get("/iicp/health")


def client_context(ca, version=None, ciphers=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    if version:
        context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    return context


class TlsClient(Client):
    def __init__(self, port, context, session=None, **options):
        super().__init__(port, **options)
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname="localhost", session=session,
                                            suppress_ragged_eofs=False)
        except BaseException:
            self.sock.close()
            raise

    def _more(self):
        try:
            super()._more()
        except ssl.SSLError as why:
            raise Closed(str(why)) from None

    def served_by(self):
        """The common name in the certificate that this connection was greeted with."""
        return dict(pair[0] for pair in self.sock.getpeercert()["subject"])["commonName"]


class Wire(Client):
    """TLS by hand: every byte of ciphertext passes through the test."""

    def __init__(self, port, context, **options):
        super().__init__(port, **options)
        self.input, self.output = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.input, self.output, server_hostname="localhost")
        self.ended = False  # by close_notify, not by the end of the stream

    def flush(self, step=None):
        data = self.output.read()
        for at in range(0, len(data), step or max(len(data), 1)):
            self.sock.sendall(data[at:at + (step or len(data))])

    def until(self, action, step=None):
        while True:
            try:
                result = action()
                self.flush(step)
                return result
            except ssl.SSLWantReadError:
                self.flush(step)
                data = self.sock.recv(1 << 18)
                if not data:
                    raise Closed("end") from None
                self.input.write(data)

    def handshake(self, step=None):
        self.until(self.tls.do_handshake, step)

    def write(self, data, step=None):
        self.tls.write(data)
        self.flush(step)

    def send(self, data):
        self.write(data)

    def _more(self):
        try:
            data = self.until(lambda: self.tls.read(1 << 18))
        except ssl.SSLZeroReturnError:
            data = b""
        if not data:
            self.ended = True
            raise Closed("close_notify")
        self.unread += data

    def say_goodbye(self):
        """close_notify, with the TCP connection left open."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.flush()


class Secured(harness.Served):
    """A gateway with a TLS listener beside the plain one."""
    tls_flags = ()

    @classmethod
    def setUpClass(cls):
        cls.authority = Authority()
        cls.addClassCleanup(cls.authority.close)
        cls.certificate, cls.key = cls.authority.issue("first")
        cls.flags = cls.certificate_flags() + tuple(cls.tls_flags)
        super().setUpClass()
        cls.port = tls_port(cls.g)

    @classmethod
    def certificate_flags(cls):
        return ("--server.tls_listen=127.0.0.1:0", "--tls.certificate=" + cls.certificate, "--tls.key=" + cls.key)

    def context(self, version=None, ciphers=None):
        return client_context(self.authority.ca, version, ciphers)

    def tls(self, version=None, session=None, **options):
        return TlsClient(self.port, self.context(version), session, **options)

    def wire(self, version=None):
        w = Wire(self.port, self.context(version))
        self.addCleanup(w.close)
        return w

    def counters(self, g=None):
        text = (g or self.g).ask(get("/metrics", "Connection: close")).body.decode()
        return {name: int(value) for name, value in re.findall(r"^taskgate_tls_(\w+)_total (\d+)$", text, re.M)}

    def assert_refused(self, context, pattern):
        before = self.counters()["failed"]
        with self.assertRaisesRegex(ssl.SSLError, pattern):
            TlsClient(self.port, context).close()
        wait_for(lambda: self.counters()["failed"] == before + 1, 30, "the refusal to be counted")

    def assert_serves(self):
        with self.tls() as c:
            self.assertEqual(c.ask(HEALTH).status, 200)


def tls_port(g):
    return int(g.wait_log(r"listening on https://127\.0\.0\.1:(\d+)").group(1))


@variants()
class Handshake(Secured):
    def test_both_versions_are_spoken(self):
        for version, name in ((V12, "TLSv1.2"), (V13, "TLSv1.3")):
            with self.tls(version) as c:
                self.assertEqual(c.sock.version(), name)
                self.assertIsNone(c.sock.compression())
                self.assertEqual(c.ask(HEALTH).status, 200)

    def test_older_versions_are_refused(self):
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            self.assert_refused(self.context(version, "ALL:@SECLEVEL=0"), "PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL")

    def test_suites_without_forward_secrecy_or_authentication_are_refused(self):
        for suite in ("AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384",
                      "ECDHE-ECDSA-AES128-CCM8", "NULL", "AECDH", "DHE"):
            self.assert_refused(self.context(V12, suite + ":@SECLEVEL=0"), "HANDSHAKE_FAILURE")

    def test_the_server_chooses_the_suite(self):
        pairs = ("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256",
                 "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384")
        for ciphers in pairs:
            with TlsClient(self.port, self.context(V12, ciphers)) as c:
                self.assertEqual(c.sock.cipher()[0], "ECDHE-ECDSA-AES128-GCM-SHA256")

    def test_weak_curves_are_refused(self):
        context = self.context(V12, "ALL:@SECLEVEL=0")
        context.set_ecdh_curve("secp224r1")
        self.assert_refused(context, "HANDSHAKE_FAILURE")
        context = self.context()
        context.set_ecdh_curve("secp384r1")
        with TlsClient(self.port, context) as c:
            self.assertEqual(c.ask(HEALTH).status, 200)

    def test_alpn_settles_on_http_1_1(self):
        for offer, chosen in ((["h2", "http/1.1"], "http/1.1"), (["http/1.0"], "http/1.0"), ([], None)):
            context = self.context()
            if offer:
                context.set_alpn_protocols(offer)
            with TlsClient(self.port, context) as c:
                self.assertEqual(c.sock.selected_alpn_protocol(), chosen)
                self.assertEqual(c.ask(HEALTH).status, 200)

    def test_a_client_that_speaks_only_http_2_is_told_so(self):
        context = self.context()
        context.set_alpn_protocols(["h2"])
        self.assert_refused(context, "(?i)no.application.protocol")

    def test_renegotiation_is_refused(self):
        shown = self.s_client("-tls1_2", ("Verify return code", "R\n"), ("no renegotiation", ""))
        self.assertRegex(shown, "(?i)no.renegotiation")
        self.assert_serves()

    def test_keys_may_be_updated_under_way(self):
        shown = self.s_client("-tls1_3", ("Verify return code", "K\n"),
                              ("KEYUPDATE", "GET /iicp/health HTTP/1.0\r\n\r\n"), ("HTTP/1.1 200", ""))
        self.assertIn("HTTP/1.1 200", shown)

    def test_early_data_is_not_offered(self):
        """It could be replayed."""
        self.assertIn("Max Early Data: 0\n", self.s_client("-tls1_3", ("Max Early Data: 0\n", "Q\n")))

    def s_client(self, version, *steps):
        """What openssl's client shows. Each step waits for its mark in that, then types a line: commands are taken only
        as the one line of a read."""
        ours, theirs = socket.socketpair()
        command = ["openssl", "s_client", "-connect", "127.0.0.1:%d" % self.port, version]
        with ours, subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as p:
            theirs.close()
            shown = ""
            for mark, line in steps:
                shown += self.until_shown(p, mark)
                if p.poll() is None:
                    ours.sendall(line.encode())
            if p.poll() is None:
                ours.shutdown(socket.SHUT_WR)
            return shown + p.communicate(timeout=TIMEOUT_S)[0].decode("utf-8", "replace")

    @staticmethod
    def until_shown(p, mark):
        """What a process writes until @mark is among it, or until its end."""
        shown = b""
        while mark.encode() not in shown and select.select([p.stdout], [], [], TIMEOUT_S)[0]:
            data = os.read(p.stdout.fileno(), 65536)
            if not data:
                break
            shown += data
        return shown.decode("utf-8", "replace")

    def test_a_handshake_in_single_bytes_succeeds(self):
        for version in (V12, V13):
            w = self.wire(version)
            w.handshake(step=1)
            self.assertEqual(w.ask(HEALTH).status, 200)

    def test_a_client_that_goes_in_the_middle_is_counted_and_forgotten(self):
        before = self.counters()["failed"]
        for part in (1, 5, 6, 50, 200):
            w = self.wire()
            with self.assertRaises(ssl.SSLWantReadError):
                w.tls.do_handshake()
            w.sock.sendall(w.output.read()[:part])
            w.close()
        wait_for(lambda: self.counters()["failed"] == before + 5, 30, "the failures to be counted")
        self.assert_serves()

    def test_a_connection_without_a_byte_is_no_failure(self):
        before = self.counters()["failed"]
        with Client(self.port) as c:
            c.half_close()
            self.assertTrue(c.closed())
        self.assertEqual(self.counters()["failed"], before)

    def test_garbage_ends_the_connection(self):
        for junk in (b"\0" * 64, b"\xff" * 4096, b"\x16\x03\x01\xff\xff" + b"\x01" * 300, b"\x80\x2e\x01\x00\x02" * 30,
                     b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", b"\x17\x03\x03\x00\x10" + b"x" * 16, os.urandom(3000)):
            if 65 <= junk[0] <= 90:
                junk = b"\0" + junk
            with Client(self.port) as c:
                c.send_lossy(junk)
                self.assert_ends(c)
        self.assert_serves()

    def assert_ends(self, c):
        """An alert may come first."""
        try:
            while True:
                c._more()
        except Closed:
            pass

    def test_a_hello_beyond_all_measure_is_cut(self):
        record = b"\x16\x03\x01\x40\x00"
        with Client(self.port) as c:
            c.send_lossy(record + b"\x01\x01\xff\x00" + b"\x03\x03" + b"\0" * (16384 - 6))
            for _ in range(7):
                c.send_lossy(record + b"\0" * 16384)
            self.assert_ends(c)
        self.assert_serves()

    def test_plain_http_is_answered_in_plain_words(self):
        for request in (HEALTH, b"G", post_task(ECHO, "x" * 100000)):
            with Client(self.port) as c:
                c.send_lossy(request)
                status, headers = c._head()
                self.assertEqual((status, headers["connection"]), (400, "close"))
                self.assertEqual(c._body(status, headers, False), b"this port speaks TLS\n")

    def test_tls_on_the_plain_port_disturbs_nobody(self):
        with self.assertRaises(ssl.SSLError):
            TlsClient(self.g.port, self.context()).close()
        self.assertEqual(self.g.ask(HEALTH).status, 200)

    def test_both_ports_serve_side_by_side(self):
        with self.g.client() as plain, self.tls() as secret:
            for _ in range(20):
                self.assertEqual(plain.ask(HEALTH).status, 200)
                self.assertEqual(secret.ask(HEALTH).status, 200)


@variants()
class Deadlines(Secured):
    tls_flags = ("--timeout.header_ms=2500",)

    def test_who_does_not_finish_the_handshake_in_time_is_cut(self):
        w = self.wire()
        with self.assertRaises(ssl.SSLWantReadError):
            w.tls.do_handshake()
        hello = w.output.read()
        for sent in (b"", hello[:1], hello[:-1]):
            with Client(self.port) as c:
                c.send(sent)
                self.assertTrue(c.closed())

    def test_a_handshake_in_time_lifts_the_deadline(self):
        with self.tls() as c:
            time.sleep(3)
            self.assertEqual(c.ask(HEALTH).status, 200)

    def test_a_refused_client_that_stays_is_cut_too(self):
        with Client(self.port) as c:
            c.send(HEALTH)
            self.assertEqual(c._head()[0], 400)
            c.unread = b""
            self.assertGreaterEqual(self.counters()["failed"], 1)
            wait_for(lambda: self.open_connections() <= 1, 30, "the connection to be given up")

    def open_connections(self):
        text = self.g.ask(get("/metrics", "Connection: close")).body.decode()
        return int(re.search(r"^taskgate_connections_open (\d+)$", text, re.M).group(1))


@variants(modes=("inline", "thread"))
class Data(Secured):
    def test_a_task_is_answered(self):
        for version in (V12, V13):
            with self.tls(version) as c:
                answer = c.ask(post_task(ECHO, {"a": [1, 2]}))
                self.assertEqual((answer.status, answer.json()["result"]), (200, {"a": [1, 2]}))

    def test_pipelined_tasks_are_answered_in_order(self):
        with self.tls() as c:
            c.send(b"".join(post_task(ECHO, i) for i in range(200)))
            for i in range(200):
                self.assertEqual(c.read().json()["result"], i)

    def test_texts_around_every_record_size_come_back(self):
        for version in (V12, V13):
            with self.tls(version) as c:
                for size in (1, 16000, 16383, 16384, 16385, 32768, 49151, 49152, 49153, 65536, 1 << 20, 2000000):
                    answer = c.ask(post_task(ECHO, "x" * size))
                    self.assertEqual(answer.status, 200, size)
                    self.assertEqual(answer.json()["result"], "x" * size)

    def test_a_slow_reader_gets_everything(self):
        texts = ["%06d" % i * 60000 for i in range(6)]
        with self.tls(receive_buffer=4096) as c:
            sender = threading.Thread(target=lambda: c.send(b"".join(post_task(ECHO, t) for t in texts)))
            sender.start()
            for t in texts:
                time.sleep(0.1)
                self.assertEqual(c.read().json()["result"], t)
            sender.join()

    def test_a_request_in_single_byte_records_is_understood(self):
        w = self.wire()
        w.handshake()
        for byte in post_task(ECHO, "slow"):
            w.write(bytes([byte]))
        self.assertEqual(w.read().json()["result"], "slow")

    def test_records_in_single_bytes_are_understood(self):
        for version in (V12, V13):
            w = self.wire(version)
            w.handshake()
            for text in ("a", "b" * 3000):
                w.write(post_task(ECHO, text), step=1)
                self.assertEqual(w.read().json()["result"], text)

    def test_a_record_split_anywhere_is_understood(self):
        w = self.wire()
        w.handshake()
        for at in (1, 4, 5, 6, 30, 100):
            w.tls.write(post_task(ECHO, at))
            data = w.output.read()
            w.sock.sendall(data[:at])
            time.sleep(0.02)
            w.sock.sendall(data[at:])
            self.assertEqual(w.read().json()["result"], at)

    def test_the_first_request_may_come_with_the_end_of_the_handshake(self):
        w = self.wire(V13)
        with self.assertRaises(ssl.SSLWantReadError):
            w.tls.do_handshake()
        w.flush()
        while True:
            try:
                w.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                w.input.write(w.sock.recv(1 << 16))
        w.tls.write(post_task(ECHO, "y" * 200000))
        w.flush()
        self.assertEqual(w.read().json()["result"], "y" * 200000)

    def test_close_notify_alone_still_gets_the_answer(self):
        w = self.wire()
        w.handshake()
        w.write(noop(100))
        w.say_goodbye()
        self.assertEqual(w.read().status, 200)
        self.assertTrue(w.closed() and w.ended)

    def test_an_end_of_stream_alone_still_gets_the_answer(self):
        w = self.wire()
        w.handshake()
        w.write(noop(100))
        w.half_close()
        self.assertEqual(w.read().status, 200)
        self.assertTrue(w.closed() and w.ended)

    def test_the_last_answer_is_followed_by_close_notify(self):
        for version in (V12, V13):
            w = self.wire(version)
            w.handshake()
            w.write(get("/iicp/health", "Connection: close"))
            self.assertEqual(w.read().status, 200)
            self.assertTrue(w.closed() and w.ended)

    def test_what_follows_our_close_notify_is_ignored(self):
        w = self.wire()
        w.handshake()
        w.write(get("/iicp/health", "Connection: close"))
        self.assertEqual(w.read().status, 200)
        self.assertTrue(w.closed() and w.ended)
        w.sock.sendall(b"\x17\x03\x03\x00\x10" + b"x" * 16)
        self.assert_serves()

    def test_a_broken_record_ends_the_connection_only(self):
        for version in (V12, V13):
            w = self.wire(version)
            w.handshake()
            w.tls.write(HEALTH)
            data = bytearray(w.output.read())
            data[-1] ^= 1
            w.sock.sendall(data)
            with self.assertRaisesRegex((ssl.SSLError, Closed), "BAD_RECORD_MAC|end"):
                w.read()
        self.assert_serves()

    def test_a_client_that_is_reset_frees_its_task(self):
        c = self.tls()
        c.send(noop(60000))
        self.g.wait_active(1)
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.sock.close()
        self.g.wait_active(0)

    def test_a_client_that_stops_reading_in_the_middle_of_an_answer_harms_nobody(self):
        stuck = [self.tls(receive_buffer=4096) for _ in range(8)]
        for c in stuck:
            c.send(post_task(ECHO, "z" * 1500000))
        for _ in range(20):
            self.assert_serves()
        for c in stuck:
            c.close()

    def test_two_hundred_connections_at_once(self):
        clients = [self.tls() for _ in range(200)]
        for i, c in enumerate(clients):
            c.send(post_task(ECHO, i))
        for i, c in enumerate(clients):
            self.assertEqual(c.read().json()["result"], i)
        for i, c in enumerate(reversed(clients)):
            self.assertEqual(c.ask(post_task(ECHO, [i])).json()["result"], [i])
        for c in clients:
            c.close()

    def test_connections_that_come_and_go_leave_nothing_behind(self):
        context = self.context()
        for _ in range(200):
            with TlsClient(self.port, context) as c:
                self.assertEqual(c.ask(HEALTH).status, 200)


@variants(modes=("inline", "thread"))
class EarlyEnd(Secured):
    tls_flags = ("--limits.pipeline=4",)

    def test_close_notify_behind_more_requests_than_may_wait_still_gets_all_answers(self):
        for rest in (b"", HEALTH[:10]):
            w = self.wire()
            w.handshake()
            w.tls.write(HEALTH * 21 + rest)
            w.say_goodbye()
            answers = [w.read() for _ in range(21)]
            self.assertEqual([a.closes for a in answers], [False] * 20 + [True])
            self.assertTrue(w.closed() and w.ended)


@variants()
class Draining(Secured):
    def test_what_was_accepted_is_answered_before_the_end(self):
        with self.own(*self.certificate_flags()) as g:
            c, idle = (TlsClient(tls_port(g), self.context()) for _ in range(2))
            begun = Client(tls_port(g))
            with g.accepting():
                c.send(noop(RUN_MS))
            g.signal(signal.SIGTERM)
            answer = c.read()
            self.assertEqual((answer.status, answer.closes), (200, True))
            self.assertTrue(idle.closed())
            self.assertTrue(begun.closed())
            self.assertEqual(g.wait(), 0)
            for each in (c, idle, begun):
                each.close()


@variants()
class Resumption(Secured):
    @classmethod
    def variant_flags(cls):
        return (*super().variant_flags(), "--server.workers=2")

    def session(self, context, port):
        """TLS 1.3 hands it out after the handshake: an answer must have come."""
        with TlsClient(port, context) as c:
            self.assertFalse(c.sock.session_reused)
            self.assertEqual(c.ask(HEALTH).status, 200)
            return c.sock.session

    def test_each_resumption_brings_the_next_ticket(self):
        context = self.context(V13)
        session = self.session(context, self.port)
        for _ in range(10):
            with TlsClient(self.port, context, session) as c:
                self.assertTrue(c.sock.session_reused)
                self.assertEqual(c.ask(HEALTH).status, 200)
                self.assertNotEqual(c.sock.session.id, session.id)
                session = c.sock.session

    def test_a_session_is_resumed_by_every_worker(self):
        for version in (V12, V13):
            context = self.context(version)
            session = self.session(context, self.port)
            before = self.counters()["resumed"]
            for _ in range(40):
                with TlsClient(self.port, context, session) as c:
                    self.assertTrue(c.sock.session_reused, version)
                    self.assertEqual(c.ask(HEALTH).status, 200)
            self.assertEqual(self.counters()["resumed"], before + 40)

    def test_a_forged_ticket_leads_to_a_full_handshake(self):
        context = self.context()
        with self.own(*self.certificate_flags()) as other:
            session = self.session(context, tls_port(other))
        with TlsClient(self.port, context, session) as c:
            self.assertFalse(c.sock.session_reused)
            self.assertEqual(c.ask(HEALTH).status, 200)

    def test_new_rules_for_clients_end_old_sessions(self):
        for version in (V12, V13):
            context = self.context(version)
            flags = [*self.certificate_flags(), "--tls.client_ca=" + self.authority.ca]
            with self.own(*flags, config="") as g:
                session = self.session(context, tls_port(g))
                g.write_config("[tls]\nclient_auth = 'required'\n")
                g.signal(signal.SIGHUP)
                g.wait_log("reload: new connections")
                with self.assertRaises((ssl.SSLError, Closed, OSError)):
                    with TlsClient(tls_port(g), context, session) as c:
                        c.ask(HEALTH)


@variants()
class Clients(Secured):
    def setUp(self):
        self.strangers = Authority("strangers")
        self.addCleanup(self.strangers.close)

    def gateway(self, auth):
        return self.own(*self.certificate_flags(), "--tls.client_ca=" + self.authority.ca, "--tls.client_auth=" + auth)

    def outcome(self, g, identity, version):
        context = self.context(version)
        if identity:
            context.load_cert_chain(*identity)
        try:
            with TlsClient(tls_port(g), context) as c:
                return c.ask(HEALTH).status
        except (ssl.SSLError, Closed, OSError):
            return "refused"

    def outcomes(self, auth):
        friend, stranger = self.authority.issue("friend"), self.strangers.issue("stranger")
        with self.gateway(auth) as g:
            found = {tuple(self.outcome(g, who, v) for who in (None, friend, stranger)) for v in (V12, V13)}
        self.assertEqual(len(found), 1, found)
        return found.pop()

    def test_required(self):
        self.assertEqual(self.outcomes("required"), ("refused", 200, "refused"))

    def test_optional(self):
        self.assertEqual(self.outcomes("optional"), (200, 200, "refused"))

    def test_none(self):
        self.assertEqual(self.outcomes("none"), (200, 200, 200))

    def known(self, g, identity, version):
        """A client that has a session, as the context and the session."""
        context = self.context(version)
        context.load_cert_chain(*identity)
        with TlsClient(tls_port(g), context) as c:
            self.assertEqual(c.ask(HEALTH).status, 200)
            return context, c.sock.session

    def resumes(self, g, context, session):
        try:
            with TlsClient(tls_port(g), context, session) as c:
                self.assertEqual(c.ask(HEALTH).status, 200)
                return c.sock.session_reused
        except (ssl.SSLError, Closed, OSError):
            return False

    def test_a_session_ends_with_the_certificate_behind_it(self):
        with self.gateway("required") as g:
            brief = self.authority.issue_for("brief", 20)
            guests = [self.known(g, brief, v) for v in (V12, V13)]
            lasting = [self.known(g, self.authority.issue("friend"), v) for v in (V12, V13)]
            wait_for(lambda: self.outcome(g, brief, V13) == "refused", 60, "the certificate to expire")
            self.assertEqual([self.resumes(g, *guest) for guest in guests], [False, False])
            self.assertEqual([self.resumes(g, *guest) for guest in lasting], [True, True])


class Live(Secured):
    """Each case has a gateway and certificate files of its own."""

    def setUp(self):
        self.second = self.authority.issue("second", RSA)
        self.live = tuple(self.authority.path("live" + end) for end in (".pem", ".key"))
        for source, to in zip((self.certificate, self.key), self.live):
            shutil.copy2(source, to)
        self.gate = self.own("--server.tls_listen=127.0.0.1:0", "--tls.certificate=" + self.live[0],
                             "--tls.key=" + self.live[1])
        self.addCleanup(self.gate.kill)
        self.live_port = tls_port(self.gate)

    def tearDown(self):
        self.gate.stop()
        super().tearDown()

    def connect(self):
        return TlsClient(self.live_port, self.context())

    def name(self):
        with self.connect() as c:
            self.assertEqual(c.ask(HEALTH).status, 200)
            return c.served_by()

    def install(self, pair):
        for source, to in zip(pair, self.live):
            replace(to, source)


@variants()
class Reload(Live):
    def test_a_signal_brings_the_new_certificate_and_keeps_connections(self):
        with self.connect() as old:
            self.assertEqual((old.ask(HEALTH).status, old.served_by()), (200, "first"))
            self.install(self.second)
            self.gate.signal(signal.SIGHUP)
            self.gate.wait_log("reload: new connections get the certificate")
            self.assertEqual(self.name(), "second")
            self.assertEqual(old.ask(HEALTH).status, 200)

    def test_a_connection_in_the_middle_of_its_handshake_survives_a_reload(self):
        w = Wire(self.live_port, self.context())
        with self.assertRaises(ssl.SSLWantReadError):
            w.tls.do_handshake()
        hello = w.output.read()
        w.sock.sendall(hello[:20])
        time.sleep(0.1)
        self.install(self.second)
        self.gate.signal(signal.SIGHUP)
        self.gate.wait_log("reload: new connections")
        w.sock.sendall(hello[20:])
        w.handshake()
        self.assertEqual(w.ask(HEALTH).status, 200)
        w.close()

    def test_a_key_that_became_readable_for_others_is_not_taken(self):
        self.install(self.second)
        os.chmod(self.live[1], 0o644)
        self.gate.signal(signal.SIGHUP)
        self.gate.wait_log("reload: tls.key: .* is open to others than its owner; chmod 0600 it; the old certificate")
        self.assertEqual(self.name(), "first")

    def test_a_file_that_vanishes_changes_nothing(self):
        os.unlink(self.live[1])
        self.gate.signal(signal.SIGHUP)
        self.gate.wait_log("reload: tls.key: cannot read .*: No such file or directory; the old certificate")
        self.assertEqual(self.name(), "first")


# The files are looked at every two seconds and must stand still from one look to the next. Those who wait for that are
# spread over two classes, which run side by side.
@variants()
class Noticed(Live):
    def test_changed_files_are_noticed_and_connections_stay(self):
        with self.connect() as old:
            self.assertEqual(old.ask(HEALTH).status, 200)
            self.install(self.second)
            self.gate.wait_log("certificate files changed: new connections get")
            self.assertEqual(self.name(), "second")
            self.assertEqual(old.ask(HEALTH).status, 200)

    def test_a_certificate_without_its_key_keeps_both_old_ones(self):
        replace(self.live[0], self.second[0])
        self.gate.wait_log("certificate files changed: tls.key: the key is not the certificate's")
        self.assertEqual(self.name(), "first")
        replace(self.live[1], self.second[1])
        self.gate.wait_log("certificate files changed: new connections get")
        self.assertEqual(self.name(), "second")


@variants()
class NoticedOnce(Live):
    def test_a_bad_file_keeps_the_old_certificate(self):
        with open(self.live[0], "w", encoding="ascii") as f:
            f.write("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
        self.gate.wait_log("certificate files changed: tls.certificate: .*; the old certificate stays in use")
        self.assertEqual(self.name(), "first")
        self.gate.signal(signal.SIGHUP)
        self.gate.wait_log("reload: tls.certificate: .*; the old certificate stays in use")
        self.assertEqual(self.name(), "first")
        complaints = self.gate.log().count("stays in use")
        time.sleep(5)
        self.assertEqual(self.gate.log().count("stays in use"), complaints, "said once, not at every look")
        self.install(self.second)
        self.gate.wait_log("certificate files changed: new connections get")
        self.assertEqual(self.name(), "second")


@variants()
class Settings(Secured):
    def test_1_3_alone_when_asked_for(self):
        with self.own(*self.certificate_flags(), "--tls.min_version=1.3") as g:
            with TlsClient(tls_port(g), self.context(V13)) as c:
                self.assertEqual(c.ask(HEALTH).status, 200)
            with self.assertRaisesRegex(ssl.SSLError, "PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL"):
                TlsClient(tls_port(g), self.context(V12)).close()

    def test_a_chain_longer_than_a_buffer_arrives_whole(self):
        chain = self.authority.path("chain.pem")
        with open(chain, "wb") as out:
            for path, times in ((self.certificate, 1), (self.authority.issue("link", RSA)[0], 48)):
                with open(path, "rb") as f:
                    out.write(f.read() * times)
        with self.own("--server.tls_listen=127.0.0.1:0", "--tls.certificate=" + chain, "--tls.key=" + self.key) as g:
            for version in (V12, V13):
                with TlsClient(tls_port(g), self.context(version)) as c:
                    self.assertEqual(c.ask(HEALTH).status, 200)

    def test_a_balancer_may_speak_before_the_handshake(self):
        flags = ("--server.proxy_protocol=true", "--server.proxy_trusted=127.0.0.0/8")
        header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n"
        with self.own(*self.certificate_flags(), *flags, "--log.level=debug") as g:
            w = Wire(tls_port(g), self.context())
            w.sock.sendall(header)
            w.handshake()
            self.assertEqual(w.ask(HEALTH).status, 200)
            w.close()

    def test_an_rsa_certificate_serves(self):
        pem, key = self.authority.issue("rsa", RSA)
        with self.own("--server.tls_listen=127.0.0.1:0", "--tls.certificate=" + pem, "--tls.key=" + key) as g:
            for version in (V12, V13):
                with TlsClient(tls_port(g), self.context(version)) as c:
                    self.assertEqual(c.ask(HEALTH).status, 200)


class Start(unittest.TestCase):
    """Files that cannot be used are refused before anything is served, in one line that says why."""

    def setUp(self):
        self.authority = Authority()
        self.addCleanup(self.authority.close)
        self.pem, self.key = self.authority.issue("first")

    def assert_refused(self, pattern, pem=None, key=None, *more):
        flags = ["--server.tls_listen=127.0.0.1:0", "--server.listen=127.0.0.1:0"]
        flags += ["--tls.certificate=" + (self.pem if pem is None else pem)]
        flags += ["--tls.key=" + (self.key if key is None else key), *more]
        for command in (["serve"], ["serve", "--check-config"]):
            code, _out, err = run_once(*command, *flags)
            self.assertGreater(code, 0, (command, err))
            self.assertRegex(err, pattern)

    def write(self, name, text, mode=0o600):
        path = self.authority.path(name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def test_a_missing_file(self):
        self.assert_refused(r"tls\.certificate: cannot read /nowhere.pem: No such file", pem="/nowhere.pem")
        self.assert_refused(r"tls\.key: cannot read /nowhere.key: No such file", key="/nowhere.key")

    def test_a_key_open_to_others(self):
        for mode in (0o640, 0o604, 0o660, 0o644):
            os.chmod(self.key, mode)
            self.assert_refused(r"tls\.key: .*first\.key is open to others than its owner; chmod 0600 it")

    def test_a_key_of_another_certificate(self):
        self.assert_refused(r"tls\.key: the key is not the certificate's", key=self.authority.issue("other")[1])

    def test_an_encrypted_key(self):
        locked = self.authority.path("locked.key")
        openssl("pkey", "-in", self.key, "-aes128", "-passout", "pass:secret", "-out", locked)
        os.chmod(locked, 0o600)
        self.assert_refused(r"tls\.key: the key is encrypted", key=locked)

    def test_files_that_hold_something_else(self):
        self.assert_refused(r"tls\.certificate: no PEM certificate", pem=self.write("empty.pem", ""))
        self.assert_refused(r"tls\.key: no PEM private key", key=self.write("empty.key", ""))
        self.assert_refused(r"tls\.certificate: no PEM certificate", pem=self.key)
        self.assert_refused(r"tls\.certificate: .* is not a plain file", pem=self.authority.folder.name)

    def test_a_weak_key(self):
        pem, key = self.authority.issue("weak", ("-newkey", "rsa:1024"))
        self.assert_refused(r"tls\.certificate: the certificate is refused: ee key too small", pem=pem, key=key)

    def test_a_client_ca_without_certificates(self):
        self.assert_refused(r"tls\.client_ca: no PEM certificate", None, None, "--tls.client_auth=required",
                            "--tls.client_ca=" + self.write("ca.pem", "nothing\n"))

    def test_keys_that_need_one_another(self):
        self.assert_refused(r"--server\.tls_listen: needs tls\.certificate", pem="")
        self.assert_refused(r"--server\.tls_listen: needs tls\.key", key="")
        self.assert_refused(r"--tls\.client_auth: needs tls\.client_ca", None, None, "--tls.client_auth=required")

    def test_a_unix_socket(self):
        code, _out, err = run_once("serve", "--server.listen=127.0.0.1:0", "--server.tls_listen=unix:/tmp/x.sock",
                                   "--tls.certificate=" + self.pem, "--tls.key=" + self.key)
        self.assertEqual(code, 78)
        self.assertIn("a Unix socket needs no TLS", err)

    def test_no_secret_shows_in_the_log(self):
        with open(self.key, encoding="ascii") as f:
            secret = "".join(f.read().split("\n")[1:3])
        g = Gateway("--server.tls_listen=127.0.0.1:0", "--tls.certificate=" + self.pem, "--tls.key=" + self.key,
                    "--log.level=debug")
        g.stop()
        self.assertNotIn(secret[:40], g.log())


if __name__ == "__main__":
    harness.main(at_once=8)
