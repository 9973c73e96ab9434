# SPDX-License-Identifier: Apache-2.0
"""The handwritten digits, read from the file by ourselves, and the vote that knn promises."""
import gzip
import os

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "gpu", "runners", "data",
                    "digits.csv.gz")


def load():
    """Rows of 64 pixels, and their labels."""
    with gzip.open(PATH, "rt", encoding="ascii") as f:
        rows = [[int(x) for x in line.split(",")] for line in f]
    return [r[:-1] for r in rows], [r[-1] for r in rows]


def vote(labels):
    """The label most have; of several, the one whose nearest comes first."""
    return max(labels, key=lambda one: (labels.count(one), -labels.index(one)))


def distance_squared(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b))
