#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench-load against servers that behave, and against servers that do not: what it counts must be the truth.

Usage: smoke.py BENCH_LOAD CEIL_EPOLL CEIL_URING. Reports in TAP; checks counts and exit states, never speed.
"""
import concurrent.futures
import itertools
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

BENCH_LOAD, CEIL_EPOLL, CEIL_URING = sys.argv[1:4]


def plain(request_id, n):
    body = b'{"task_id":"' + request_id + b'"}'
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def chunked(request_id, n):
    body = b'{"task_id":"' + request_id + b'"}'
    half = len(body) // 2
    return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % half + body[:half] +
            b"\r\n%x\r\n" % (len(body) - half) + body[half:] + b"\r\n0\r\n\r\n")


def closing(request_id, n):
    answer = plain(request_id, n)
    return answer.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) if n % 10 == 9 else answer


def wrong_id(request_id, n):
    return plain(b"somebody else's" if n == 5 else request_id, n)


def busy(request_id, n):
    if n % 2 == 0:
        return plain(request_id, n)
    return b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


def garbage(request_id, n):
    return b"200 fine, thanks\r\n\r\n"


def silent(request_id, n):
    return b""


def hang_up(request_id, n):
    return None


class Peer:
    """A small server whose answers come from a function of the request's id and its number on the connection."""

    def __init__(self, answer, tls=None):
        self.answer, self.tls = answer, tls
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            conn, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        try:
            if self.tls:
                conn = self.tls.wrap_socket(conn, server_side=True)
            with conn, conn.makefile("rb") as stream:
                n = 0
                while (request_id := self.read_request(stream)) is not None:
                    answer = self.answer(request_id, n)
                    n += 1
                    if answer is None:
                        return
                    conn.sendall(answer)
                    if b"Connection: close" in answer:
                        return
        except OSError:
            pass

    @staticmethod
    def read_request(stream):
        length = 0
        while (line := stream.readline().strip()):
            if line.lower().startswith(b"content-length:"):
                length = int(line[15:])
        found = re.search(rb'"task_id":"([^"]*)"', stream.read(length)[:200])
        return found and found.group(1)


def run(port, *flags, check=0):
    done = subprocess.run([BENCH_LOAD, "--json", "--duration", "1", "--warmup", "0.1", "--connections", "4",
                           "--preset", "noop", *flags, f"http://127.0.0.1:{port}"], capture_output=True, text=True)
    assert done.returncode == check, f"exit status {done.returncode}, not {check}: {done.stderr}"
    return json.loads(done.stdout) if done.stdout else {}


def expect(result, **errors):
    """No errors but the named kinds, and each of those at least once."""
    for kind, count in result["errors"].items():
        assert (count > 0) == (kind in errors), f"{kind}: {count}"


reserved = []


def free_port():
    """One that nobody else is given meanwhile: bound without a listener. Who sets SO_REUSEADDR can listen on it."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    reserved.append(s)
    return s.getsockname()[1]


def wait_for(condition, what):
    """An end to hanging, not a limit of speed."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.02)


class Ceil:
    def __init__(self, binary):
        self.binary = binary

    def __enter__(self):
        self.port = free_port()
        self.process = subprocess.Popen([self.binary, "--port", str(self.port)])
        wait_for(self.listens, "the server to start")
        return self

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def uring_allowed():
    probe = subprocess.run([BENCH_LOAD, "--io", "uring", "--duration", "0.1", "http://127.0.0.1:1"],
                           capture_output=True, text=True)
    return "io_uring" not in probe.stderr


BACKENDS = ["epoll"] + (["uring"] if uring_allowed() else [])


def side_by_side(test, cases):
    """What comes of each. A run lasts a second, whatever it gets done in that."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda case: test(*case), cases))


def each_backend(answer, *flags, check=0):
    return side_by_side(lambda io: run(Peer(answer).port, "--io", io, *flags, check=check), zip(BACKENDS))


LOADS = (["--connections", "64"], ["--connections", "16", "--pipeline", "16", "--preset", "echo"],
         ["--rate", "500", "--connections", "256", "--arrival", "poisson"], ["--threads", "2", "--connections", "7"],
         ["--connections", "50", "--active", "3", "--touch-idle"], ["--wait", "spin", "--method", "PUT"])


def a_least_work_server_is_measured_without_errors():
    for binary, needs_uring in ((CEIL_EPOLL, False), (CEIL_URING, True)):
        if needs_uring and "uring" not in BACKENDS:
            continue
        with Ceil(binary) as server:
            side_by_side(lambda io, flags: is_measured(server, io, flags), itertools.product(BACKENDS, LOADS))


def is_measured(server, io, flags):
    result = run(server.port, "--io", io, "--verify", "--server-pid", str(server.process.pid), *flags)
    expect(result)
    assert result["status"].keys() == {"200"}, result["status"]
    assert result["requests"] > 0 and result["latency_us"]["count"] > 0
    assert result["server"]["cpu_us_per_request"] > 0 and result["server"]["rss_bytes"] > 0
    assert result["tcp_segments_per_request"] > 0


def the_open_loop_keeps_to_its_rate():
    with Ceil(CEIL_EPOLL) as server:
        result = run(server.port, "--rate", "1000", "--duration", "1")
        due = result["latency_us"]["count"] + sum(result["errors"].values())
        assert 999 <= due <= 1001, f"{due} requests were due in a second at 1000/s"


def waiting_behind_a_slow_server_counts_as_latency():
    def slow(request_id, n):
        time.sleep(0.05)
        return plain(request_id, n)

    # Twenty a second can be served; a hundred are due. Those that wait to be sent must show it.
    for result in each_backend(slow, "--connections", "1", "--rate", "100", "--duration", "1"):
        assert result["errors"]["unsent"] > 0
        assert result["latency_us"]["p50"] > 4 * result["service_us"]["p50"], result["latency_us"]


def chunked_answers_are_understood():
    for result in each_backend(chunked, "--verify", "--pipeline", "4"):
        expect(result)
        assert result["status"].keys() == {"200"}


def an_announced_close_is_followed_by_a_new_connection():
    for result in each_backend(closing):
        expect(result, reconnects=True)


def a_hang_up_loses_the_request():
    for result in each_backend(hang_up, check=1):
        expect(result, lost=True, reconnects=True)
        assert result["requests"] == 0


def another_id_is_a_mismatch_and_fails_the_run():
    for result in each_backend(wrong_id, "--verify", "--warmup", "0", "--connections", "1", check=1):
        expect(result, mismatched=True)


def statuses_are_counted_apart():
    for result in each_backend(busy):
        expect(result)
        assert result["status"].keys() == {"200", "429"}
        assert sum(result["status"].values()) == result["requests"]


def garbage_is_malformed_and_fails_the_run():
    for result in each_backend(garbage, check=1):
        assert result["errors"]["malformed"] > 0 and result["requests"] == 0


def silence_times_out():
    for result in each_backend(silent, "--timeout", "0.1", check=1):
        assert result["errors"]["timeouts"] > 0 and result["errors"]["reconnects"] > 0
        assert result["requests"] == 0


def certificate():
    """A server's side of TLS, with a key that nobody else has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        pem = os.path.join(folder, "both.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", pem, "-out", pem + ".crt", "-subj", "/CN=smoke"], check=True, capture_output=True)
        context.load_cert_chain(pem + ".crt", pem)
    return context


VERSIONS = (("1.2", "TLSv1.2"), ("1.3", "TLSv1.3"))


def tls_is_spoken_with_both_versions():
    port = Peer(plain, certificate()).port
    side_by_side(lambda *case: is_spoken(port, *case),
                 itertools.product(VERSIONS, BACKENDS, (["--pipeline", "4"], ["--rate", "200"], ["--threads", "2"])))


def is_spoken(port, version, io, flags):
    result = run(port, "--tls", "--tls-version", version[0], "--io", io, "--verify", *flags)
    expect(result)
    assert result["tls"]["version"] == version[1] and result["tls"]["suite"], result["tls"]
    assert result["requests"] > 0 and result["tls"]["handshakes"] == 0


def connections_resume_their_sessions_only_if_asked_to():
    context = certificate()
    side_by_side(lambda *case: resumes(context, *case), itertools.product(VERSIONS, BACKENDS, (True, False)))


def resumes(context, version, io, wanted):
    result = run(Peer(closing, context).port, "--tls", "--tls-version", version[0], "--io", io,
                 *(["--resume"] if wanted else []))
    expect(result, reconnects=True)
    assert result["tls"]["handshakes"] == result["opening_us"]["count"] > 0
    assert result["tls"]["resumed"] == (result["tls"]["handshakes"] if wanted else 0), result["tls"]


class Plain(Peer):
    """Does not understand a handshake, and says so in words."""

    def serve(self, conn):
        with conn:
            conn.recv(65536)
            conn.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def a_server_without_tls_is_named_as_such():
    mute = socket.create_server(("127.0.0.1", 0))  # the kernel accepts, and nobody ever says a word
    for io in BACKENDS:
        for port, patience, why in ((Plain(plain).port, "60", "TLS: wrong version number"),
                                    (mute.getsockname()[1], "1", "timed out")):
            done = subprocess.run([BENCH_LOAD, "--io", io, "--timeout", patience, "--connections", "4",
                                   f"https://127.0.0.1:{port}"], capture_output=True, text=True)
            assert done.returncode == 1 and why in done.stderr, done.stderr
    mute.close()


def refusals_are_timed_apart():
    for result in each_backend(busy):
        every, accepted, refused = (result[kind]["count"] for kind in ("latency_us", "accepted_us", "refused_us"))
        assert 0 < refused and 0 < accepted and every == accepted + refused, (every, accepted, refused)


def a_large_body_arrives_whole():
    path = f"/tmp/bench-smoke-{os.getpid()}.json"
    with open(path, "w") as f:
        f.write('{"task_id":"x-{n}","payload":{"text":"' + "x" * 1000000 + '"}}')
    try:
        for result in each_backend(plain, "--body", path, "--connections", "2", "--pipeline", "3", "--verify"):
            expect(result)
            assert result["requests"] > 0
    finally:
        os.unlink(path)


def an_interrupt_prints_what_was_measured():
    answered = []

    def answer(request_id, n):
        answered.append(n)
        return plain(request_id, n)

    load = subprocess.Popen([BENCH_LOAD, "--json", "--duration", "600", "--warmup", "0", "--connections", "4",
                             f"http://127.0.0.1:{Peer(answer).port}"], stdout=subprocess.PIPE, text=True)
    wait_for(lambda: len(answered) > 100, "some answers")
    load.send_signal(signal.SIGINT)
    out, _ = load.communicate()
    result = json.loads(out)
    assert load.returncode == 0 and result["interrupted"] and result["requests"] > 0
    assert 0 < result["seconds"] < 600


def nobody_listening_is_one_clear_line():
    done = subprocess.run([BENCH_LOAD, f"http://127.0.0.1:{free_port()}"], capture_output=True, text=True)
    assert done.returncode == 1 and "Connection refused" in done.stderr and done.stderr.count("\n") == 1, done.stderr


def help_names_every_flag_once():
    done = subprocess.run([BENCH_LOAD, "--help"], capture_output=True, text=True)
    flags = re.findall(r"^  --([a-z-]+)", done.stdout, re.M)
    assert done.returncode == 0 and len(flags) == len(set(flags)) and "connections" in flags


TESTS = [a_least_work_server_is_measured_without_errors, the_open_loop_keeps_to_its_rate,
         waiting_behind_a_slow_server_counts_as_latency, chunked_answers_are_understood,
         an_announced_close_is_followed_by_a_new_connection, a_hang_up_loses_the_request,
         another_id_is_a_mismatch_and_fails_the_run, statuses_are_counted_apart,
         garbage_is_malformed_and_fails_the_run, silence_times_out, tls_is_spoken_with_both_versions,
         connections_resume_their_sessions_only_if_asked_to, a_server_without_tls_is_named_as_such,
         refusals_are_timed_apart, a_large_body_arrives_whole,
         an_interrupt_prints_what_was_measured, nobody_listening_is_one_clear_line, help_names_every_flag_once]


def main():
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, test in enumerate(TESTS, 1):
        try:
            test()
            print(f"ok {number} - {test.__name__}", flush=True)
        except AssertionError as why:
            failed += 1
            print(f"not ok {number} - {test.__name__}\n# {why}", flush=True)
    return 1 if failed else 0


sys.exit(main())
