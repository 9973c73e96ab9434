#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints a machine as XML of hwloc's, for `taskgate topo --machine FILE`: one that is not at hand.

Packages are alike: each has its share of nodes, cores, GPUs and network cards. Cpus are numbered as Linux does on such
machines: first the first siblings of all cores, then the second ones.
"""
import argparse
import sys

GPU, NIC = ("0302", "10de:2335", "NVIDIA H200"), ("0200", "15b3:1021", "")


def bits(numbers):
    """A set as hwloc writes it: 32 bits a word, the highest first."""
    words = [0] * (max(numbers, default=0) // 32 + 1)
    for n in numbers:
        words[n // 32] |= 1 << n % 32
    return ",".join("0x%08x" % w for w in reversed(words))


class Xml:
    def __init__(self):
        self.lines, self.depth, self.serial = [], 0, 0

    def line(self, text):
        self.lines.append("  " * self.depth + text)

    def open(self, kind, attributes, close=False):
        self.serial += 1
        text = " ".join('%s="%s"' % pair for pair in [("type", kind), *attributes, ("gp_index", self.serial)])
        self.line("<object %s%s>" % (text, "/" if close else ""))
        self.depth += not close

    def close(self):
        self.depth -= 1
        self.line("</object>")


def places(cpus, nodes, index=None):
    """The attributes of an object that holds these."""
    sets = [("cpuset", bits(cpus)), ("complete_cpuset", bits(cpus)),
            ("nodeset", bits(nodes)), ("complete_nodeset", bits(nodes))]
    return ([] if index is None else [("os_index", index)]) + sets


class Machine:
    def __init__(self, args):
        self.args, self.xml = args, Xml()
        self.cores = args.packages * args.nodes * args.cores

    def cpus_of(self, first, count):
        return [t * self.cores + c for t in range(self.args.smt) for c in range(first, first + count)]

    def write(self):
        a, cpus, nodes = self.args, self.cpus_of(0, self.cores), range(self.args.packages * self.args.nodes)
        allowed = range(a.allowed) if a.allowed else cpus
        self.xml.open("Machine", places(cpus, nodes, 0) +
                      [("allowed_cpuset", bits(allowed)), ("allowed_nodeset", bits(nodes))])
        for package in range(a.packages):
            self.package(package)
        self.xml.close()
        return ('<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE topology SYSTEM "hwloc2.dtd">\n'
                '<topology version="2.0">\n%s\n</topology>\n' % "\n".join(self.xml.lines))

    def package(self, number):
        a = self.args
        nodes = range(number * a.nodes, (number + 1) * a.nodes)
        self.xml.open("Package", places(self.cpus_of(number * a.nodes * a.cores, a.nodes * a.cores), nodes, number))
        self.xml.line('<info name="CPUModel" value="%s"/>' % a.model)
        for node in nodes:
            self.node(node, range(node - number * a.nodes, a.gpus, a.nodes), range(node - number * a.nodes, a.nics, a.nodes))
        self.xml.close()

    def node(self, number, gpus, nics):
        first = number * self.args.cores
        cpus = self.cpus_of(first, self.args.cores)
        self.xml.open("Group", places(cpus, [number]) + [("kind", 1000), ("subkind", 0)])
        self.xml.open("NUMANode", places(cpus, [number], number) + [("local_memory", self.args.gib << 30)], close=True)
        for core in range(first, first + self.args.cores):
            self.core(core, number)
        if gpus or nics:
            self.devices(number, gpus, nics)
        self.xml.close()

    def core(self, number, node):
        cpus = self.cpus_of(number, 1)
        self.xml.open("Core", places(cpus, [node], number))
        for cpu in cpus:
            self.xml.open("PU", places([cpu], [node], cpu), close=True)
        self.xml.close()

    def devices(self, node, gpus, nics):
        first = node * 0x20 + 1
        last = first + len(gpus) + len(nics) - 1
        self.xml.open("Bridge", [("bridge_type", "0-1"), ("depth", 0), ("bridge_pci", "0000:[%02x-%02x]" % (first, last))])
        for i, _gpu in enumerate(gpus):
            self.device(first + i, GPU)
        for i, nic in enumerate(nics):
            self.device(first + len(gpus) + i, NIC, "eth%d" % (node * self.args.nics + nic))
        self.xml.close()

    def device(self, bus, kind, interface=None):
        pci_class, ids, name = kind
        self.xml.open("PCIDev", [("name", name)] * bool(name) + [
            ("pci_busid", "0000:%02x:00.0" % bus), ("pci_type", "%s [%s] [0000:0000] 00" % (pci_class, ids)),
            ("pci_link_speed", "0.000000")], close=not interface)
        if interface:
            self.xml.open("OSDev", [("name", interface), ("osdev_type", 2)], close=True)
            self.xml.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, default, text in (("packages", 1, "sockets"), ("nodes", 1, "NUMA nodes of a package"),
                                ("cores", 4, "cores of a node"), ("smt", 1, "siblings of a core"),
                                ("gpus", 0, "GPUs of a package"), ("nics", 0, "network cards of a package"),
                                ("gib", 64, "memory of a node"), ("allowed", 0, "only the first so many cpus; 0: all")):
        parser.add_argument("--" + name, type=int, default=default, help=text)
    parser.add_argument("--model", default="synthetic")
    sys.stdout.write(Machine(parser.parse_args()).write())


if __name__ == "__main__":
    main()
