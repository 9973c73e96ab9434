# SPDX-License-Identifier: Apache-2.0
"""Results as Markdown. A column is a row of the table below: its title, and how to get its cell."""
import datetime
import os
import platform
import subprocess

from measure import median_of


def ratio(of, to):
    return f"{of / to:.2f}" if of and to else "-"


def plain(key, form):
    return lambda m, others: form.format(m[key]) if m.get(key) is not None else "-"


def against(key, base, best=max):
    """The ratio to one server of the same load, or to the better of the ceilings that sleep."""
    def cell(m, others):
        found = [o[key] for name, o in others.items()
                 if name == base or base == "ceil-" and name.startswith(base) and "spinning" not in name]
        return ratio(m[key], best(found)) if found else "-"
    return cell


def to_first(key):
    return lambda m, others: ratio(m[key], next(iter(others.values()))[key])


COLUMNS = {
    "rps": ("requests/s", plain("rps", "{:,.0f}")),
    "spread": ("spread", plain("spread", "{:,.0f}")),
    "to_nginx": ("to nginx", against("rps", "nginx")),
    "to_hyper": ("to hyper", against("rps", "hyper")),
    "to_ceil": ("to ceil", against("rps", "ceil-")),
    "to_first": ("to first", to_first("rps")),
    "cpu": ("CPU us/request", plain("cpu", "{:.2f}")),
    "cpu_to_ceil": ("CPU to ceil", against("cpu", "ceil-", min)),
    "cpu_to_nginx": ("CPU to nginx", against("cpu", "nginx", min)),
    "cpu_to_first": ("CPU to first", to_first("cpu")),
    "p50": ("p50 us", plain("latency_p50", "{:,.1f}")),
    "p99": ("p99 us", plain("latency_p99", "{:,.1f}")),
    "p999": ("p99.9 us", plain("latency_p999", "{:,.1f}")),
    "calls": ("system calls/request", plain("calls", "{:.3f}")),
    "segments": ("TCP segments/request", plain("segments", "{:.2f}")),
    "turns": ("turns/request", plain("turns", "{:.3f}")),
    "sleeps": ("sleeps/request", plain("sleeps", "{:.3f}")),
    "shakes": ("handshakes/s", plain("shakes", "{:,.0f}")),
    "resumed": ("resumed/s", plain("resumed", "{:,.0f}")),
    "client": ("bench-load's core", plain("client", "{:.0f} %")),
    "good": ("accepted/s", plain("good", "{:,.0f}")),
    "good_to_first": ("to peak", to_first("good")),
    "refused": ("refused/s", plain("refused", "{:,.0f}")),
    "accepted_p50": ("accepted p50 us", plain("accepted_p50", "{:,.0f}")),
    "accepted_p99": ("accepted p99 us", plain("accepted_p99", "{:,.0f}")),
    "refused_p50": ("refused p50 us", plain("refused_p50", "{:,.0f}")),
    "refused_p99": ("refused p99 us", plain("refused_p99", "{:,.0f}")),
    "unsent": ("unsent", plain("unsent", "{:,}")),
    "errors": ("errors", plain("errors", "{:,}")),
}


def table(first_title, columns, rows):
    """@rows: {name: medians}. A column that has nothing to say in any row is left out."""
    body = {name: [COLUMNS[c][1](m, rows) for c in columns] for name, m in rows.items()}
    kept = [i for i in range(len(columns)) if any(cells[i] != "-" for cells in body.values())]
    lines = [f"| {first_title} | " + " | ".join(COLUMNS[columns[i]][0] for i in kept) + " |",
             "|---|" + "---:|" * len(kept)]
    lines += [f"| {name} | " + " | ".join(cells[i] for i in kept) + " |" for name, cells in body.items()]
    return lines + [""]


def medians(results):
    """{load: {server: runs}} to {load: {server: medians}}; the calls were counted in a run apart."""
    found = {}
    for load, by_server in results.items():
        found[load] = {}
        for server, runs in by_server.items():
            found[load][server] = median_of([r for r in runs if "calls" not in r])
            found[load][server]["calls"] = next((r["calls"] for r in runs if "calls" in r), None)
    return found


def transposed(found):
    turned = {}
    for load, by_server in found.items():
        for server, m in by_server.items():
            turned.setdefault(server, {})[load] = m
    return turned


def section(s, results):
    found = medians({load: by for load, by in results.items() if by})
    lines = [f"## {s.title}", "", s.note, ""]
    if s.by == "server":
        found = transposed(found)
    for name, rows in found.items():
        lines += [f"### {name}", ""] + table("load" if s.by == "server" else "server", s.columns, rows)
    return lines


def overload(columns, results):
    lines = ["## Twice what it can do", "", "The peak is a closed loop of 64 in flight; then an open loop offers twice "
             "as much on 1,024 connections. What finds no room is refused with 429 at once. `accepted/s` counts "
             "answers 200.",
             ""]
    for name, steps in results.items():
        lines += [f"### {name}", ""] + table("load", columns, {step: median_of(runs) for step, runs in steps.items()})
    return lines


def idle(args, found):
    lines = [f"## {args.many:,} idle connections after one request each", "",
             "| server | bytes/connection | resident MiB | CPU ms/s |", "|---|---:|---:|---:|"]
    for server, f in found.items():
        lines.append(f"| {server} | {f['bytes_per_conn']:,.0f} | {f['rss_bytes'] / 2**20:.1f} | "
                     f"{f['cpu_ms_per_s']:.3f} |")
    return lines + [""]


def cpu_model():
    out = subprocess.run(["lscpu"], capture_output=True, text=True).stdout
    return next((l.split(":", 1)[1].strip() for l in out.splitlines() if l.startswith("Model name")), "unknown")


def machine():
    return f"{cpu_model()}, {os.cpu_count()} processors, Linux {platform.release()}"


def ticks():
    """(all, stolen) clock ticks of the machine since it started."""
    with open("/proc/stat") as f:
        fields = [int(x) for x in f.readline().split()[1:9]]
    return sum(fields), fields[7]


def stolen_percent(before):
    now = ticks()
    return 100 * (now[1] - before[1]) / max(1, now[0] - before[0])


def first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return None
    return (done.stdout + done.stderr).strip().splitlines()[0] if done.returncode == 0 else None


def versions(args):
    commands = ([args.taskgate, "--version"] if args.taskgate else ["false"], ["nginx", "-v"], ["haproxy", "-v"],
                ["openssl", "version"])
    return "; ".join(line for line in (first_line(*c) for c in commands) if line)


STEERED = " with packets steered to the processor that reads the connection"


def heading(args, command):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return ["# Network comparison", "",
            f"{now}, {machine()}; server on processor "
            f"{args.server_cpu}, bench-load on {args.load_cpu}, loopback{STEERED if args.steer else ''}. {versions(args)}.", "",
            f"Medians of {args.rounds} interleaved rounds of {args.seconds} s after {args.warmup} s of warm-up, "
            f"preset `{args.preset}`. Ratios compare medians within this run. Spread is the highest round minus the "
            "lowest. System calls are counted by the kernel in a run apart; turns and sleeps come from `/metrics`. "
            f"Load average at the start {args.load_average:.2f}; processor time stolen from this machine while it "
            f"ran {stolen_percent(args.ticks):.1f} %. It took {args.minutes:.0f} minutes.", "",
            f"Command: `{command}`", ""]
