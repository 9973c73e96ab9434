#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demonstration of tools/quickstart: starts a local directory and a gateway that registers there, asks the gateway
about handwritten digits by HTTP, looks what the directory has heard of it, and measures.

Usage: quickstart_client.py --build FOLDER --port N [--once]

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
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))

import digits  # noqa: E402 (the path comes first)
from directory import HEARTBEAT_MS, Directory  # noqa: E402
from gateway import Client, Gateway, GatewayError  # noqa: E402

ROOT = os.path.dirname(HERE)
DATA = os.path.join(ROOT, "gpu", "runners", "data", "digits.csv.gz")
RESIDENT = 1000  # rows resident in the second experiment
DRAWN = [3, 1000]  # two that are easy to recognise; one that is mistaken is added
CONNECTIONS = (1, 64)
SECONDS = 2
NODE = "quickstart"
HEARD_S = 60  # for the directory to hear of every task

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
        self.line("%s %s, %s" % (self.bold("%d/5 %-10s" % (number, name)), self.good("ok"), text))

    def line(self, text=""):
        print(("\r\033[K" if self.terminal else "") + text, flush=True)

    def progress(self, text):
        if self.terminal:
            print("\r\033[K" + text, end="", flush=True)


class Show:
    def __init__(self, screen, build, state_dir):
        self.screen = screen
        self.build = build
        self.state_dir = state_dir
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
                    self.screen.progress("5/5 digits      %d of %d" % (i, len(self.pixels)))
                answers.append(digits.ask_without_itself(client, self.pixels, i, 3))
        return answers

    def split(self, k):
        """How many of the rows that are not resident get the right label."""
        with self.another("--runner.digits.rows=1-%d" % RESIDENT) as gateway:
            with Client(gateway.port) as client:
                return sum(digits.ask(client, p, k)["label"] == label
                           for p, label in zip(self.pixels[RESIDENT:], self.labels[RESIDENT:]))

    def another(self, *flags):
        """A gateway that no directory knows."""
        return Gateway(self.program, os.path.join(self.build, "another.log"), 0, self.state_dir, "--node.name=another", *flags)

    # ---- the directory ---------------------------------------------------------------------------------

    def join(self, directory, gateway):
        node = directory.wait_node(NODE, lambda n: n.get("heartbeats"), HEARD_S)
        if not node.get("heartbeats"):
            raise GatewayError("the gateway did not register at the local directory:\n" + gateway.log().rstrip())
        self.screen.step(4, "directory", "%s, where the gateway is registered as %s" % (directory.url, NODE))

    def heard(self, directory, tasks):
        """Heartbeats tell how many tasks were done, and every one's receipt earns."""
        self.screen.progress("  waiting for the next heartbeat")
        node = directory.wait_node(NODE, lambda n: n["tasks_success"] >= tasks and n["awards"] >= tasks, HEARD_S)
        self.screen.line("\n" + self.screen.bold("What the local directory has heard of it (%s shows it live)" % directory.url))
        self.screen.line("  %-12s %-24s %10s %8s %8s" % ("node", "endpoint", "heartbeats", "tasks", "credits"))
        self.screen.line("  %-12s %-24s %10d %8s %8.3f" % (node["node_id"], node["endpoint"], node["heartbeats"],
                                                         format(node["tasks_success"], ","), node["credits"]))
        if (node["tasks_success"], node["awards"]) != (tasks, tasks):
            self.fault("the directory should know of %d tasks, and of as many receipts" % tasks)

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

    def speed(self):
        """Of a gateway that is no member, since sending receipts is another's work on these processors."""
        with self.another() as gateway:
            self.speed_of(gateway.port)

    def speed_of(self, port):
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

    def run(self, gateway, directory):
        answers = self.leave_one_out(gateway.port)
        self.screen.step(5, "digits", "%s asked by HTTP" % format(len(answers), ","))
        self.draw(answers)
        self.accuracies(answers)
        self.heard(directory, len(answers))
        self.speed()
        self.try_yourself(gateway.port)


def serve(screen, gateway, directory, stop):
    screen.line("\nServing on http://127.0.0.1:%d (its log: %s), the directory on %s. Ctrl-C stops both."
                % (gateway.port, os.path.relpath(gateway.log_path), directory.url))
    while not stop.is_set():
        if gateway.process.poll() is not None:
            raise GatewayError("the gateway ended by itself:\n" + gateway.log().rstrip())
        if directory.process.poll() is not None:
            raise GatewayError("the local directory ended by itself; see " + os.path.relpath(directory.log_path))
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
    parser.add_argument("--port", type=port_number, required=True)
    return parser.parse_args()


def membership(directory):
    return ("--directory.url=" + directory.url, "--directory.allow_private=true", "--node.id=" + NODE,
            "--directory.heartbeat_ms=%d" % HEARTBEAT_MS)


def demonstrate(screen, options, stop):
    """Everything the gateways keep lies in a folder that goes with us. Returns the exit status."""
    with tempfile.TemporaryDirectory(prefix="taskgate-quickstart-") as state_dir:
        show = Show(screen, options.build, state_dir)
        with Directory(show.program, os.path.join(options.build, "directory.log")) as directory:
            return demonstrate_at(directory, show, options, stop)


def demonstrate_at(directory, show, options, stop):
    screen = show.screen
    screen.progress("3/5 gateway")
    with Gateway(show.program, os.path.join(options.build, "gateway.log"), options.port, show.state_dir,
                 *membership(directory)) as gateway:
        screen.step(3, "gateway", "http://127.0.0.1:%d, %s" % (gateway.port, gateway.summary))
        show.join(directory, gateway)
        show.run(gateway, directory)
        if show.faults:
            screen.line(screen.bad("\n%d of the things above %s wrong."
                                   % (show.faults, "is" if show.faults == 1 else "are")))
        stop.armed = True
        if not options.once:
            serve(screen, gateway, directory, stop)
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
        screen.line("\nInterrupted; gateway and directory are stopped.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
