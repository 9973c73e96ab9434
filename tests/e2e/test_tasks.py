# SPDX-License-Identifier: Apache-2.0
"""What each built-in runner answers to a good task, through HTTP."""
import json
import unittest

import digits
import harness
from client import ECHO, KNN, NOOP, envelope, post, post_task
from gateway import RUNNERS
from harness import MODES, variants

PIXELS, LABELS = digits.load()


class Tasks(harness.Served):
    def result(self, intent, payload, **members):
        answer = self.g.task(intent, payload, **members)
        self.assertEqual(answer.status, 200, answer)
        return answer.json()["result"]


@variants(modes=MODES)
class Echo(Tasks):
    def test_every_json_value_comes_back_byte_for_byte(self):
        texts = ["null", "true", "0", "-0.0", "1e-400", "12345678901234567890123", '""', '"\\u0000\\ud83d\\ude00"',
                 "[]", "{}", '{"a" : [1, {"b":\tnull}]}', '"\u00e9\u4e2d\U0001f600"', '{"k":1,"k":2}']
        with self.g.client() as c:
            for text in texts:
                body = '{"task_id":"t","intent":"%s","payload":%s}' % (ECHO, text)
                answer = c.ask(post(body))
                self.assertEqual(answer.status, 200, answer)
                self.assertIn(b'"result":' + text.encode() + b',"error":null', answer.body)

    def test_texts_around_every_size_class_come_back(self):
        with self.g.client() as c:
            for size in (0, 253, 254, 255, 4093, 4094, 4095, 65533, 65534, 65535, 70000, 1 << 20, 2096500):
                text = "x" * size
                answer = c.ask(post_task(ECHO, text))
                self.assertEqual(answer.status, 200, (size, answer))
                self.assertEqual(answer.json()["result"], text)

    def test_the_answer_has_every_member_a_client_looks_for(self):
        answer = self.g.task(ECHO, {"a": 1}, task_id="id-\u00e9-\"quoted\"").json()
        self.assertEqual(answer["task_id"], "id-\u00e9-\"quoted\"")
        self.assertEqual(answer["status"], "success")
        self.assertEqual(answer["result"], {"a": 1})
        self.assertIsNone(answer["error"])
        self.assertGreaterEqual(answer["metrics"]["latency_ms"], 0)
        self.assertEqual(answer["metrics"]["tokens_used"], 0)
        self.assertEqual(answer["model_used"], "echo")
        self.assertEqual(answer["usage"], {"total_tokens": 0})
        self.assertIs(answer["generated_by_ai"], True)

    def test_unknown_members_and_null_ones_are_ignored(self):
        self.assertEqual(self.result(ECHO, 5, extra={"deep": [1]}, auth=None, constraints=None, nonce=None,
                                     iicp_conf=None, trace={"trace_id": "x"}, source_node_id="n"), 5)

    def test_a_null_payload_is_a_payload(self):
        self.assertIsNone(self.result(ECHO, None))

    def test_json_types_with_parameters_and_other_case_are_json(self):
        for line in ("Content-Type: application/json; charset=utf-8", "content-type:APPLICATION/JSON",
                     "Content-Type:\tapplication/json ;x=y", "Content-Encoding: identity"):
            with self.subTest(line):
                self.assertEqual(self.g.ask(post_task(ECHO, 1, line)).status, 200)

    def test_a_missing_content_type_is_taken_for_json(self):
        body = envelope(ECHO, 1)
        request = "POST /v1/task HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        self.assertEqual(self.g.ask(request.encode()).status, 200)

    def test_a_query_behind_the_path_changes_nothing(self):
        body = envelope(ECHO, 1)
        self.assertEqual(self.g.ask(post(body, path="/v1/task?x=/y&z")).status, 200)


@variants(modes=MODES)
class Noop(Tasks):
    def test_it_takes_the_time_it_is_told_and_says_so(self):
        answer = self.g.task(NOOP, {"sleep_ms": 60}).json()
        self.assertEqual(answer["result"], {"slept_ms": 60})
        self.assertGreaterEqual(answer["metrics"]["latency_ms"], 60)

    def test_without_a_time_it_answers_at_once(self):
        self.assertEqual(self.result(NOOP, {}), {"slept_ms": 0})

    def test_every_class_of_service_is_served(self):
        for qos in ("realtime", "interactive", "batch", "best_effort", "best-effort", "whatever", ""):
            with self.subTest(qos):
                self.assertEqual(self.result(NOOP, {}, constraints={"qos": qos}), {"slept_ms": 0})


class AskingDigits(Tasks):
    def ask_all(self, rows, k, per_task):
        """Results for these rows of the file, several vectors a task, the tasks pipelined over two connections."""
        groups = [rows[i:i + per_task] for i in range(0, len(rows), per_task)]
        results = {}
        with self.g.client() as a, self.g.client() as b:
            pairs = [(group, (a, b)[i % 2]) for i, group in enumerate(groups)]
            for start in range(0, len(pairs), 16):
                window = pairs[start:start + 16]
                for group, c in window:
                    c.send(post_task(KNN, self.payload(group, k), constraints={"timeout_ms": 60000}))
                for group, c in window:
                    results.update(zip(group, self.results_of(c.read())))
        return results

    @staticmethod
    def payload(group, k):
        if len(group) == 1:
            return {"vector": PIXELS[group[0]], "k": k}
        return {"vectors": [PIXELS[i] for i in group], "k": k}

    def results_of(self, answer):
        self.assertEqual(answer.status, 200, answer)
        result = answer.json()["result"]
        return result["results"] if "results" in result else [result]

    def right(self, results):
        return sum(one["label"] == LABELS[row] for row, one in results.items())


@variants(modes=MODES)
class Digits(AskingDigits):
    def test_with_1000_resident_767_of_797_are_right_by_the_nearest(self):
        self.assertEqual(self.right(self.ask_all(range(1000, 1797), 1, 64)), 767)

    def test_with_1000_resident_766_of_797_are_right_by_the_nearest_three(self):
        self.assertEqual(self.right(self.ask_all(range(1000, 1797), 3, 50)), 766)

    def test_one_vector_a_task_gives_the_same_answers(self):
        rows = range(1000, 1797)
        one_by_one = self.ask_all(rows, 3, 1)
        self.assertEqual(self.right(one_by_one), 766)
        self.assertEqual(one_by_one, self.ask_all(rows, 3, 63))

    def test_neighbours_are_those_a_plain_search_finds(self):
        rows = [1000, 1234, 1796]
        for row, result in self.ask_all(rows, 7, 3).items():
            order = sorted(range(1000), key=lambda i, row=row: (digits.distance_squared(PIXELS[i], PIXELS[row]), i))
            self.assertEqual([n["index"] for n in result["neighbors"]], order[:7])
            self.assertEqual([n["label"] for n in result["neighbors"]], [LABELS[i] for i in order[:7]])
            for n in result["neighbors"]:
                exact = digits.distance_squared(PIXELS[n["index"]], PIXELS[row]) ** 0.5
                self.assertAlmostEqual(n["distance"], exact, delta=exact * 1e-6)
            self.assertEqual(result["label"], digits.vote([LABELS[i] for i in order[:7]]))

    def test_as_many_neighbours_as_allowed(self):
        result = self.result(KNN, {"vector": PIXELS[1500], "k": 128})
        self.assertEqual(len({n["index"] for n in result["neighbors"]}), 128)


@variants()
class DigitsLeaveOneOut(AskingDigits):
    config = RUNNERS.replace('rows = "1-1000"', 'rows = "all"')

    def left_out(self, row, result, k):
        others = [n["label"] for n in result["neighbors"] if n["index"] != row]
        return digits.vote(others[:k])

    def test_leaving_one_out_1776_are_right_by_the_nearest_and_1777_by_three(self):
        results = self.ask_all(range(1797), 4, 64)
        self.assertEqual(len(results), 1797)
        right = [sum(self.left_out(row, r, k) == LABELS[row] for row, r in results.items()) for k in (1, 3)]
        self.assertEqual(right, [1776, 1777])


class ConfidentialTasks(harness.Served, unittest.TestCase):
    def test_they_are_refused_by_the_codes_clients_expect(self):
        sealed = {"task_id": "t", "intent": ECHO, "iicp_conf": {"version": 1}}
        self.assert_error(self.g.ask(post(json.dumps(sealed))), 400, "IICP-CX-01")
        answer = self.g.task(ECHO, 1, cx_response_encryption="required")
        self.assert_error(answer, 400, "IICP-CX-03")


if __name__ == "__main__":
    harness.main()
