# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a task, and exactly what it gets: status, code, field or byte offset. It harms nobody else."""
import json

import harness
from client import ECHO, KNN, NOOP, chunk, envelope, post, post_task
from harness import variants

ZEROS = [0] * 64


def without(*names):
    body = json.loads(envelope(ECHO, 1))
    for name in names:
        del body[name]
    return post(json.dumps(body))


def knn(**payload):
    return post_task(KNN, payload)


def raw_knn(text):
    return post('{"task_id":"t","intent":"%s","payload":%s}' % (KNN, text))


def changed(index, value):
    return ZEROS[:index] + [value] + ZEROS[index + 1:]


# Name, request, status, code, field.
FIELDS = [
    ("task id missing", without("task_id"), 422, "validation_error", "task_id"),
    ("task id of another type", post_task(ECHO, 1, task_id=7), 422, "validation_error", "task_id"),
    ("task id null", post_task(ECHO, 1, task_id=None), 422, "validation_error", "task_id"),
    ("task id too long", post_task(ECHO, 1, task_id="x" * 257), 422, "validation_error", "task_id"),
    ("intent missing", without("intent"), 422, "validation_error", "intent"),
    ("intent of another type", post_task(["a"], 1), 422, "validation_error", "intent"),
    ("payload missing", without("payload"), 422, "validation_error", "payload"),
    ("body not an object", post("[1]"), 422, "validation_error", None),
    ("no member at all", post("{}"), 422, "validation_error", "task_id"),
    ("65 members", post(json.dumps({"m%d" % i: i for i in range(65)})), 422, "validation_error", None),
    ("no URN", post_task("chat", 1), 422, "IICP-E001", None),
    ("URN without version", post_task("urn:iicp:intent:llm:chat", 1), 422, "IICP-E001", None),
    ("URN with version 0", post_task("urn:iicp:intent:llm:chat:v0", 1), 422, "IICP-E001", None),
    ("URN with upper case", post_task("urn:iicp:intent:llm:Chat:v1", 1), 422, "IICP-E001", None),
    ("URN with something behind", post_task(ECHO + "\n", 1), 422, "IICP-E001", None),
    ("URN with a NUL behind", post_task(ECHO + "\0", 1), 422, "IICP-E001", None),
    ("URN that never ends", post_task("urn:iicp:intent:llm:" + "a" * 5000 + ":v1", 1), 422, "IICP-E001", None),
    ("intent not served", post_task("urn:iicp:intent:llm:chat:v1", 1), 422, "unknown_intent", None),
    ("version not served", post_task(ECHO.replace("v1", "v2"), 1), 422, "unknown_intent", None),
    ("longer than one served", post_task(ECHO + "0", 1), 422, "unknown_intent", None),
    ("shorter than one served", post_task("urn:iicp:intent:x.taskgate:ech:v1", 1), 422, "unknown_intent", None),
    ("tool", post_task("urn:iicp:intent:tool:shell:v1", 1), 403, "tool_execution_denied", None),
    ("constraints a string", post_task(ECHO, 1, constraints="fast"), 422, "validation_error", "constraints"),
    ("qos a number", post_task(ECHO, 1, constraints={"qos": 1}), 422, "validation_error", "constraints.qos"),
    ("qos_class a list", post_task(ECHO, 1, constraints={"qos_class": []}), 422, "validation_error",
     "constraints.qos_class"),
    ("timeout a string", post_task(ECHO, 1, constraints={"timeout_ms": "1"}), 422, "validation_error",
     "constraints.timeout_ms"),
    ("timeout too short", post_task(ECHO, 1, constraints={"timeout_ms": 99}), 422, "validation_error",
     "constraints.timeout_ms"),
    ("timeout too long", post_task(ECHO, 1, constraints={"timeout_ms": 300001}), 422, "validation_error",
     "constraints.timeout_ms"),
    ("timeout negative", post_task(ECHO, 1, constraints={"timeout_ms": -1e300}), 422, "validation_error",
     "constraints.timeout_ms"),
    ("nonce a number", post_task(ECHO, 1, nonce=5), 422, "validation_error", "nonce"),
    ("nonce too long", post_task(ECHO, 1, nonce="n" * 257), 422, "validation_error", "nonce"),
    ("payload a list", post_task(KNN, [1]), 422, "validation_error", "payload"),
    ("no vector", knn(k=1), 422, "validation_error", "payload.vector"),
    ("both kinds of vector", knn(vector=ZEROS, vectors=[ZEROS]), 422, "validation_error", "payload.vectors"),
    ("vector too short", knn(vector=ZEROS[1:]), 422, "validation_error", "payload.vector"),
    ("vector too long", knn(vector=ZEROS + [0]), 422, "validation_error", "payload.vector"),
    ("vector empty", knn(vector=[]), 422, "validation_error", "payload.vector"),
    ("vector a string", knn(vector="0" * 64), 422, "validation_error", "payload.vector"),
    ("vector null", knn(vector=None), 422, "validation_error", "payload.vector"),
    ("second vector too short", knn(vectors=[ZEROS, ZEROS[1:]]), 422, "validation_error", "payload.vectors[1]"),
    ("no vectors", knn(vectors=[]), 422, "validation_error", "payload.vectors"),
    ("vectors an object", knn(vectors={}), 422, "validation_error", "payload.vectors"),
    ("too many vectors", knn(vectors=[ZEROS] * 65), 422, "validation_error", "payload.vectors"),
    ("NaN as text", knn(vector=changed(5, "NaN")), 422, "validation_error", "payload.vector[5]"),
    ("a string for a number", knn(vector=changed(63, "1")), 422, "validation_error", "payload.vector[63]"),
    ("null for a number", knn(vector=changed(0, None)), 422, "validation_error", "payload.vector[0]"),
    ("a list for a number", knn(vector=changed(1, [0])), 422, "validation_error", "payload.vector[1]"),
    ("a number beyond floats", knn(vector=changed(2, 1e39)), 422, "validation_error", "payload.vector[2]"),
    ("a number beyond floats in a list", knn(vectors=[ZEROS, changed(17, -1e39)]), 422, "validation_error",
     "payload.vectors[1][17]"),
    ("k 0", knn(vector=ZEROS, k=0), 422, "validation_error", "payload.k"),
    ("k 10^9", knn(vector=ZEROS, k=10 ** 9), 422, "validation_error", "payload.k"),
    ("k 129", knn(vector=ZEROS, k=129), 422, "validation_error", "payload.k"),
    ("k negative", knn(vector=ZEROS, k=-1), 422, "validation_error", "payload.k"),
    ("k with a fraction", knn(vector=ZEROS, k=1.5), 422, "validation_error", "payload.k"),
    ("k beyond 64 bits", knn(vector=ZEROS, k=2 ** 64 + 1), 422, "validation_error", "payload.k"),
    ("k a string", knn(vector=ZEROS, k="1"), 422, "validation_error", "payload.k"),
    ("sleep of another type", post_task(NOOP, {"sleep_ms": "long"}), 422, "validation_error", "payload.sleep_ms"),
    ("sleep negative", post_task(NOOP, {"sleep_ms": -1}), 422, "validation_error", "payload.sleep_ms"),
    ("sleep too long", post_task(NOOP, {"sleep_ms": 300001}), 422, "validation_error", "payload.sleep_ms"),
    ("sleep without an object", post_task(NOOP, 5), 422, "validation_error", "payload"),
]

# Name, body, byte offset of what is wrong.
MALFORMED = [
    ("empty body", b"", 0),
    ("white space only", b" \t\r\n", 4),
    ("not JSON", b"hello", 0),
    ("a NaN", b'{"a":NaN}', 5),
    ("an Infinity", b'{"a":[1,-Infinity]}', 9),
    ("cut within a string", b'{"task_id":"t', 13),
    ("cut behind a comma", b'{"a":1,', 7),
    ("comma too many", b'{"a":1,}', 7),
    ("comma too few", b'{"a":1 "b":2}', 7),
    ("single quotes", b"{'a':1}", 1),
    ("leading zero", b'{"a":01}', 6),
    ("plus sign", b'{"a":+1}', 5),
    ("bare point", b'{"a":.5}', 5),
    ("comment", b'{/*x*/"a":1}', 1),
    ("two values", b"{} {}", 3),
    ("NUL behind", b"{}\0", 2),
    ("byte order mark", b"\xef\xbb\xbf{}", 0),
    ("control character in a string", b'{"a":"\n"}', 6),
    ("unknown escape", b'{"a":"\\x"}', 6),
    ("half a surrogate pair", b'{"a":"\\ud800"}', 6),
    ("invalid UTF-8", b'{"a":"\xff"}', 6),
    ("overlong UTF-8", b'{"a":"\xc0\xaf"}', 6),
    ("surrogate in UTF-8", b'{"a":"\xed\xa0\x80"}', 6),
    ("UTF-8 cut off", b'{"a":"\xe4\xb8"}', 6),
    ("65 brackets", b"[" * 65 + b"]" * 65, 64),
    ("100,000 nested brackets", b"[" * 100000, 64),
    ("100,000 nested objects", b'{"a":' * 100000, 320),
    ("duplicate key", b'{"task_id":"a","task_id":"b"}', 15),
    ("duplicate key in disguise", b'{"task_id":"a","task\\u005fid":"b"}', 15),
    ("duplicate unknown key", b'{"x":1,"y":2,"x":3}', 13),
]

HEADERS = [
    ("text", "Content-Type: text/plain", 415, "unsupported_media_type"),
    ("form", "Content-Type: application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    ("almost JSON", "Content-Type: application/jsonp", 415, "unsupported_media_type"),
    ("JSON behind something", "Content-Type: x/application/json", 415, "unsupported_media_type"),
    ("compressed", "Content-Encoding: br", 415, "unsupported_media_type"),
    ("unknown coding", "Content-Encoding: magic", 415, "unsupported_media_type"),
]


@variants()
class BadTasks(harness.Served):
    def test_each_names_the_field_and_the_connection_goes_on(self):
        with self.g.client() as c:
            for name, request, status, code, field in FIELDS:
                with self.subTest(name):
                    self.assert_error(c.ask(request), status, code, field)
            self.assert_alive(c)

    def test_malformed_json_names_the_byte_and_the_connection_goes_on(self):
        with self.g.client() as c:
            for name, body, offset in MALFORMED:
                with self.subTest(name):
                    answer = c.ask(post(body))
                    self.assert_error(answer, 400, "validation_error", offset=offset)
            self.assert_alive(c)

    def test_media_types_and_codings_we_do_not_speak(self):
        with self.g.client() as c:
            for name, line, status, code in HEADERS:
                with self.subTest(name):
                    self.assert_error(c.ask(post_task(ECHO, 1, line)), status, code)
            self.assert_alive(c)

    def test_an_error_tells_whose_it_is(self):
        answer = self.g.task(KNN, {"vector": []}, task_id="mine")
        self.assertEqual(answer.json()["task_id"], "mine")
        self.assertEqual(answer.json()["status"], "error")
        self.assertIs(answer.json()["generated_by_ai"], False)

    def test_errors_never_repeat_the_payload(self):
        secret = "canary-7f3a"
        for request in (raw_knn('{"vector":["%s"]}' % secret), raw_knn('{"k":"%s","vector":[]}' % secret),
                        post('{"%s"' % secret), post_task("urn:iicp:intent:llm:%s:v1" % secret, secret),
                        post_task(ECHO, 1, "Content-Type: text/" + secret)):
            answer = self.g.ask(request)
            self.assertGreaterEqual(answer.status, 400)
            self.assertNotIn(secret.encode(), answer.body)

    def test_bad_requests_do_not_disturb_one_in_flight(self):
        requests = [r[1] for r in FIELDS] + [post(b) for _n, b, _o in MALFORMED if len(b) < 1000]
        with self.g.client() as slow, self.g.client() as bad:
            with self.g.accepting():
                slow.send(post_task(NOOP, {"sleep_ms": 400}, constraints={"timeout_ms": 60000}))
            sent = 0
            while sent < 1000:
                some = requests[:min(len(requests), 1000 - sent)]
                bad.send(b"".join(some))
                for _request in some:
                    self.assertIn(bad.read().status, (400, 403, 422))
                sent += len(some)
            self.assertEqual(slow.read().json()["result"], {"slept_ms": 400})
            self.assert_alive(bad)

    def test_malformed_http_by_the_hundred_does_not_disturb_one_in_flight(self):
        with self.g.client() as slow:
            with self.g.accepting():
                slow.send(post_task(NOOP, {"sleep_ms": 400}, constraints={"timeout_ms": 60000}))
            for _ in range(200):
                with self.g.client() as bad:
                    self.assertEqual(bad.ask(b"GET  / HTTP/1.1\r\n\r\n").status, 400)
            self.assertEqual(slow.read().json()["result"], {"slept_ms": 400})

    def test_deep_nesting_within_the_limit_is_taken(self):
        deep = "[" * 62 + "]" * 62  # and two levels around it
        answer = self.g.ask(post('{"task_id":"t","intent":"%s","payload":%s}' % (ECHO, deep)))
        self.assertEqual(answer.status, 200, answer)


@variants()
class TruncatedBodies(harness.Served):
    """The client promised more and went away, or stopped sending: nothing hangs, nothing runs."""
    def truncated(self, request):
        with self.g.client() as c:
            c.send(request)
            c.half_close()
            self.assertTrue(c.closed())

    def test_a_body_shorter_than_promised(self):
        self.truncated(post_task(ECHO, "x" * 100)[:-10])

    def test_a_head_without_its_end(self):
        self.truncated(b"POST /v1/task HTTP/1.1\r\nHost: t\r\nContent-")

    def test_a_chunked_body_without_its_last_chunk(self):
        body = chunk(envelope(ECHO, 1).encode())
        self.truncated(post(b"", "Transfer-Encoding: chunked", length=False) + body)

    def test_an_answer_that_is_owed_still_comes_before_the_truncated_one(self):
        with self.g.client() as c:
            c.send(post_task(NOOP, {"sleep_ms": 50}) + post_task(ECHO, 1)[:-5])
            c.half_close()
            self.assertEqual(c.read().json()["result"], {"slept_ms": 50})
            self.assertTrue(c.closed())


if __name__ == "__main__":
    harness.main()
