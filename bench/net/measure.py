# SPDX-License-Identifier: Apache-2.0
"""Single measurements: one load on one server, the system calls it makes, what silent connections cost."""
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request

from servers import Skip

COUNT_SECONDS = 0.5  # for which system calls are counted


def say(text):
    print(text, file=sys.stderr, flush=True)


def pids_of(server):
    return ",".join(map(str, server.pids()))


def bench_command(args, server, flags, seconds, warmup):
    preset = [] if "--preset" in flags else ["--preset", args.preset]
    return [os.path.join(args.bin, "bench-load"), "--json", "--cpu", str(args.load_cpu), *preset, "--duration",
            str(seconds), "--warmup", str(warmup), "--server-pid", pids_of(server), *flags, server.url()]


def result_of(done):
    """bench-load exits 1 when answers were wrong: that is a result to report, not to hide."""
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise Skip("bench-load: " + (done.stderr.strip() or f"exit status {done.returncode}")) from None


def counters(server):
    """The sums of taskgate's counters; nothing for the others."""
    if not server.name.startswith("taskgate"):
        return {}
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.plain_port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    return {name: float(value) for name, value in re.findall(r"^(taskgate_\w+_total) (\S+)$", text, re.M)}


def measure(args, server, flags):
    before = counters(server)
    command = bench_command(args, server, flags, args.seconds, args.warmup)
    result = result_of(subprocess.run(command, capture_output=True, text=True))
    result["counters"] = {name: value - before.get(name, 0) for name, value in counters(server).items()}
    return result


def connections_in(flags):
    return int(flags[flags.index("--connections") + 1])


def count_calls(args, server, flags):
    """System calls per request, by the kernel's own tracepoint in a run apart, since counting costs a little. None
    where perf or the tracepoint is missing. The connections are all open before the counting starts."""
    if not shutil.which("perf") or "Connection: close" in flags:
        return None
    delay = 0.5 + connections_in(flags) / 5000
    load = subprocess.Popen(bench_command(args, server, flags, delay + COUNT_SECONDS + 0.3, 0),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    counted = subprocess.run(["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-D", str(int(delay * 1000)),
                              "-p", pids_of(server), "--", "sleep", str(delay + COUNT_SECONDS)],
                             capture_output=True, text=True)
    out, _ = load.communicate()
    found = re.search(r"^(\d+),.*sys_enter", counted.stderr, re.M)
    if not found or load.returncode:
        return None
    return int(found.group(1)) / COUNT_SECONDS / json.loads(out)["requests_per_s"]


def pss_bytes(pids):
    """Memory of the processes, shared pages divided among those who share them."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            total += sum(int(line.split()[1]) * 1024 for line in f if line.startswith("Pss:"))
    return total


def idle(args, server):
    """Holds many connections that each made one request, and reads memory and processor time meanwhile."""
    before = pss_bytes(server.pids())
    flags = ["--connections", str(args.many), "--active", "0", "--touch-idle", "--timeout", "30"]
    load = subprocess.Popen(bench_command(args, server, flags, args.idle_seconds, args.warmup),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    held = before
    while load.poll() is None:
        time.sleep(0.25)
        if load.poll() is None:
            held = max(held, pss_bytes(server.pids()))
    out, err = load.communicate()
    if load.returncode:
        raise Skip("bench-load: " + err.strip())
    found = json.loads(out)
    return {"bytes_per_conn": (held - before) / args.many, "cpu_ms_per_s": found["server"]["cpu_ms_per_s"],
            "rss_bytes": found["server"]["rss_bytes"]}


def error_count(result):
    other = sum(n for status, n in result["status"].items() if status != "200")
    return other + sum(n for kind, n in result["errors"].items() if kind != "reconnects")


def accepted_rate(run):
    return run["status"].get("200", 0) / run["seconds"]


def refused_rate(run):
    return sum(run["status"].get(status, 0) for status in ("429", "503")) / run["seconds"]


def median_of(runs):
    """One figure of each kind from several runs; errors add up, since one bad round matters."""
    def pick(get):
        return statistics.median(get(run) for run in runs)

    def per_request(name):
        if not all(run["counters"].get("taskgate_http_requests_total") for run in runs):
            return None
        return pick(lambda r: r["counters"][name] / r["counters"]["taskgate_http_requests_total"])

    rates = [run["requests_per_s"] for run in runs]
    found = {"rps": pick(lambda r: r["requests_per_s"]), "spread": max(rates) - min(rates),
             "cpu": pick(lambda r: r["server"]["cpu_us_per_request"]),
             "segments": pick(lambda r: r.get("tcp_segments_per_request", 0)),
             "client": pick(lambda r: r["client"]["cpu_percent"]),
             "good": pick(accepted_rate), "refused": pick(refused_rate),
             "resumed": pick(lambda r: r.get("tls", {}).get("resumed", 0) / r["seconds"]),
             "shakes": pick(lambda r: r.get("tls", {}).get("handshakes", 0) / r["seconds"]),
             "turns": per_request("taskgate_worker_turns_total"),
             "sleeps": per_request("taskgate_worker_sleeps_total"),
             "errors": sum(map(error_count, runs)), "unsent": sum(r["errors"]["unsent"] for r in runs)}
    for kind in ("latency", "accepted", "refused", "opening"):
        for name, quantile in (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9")):
            found[f"{kind}_{name}"] = pick(lambda r: r[kind + "_us"][quantile])
    return found
