# SPDX-License-Identifier: Apache-2.0
"""Packets of the loopback go to the processor whose thread reads the connection, as a network card with queues does."""
import contextlib
import os

ENTRIES = "/proc/sys/net/core/rps_sock_flow_entries"
FLOWS = "/sys/class/net/lo/queues/rx-0/rps_flow_cnt"
CPUS = "/sys/class/net/lo/queues/rx-0/rps_cpus"
TABLE = 65536  # flows told apart


def read(path):
    with open(path) as f:
        return f.read().strip()


def write(path, value):
    with open(path, "w") as f:
        f.write(str(value))


@contextlib.contextmanager
def steering(wanted, cpus):
    """Receive flow steering among @cpus while the body runs, and as it was before behind it. Needs to be root."""
    if not wanted:
        yield
        return
    before = {path: read(path) for path in (ENTRIES, FLOWS, CPUS)}
    try:
        write(ENTRIES, TABLE)
        write(FLOWS, TABLE)
        write(CPUS, format(sum(1 << cpu for cpu in cpus), "x"))
        yield
    finally:
        for path, value in before.items():
            write(path, value)


def refused():
    """Why it cannot be done here, or None."""
    missing = [path for path in (ENTRIES, FLOWS, CPUS) if not os.access(path, os.W_OK)]
    return "cannot write " + ", ".join(missing) if missing else None
