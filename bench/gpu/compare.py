#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""taskgate's knn runner and a PyTorch server that does the same (torch_server.py), in turn under the same loads.

Both hold the same vectors and are asked the same questions over HTTP; first their answers must agree. Servers sit on one
processor (a GPU's on what --server-cpus names), bench-load on another; rounds are interleaved. The parts are those of
bench/net.
"""
import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "net"))

import tables  # noqa: E402
import vectors  # noqa: E402
from measure import measure, median_of, say  # noqa: E402
from servers import Server, Skip, Taskgate  # noqa: E402

DIGITS = os.path.join(HERE, "..", "..", "gpu", "runners", "data", "digits.csv.gz")
KNN = "urn:iicp:intent:x.taskgate:knn:v1"
COLUMNS = ("rps", "spread", "to_peer", "cpu", "cpu_to_peer", "p50", "p99", "client", "errors")
tables.COLUMNS["to_peer"] = ("to PyTorch", tables.against("rps", "PyTorch"))
tables.COLUMNS["cpu_to_peer"] = ("CPU to PyTorch", tables.against("cpu", "PyTorch", min))


# ---- what is searched, and for what -------------------------------------------------------------------------


class Data:
    """Vectors in a file that both read, and questions as bodies, one a line."""

    def __init__(self, name, path, labels, questions, folder):
        self.name, self.path, self.labels = name, os.path.abspath(path), labels
        self.questions = [json.dumps({"task_id": "{run}-{n}", "intent": KNN, "payload": q}, separators=(",", ":"))
                          for q in questions]
        self.bodies = os.path.join(folder, "questions.jsonl")
        with open(self.bodies, "w", encoding="ascii") as f:
            f.writelines(q + "\n" for q in self.questions)


def digits(folder):
    """The first thousand are no questions: they would find themselves."""
    with gzip.open(DIGITS, "rt") as f:
        rows = [[int(x) for x in line.split(",")[:-1]] for line in f][1000:]
    return Data("digits, 1,797 x 64, k = 1", DIGITS, True, [{"vector": row, "k": 1} for row in rows], folder)


def generated(folder, rows, dim, k=10, questions=512):
    """Vectors of bytes; what is asked for lies between them."""
    source, path = random.Random(2), os.path.join(folder, "vectors.npy")
    say(f"generating {rows:,} x {dim}")
    vectors.write(path, rows, dim)
    return Data(f"generated, {rows:,} x {dim}, k = {k}", path, False,
                [{"vector": [round(source.uniform(0, 255), 2) for _ in range(dim)], "k": k} for _ in range(questions)], folder)


# ---- the two ------------------------------------------------------------------------------------------------


class Gate(Taskgate):
    start_seconds = 60

    def __init__(self, args, data, port, workdir):
        labels = "last" if data.labels else "none"
        super().__init__(args, port, workdir, flags=[f"--executor.device={args.device}"],
                         config=f'[runner.search]\ntype = "knn"\ndata = "{data.path}"\nlabels = "{labels}"\n')
        self.cpus = args.server_cpus


class Torch(Server):
    name = "PyTorch"
    start_seconds = 180  # it imports a great deal

    def __init__(self, args, data, port, workdir):
        super().__init__(args, port, workdir)
        self.cpus, self.data = args.server_cpus, data

    def command(self):
        return [self.args.python, os.path.join(HERE, "torch_server.py"), "--port", str(self.port), "--data", self.data.path,
                "--device", self.args.device, *["--labels"] * self.data.labels, *self.args.torch_args.split()]


def answer(server, question):
    body = question.replace("{n}", "0").replace("{run}", "check").encode()
    request = urllib.request.Request(server.url() + "/v1/task", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)["result"]["neighbors"]


def agree(one, other):
    """The same neighbours at the same distances; neighbours that are equally far may change places."""
    distances = [[n["distance"] for n in side] for side in (one, other)]
    near = len(one) == len(other) and all(abs(a - b) <= 1e-4 * max(1, a) for a, b in zip(*distances))
    changed = {n["index"] for n in one} ^ {n["index"] for n in other}
    tied = [n for n in one + other if n["index"] in changed]
    return near and all(abs(n["distance"] - one[-1]["distance"]) <= 1e-4 * max(1, n["distance"]) for n in tied)


def check_answers(servers, data, count):
    sample = random.Random(3).sample(data.questions, min(count, len(data.questions)))
    for question in sample:
        first, second = (answer(server, question) for server in servers)
        if not agree(first, second):
            raise Skip(f"the answers differ: {question[:120]}: {first[:2]}, {second[:2]}")
    return len(sample)


# ---- measuring ----------------------------------------------------------------------------------------------


def rounds(args, servers, data, loads):
    """{load: {server: runs}}; @loads: [(name, {server: flags})], and both take their turn before the next load begins."""
    results = {}
    for number in range(1, args.rounds + 1):
        for name, flags in loads:
            for server in servers:
                say(f"{data.name} {number}/{args.rounds}  {name:24} {server.name}")
                run = measure(args, server, [*flags[server.name], "--bodies", data.bodies, "--verify", "--timeout", "60"])
                results.setdefault(name, {}).setdefault(server.name, []).append(run)
    return results


def closed(args, servers):
    return [(f"{n} connection{'s' if n > 1 else ''}", {s.name: ["--connections", str(n)] for s in servers})
            for n in args.connections]


def half_of_peak(servers, found):
    """Each at half of what it reached: not the same load, but the same share of what it can do."""
    rate = {s.name: max(by[s.name]["rps"] for by in found.values()) / 2 for s in servers}
    name = "open loop at half of each one's peak (" + ", ".join(f"{n} {r:,.0f}/s" for n, r in rate.items()) + ")"
    return [(name, {n: ["--connections", "64", "--rate", f"{r:.1f}", "--arrival", "poisson"] for n, r in rate.items()})]


def medians(results):
    return {load: {server: median_of(runs) for server, runs in by.items()} for load, by in results.items()}


def compare(args, data, folder):
    servers = [kind(args, data, args.first_port + i, home(folder, kind.__name__)) for i, kind in enumerate((Gate, Torch))]
    try:
        for server in servers:
            say(f"starting {server.name}")
            server.start()
        checked = check_answers(servers, data, args.check)
        found = medians(rounds(args, servers, data, closed(args, servers)))
        found.update(medians(rounds(args, servers, data, half_of_peak(servers, found))))
    finally:
        for server in servers:
            server.stop()
    lines = [f"## {data.name}", "", f"{checked} answers were compared first, and agree.", ""]
    for load, rows in found.items():
        lines += [f"### {load}", ""] + tables.table("server", COLUMNS, rows)
    return lines


def home(folder, name):
    path = os.path.join(folder, name)
    os.makedirs(path)
    return path


# ---- the report ---------------------------------------------------------------------------------------------


def versions(args):
    torch = subprocess.run(["taskset", "-c", args.server_cpus, args.python, os.path.join(HERE, "torch_server.py"), "--version",
                            "--device", args.device], capture_output=True, text=True)
    return "; ".join(line for line in (tables.first_line(args.taskgate, "--version"), torch.stdout.strip()) if line)


def heading(args, command):
    shared = " **The machine was shared with other work meanwhile: believe ratios, not tails.**" if args.load_average > 1 else ""
    now = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return ["# taskgate and PyTorch: nearest neighbours", "",
            f"{now}, {tables.machine()}; device {args.device}; each server alone under load on processor(s) "
            f"{args.server_cpus}, bench-load on {args.load_cpu}, loopback. {versions(args)}.", "",
            "taskgate decodes the task, batches and searches exactly; the peer is `bench/gpu/torch_server.py`: aiohttp, dynamic "
            "batching, one matrix product and `topk` a batch, as many threads as processors. Same vectors, same questions "
            f"by turns. Medians of {args.rounds} interleaved rounds of {args.seconds} s after {args.warmup} s of warm-up. "
            f"Load average at the start {args.load_average:.2f}, at the end {os.getloadavg()[0]:.2f}; processor time stolen "
            f"{tables.stolen_percent(args.ticks):.1f} %.{shared}", "", f"Command: `{command}`", ""]


def parse_args():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", required=True, help="folder with bench-load")
    p.add_argument("--taskgate", required=True)
    p.add_argument("--python", default="python3", help="one with aiohttp, numpy and torch (bench/README.md)")
    p.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    p.add_argument("--rows", type=int, default=100000, help="of the generated vectors; 0: digits only")
    p.add_argument("--dim", type=int, default=128)
    p.add_argument("--connections", type=lambda t: [int(n) for n in t.split(",")], default=[1, 64, 256])
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=float, default=3)
    p.add_argument("--warmup", type=float, default=0.5)
    p.add_argument("--check", type=int, default=64, help="answers to compare first")
    p.add_argument("--server-cpus", default="0", help="a list such as 0-7")
    p.add_argument("--load-cpu", type=int, default=1)
    p.add_argument("--first-port", type=int, default=19680)
    p.add_argument("--taskgate-args", default="", help="further flags for `taskgate serve`, in one string")
    p.add_argument("--torch-args", default="", help="further flags for torch_server.py, in one string")
    p.add_argument("--out", help="write the report there as Markdown, too")
    args = p.parse_args()
    args.preset, args.server_cpu, args.ticks, args.load_average = "noop", args.server_cpus, tables.ticks(), os.getloadavg()[0]
    return args


def main():
    args, lines, failed = parse_args(), [], 0
    with tempfile.TemporaryDirectory(prefix="taskgate-compare-") as workdir:
        makers = [digits] + [lambda folder: generated(folder, args.rows, args.dim)] * (args.rows > 0)
        for i, make in enumerate(makers):
            folder = home(workdir, f"data{i}")
            try:
                lines += compare(args, make(folder), folder)
            except Skip as why:
                failed = 1
                lines += [f"Left out: {why}", ""]
                say(f"left out: {why}")
    text = "\n".join(heading(args, " ".join(["bench/gpu/compare.py"] + sys.argv[1:])) + lines)
    print(text)
    if args.out:
        with open(args.out, "w", encoding="utf-8") as f:
            f.write(text)
        say(f"written to {args.out}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
