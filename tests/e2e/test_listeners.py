# SPDX-License-Identifier: Apache-2.0
"""Where the gateway listens: Unix sockets, both address families, a service manager's sockets; what it tells one."""
import os
import signal
import socket
import stat
import subprocess
import tempfile

import gateway
import harness
from client import ECHO, RUN_MS, Client, get, noop, post_task
from harness import Served, variants

HEALTH = get("/iicp/health")


class Over(Client):
    """A client over a connected socket of any kind."""

    def __init__(self, sock, address):
        self.sock, self.unread = sock, b""
        self.sock.settimeout(60)
        self.sock.connect(address)


def unix(path):
    return Over(socket.socket(socket.AF_UNIX), path)


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


class Elsewhere(gateway.Gateway):
    """A gateway whose first address is not an IPv4 one: ready when it says what it runs."""

    def _find_port(self):
        try:
            self.wait_log(r"taskgate \S+: \d+ worker")
        except BaseException:
            self.kill()
            raise
        return None


class _WithFolder(Served):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="taskgate-sock-")
        self.path = os.path.join(self.folder.name, "gate.sock")

    def tearDown(self):
        self.folder.cleanup()

    def elsewhere(self, listen, workers=2, **options):
        return Elsewhere("--server.workers=%d" % workers, *self.variant_flags(), "--server.listen=" + listen, **options)


@variants()
class _Unix(_WithFolder):
    def test_serves_all_workers_from_one_file(self):
        with self.elsewhere("unix:" + self.path) as g:
            self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o660)
            g.wait_log("listening on unix:" + self.path + "$")
            clients = [unix(self.path) for _ in range(20)]
            for c in clients:
                answer = c.ask(post_task(ECHO, "over a file"))
                self.assertEqual(answer.json()["result"], "over a file")
            for c in clients:
                c.close()
        self.assertFalse(os.path.exists(self.path), "it goes with the gateway")

    def test_beside_an_address(self):
        with self.own("--server.listen=127.0.0.1:0,unix:" + self.path) as g:
            self.assertEqual(g.ask(HEALTH).status, 200)
            with unix(self.path) as c:
                self.assert_alive(c)

    def test_a_file_left_by_a_dead_gateway_is_replaced(self):
        g = self.elsewhere("unix:" + self.path)
        g.kill()
        self.assertTrue(os.path.exists(self.path))
        with self.elsewhere("unix:" + self.path), unix(self.path) as c:
            self.assert_alive(c)

    def refused(self, listen):
        code, _out, err = gateway.run_once("serve", *self.variant_flags(), "--server.listen=" + listen)
        self.assertEqual(code, 1, err)
        self.assertEqual(len([line for line in err.splitlines() if " error " in line]), 1, err)
        return err

    def test_a_living_gateway_keeps_its_file(self):
        with self.elsewhere("unix:" + self.path):
            self.assertIn("another process answers there", self.refused("unix:" + self.path))
            with unix(self.path) as c:
                self.assert_alive(c)

    def test_what_cannot_be_is_said_in_one_line(self):
        with open(self.path, "w", encoding="ascii") as f:
            f.write("precious")
        self.assertIn("a file that is no socket is in the way", self.refused("unix:" + self.path))
        self.assertTrue(os.path.exists(self.path))
        self.assertIn("1 to 107 are possible", self.refused("unix:/" + "x" * 120))
        self.assertIn("No such file or directory", self.refused("unix:/nowhere/at/all"))

    def test_limits_per_peer_and_proxy_headers_are_for_addresses(self):
        flags = ("--limits.connections_per_peer=1", "--server.proxy_protocol=true", "--server.proxy_trusted=10.0.0.0/8")
        with Elsewhere("--server.workers=1", *self.variant_flags(), "--server.listen=unix:" + self.path, *flags):
            clients = [unix(self.path) for _ in range(3)]
            for c in clients:
                self.assert_alive(c)
            for c in clients:
                c.close()

    def test_drains_what_came_over_it(self):
        g = self.elsewhere("unix:" + self.path)
        c = unix(self.path)
        c.send(noop(RUN_MS))
        with unix(self.path) as other:
            gateway.wait_for(lambda: other.ask(HEALTH).json()["active_jobs"] == 1, 30, "the task to run")
        g.signal(signal.SIGTERM)
        answer = c.read()
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.closes)
        self.assertEqual(g.wait(), 0)


@variants()
class _Families(_WithFolder):
    def test_no_host_serves_both_families(self):
        for listen in (":0", "[::]:0") if has_ipv6() else (":0",):
            with self.subTest(listen), self.elsewhere(listen) as g:
                port = int(g.wait_log(r"listening on http://(?:\[::\]|0\.0\.0\.0):(\d+)").group(1))
                with Client(port) as c:
                    self.assert_alive(c)
                if has_ipv6():
                    with Over(socket.socket(socket.AF_INET6), ("::1", port)) as c:
                        self.assert_alive(c)

    def test_an_ipv6_address(self):
        if not has_ipv6():
            self.skipTest("no IPv6 here")
        with self.elsewhere("[::1]:0") as g:
            port = int(g.wait_log(r"listening on http://\[::1\]:(\d+)").group(1))
            with Over(socket.socket(socket.AF_INET6), ("::1", port)) as c:
                self.assert_alive(c)


def open_files(pid):
    """What they are; one that is closed meanwhile is left out."""
    found = []
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            found.append(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except FileNotFoundError:
            continue
    return found


def descendants(pid):
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % entry, encoding="ascii", errors="replace") as f:
                parent = int(f.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if parent == pid:
            found += [int(entry), *descendants(int(entry))]
    return found


# Puts sockets where the protocol wants them, then becomes the gateway.
ACTIVATE = """
import fcntl, os, sys
fds = [fcntl.fcntl(int(n), fcntl.F_DUPFD, 100) for n in sys.argv[1].split(",")]
for at, fd in enumerate(fds):
    os.dup2(fd, 3 + at, inheritable=True)
os.closerange(3 + len(fds), 1000)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = sys.argv[2]
os.execvp(sys.argv[3], sys.argv[3:])
"""


@variants()
class _Activated(_WithFolder):
    def activate(self, sockets, *flags, count=None, env=None):
        """The gateway's process, with stderr as a pipe."""
        fds = [s.fileno() for s in sockets]
        command = ["python3", "-c", ACTIVATE, ",".join(map(str, fds)), str(count or len(fds)), gateway.TASKGATE,
                   "serve", "--server.workers=2", *self.variant_flags(), *flags]
        return subprocess.Popen(command, pass_fds=fds, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, env=gateway.clean_environment(env))

    def finish(self, process, expected=0, told=False):
        if expected == 0 and not told:
            process.terminate()
        _out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, expected, err.decode())
        self.assertIsNone(gateway.REPORT.search(err.decode()), err.decode())
        return err.decode()

    def test_passed_sockets_are_served_in_place_of_configured_ones(self):
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as local:
            local.bind(self.path)
            local.listen(5)
            early = Client(tcp.getsockname()[1])  # waits in the backlog
            process = self.activate([tcp, local], "--server.listen=127.0.0.1:1")
            self.assert_alive(early)
            early.close()
            for _ in range(10):
                with unix(self.path) as c:
                    self.assert_alive(c)
                with Client(tcp.getsockname()[1]) as c:
                    self.assert_alive(c)
            err = self.finish(process)
        self.assertIn("passed by the service manager; server.listen is not used", err)
        self.assertTrue(os.path.exists(self.path), "the file is not ours to remove")

    def test_a_device_in_a_process_of_its_own_does_not_hold_them(self):
        with socket.create_server(("127.0.0.1", 0)) as tcp:
            ours = "socket:[%d]" % os.fstat(tcp.fileno()).st_ino
            process = self.activate([tcp], "--executor.mode=process")
            with Client(tcp.getsockname()[1]) as c:
                self.assert_alive(c)
            self.assertIn(ours, open_files(process.pid))
            gateway.wait_for(lambda: len(descendants(process.pid)) == 2, 30, "keeper and executor")
            for pid in descendants(process.pid):
                self.assertNotIn(ours, open_files(pid))
            self.finish(process)

    def test_other_sockets_are_refused_in_one_line(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as idle:
            err = self.finish(self.activate([udp]), 1)
            self.assertIn("LISTEN_FDS: descriptor 3 is no stream socket", err)
            err = self.finish(self.activate([idle]), 1)
            self.assertIn("LISTEN_FDS: descriptor 3 does not listen", err)
            err = self.finish(self.activate([idle], count=100), 1)
            self.assertIn("LISTEN_FDS: 100 sockets were passed", err)

    def test_the_manager_hears_how_it_goes(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, socket.create_server(("127.0.0.1", 0)) as tcp:
            manager.bind(self.path)
            manager.settimeout(60)
            process = self.activate([tcp], env={"NOTIFY_SOCKET": self.path})
            self.assertIn(b"READY=1\n", manager.recv(1000))
            with Client(tcp.getsockname()[1]) as c:
                self.assert_alive(c)
            process.send_signal(signal.SIGHUP)
            reloading = manager.recv(1000)
            self.assertIn(b"RELOADING=1\n", reloading)
            self.assertRegex(reloading, rb"MONOTONIC_USEC=\d+\n")
            self.assertIn(b"READY=1\n", manager.recv(1000))
            process.terminate()
            self.assertIn(b"STOPPING=1\n", manager.recv(1000))
            self.finish(process, told=True)


if __name__ == "__main__":
    harness.main()
