#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs taskgate and its peers in turn under the same loads and prints medians and ratios.

Servers sit on one processor, bench-load on another. Rounds are interleaved, because a neighbour on the machine
then disturbs all of them alike. A peer that is not installed is left out, and the report says so. What is measured
is in sections.py; without a section's name only the peers are.
"""
import argparse
import datetime
import os
import resource
import statistics
import sys
import tempfile
import time

import sections
import steer
import tables
from measure import accepted_rate, count_calls, idle, measure, say
from servers import Skip, Taskgate


class Report:
    """What was found so far, and who was left out."""

    def __init__(self, args, workdir):
        self.args, self.workdir = args, workdir
        self.lines, self.skipped = [], []
        self.next_port = args.first_port

    def leave_out(self, what, why):
        line = f"{what}: {why}"
        if line not in self.skipped:
            self.skipped.append(line)
            say("left out: " + line)

    def make(self, kind):
        """A server with a port and a folder of its own; nginx keeps files there as another user."""
        home = os.path.join(self.workdir, str(self.next_port))
        os.mkdir(home)
        os.chmod(home, 0o777)
        server = kind(self.args, self.next_port, home)
        self.next_port += 1
        return server

    def wanted(self, server):
        only = self.args.only
        return not only or any(server.name == name or server.name.startswith(name + ",") for name in only.split(","))


def start_all(report, servers):
    running = []
    for server in servers:
        try:
            server.start()
            running.append(server)
        except Skip as why:
            server.stop()
            report.leave_out(server.name, why)
    return running


def one(report, section, server, load, take):
    """A result of take(), with the server started for it if it must be alone; None if there is none."""
    name, flags = load
    try:
        if section.alone:
            server.start()
        return take(report.args, server, flags)
    except Skip as why:
        report.leave_out(f"{server.name}, {name}", why)
        return None
    finally:
        if section.alone:
            server.stop()


def rounds(report, section, servers, loads):
    """{load: {server: [result]}}: all servers take their turn before the next round begins."""
    results = {name: {} for name, _ in loads}
    for number in range(1, report.args.rounds + 1):
        for load in loads:
            for server in servers:
                if not section.wants(server, load):
                    continue
                say(f"{section.key} {number}/{report.args.rounds}  {load[0]:28} {server.name}")
                found = one(report, section, server, load, measure)
                if found:
                    results[load[0]].setdefault(server.name, []).append(found)
    return results


def add_calls(report, section, servers, results):
    if "calls" not in section.columns or report.args.no_calls:
        return
    for load in section.loads:
        for server in servers:
            runs = results.get(load[0], {}).get(server.name)
            calls = runs and one(report, section, server, load, count_calls)
            if calls is not None and runs:
                runs.append({"calls": calls})


def run_section(report, section):
    loads = section.loads
    if report.args.scenarios:
        parts = [part.strip() for part in report.args.scenarios.split(",")]
        loads = [load for load in loads if any(part in load[0] for part in parts)]
    if not loads:
        return
    servers = [s for s in (report.make(kind) for kind in section.servers) if report.wanted(s)]
    try:
        running = servers if section.alone else start_all(report, servers)
        results = rounds(report, section, running, loads)
        add_calls(report, section, running, results)
    finally:
        for server in servers:
            server.stop()
    report.lines += tables.section(section, results)


def run_overload(report):
    """First what it can do, then twice that, round by round."""
    results = {}
    for name, flags, server_flags, config in sections.OVERLOADS:
        server = report.make(lambda *a: Taskgate(*a, flags=server_flags, config=config))
        try:
            server.start()
            results[name] = overload_rounds(report, server, name, flags)
        except Skip as why:
            report.leave_out("overload, " + name, why)
        finally:
            server.stop()
    report.lines += tables.overload(sections.OVERLOAD_COLUMNS, results)


def overload_rounds(report, server, name, flags):
    steps = {"peak, 64 in flight": [], "twice the peak": []}
    peak, twice = steps.values()
    depth = int(flags[flags.index("--pipeline") + 1]) if "--pipeline" in flags else 1
    for number in range(1, report.args.rounds + 1):
        say(f"overload {number}/{report.args.rounds}  {name}")
        peak.append(measure(report.args, server, [*flags, "--connections", str(64 // depth)]))
        rate = 2 * statistics.median(map(accepted_rate, peak))
        twice.append(measure(report.args, server, [*flags, "--connections", "1024", "--rate", f"{rate:.0f}"]))
    return steps


def run_idle(report):
    """Each server fresh: what an earlier load left in its pools would hide what a connection costs."""
    found = {}
    for kind in sections.PEERS.servers:
        server = report.make(kind)
        if not report.wanted(server) or "pipeline_flush" in server.name:
            continue
        try:
            server.start()
            say(f"idle  {server.name}")
            found[server.name] = idle(report.args, server)
        except Skip as why:
            report.leave_out(server.name + ", idle", why)
        finally:
            server.stop()
    report.lines += tables.idle(report.args, found)


def run_all(report):
    chosen = report.args.chosen
    for section in sections.SECTIONS:
        if section.key in chosen:
            run_section(report, section)
    if "overload" in chosen:
        run_overload(report)
    if "idle" in chosen:
        run_idle(report)


def raise_file_limit(needed):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < needed:
        sys.exit(f"compare.py: {needed - 164:,} connections need {needed:,} open files, the hard limit is {hard:,}")


KEYS = [s.key for s in sections.SECTIONS] + ["overload", "idle"]


def parse_args():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", required=True, help="folder with bench-load, ceil-uring and ceil-epoll")
    p.add_argument("--taskgate", help="the taskgate binary; without it only the peers run")
    p.add_argument("--taskgate-args", default="", help="further flags for `taskgate serve`, in one string")
    p.add_argument("--hyper", help="the hyper peer; built from Debian's crates if not given")
    for section in sections.SECTIONS:
        p.add_argument("--" + section.key, action="store_true", help=f"section: {section.title}")
    p.add_argument("--overload", action="store_true", help="section: twice the load that it can serve")
    p.add_argument("--idle", action="store_true", help="section: memory and processor time of --many idle connections")
    p.add_argument("--everything", action="store_true", help="all sections: about a quarter of an hour")
    p.add_argument("--only", help="servers to run, such as taskgate,nginx")
    p.add_argument("--scenarios", help="loads to run: part of a name, several separated by commas")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=float, default=2)
    p.add_argument("--warmup", type=float, default=0.3)
    p.add_argument("--preset", default="echo", help="request of bench-load (echo)")
    p.add_argument("--server-cpu", type=int, default=0)
    p.add_argument("--load-cpu", type=int, default=1)
    p.add_argument("--first-port", type=int, default=19480)
    p.add_argument("--steer", action="store_true", help="packets go to the processor that reads the connection (root)")
    p.add_argument("--many", type=int, default=9000, help="connections of the idle section (9000)")
    p.add_argument("--idle-seconds", type=float, default=3)
    p.add_argument("--no-calls", action="store_true", help="do not count system calls")
    p.add_argument("--out", help="write the report there as Markdown, too; a folder gets a dated name")
    args = p.parse_args()
    args.chosen = [key for key in KEYS if args.everything or getattr(args, key)] or ["peers"]
    args.load_average, args.ticks, args.began = os.getloadavg()[0], tables.ticks(), time.monotonic()
    if args.rounds < 1:
        p.error("--rounds must be at least 1")
    if args.steer and steer.refused():
        p.error("--steer: " + steer.refused())
    return args


def text_of(report):
    args = report.args
    args.minutes = (time.monotonic() - args.began) / 60
    lines = tables.heading(args, " ".join(["bench/net/compare.py"] + sys.argv[1:])) + report.lines
    if report.skipped:
        lines += ["Left out:", ""] + [f"- {s}" for s in report.skipped] + [""]
    return "\n".join(lines)


def write_out(path, text):
    if os.path.isdir(path):
        path = os.path.join(path, datetime.date.today().isoformat() + "-net.md")
    with open(path, "w") as f:
        f.write(text)
    say(f"written to {path}")


def main():
    args = parse_args()
    if {"idle", "growth", "active", "rate"} & set(args.chosen):
        raise_file_limit(max(args.many, 9000) + 164)
    with tempfile.TemporaryDirectory(prefix="taskgate-compare-") as workdir:
        os.chmod(workdir, 0o755)
        report = Report(args, workdir)
        try:
            with steer.steering(args.steer, (args.server_cpu, args.load_cpu)):
                run_all(report)
        except KeyboardInterrupt:
            say("interrupted: here is what there is")
    text = text_of(report)
    print(text)
    if args.out:
        write_out(args.out, text)
    return 0 if any(line.startswith("| ") for line in report.lines) else 1


if __name__ == "__main__":
    sys.exit(main())
