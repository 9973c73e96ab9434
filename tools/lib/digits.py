# SPDX-License-Identifier: Apache-2.0
"""The handwritten digits: read, asked about, and drawn in a terminal."""
import gzip

KNN = "urn:iicp:intent:x.taskgate:knn:v1"
SIDE = 8
SHADES = " ░▒▓█"
WIDTH = 2 * SIDE  # a character is about twice as high as wide


def load(path):
    """Rows of 64 pixels of 0..16, and their labels."""
    with gzip.open(path, "rt", encoding="ascii") as f:
        rows = [[int(x) for x in line.split(",")] for line in f]
    return [r[:-1] for r in rows], [r[-1] for r in rows]


def vote(labels):
    """The label most have; of several, the one whose nearest comes first."""
    return max(labels, key=lambda one: (labels.count(one), -labels.index(one)))


def ask(client, pixels, k):
    return client.task(KNN, {"vector": pixels, "k": k})


def ask_without_itself(client, pixels, index, k):
    """The k nearest neighbours of resident row @index, itself left out."""
    neighbors = ask(client, pixels[index], k + 1)["neighbors"]
    return [n for n in neighbors if n["index"] != index][:k]


def draw(pixels):
    """Eight lines of text."""
    rows = (pixels[i:i + SIDE] for i in range(0, len(pixels), SIDE))
    return ["".join(SHADES[(p + 3) // 4] * 2 for p in row) for row in rows]


def draw_beside(asked, neighbors):
    """Nine lines: a digit and its neighbours, each (pixels, caption)."""
    columns = [draw(pixels) + [caption.center(WIDTH)] for pixels, caption in [asked, *neighbors]]
    middle = SIDE // 2
    lines = []
    for y, parts in enumerate(zip(*columns)):
        arrow = "  ->  " if y == middle else "      "
        lines.append((parts[0] + arrow + "  ".join(parts[1:])).rstrip())
    return lines
