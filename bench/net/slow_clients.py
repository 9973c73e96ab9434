#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Do slow clients delay others? Holds many connections that send a request one byte at a time, and measures fresh
requests beside them: each on a new connection, as a newcomer would.

Usage: slow_clients.py --taskgate BINARY [--slow 2000] [--seconds 15] [-- more flags for the gateway]
"""
import argparse
import re
import resource
import selectors
import socket
import subprocess
import threading
import time

HEAD = b"POST /v1/task HTTP/1.1\r\nHost: slow.example\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n"
FRESH = b"GET /iicp/health HTTP/1.1\r\nHost: f\r\nConnection: close\r\n\r\n"
TASK = b'{"task_id":"f","intent":"urn:iicp:intent:x.taskgate:echo:v1","payload":1}'
FRESH_TASK = (b"POST /v1/task HTTP/1.1\r\nHost: f\r\nContent-Type: application/json\r\nConnection: close\r\n"
              b"Content-Length: %d\r\n\r\n" % len(TASK)) + TASK


def start(binary, flags):
    p = subprocess.Popen([binary, "serve", "--server.listen=127.0.0.1:0", *flags], stderr=subprocess.PIPE, text=True)
    for line in p.stderr:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if found:
            threading.Thread(target=p.stderr.read, daemon=True).start()
            return p, int(found.group(1))
    raise SystemExit("the gateway did not start")


def fresh_request(port, request):
    """Milliseconds from connecting to the last byte, None if it failed."""
    began = time.perf_counter()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
            s.sendall(request)
            answer = b""
            while part := s.recv(65536):
                answer += part
    except OSError:
        return None
    return (time.perf_counter() - began) * 1000 if b" 200 OK" in answer[:20] else None


def measure(port, seconds):
    took, failed, until = [], 0, time.time() + seconds
    while time.time() < until:
        ms = fresh_request(port, FRESH_TASK if len(took) % 2 else FRESH)
        if ms is None:
            failed += 1
        else:
            took.append(ms)
        time.sleep(0.002)
    took.sort()
    return took, failed


class Slow(threading.Thread):
    """All slow clients: a byte each per second, and a look whether they were cut."""

    def __init__(self, port, count):
        super().__init__(daemon=True)
        self.socks = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
        self.born, self.cut, self.last_cut, self.over = time.time(), 0, 0.0, False

    def run(self):
        picker = selectors.DefaultSelector()
        for s in self.socks:
            s.setblocking(False)
            picker.register(s, selectors.EVENT_READ)
        body = HEAD + b" " * 400
        for i in range(len(body)):
            if self.over:
                return
            tick = time.time()
            for s in list(self.socks):
                try:
                    s.send(body[i:i + 1])
                except OSError:
                    pass
            while time.time() < tick + 1:
                for key, _ in picker.select(tick + 1 - time.time()):
                    self.answered(picker, key.fileobj)

    def answered(self, picker, s):
        try:
            s.recv(4096)
        except OSError:
            pass
        picker.unregister(s)
        self.socks.remove(s)
        s.close()
        self.cut += 1
        self.last_cut = time.time() - self.born


def show(name, took, failed):
    at = lambda q: took[min(len(took) - 1, int(q * len(took)))]
    print("%-28s %6d requests  %3d failed   p50 %6.2f  p99 %6.2f  max %6.2f ms" %
          (name, len(took), failed, at(0.5), at(0.99), took[-1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taskgate", required=True)
    parser.add_argument("--slow", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("flags", nargs="*")
    o = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, o.slow + 256), hard), hard))
    gateway, port = start(o.taskgate, o.flags)
    try:
        show("alone", *measure(port, 5))
        slow = Slow(port, o.slow)
        slow.start()
        show("beside %d slow clients" % o.slow, *measure(port, o.seconds))
        print("slow clients cut: %d of %d, the last after %.1f s" % (slow.cut, o.slow, slow.last_cut))
        slow.over = True
    finally:
        gateway.terminate()
        gateway.wait()


if __name__ == "__main__":
    main()
