#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Spans of tasks, as a collector of our own receives them; and a collector that is slow, away or overrun."""
import http.server
import json
import socket
import threading
import time
import unittest

import harness
from client import ECHO, NOOP, post_task
from gateway import free_port, wait_for
from member import FRUGAL, Customer, Node

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """Takes POSTs. `status`, `delay_s` and `headers` say how it answers."""
    def __init__(self, port=0):
        self.status, self.delay_s, self.headers = 200, 0, {}
        self.requests, self.types, self.times, self.lock = [], [], [], threading.Lock()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with collector.lock:
                    collector.requests.append((self.path, body, collector.status))
                    collector.types.append(self.headers["Content-Type"])
                    collector.times.append(time.monotonic())
                time.sleep(collector.delay_s)
                try:
                    self.send_response(collector.status)
                    for name, value in collector.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", "2")
                    self.end_headers()
                    self.wfile.write(b"{}")
                except OSError:
                    pass  # it had not the patience

            def log_message(self, *unused):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *unused):
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = "http://127.0.0.1:%d" % self.port
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def spans(self):
        """Those that were taken."""
        with self.lock:
            bodies = [json.loads(body) for _path, body, status in self.requests if status == 200]
        return [span for body in bodies for r in body["resourceSpans"] for s in r["scopeSpans"] for span in s["spans"]]

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


def attributes(holder):
    return {a["key"]: a["value"]["stringValue"] for a in holder["attributes"]}


class Exported(unittest.TestCase):
    io = "epoll"

    def node(self, collector, *flags, **options):
        return Node(None, "--server.io=" + self.io, "--trace.endpoint=" + collector.url, *flags, **options)

    def test_a_span_for_each_task(self):
        with Collector() as c, self.node(c) as g:
            begin = time.time_ns()
            head = "traceparent: 00-%s-%s-01" % (TRACE, PARENT)
            answers = [g.echo("x", head, task_id="child"), g.echo("x", task_id='or"phan\u0007é'),
                       g.echo("x", "traceparent: 00-nonsense-01", task_id="odd"),
                       g.ask(post_task(NOOP, {"sleep_ms": 3000}, task_id="late", constraints={"timeout_ms": 100}))]
            self.assertEqual([a.status for a in answers], [200, 200, 200, 504])
            wait_for(lambda: len(c.spans()) >= 4, 30, "four spans")
            spans = {attributes(s)["iicp.task_id"]: s for s in c.spans()}
            self.assertEqual(set(spans), {"child", 'or"phan\u0007é', "odd", "late"})
            self.assertEqual((spans["child"]["traceId"], spans["child"]["parentSpanId"]), (TRACE, PARENT))
            for answer, name in zip(answers, ("child", 'or"phan\u0007é', "odd", "late")):
                self.assertEqual(answer.header("x-iicp-trace-id"), spans[name]["traceId"])
                self.assertRegex(spans[name]["spanId"], "^[0-9a-f]{16}$")
                start, end = int(spans[name]["startTimeUnixNano"]), int(spans[name]["endTimeUnixNano"])
                self.assertTrue(begin - 10**9 <= start <= end <= time.time_ns() + 10**9, (begin, start, end))
                self.assertEqual(spans[name]["name"], "iicp.task.execute")
            self.assertNotIn("parentSpanId", spans["odd"])
            self.assertEqual(len({s["spanId"] for s in spans.values()}), 4)
            self.assertGreaterEqual(int(spans["late"]["endTimeUnixNano"]) - int(spans["late"]["startTimeUnixNano"]), 90 * 10**6)
            self.assertEqual([spans[n]["status"]["code"] for n in ("child", "late")], [1, 2])
            self.assertEqual([attributes(spans[n])["iicp.intent"] for n in ("child", "late")], [ECHO, NOOP])
            path, body, _status = c.requests[0]
            resource = attributes(json.loads(body)["resourceSpans"][0]["resource"])
            self.assertEqual((path, c.types[0]), ("/v1/traces", "application/json"))
            self.assertEqual((resource["service.name"], resource["service.instance.id"]), ("taskgate", "n1"))
            g.wait_metric("taskgate_spans_exported_total", 4)
            self.assertEqual(len(c.spans()), 4)

    def test_the_variable_of_other_programs_is_understood(self):
        with Collector() as c, Node(None, "--server.io=" + self.io, env={"OTEL_EXPORTER_OTLP_ENDPOINT": c.url + "/"}) as g:
            g.echo()
            wait_for(lambda: len(c.spans()) == 1, 30, "a span")
            self.assertEqual(c.requests[0][0], "/v1/traces")

    def test_more_than_the_rate_is_counted_and_lost(self):
        with Collector() as c, self.node(c, "--trace.per_second=5") as g:
            begin = time.monotonic()
            with g.client() as client:
                client.send(b"".join(post_task(ECHO, {"text": "x"}, task_id="r%d" % i) for i in range(200)))
                for _ in range(200):
                    self.assertEqual(client.read().status, 200)
            wait_for(lambda: self.balance(g) == 200, 30, "each span to be sent or counted as lost")
            self.assertEqual(g.metric("taskgate_spans_exported_total"), len(c.spans()))
            self.assertLessEqual(g.metric("taskgate_spans_exported_total"), 5 * (2 + time.monotonic() - begin))

    def balance(self, g):
        m = g.metrics()
        return (m.get("taskgate_spans_exported_total") + m.get("taskgate_spans_dropped_total") +
                m.get("taskgate_task_events_lost_total"))


class ExportedOnUring(Exported):
    io = "io_uring"

    @classmethod
    def setUpClass(cls):
        if not harness.uring():
            raise unittest.SkipTest("io_uring is refused here")


class Trouble(unittest.TestCase):
    """Whatever the collector does, tasks do not notice."""
    def test_one_that_is_slow(self):
        with Collector() as c:
            c.delay_s = 2
            with Node(None, "--trace.endpoint=" + c.url, "--directory.timeout_ms=300") as g:
                with Customer(g):
                    g.wait_log("trace collector: ")
                    time.sleep(1)
                self.assertEqual(len(g.lines_with("trace collector")), 1)

    def test_one_that_is_away_and_comes_back(self):
        port = free_port()
        with Node(None, "--trace.endpoint=http://127.0.0.1:%d" % port) as g:
            with Customer(g):
                g.wait_log("trace collector: ")
                time.sleep(1)
                self.assertEqual(len(g.lines_with("trace collector")), 1)
                with Collector(port) as c:
                    wait_for(lambda: c.spans(), 60, "spans")
                    g.wait_log("trace collector: taking spans again")

    def test_one_that_never_answers(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            with Node(None, "--trace.endpoint=http://127.0.0.1:%d" % s.getsockname()[1], "--directory.timeout_ms=300") as g:
                with Customer(g):
                    g.wait_log("trace collector: ")

    def test_a_rate_limit_is_kept(self):
        with Collector() as c:
            c.status, c.headers = 429, {"Retry-After": "2"}
            with Node(None, "--trace.endpoint=" + c.url) as g:
                g.echo()
                g.wait_log("trace collector: answered 429")
                c.status = 200
                wait_for(lambda: len(c.spans()) == 1, 30, "the span")
                self.assertGreater(c.times[1] - c.times[0], 1.9)  # times of arrival, and so at least what was asked for
                self.assertEqual(g.metric("taskgate_spans_dropped_total"), 0)

    def test_a_refusal_for_good_costs_the_batch_and_no_more(self):
        with Collector() as c:
            c.status = 400
            with Node(None, "--trace.endpoint=" + c.url) as g:
                g.echo()
                g.wait_metric("taskgate_spans_dropped_total", 1)
                c.status = 200
                g.echo()
                wait_for(lambda: len(c.spans()) == 1, 30, "the next span")
                g.wait_metric("taskgate_spans_exported_total", 1)
                self.assertEqual(g.metric("taskgate_spans_dropped_total"), 1)

    def test_what_cannot_be_sent_is_bounded_and_counted(self):
        with Collector() as c:
            c.status = 503
            with Node(None, "--trace.endpoint=" + c.url, "--trace.per_second=1000000", env=FRUGAL) as g:
                g.echo()
                g.wait_log("trace collector: answered 503")
                with g.growth(mib=64), g.client() as client:
                    for _ in range(70):
                        client.send(post_task(ECHO, {"text": "x"}) * 100)
                        for _ in range(100):
                            self.assertEqual(client.read().status, 200)
                    g.wait_metric("taskgate_spans_dropped_total", 1)
                    wait_for(lambda: g.metric("taskgate_spans_dropped_total") + g.metric("taskgate_task_events_lost_total")
                             >= 7001 - 4096, 30, "what does not fit to be counted")


if __name__ == "__main__":
    harness.main(at_once=8)
