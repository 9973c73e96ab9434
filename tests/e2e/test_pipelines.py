# SPDX-License-Identifier: Apache-2.0
"""Many requests of one connection, and of many: answers come in order, and all of them."""
import harness
from client import ECHO, get, noop, post, post_task
from harness import MODES, variants


@variants(modes=MODES)
class Pipelines(harness.Served):
    # A lane holds some thousand rows: bursts beyond that wait, if they are of a class that may.
    flags = ("--admission.wait_ms=60000",)

    def test_answers_come_in_the_order_of_requests_whatever_each_takes(self):
        requests = [noop(120), post_task(ECHO, 0), get("/iicp/health"), get("/nowhere"), post(b"{"), noop(30),
                    get("/v1/task"), get("/iicp/health", method="HEAD"), post_task(ECHO, "x" * 70000), post_task(ECHO, 9)]
        with self.g.client() as c:
            c.send(b"".join(requests))
            statuses = [c.read(head_only=r.startswith(b"HEAD")).status for r in requests[:8]]
            self.assertEqual(statuses, [200, 200, 200, 404, 400, 200, 405, 200])
            self.assertEqual(c.read().json()["result"], "x" * 70000)
            self.assertEqual(c.read().json()["result"], 9)

    def test_200_in_one_send_are_all_answered_in_order(self):
        for pieces in (None, 7, 1000):
            data = b"".join(post_task(ECHO, i) for i in range(200))
            with self.g.client() as c:
                if pieces:
                    for at in range(0, len(data), pieces * 100):
                        c.send(data[at:at + pieces * 100])
                else:
                    c.send(data)
                self.assertEqual([c.read().json()["result"] for _ in range(200)], list(range(200)))

    def test_200_behind_a_slow_one(self):
        with self.g.client() as c:
            c.send(noop(100) + b"".join(post_task(ECHO, i) for i in range(200)))
            self.assertEqual(c.read().json()["result"], {"slept_ms": 100})
            self.assertEqual([c.read().json()["result"] for _ in range(200)], list(range(200)))

    def test_megabytes_of_answers_to_a_client_that_reads_late(self):
        text = "y" * 300000
        with self.g.client(receive_buffer=8192) as c:
            for _ in range(20):
                c.send(post_task(ECHO, text))
            self.assertEqual(self.g.task(ECHO, 1).status, 200)
            for _ in range(20):
                self.assertEqual(c.read().json()["result"], text)

    def test_answers_of_every_length_from_one_connection(self):
        """Lengths around each number of digits, each buffer size and the least that may be compressed, up and down."""
        lengths = [*range(0, 1300, 7), *range(730, 850), 3000, 3500, 3700, 9500, 9800, 16000, 70000]
        lengths = lengths + lengths[::-1] + [0, 20000, 0, 900, 1, 1100, 1]
        with self.g.client() as c:
            for n in lengths:
                answer = c.ask(post_task(ECHO, "x" * n))
                self.assertEqual(answer.json()["result"], "x" * n)
                self.assertEqual(int(answer.header("content-length")), len(answer.body))
            for at in range(0, len(lengths), 40):
                some = lengths[at:at + 40]
                c.send(b"".join(post_task(ECHO, "y" * n) for n in some))
                self.assertEqual([len(c.read().json()["result"]) for _ in some], some)

    def test_answers_of_different_kinds_in_turn(self):
        """Each has a head of its own; none takes over a line of the one before."""
        trace = "0af7651916cd43dd8448eb211c80319c"
        kinds = [(post_task(ECHO, 1), "application/json"), (get("/metrics"), "text/plain; version=0.0.4; charset=utf-8"),
                 (get("/iicp/health"), "application/json"), (get("/nowhere"), "application/json"),
                 (post_task(ECHO, 2, "traceparent: 00-%s-b7ad6b7169203331-01" % trace), "application/json")]
        with self.g.client() as c:
            for turn in range(3):
                c.send(b"".join(request for request, _ in kinds))
                answers = [c.read() for _ in kinds]
                self.assertEqual([a.header("content-type") for a in answers], [kind for _, kind in kinds])
                traces = [a.header("x-iicp-trace-id") for a in answers]
                self.assertEqual(traces[1:4] + [traces[4]], [None, None, None, trace])
                self.assertRegex(traces[0], "^[0-9a-f]{32}$")
                self.assertNotEqual(traces[0], trace)

    def test_one_byte_at_a_time(self):
        data = post_task(ECHO, "slow") + get("/nowhere") + noop(0)
        with self.g.client() as c:
            c.send_slowly(data)
            self.assertEqual([c.read().status for _ in range(3)], [200, 404, 200])

    def test_many_connections_with_many_requests_each(self):
        clients = [self.g.client() for _ in range(50)]
        for n, c in enumerate(clients):
            patient = {"qos": "interactive", "timeout_ms": 60000}
            c.send(b"".join(post_task(ECHO, [n, i], constraints=patient) for i in range(40)))
        for n, c in enumerate(clients):
            self.assertEqual([c.read().json()["result"] for _ in range(40)], [[n, i] for i in range(40)])
            c.close()


if __name__ == "__main__":
    harness.main()
