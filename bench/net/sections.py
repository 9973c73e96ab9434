# SPDX-License-Identifier: Apache-2.0
"""What is measured: each section of the report with its servers, its loads and the columns of its table."""
from servers import Ceil, Haproxy, Hyper, Nginx, Taskgate

# Load of one table: a name and flags of bench-load.
ONE = ("1 connection", ["--connections", "1"])
SOME = ("64 connections", ["--connections", "64"])
MORE = ("1,024 connections", ["--connections", "1024"])
PIPELINED = ("16 x 16 pipelined", ["--connections", "16", "--pipeline", "16"])
OPEN = [(f"open loop {n}k/s", ["--connections", "64", "--rate", f"{n}000"]) for n in (20, 50)]
PEERS_LOADS = [ONE, SOME, MORE, PIPELINED, *OPEN]

GROWTH_IDLE = (0, 1000, 9000)
GROWTH_ACTIVE = (64, 256, 1024, 3000, 9000)

CLOSE = ["--header", "Connection: close"]
TLS_LOADS = [ONE, SOME, ("16 connections, a full handshake for each request", ["--connections", "16", *CLOSE]),
             ("16 connections, a resumed handshake for each request", ["--connections", "16", "--resume", *CLOSE])]

# What is overloaded: a device with room for 64 tasks of 10 ms, or the processor. Name, flags of bench-load, flags and
# configuration of taskgate. A task that finds no room is refused at once.
REFUSE = "--admission.wait_ms=0"
NOOP = '[runner.noop]\ntype = "noop"\nmax_batch = 1\nstreams = 64\n'
SLEEP = ('{"task_id":"{run}-0000-4000-8000-{n}","intent":"urn:iicp:intent:x.taskgate:noop:v1",'
         '"payload":{"sleep_ms":10}}')
OVERLOADS = [
    ("a device with room for 64 tasks of 10 ms", ["--body-text", SLEEP, "--path", "/v1/task"],
     [REFUSE, "--admission.max_concurrent=64"], NOOP),
    ("echo, 16 pipelined, executor inline", ["--pipeline", "16"], [REFUSE, "--admission.max_concurrent=1024"], ""),
    ("knn on the processor, executor inline", ["--preset", "knn-digits"],
     [REFUSE, "--admission.max_concurrent=64", "--executor.mode=inline"], ""),
    ("knn on the processor, executor in a thread", ["--preset", "knn-digits"],
     [REFUSE, "--admission.max_concurrent=64", "--executor.mode=thread"], ""),
]


def many(n):
    """Thousands of busy connections may wait long, and that is no failure."""
    return (f"{n:,} active", ["--connections", str(n), "--timeout", "30"])


def spread(n):
    """A rate that leaves the server time: what a connection more costs, without the queue that a closed loop makes."""
    return (f"{n:,} connections", ["--connections", str(n), "--rate", "50000", "--timeout", "30"])


def beside(n):
    return (f"64 active among {n:,} idle", ["--connections", str(64 + n), "--active", "64", "--touch-idle",
                                            "--timeout", "30"])


def variant(name, *flags, **options):
    return lambda *a: Taskgate(*a, name="taskgate, " + name, flags=flags, **options)


def ceil(kind, spin=False):
    return lambda *a: Ceil(*a, kind, spin=spin)


class Section:
    """@servers make servers, @loads are run on each. One table for each load, or with @by for each server. @alone: the
    servers are started for each measurement and stopped behind it."""

    def __init__(self, key, title, note, servers, loads, columns, by="load", alone=False):
        self.key, self.title, self.note = key, title, note
        self.servers, self.loads, self.columns = servers, loads, columns
        self.by, self.alone = by, alone

    def wants(self, server, load):
        """pipeline_flush changes nothing unless requests are pipelined."""
        return "pipeline_flush" not in server.name or "--pipeline" in load[1]


FLUSHING, STEALING = (lambda *a, word=word: Hyper(*a, word) for word in ("pipeline_flush", "multi_thread"))

USUAL = ("rps", "spread", "to_nginx", "to_hyper", "to_ceil", "cpu", "cpu_to_ceil", "p50", "p99", "p999", "calls",
         "errors")
GROWN = ("rps", "spread", "to_first", "cpu", "cpu_to_first", "p50", "p99", "p999", "calls", "segments", "errors")
LAYOUT = ("rps", "spread", "to_nginx", "cpu", "p50", "p99", "p999", "calls", "turns", "sleeps", "errors")
SECURE = ("rps", "spread", "to_nginx", "cpu", "cpu_to_nginx", "shakes", "resumed", "p50", "p99", "p999", "client",
          "errors")

PEERS = Section(
    "peers", "The same task for all", "nginx and HAProxy answer a constant and read no JSON. hyper parses the task "
    "with serde_json and answers it. The ceilings look for the id and no more. `ceil` is the better of the two.",
    [Taskgate, ceil("uring"), ceil("epoll"), Nginx, Haproxy, Hyper, FLUSHING],
    PEERS_LOADS, USUAL)

SECTIONS = [
    PEERS,
    Section("growth", "64 busy connections among idle ones", "Each idle connection made one request before. "
            "Ratios are to the first row of the same server.",
            [Taskgate, Nginx, Hyper], [beside(n) for n in GROWTH_IDLE], [c for c in GROWN if c not in ("calls", "segments")],
            by="server"),
    Section("active", "All connections busy", "Ratios are to the first row of the same server. A request and its answer are "
            "two segments, each of which carries the acknowledgement of the one before, as long as an answer takes less than "
            "40 ms; then TCP acknowledges by segments of their own. An answer later than the end of its round is in no figure, so "
            "servers that let some connections wait for seconds show it in rounds of seconds.",
            [Taskgate, ceil("uring"), Nginx, Hyper, STEALING], [many(n) for n in GROWTH_ACTIVE], GROWN, by="server"),
    Section("rate", "The same rate over more connections", "50,000 requests a second, due on a schedule. Ratios are to the "
            "first row of the same server. A connection that is silent for 40 ms acknowledges by a segment of its own. taskgate "
            "sleeps when there is nothing to do, as the others: what spins uses all of its processor.",
            [variant("power-save", "--executor.power=power-save"), ceil("uring"), Nginx, Hyper], [spread(n) for n in GROWTH_ACTIVE], GROWN, by="server"),
    Section("power", "One connection, by how a worker waits", "Each server runs alone here, for one that spins would "
            "disturb the others.",
            [variant("power-save", "--executor.power=power-save"), variant("adaptive", "--executor.power=adaptive"),
             variant("low-latency", "--executor.power=low-latency"), Nginx, Hyper, ceil("uring"),
             ceil("uring", spin=True)],
            [ONE, OPEN[0]], USUAL, alone=True),
    Section("layout", "Executor inline or in a thread, one worker or two", "Two processors means that the server "
            "shares the second one with bench-load.",
            [variant("inline", "--executor.mode=inline"), variant("thread", "--executor.mode=thread"),
             variant("thread, two processors", "--executor.mode=thread", both_cpus=True),
             variant("2 workers inline, two processors", "--executor.mode=inline", "--server.workers=2",
                     both_cpus=True),
             Nginx],
            [ONE, SOME, MORE, PIPELINED], LAYOUT),
    Section("tls", "TLS 1.3", "One P-256 certificate and TLS_AES_128_GCM_SHA256 on both sides. A client's handshake "
            "costs as much as a server's, so read the processor time: a core divided by it is what the server could do.",
            [lambda *a: Taskgate(*a, tls=True), lambda *a: Nginx(*a, tls=True)], TLS_LOADS, SECURE),
]

OVERLOAD_COLUMNS = ("rps", "good", "good_to_first", "refused", "accepted_p50", "accepted_p99", "refused_p50",
                    "refused_p99", "client", "unsent")
