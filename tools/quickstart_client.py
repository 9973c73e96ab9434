#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demonstration of tools/quickstart: starts a gateway, asks it about handwritten digits by HTTP, and measures.

Usage: quickstart_client.py --build FOLDER [--once] [--port N]

The gateway runs with its embedded configuration, in which all 1,797 digits are resident. Exit status 0 if every answer
came and every accuracy is the known one, 1 if not.
"""
import argparse
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))

import digits  # noqa: E402 (the path comes first)
from gateway import Client, Gateway, GatewayError  # noqa: E402

ROOT = os.path.dirname(HERE)
DATA = os.path.join(ROOT, "gpu", "runners", "data", "digits.csv.gz")
RESIDENT = 1000  # rows resident in the second experiment
DRAWN = [3, 1000]  # two that are easy to recognise; one that is mistaken is added
CONNECTIONS = (1, 64)
SECONDS = 2

# What exact nearest neighbours give on these digits: known beforehand, so a wrong figure is a fault of ours.
KNOWN = {("loo", 1): 1776, ("loo", 3): 1777, ("split", 1): 767, ("split", 3): 766}


class Screen:
    """Colour and progress on a terminal, plain lines elsewhere."""

    def __init__(self):
        self.terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.colour = self.terminal and not os.environ.get("NO_COLOR")
        sys.stdout.reconfigure(errors="replace")

    def paint(self, code, text):
        return "\033[%sm%s\033[0m" % (code, text) if self.colour else text

    def good(self, text):
        return self.paint("32", text)

    def bad(self, text):
        return self.paint("31", text)

    def bold(self, text):
        return self.paint("1", text)

    def step(self, number, name, text):
        self.line("%s %s, %s" % (self.bold("%d/4 %-10s" % (number, name)), self.good("ok"), text))

    def line(self, text=""):
        print(("\r\033[K" if self.terminal else "") + text, flush=True)

    def progress(self, text):
        if self.terminal:
            print("\r\033[K" + text, end="", flush=True)


class Show:
    def __init__(self, screen, build):
        self.screen = screen
        self.build = build
        self.program = os.path.join(build, "gateway", "taskgate")
        self.pixels, self.labels = digits.load(DATA)
        self.faults = 0

    def fault(self, text):
        self.faults += 1
        self.screen.line(self.screen.bad("wrong: ") + text)

    # ---- asking ----------------------------------------------------------------------------------------

    def leave_one_out(self, port):
        """For each digit its three nearest neighbours, itself left out."""
        answers = []
        with Client(port) as client:
            for i in range(len(self.pixels)):
                if i % 100 == 0:
                    self.screen.progress("4/4 digits      %d of %d" % (i, len(self.pixels)))
                answers.append(digits.ask_without_itself(client, self.pixels, i, 3))
        return answers

    def split(self, k):
        """How many of the rows that are not resident get the right label."""
        log = os.path.join(self.build, "split.log")
        with Gateway(self.program, log, 0, "--runner.digits.rows=1-%d" % RESIDENT) as gateway:
            with Client(gateway.port) as client:
                return sum(digits.ask(client, p, k)["label"] == label
                           for p, label in zip(self.pixels[RESIDENT:], self.labels[RESIDENT:]))

    # ---- showing ---------------------------------------------------------------------------------------

    def draw_one(self, index, neighbors):
        says = digits.vote([n["label"] for n in neighbors])
        right = says == self.labels[index]
        mark = self.screen.good("✓ right") if right else self.screen.bad("✗ wrong")
        self.screen.line("\nDigit %d of the file is a %d. Its neighbours say %s: %s"
                         % (index + 1, self.labels[index], self.screen.bold(says), mark))
        beside = [(self.pixels[n["index"]], "%d, at %.1f" % (n["label"], n["distance"])) for n in neighbors]
        for line in digits.draw_beside((self.pixels[index], "asked"), beside):
            self.screen.line("  " + line)

    def draw(self, answers):
        mistaken = [i for i, a in enumerate(answers) if digits.vote([n["label"] for n in a]) != self.labels[i]]
        for i in DRAWN + mistaken[:1]:
            self.draw_one(i, answers[i])

    def accuracy(self, what, experiment, k, correct, total):
        known = KNOWN[experiment, k]
        verdict = self.screen.good("as known") if correct == known else self.screen.bad("should be %d" % known)
        self.screen.line("  %-43s k=%d   %5s of %5s   %5.2f %%   %s" %
                         (what, k, format(correct, ","), format(total, ","), 100 * correct / total, verdict))
        self.faults += correct != known

    def accuracies(self, answers):
        self.screen.line("\n" + self.screen.bold("Accuracy, every answer by HTTP"))
        for k in (1, 3):
            correct = sum(digits.vote([n["label"] for n in a[:k]]) == label for a, label in zip(answers, self.labels))
            self.accuracy("each digit among all others", "loo", k, correct, len(answers))
        for k in (1, 3):
            self.screen.progress("  asking a second gateway")
            self.accuracy("rows 1-%d resident, rows %d-%d asked" % (RESIDENT, RESIDENT + 1, len(self.labels)),
                          "split", k, self.split(k), len(self.labels) - RESIDENT)

    # ---- measuring -------------------------------------------------------------------------------------

    def measure(self, port, connections):
        command = [os.path.join(self.build, "bench", "bench-load"), "--preset", "knn-digits", "--digits", DATA,
                   "--connections", str(connections), "--duration", str(SECONDS), "--warmup", "0.5", "--json",
                   "127.0.0.1:%d" % port]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise GatewayError("bench-load failed:\n" + done.stdout + done.stderr)
        report = json.loads(done.stdout)
        if set(report["status"]) != {"200"}:
            self.fault("under load, answers were %s" % report["status"])
        return report

    def speed(self, port):
        self.screen.line("\n" + self.screen.bold("Speed: digits asked by bench-load on this machine's %d processors, one"
                                                  % os.cpu_count()))
        self.screen.line(self.screen.bold("digit a request, %d s each" % SECONDS))
        self.screen.line("  connections   requests/s       p50        p99")
        for n in CONNECTIONS:
            self.screen.progress("  measuring with %d connection%s" % (n, "" if n == 1 else "s"))
            report = self.measure(port, n)
            latency = report["latency_us"]
            self.screen.line("  %11d   %10s   %7s us %7s us" % (n, format(round(report["requests_per_s"]), ","),
                             format(round(latency["p50"]), ","), format(round(latency["p99"]), ",")))

    # ---- trying ----------------------------------------------------------------------------------------

    def examples(self, port):
        """(what it shows, the command, what its output holds)"""
        url = "http://127.0.0.1:%d" % port
        post = "curl -s %s/v1/task -H 'Content-Type: application/json' -d" % url
        pixels = ",".join(map(str, self.pixels[DRAWN[0]]))
        task = "'{\"task_id\":\"%s\",\"intent\":\"urn:iicp:intent:x.taskgate:%s:v1\",\"payload\":%s}'"
        return [
            ("echo", "%s \\\n  %s" % (post, task % ("e1", "echo", '{"text":"hello"}')), '"hello"'),
            ("the digit drawn first", "%s \\\n  %s" % (post, task % ("k1", "knn", '{"k":3,"vector":[%s]}' % pixels)),
             '"label":3'),
            ("a mistake, and how it is answered", "%s \\\n  %s" % (post, task % ("k2", "knn", '{"vector":[1,2]}')),
             '"field":"payload.vector"'),
            ("health", "curl -s %s/iicp/health" % url, '"status":"ok"'),
            ("metrics", "curl -s %s/metrics" % url, "taskgate_uptime_seconds"),
        ]

    def try_yourself(self, port):
        self.screen.line("\n" + self.screen.bold("To try it yourself"))
        for what, command, expected in self.examples(port):
            self.screen.line("\n# %s\n%s" % (what, command))
            if shutil.which("curl"):
                done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
                if done.returncode != 0 or expected not in done.stdout:
                    self.fault("this printed: %s%s" % (done.stdout, done.stderr))

    def run(self, gateway):
        answers = self.leave_one_out(gateway.port)
        self.screen.step(4, "digits", "%s asked by HTTP" % format(len(answers), ","))
        self.draw(answers)
        self.accuracies(answers)
        self.speed(gateway.port)
        self.try_yourself(gateway.port)


def serve(screen, gateway, stop):
    screen.line("\nServing on http://127.0.0.1:%d (its log: %s). Ctrl-C stops."
                % (gateway.port, os.path.relpath(gateway.log_path)))
    while not stop.is_set():
        if gateway.process.poll() is not None:
            raise GatewayError("the gateway ended by itself:\n" + gateway.log().rstrip())
        stop.wait(0.2)


class Interrupted(Exception):
    """A signal came before the demonstration was over."""


def watch_signals():
    """An event that tells of a signal to stop; before .armed is set, one interrupts whatever runs."""
    stop = threading.Event()
    stop.armed = False

    def heard(_number, _frame):
        if not stop.armed:
            raise Interrupted
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, heard)
    return stop


def port_number(text):
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError("%s is not a port, 1 to 65535" % text)
    return int(text)


def arguments():
    parser = argparse.ArgumentParser(prog="quickstart")
    parser.add_argument("--build", required=True)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--port", type=port_number, default=9484)
    return parser.parse_args()


def demonstrate(screen, options, stop):
    """The exit status."""
    show = Show(screen, options.build)
    screen.progress("3/4 gateway")
    with Gateway(show.program, os.path.join(options.build, "gateway.log"), options.port) as gateway:
        screen.step(3, "gateway", "http://127.0.0.1:%d, %s" % (gateway.port, gateway.summary))
        show.run(gateway)
        if show.faults:
            screen.line(screen.bad("\n%d of the things above %s wrong."
                                   % (show.faults, "is" if show.faults == 1 else "are")))
        stop.armed = True
        if not options.once:
            serve(screen, gateway, stop)
        clean = gateway.stop()
        screen.line("\nStopped%s." % (", every accepted task was answered" if clean else ", but not cleanly"))
    return 0 if clean and not show.faults else 1


def main():
    screen = Screen()
    options = arguments()
    stop = watch_signals()
    try:
        return demonstrate(screen, options, stop)
    except (GatewayError, OSError, http.client.HTTPException) as why:
        screen.line(screen.bad("failed: ") + (str(why) or type(why).__name__))
        return 1
    except Interrupted:
        screen.line("\nInterrupted; the gateway is stopped.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
