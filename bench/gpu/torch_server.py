#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What one would write instead: asyncio, aiohttp and PyTorch, exact nearest neighbours with dynamic batching.

Answers POST /v1/task as taskgate's knn runner does, for one vector. Runs on a GPU if there is one. Tasks that come while a
batch is computed make the next one, so batches grow with the load and a lone task waits for nobody. uvloop and orjson are
used where they are installed, as one would. bench/README.md has the command that makes an environment for it.
"""
import argparse
import asyncio
import concurrent.futures
import os
import sys

import aiohttp
import numpy
import torch
from aiohttp import web

try:
    import orjson

    def dumps(value):
        return orjson.dumps(value)

    loads, JSON = orjson.loads, "orjson " + orjson.__version__
except ImportError:
    import json

    def dumps(value):
        return json.dumps(value, separators=(",", ":")).encode()

    loads, JSON = json.loads, "json"
try:
    import uvloop
except ImportError:
    uvloop = None


class Search:
    """The resident set. Squared distances come from one matrix product: |x|^2 - 2 x q + |q|^2."""

    def __init__(self, vectors, labels, device):
        self.device = torch.device(device)
        self.vectors = torch.from_numpy(vectors.astype(numpy.float32)).to(self.device)
        self.columns = self.vectors.T.contiguous()
        self.squares = (self.vectors * self.vectors).sum(1)
        self.rows, self.dim = self.vectors.shape
        self.labels = labels

    def run(self, queries, k):
        """Indices and distances, nearest first, a list of each for every vector."""
        with torch.inference_mode():
            q = torch.from_numpy(numpy.array(queries, numpy.float32)).to(self.device)
            keys = torch.addmm(self.squares, q, self.columns, alpha=-2)
            found, index = keys.topk(k, dim=1, largest=False)
            found = (found + (q * q).sum(1, keepdim=True)).clamp_(min=0).sqrt_()
            return index.tolist(), found.tolist()

    def neighbours(self, index, distance):
        if self.labels is None:
            return {"neighbors": [{"index": i, "distance": d} for i, d in zip(index, distance)]}
        labels = [int(self.labels[i]) for i in index]
        hits = [{"index": i, "distance": d, "label": n} for i, d, n in zip(index, distance, labels)]
        return {"neighbors": hits, "label": max(labels, key=labels.count)}


class Batcher:
    """One batch at a time, computed in a thread beside the loop, which reads on meanwhile: what comes makes the next."""

    def __init__(self, search, batch_max):
        self.search, self.batch_max = search, batch_max
        self.waiting, self.wanted = [], asyncio.Event()
        self.pool = concurrent.futures.ThreadPoolExecutor(1)

    def submit(self, vector, k):
        future = asyncio.get_running_loop().create_future()
        self.waiting.append((vector, k, future))
        self.wanted.set()
        return future

    def compute(self, batch):
        """k is that of the one who asks for most; the others take the beginning."""
        return self.search.run([vector for vector, _, _ in batch], max(k for _, k, _ in batch))

    async def serve(self):
        loop = asyncio.get_running_loop()
        while True:
            await self.wanted.wait()
            batch, self.waiting = self.waiting[:self.batch_max], self.waiting[self.batch_max:]
            if not self.waiting:
                self.wanted.clear()
            try:
                index, distance = await loop.run_in_executor(self.pool, self.compute, batch)
            except (RuntimeError, ValueError, TypeError) as why:
                for _, _, future in batch:  # one bad vector spoils them all
                    if not future.done():
                        future.set_exception(web.HTTPUnprocessableEntity(text=str(why)))
                continue
            for (_, k, future), i, d in zip(batch, index, distance):
                if not future.done():  # its client is gone
                    future.set_result((i[:k], d[:k]))


class Door:
    """POST /v1/task."""

    def __init__(self, args, search):
        self.args, self.search = args, search

    async def begin(self, _app):
        """In the loop that serves."""
        self.batcher = Batcher(self.search, self.args.batch)
        self.search.run([[0.0] * self.search.dim], 1)  # the first run is the slowest
        self.serving = asyncio.create_task(self.batcher.serve())

    async def task(self, request):
        body = loads(await request.read())
        payload = body["payload"]
        vector, k = payload["vector"], payload.get("k", 1)
        if len(vector) != self.search.dim:
            raise web.HTTPUnprocessableEntity(text=f"expected {self.search.dim} numbers")
        found = await self.batcher.submit(vector, min(k, self.search.rows))
        answer = {"task_id": body["task_id"], "status": "success", "result": self.search.neighbours(*found), "error": None}
        return web.Response(body=dumps(answer), content_type="application/json")


def read(path, labels):
    """A .npy of vectors, or a CSV with a label in the last column."""
    if path.endswith(".npy"):
        return numpy.load(path), None
    table = numpy.loadtxt(path, delimiter=",", dtype=numpy.float32)
    return (table[:, :-1], table[:, -1].astype(int)) if labels else (table, None)


def versions(device):
    where = torch.cuda.get_device_name(0) if device == "cuda" else f"{torch.get_num_threads()} thread(s)"
    loop = f"uvloop {uvloop.__version__}" if uvloop else "asyncio"
    return (f"Python {sys.version.split()[0]}, torch {torch.__version__} on {device} ({where}), "
            f"aiohttp {aiohttp.__version__}, {loop}, {JSON}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--port", type=int, default=9490)
    p.add_argument("--data", default="", help=".npy, .csv or .csv.gz")
    p.add_argument("--labels", action="store_true", help="the last column of a CSV is a label")
    p.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    p.add_argument("--batch", type=int, default=1024, help="largest batch")
    p.add_argument("--version", action="store_true", help="print what it runs on, and end")
    args = p.parse_args()
    if not args.data and not args.version:
        p.error("--data is missing")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if args.device == "auto":
        args.device = "cuda" if torch.cuda.is_available() else "cpu"
    if args.version:
        print(versions(args.device))
        return
    door = Door(args, Search(*read(args.data, args.labels), args.device))
    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/v1/task", door.task)
    app.on_startup.append(door.begin)
    if uvloop:
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    web.run_app(app, host="127.0.0.1", port=args.port, print=None, access_log=None, backlog=4096)


if __name__ == "__main__":
    main()
