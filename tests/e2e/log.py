# SPDX-License-Identifier: Apache-2.0
"""What a program under test writes to standard error. A line that it wrote before it answered is there once its answer is:
whoever looks first takes in what is in the pipe, and does not wait for a thread to have done so."""
import os
import re
import select
import threading
import time


class Log:
    def __init__(self, pipe):
        """@pipe: the reading end, unbuffered, ours alone."""
        self.pipe, self.taken, self.rest, self.ended = pipe, [], b"", False
        self.news = threading.Condition()
        os.set_blocking(pipe.fileno(), False)
        self.follower = threading.Thread(target=self._follow, daemon=True)
        self.follower.start()

    def _follow(self):
        """So that the program is never held up by a pipe that is full."""
        readable = select.poll()
        readable.register(self.pipe, select.POLLIN)
        while not self.ended:
            readable.poll()
            with self.news:
                self._take()

    def _take(self):
        """Everything that has been written, as lines; with the lock held."""
        while not self.ended:
            data = self.pipe.read(1 << 16)
            if data is None:
                return
            self.ended = not data
            *whole, self.rest = (self.rest + data).split(b"\n")
            if self.ended and self.rest:
                whole.append(self.rest)
            self.taken += [line.decode("utf-8", "replace") for line in whole]
            self.news.notify_all()

    def lines(self):
        with self.news:
            self._take()
            return list(self.taken)

    def text(self):
        return "\n".join(self.lines())

    def wait_for(self, pattern, seconds, begin=0):
        """The match of the first line, from line number @begin on, that fits. None: no such line came in time, or before
        the end."""
        until, seen = time.monotonic() + seconds, begin
        with self.news:
            while True:
                self._take()
                for line in self.taken[seen:]:
                    match = re.search(pattern, line)
                    if match:
                        return match
                seen = max(seen, len(self.taken))
                left = until - time.monotonic()
                if left <= 0 or self.ended:
                    return None
                self.news.wait(left)

    def close(self, seconds):
        """Once the program has ended: what it and its children wrote to the last, if they end in time, too."""
        self.follower.join(seconds)
        with self.news:
            self._take()
            self.ended = True
            self.pipe.close()
