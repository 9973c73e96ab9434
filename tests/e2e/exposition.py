# SPDX-License-Identifier: Apache-2.0
"""A checker for the Prometheus text format, version 0.0.4, and for what histograms promise."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(r"(%s)(?:\{(.*)\})? (\S+)" % NAME)
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")


def labels_of(text):
    labels, at = [], 0
    while at < len(text or ""):
        match = LABEL.match(text, at)
        assert match, "malformed labels: " + text
        labels.append(match.groups())
        at = match.end()
    assert len(dict(labels)) == len(labels), "a label twice: " + text
    return tuple(sorted(labels))


class Exposition:
    """Parses, and asserts as it goes. `values` maps (name, labels) to a number."""
    def __init__(self, text):
        assert text.endswith("\n"), "the last line must end"
        self.values, self.types, self.helps = {}, {}, {}
        self.family, self.done = None, set()
        for line in text[:-1].split("\n"):
            self.take(line)
        for name, kind in self.types.items():
            if kind == "histogram":
                self.check_histogram(name)

    def enter(self, family):
        """Lines of one family stand together."""
        if family == self.family:
            return
        assert family not in self.done, "lines of %s are scattered" % family
        self.done.add(family)
        self.family = family

    def take(self, line):
        if line.startswith("# HELP "):
            _, _, name, text = line.split(" ", 3)
            assert name not in self.helps and text, line
            self.helps[name] = text
            self.enter(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in self.types and kind in TYPES, line
            self.types[name] = kind
            self.enter(name)
        else:
            self.sample(line)

    def sample(self, line):
        match = SAMPLE.fullmatch(line)
        assert match, "malformed line: " + line
        name, labels, value = match.group(1), labels_of(match.group(2)), float(match.group(3))
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        family = family if self.types.get(family) == "histogram" else name
        assert family in self.types and family in self.helps, "undeclared: " + line
        self.enter(family)
        assert (name, labels) not in self.values, "twice: " + line
        if self.types[family] == "counter":
            assert name.endswith("_total") and value >= 0, line
        self.values[name, labels] = value

    def check_histogram(self, name):
        series = {}
        for (sample, labels), value in self.values.items():
            if sample == name + "_bucket":
                le = dict(labels)["le"]
                rest = tuple(pair for pair in labels if pair[0] != "le")
                series.setdefault(rest, []).append((float(le), value))
        for rest, buckets in series.items():
            assert buckets == sorted(buckets), "bounds out of order: %s" % (rest,)
            assert [v for _b, v in buckets] == sorted(v for _b, v in buckets), "not cumulative: %s" % (rest,)
            assert buckets[-1][0] == float("inf"), "no +Inf: %s" % (rest,)
            assert buckets[-1][1] == self.values[name + "_count", rest], rest
            assert self.values[name + "_sum", rest] >= 0, rest

    def get(self, name, **labels):
        """The sum over all series that carry these labels."""
        wanted = set(labels.items())
        return sum(v for (n, have), v in self.values.items() if n == name and wanted <= set(have))

    def bounds(self, name):
        return sorted({float(dict(labels)["le"]) for (n, labels) in self.values if n == name + "_bucket"})
