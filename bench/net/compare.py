#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs taskgate and its peers in turn under the same loads and prints medians and ratios.

Servers sit on one processor, bench-load on another. Rounds are interleaved, because a neighbour on the machine
then disturbs all of them alike. A peer that is not installed is left out, and the report says so.
"""
import argparse
import datetime
import json
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ANSWER = ('{"task_id":"00000000-0000-4000-8000-000000000000","status":"completed",'
          '"result":{"text":"ping 01234"},"metrics":{"queue_us":3,"run_us":1}}')

# name, bench-load flags
SCENARIOS = [
    ("1 connection", ["--connections", "1"]),
    ("64 connections", ["--connections", "64"]),
    ("1,024 connections", ["--connections", "1024"]),
    ("16 x 16 pipelined", ["--connections", "16", "--pipeline", "16"]),
    ("open loop 20k/s", ["--connections", "64", "--rate", "20000"]),
    ("open loop 50k/s", ["--connections", "64", "--rate", "50000"]),
]
MANY = ("{n:,} active", ["--connections", "{n}", "--timeout", "30"])


class Skip(Exception):
    """Why a peer does not take part."""


class Server:
    """A process to measure: started pinned, found by its port, stopped at the end."""

    name = "?"

    def __init__(self, args, port, workdir):
        self.args, self.port, self.workdir = args, port, workdir
        self.process = None
        self.log = None

    def command(self):
        raise NotImplementedError

    def start(self):
        argv = self.command()
        if not shutil.which(argv[0]):
            raise Skip(f"{argv[0]} is not there")
        self.log = open(os.path.join(self.workdir, self.name + ".log"), "w+b")
        self.process = subprocess.Popen(["taskset", "-c", str(self.args.server_cpu)] + argv,
                                        stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 10
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Skip("did not start: " + self.last_words())
            time.sleep(0.05)

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.5).close()
            return True
        except OSError:
            return False

    def last_words(self):
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def pids(self):
        """The process and all below it: nginx and HAProxy serve from children."""
        found = [self.process.pid]
        for pid in found:
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/children") as f:
                        found += [int(child) for child in f.read().split()]
            except OSError:
                pass
        return found

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.log:
            self.log.close()


class Taskgate(Server):
    name = "taskgate"

    def command(self):
        if not self.args.taskgate:
            raise Skip("no --taskgate given")
        return [self.args.taskgate, "serve", f"--server.listen=127.0.0.1:{self.port}",
                "--server.workers=1"] + self.args.taskgate_args.split()


class Ceil(Server):
    def __init__(self, kind, *rest):
        super().__init__(*rest)
        self.name = "ceil-" + kind

    def command(self):
        return [os.path.join(self.args.bin, self.name), "--port", str(self.port)]


class Nginx(Server):
    name = "nginx"

    def command(self):
        conf = os.path.join(self.workdir, "nginx.conf")
        with open(conf, "w") as f:
            f.write(f"""worker_processes 1;
daemon off;
pid {self.workdir}/nginx.pid;
error_log {self.workdir}/nginx-error.log crit;
worker_rlimit_nofile 65536;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    client_body_temp_path {self.workdir}/body;
    proxy_temp_path {self.workdir}/proxy;
    fastcgi_temp_path {self.workdir}/fastcgi;
    uwsgi_temp_path {self.workdir}/uwsgi;
    scgi_temp_path {self.workdir}/scgi;
    default_type application/json;
    server {{
        listen 127.0.0.1:{self.port} backlog=4096;
        location / {{ return 200 '{ANSWER}'; }}
    }}
}}
""")
        return ["nginx" if shutil.which("nginx") else "/usr/sbin/nginx", "-p", self.workdir, "-c", conf]


class Haproxy(Server):
    name = "haproxy"

    @staticmethod
    def connections_max():
        """It wants two files for each connection and will not start if the limit is lower."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        return min(20000, hard // 2 - 100) if hard != resource.RLIM_INFINITY else 20000

    def command(self):
        conf = os.path.join(self.workdir, "haproxy.cfg")
        body = os.path.join(self.workdir, "answer.json")
        with open(body, "w") as f:
            f.write(ANSWER)
        with open(conf, "w") as f:
            f.write(f"""global
    nbthread 1
    maxconn {self.connections_max()}
defaults
    mode http
    timeout client 3600s
    timeout http-keep-alive 3600s
frontend f
    bind 127.0.0.1:{self.port} backlog 4096
    http-request return status 200 content-type application/json file {body}
""")
        return ["haproxy" if shutil.which("haproxy") else "/usr/sbin/haproxy", "-db", "-f", conf]


def bench_command(args, server, flags, seconds, pid_list):
    return [os.path.join(args.bin, "bench-load"), "--json", "--cpu", str(args.load_cpu), "--preset", args.preset,
            "--duration", str(seconds), "--warmup", str(args.warmup), "--server-pid", pid_list,
            *flags, f"http://127.0.0.1:{server.port}"]


def measure(args, server, flags):
    """One run of bench-load. It exits 1 when answers were wrong: that is a result to report, not to hide."""
    pid_list = ",".join(map(str, server.pids()))
    done = subprocess.run(bench_command(args, server, flags, args.seconds, pid_list), capture_output=True, text=True)
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise Skip("bench-load: " + (done.stderr.strip() or f"exit status {done.returncode}")) from None


def pss_bytes(pids):
    """Memory of the processes, shared pages divided among those who share them."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            total += sum(int(line.split()[1]) * 1024 for line in f if line.startswith("Pss:"))
    return total


def idle(args, server):
    """Holds many connections that each made one request, and reads memory and processor time meanwhile."""
    pid_list = ",".join(map(str, server.pids()))
    before = pss_bytes(server.pids())
    flags = ["--connections", str(args.many), "--active", "0", "--touch-idle", "--timeout", "30"]
    load = subprocess.Popen(bench_command(args, server, flags, args.idle_seconds, pid_list),
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


def median_of(runs):
    """One figure of each kind from several runs; errors add up, since one bad round matters."""
    def pick(get):
        return statistics.median(get(run) for run in runs)

    return {"rps": pick(lambda r: r["requests_per_s"]),
            "cpu": pick(lambda r: r["server"]["cpu_us_per_request"]),
            "p50": pick(lambda r: r["latency_us"]["p50"]),
            "p99": pick(lambda r: r["latency_us"]["p99"]),
            "p999": pick(lambda r: r["latency_us"]["p99.9"]),
            "spread": (max(r["requests_per_s"] for r in runs) - min(r["requests_per_s"] for r in runs)),
            "errors": sum(map(error_count, runs)), "rounds": len(runs)}


def all_servers(args, workdir):
    port = args.first_port
    kinds = [lambda *a: Taskgate(*a), lambda *a: Ceil("uring", *a), lambda *a: Ceil("epoll", *a),
             lambda *a: Nginx(*a), lambda *a: Haproxy(*a)]
    servers = []
    for i, kind in enumerate(kinds):
        home = os.path.join(workdir, str(i))
        os.mkdir(home)
        # A server that runs as another user keeps its temporary files in there, too.
        os.chmod(home, 0o777)
        servers.append(kind(args, port + i, home))
    return [s for s in servers if not args.only or s.name in args.only.split(",")]


def say(text):
    print(text, file=sys.stderr, flush=True)


def run_scenarios(args, servers, scenarios, skipped):
    """{scenario: {server: [result]}}: all servers take their turn before the next round begins."""
    results = {name: {} for name, _ in scenarios}
    for round_number in range(1, args.rounds + 1):
        for name, flags in scenarios:
            for server in list(servers):
                say(f"round {round_number}/{args.rounds}  {name:20} {server.name}")
                try:
                    results[name].setdefault(server.name, []).append(measure(args, server, flags))
                except Skip as why:
                    skipped.append(f"{server.name}, {name}: {why}")
    return results


def run_idle(args, workdir, skipped):
    """Each server fresh: what an earlier load left in its pools would hide what a connection costs."""
    found = {}
    for server in all_servers(args, workdir):
        try:
            server.start()
            say(f"idle  {server.name}")
            found[server.name] = idle(args, server)
        except Skip as why:
            skipped.append(f"{server.name}, idle: {why}")
        finally:
            server.stop()
    return found


def ratio(of, to):
    return f"{of / to:.2f}" if to else "-"


def table_for(name, by_server):
    medians = {server: median_of(runs) for server, runs in by_server.items()}
    ceiling = max((m["rps"] for s, m in medians.items() if s.startswith("ceil-")), default=0)
    nginx = medians.get("nginx", {}).get("rps", 0)
    ceiling_cpu = min((m["cpu"] for s, m in medians.items() if s.startswith("ceil-")), default=0)
    lines = [f"### {name}", "",
             "| server | requests/s | spread | to nginx | to ceil | CPU us/request | CPU to ceil | p50 us | p99 us "
             "| p99.9 us | errors |",
             "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for server, m in medians.items():
        lines.append(f"| {server} | {m['rps']:,.0f} | {m['spread']:,.0f} | {ratio(m['rps'], nginx)} | "
                     f"{ratio(m['rps'], ceiling)} | {m['cpu']:.2f} | {ratio(m['cpu'], ceiling_cpu)} | {m['p50']:,.1f} | "
                     f"{m['p99']:,.1f} | {m['p999']:,.1f} | {m['errors']:,} |")
    return lines + [""]


def idle_table(args, found):
    lines = [f"### {args.many:,} idle connections, one request each", "",
             "| server | bytes of user memory per connection | resident MiB | CPU ms/s |", "|---|---:|---:|---:|"]
    for server, f in found.items():
        lines.append(f"| {server} | {f['bytes_per_conn']:,.0f} | {f['rss_bytes'] / 2**20:.1f} | "
                     f"{f['cpu_ms_per_s']:.3f} |")
    return lines + [""]


def cpu_model():
    out = subprocess.run(["lscpu"], capture_output=True, text=True).stdout
    return next((l.split(":", 1)[1].strip() for l in out.splitlines() if l.startswith("Model name")), "unknown")


def ticks():
    """(all, stolen) clock ticks of the machine since it started."""
    with open("/proc/stat") as f:
        fields = [int(x) for x in f.readline().split()[1:9]]
    return sum(fields), fields[7]


def stolen_percent(before):
    now = ticks()
    return 100 * (now[1] - before[1]) / max(1, now[0] - before[0])


def heading(args):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return ["# Network comparison", "",
            f"{now}, {cpu_model()}, {os.cpu_count()} processors, Linux {platform.release()}; server on processor "
            f"{args.server_cpu}, bench-load on {args.load_cpu}, loopback.", "",
            f"Medians of {args.rounds} interleaved rounds of {args.seconds} s after {args.warmup} s of warm-up, "
            f"preset `{args.preset}`. Ratios compare medians within this run; `ceil` is the better of the two "
            "least-work servers. Spread is the highest round minus the lowest. "
            f"Load average at the start {args.load_average:.2f}; processor time stolen from this machine while it "
            f"ran {stolen_percent(args.ticks):.1f} %.", "",
            "Command: `" + " ".join(["bench/net/compare.py"] + sys.argv[1:]) + "`", ""]


def report(args, results, idle_found, skipped):
    lines = heading(args)
    for name, by_server in results.items():
        if by_server:
            lines += table_for(name, by_server)
    if idle_found:
        lines += idle_table(args, idle_found)
    if skipped:
        lines += ["Left out:", ""] + [f"- {s}" for s in skipped] + [""]
    return "\n".join(lines)


def raise_file_limit(needed):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < needed:
        sys.exit(f"compare.py: --many {needed - 100} needs {needed} open files, the hard limit is {hard}")


def parse_args():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", required=True, help="folder with bench-load, ceil-uring and ceil-epoll")
    p.add_argument("--taskgate", help="the taskgate binary; without it only the peers run")
    p.add_argument("--taskgate-args", default="", help="further flags for `taskgate serve`, in one string")
    p.add_argument("--only", help="servers to run, such as taskgate,nginx")
    p.add_argument("--scenarios", help="scenarios to run: part of a name, several separated by commas")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=float, default=3)
    p.add_argument("--warmup", type=float, default=0.5)
    p.add_argument("--preset", default="echo", help="request of bench-load (echo)")
    p.add_argument("--server-cpu", type=int, default=0)
    p.add_argument("--load-cpu", type=int, default=1)
    p.add_argument("--first-port", type=int, default=19480)
    p.add_argument("--many", type=int, default=9000, help="connections of the idle and all-active runs (9000)")
    p.add_argument("--all-active", action="store_true", help="also a closed loop with --many connections")
    p.add_argument("--idle", action="store_true", help="also memory and processor time of --many idle connections")
    p.add_argument("--idle-seconds", type=float, default=5)
    p.add_argument("--out", help="write the report there as Markdown, too; a folder gets a dated name")
    args = p.parse_args()
    args.load_average, args.ticks = os.getloadavg()[0], ticks()
    if args.rounds < 1:
        p.error("--rounds must be at least 1")
    return args


def chosen_scenarios(args):
    scenarios = list(SCENARIOS)
    if args.all_active:
        scenarios.append((MANY[0].format(n=args.many), [f.format(n=args.many) for f in MANY[1]]))
    if args.scenarios:
        parts = args.scenarios.split(",")
        scenarios = [s for s in scenarios if any(part.strip() in s[0] for part in parts)]
    return scenarios


def start_all(servers, skipped):
    running = []
    for server in servers:
        try:
            server.start()
            running.append(server)
        except Skip as why:
            server.stop()
            skipped.append(f"{server.name}: {why}")
            say(f"left out: {server.name}: {why}")
    return running


def write_out(path, text):
    if os.path.isdir(path):
        path = os.path.join(path, datetime.date.today().isoformat() + "-net.md")
    with open(path, "w") as f:
        f.write(text)
    say(f"written to {path}")


def main():
    args = parse_args()
    if args.idle or args.all_active:
        raise_file_limit(args.many + 100)
    skipped, idle_found, results = [], {}, {}
    with tempfile.TemporaryDirectory(prefix="taskgate-compare-") as workdir:
        os.chmod(workdir, 0o755)
        loads, fresh = os.path.join(workdir, "loads"), os.path.join(workdir, "idle")
        os.mkdir(loads)
        os.mkdir(fresh)
        servers = []
        scenarios = chosen_scenarios(args)
        try:
            if scenarios:
                servers = all_servers(args, loads)
                results = run_scenarios(args, start_all(servers, skipped), scenarios, skipped)
        finally:
            for server in servers:
                server.stop()
        if args.idle:
            idle_found = run_idle(args, fresh, skipped)
    text = report(args, results, idle_found, skipped)
    print(text)
    if args.out:
        write_out(args.out, text)
    return 0 if results or idle_found else 1


if __name__ == "__main__":
    sys.exit(main())
