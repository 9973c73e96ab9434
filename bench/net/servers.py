# SPDX-License-Identifier: Apache-2.0
"""The servers of the comparison: how each is configured, started on its processor, found by its port and stopped."""
import os
import resource
import shutil
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ANSWER = ('{"task_id":"00000000-0000-4000-8000-000000000000","status":"completed",'
          '"result":{"text":"ping 01234"},"metrics":{"queue_us":3,"run_us":1}}')


class Skip(Exception):
    """Why a peer does not take part."""


class Server:
    """A process to measure: started pinned, found by its port, stopped at the end."""

    name = "?"
    scheme = "http"
    start_seconds = 10

    def __init__(self, args, port, workdir):
        self.args, self.port, self.workdir = args, port, workdir
        self.cpus = str(args.server_cpu)
        self.process = None
        self.log = None

    def command(self):
        raise NotImplementedError

    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def start(self):
        argv = self.command()
        if not shutil.which(argv[0]):
            raise Skip(f"{argv[0]} is not there")
        self.log = open(os.path.join(self.workdir, "log"), "w+b")
        self.process = subprocess.Popen(["taskset", "-c", self.cpus] + argv, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + self.start_seconds
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Skip("did not start: " + self.last_words())
            time.sleep(0.05)

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.5).close()
            return True
        except OSError:
            return False

    def last_words(self):
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def pids(self):
        """The process and all below it: nginx and HAProxy serve from children."""
        found = [self.process.pid]
        for pid in found:
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/children") as f:
                        found += [int(child) for child in f.read().split()]
            except OSError:
                pass
        return found

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.log:
            self.log.close()


class Certificate:
    """One key and certificate for all servers with TLS: P-256, signed by itself."""

    def __init__(self, workdir):
        self.key, self.pem = os.path.join(workdir, "tls.key"), os.path.join(workdir, "tls.pem")
        if os.path.exists(self.pem):
            return
        made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                               "-nodes", "-keyout", self.key, "-out", self.pem, "-days", "2", "-subj", "/CN=bench"],
                              capture_output=True, text=True)
        if made.returncode:
            raise Skip("openssl: " + made.stderr.strip())
        os.chmod(self.key, 0o600)


class Taskgate(Server):
    def __init__(self, args, port, workdir, name="taskgate", flags=(), tls=False, both_cpus=False, config=""):
        super().__init__(args, port, workdir)
        self.name, self.flags, self.config = name, list(flags), config
        self.tls, self.scheme = tls, "https" if tls else "http"
        self.plain_port = port + 500 if tls else port
        if both_cpus:
            self.cpus += f",{args.load_cpu}"

    def command(self):
        if not self.args.taskgate:
            raise Skip("no --taskgate given")
        return [self.args.taskgate, "serve", f"--server.listen=127.0.0.1:{self.plain_port}", "--server.workers=1",
                *self.config_flags(), *self.tls_flags(), *self.args.taskgate_args.split(), *self.flags]

    def config_flags(self):
        """Without a file taskgate brings its own runners; an empty one would mean none."""
        if not self.config:
            return []
        path = os.path.join(self.workdir, "taskgate.toml")
        with open(path, "w") as f:
            f.write(self.config)
        return ["--config", path]

    def tls_flags(self):
        if not self.tls:
            return []
        c = Certificate(self.workdir)
        return [f"--server.tls_listen=127.0.0.1:{self.port}", "--tls.certificate=" + c.pem, "--tls.key=" + c.key]


class Ceil(Server):
    def __init__(self, args, port, workdir, kind, spin=False):
        super().__init__(args, port, workdir)
        self.binary, self.spin = "ceil-" + kind, spin
        self.name = self.binary + (", spinning" if spin else "")

    def command(self):
        return [os.path.join(self.args.bin, self.binary), "--port", str(self.port)] + ["--spin"] * self.spin


class Hyper(Server):
    """A Rust service that does the same work; built on first use where Debian's crates are installed."""

    built = {}

    def __init__(self, args, port, workdir, *words):
        super().__init__(args, port, workdir)
        self.words = words
        self.name = ", ".join(["hyper", *words])

    def command(self):
        return [self.binary(), str(self.port), *self.words]

    def binary(self):
        if self.args.hyper:
            return self.args.hyper
        if "done" not in self.built:
            script = os.path.join(HERE, "hyper", "build.sh")
            self.built["done"] = subprocess.run([script], capture_output=True, text=True)
        done = self.built["done"]
        if done.returncode:
            raise Skip((done.stderr.strip().splitlines() or ["build.sh failed"])[-1])
        return done.stdout.strip()


NGINX = """worker_processes 1;
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/nginx-error.log crit;
worker_rlimit_nofile 65536;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    default_type application/json;
    server {{
        listen 127.0.0.1:{port}{tls_word} backlog=4096;
        {tls_lines}
        location / {{ return 200 '{answer}'; }}
    }}
}}
"""

# The suite that taskgate chooses, and resumption by ticket: the same work on both sides.
NGINX_TLS = ("ssl_certificate {pem}; ssl_certificate_key {key}; ssl_protocols TLSv1.3; ssl_session_tickets on; "
             "ssl_session_cache shared:bench:8m; ssl_prefer_server_ciphers on; "
             "ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;")


class Nginx(Server):
    name = "nginx"

    def __init__(self, args, port, workdir, tls=False):
        super().__init__(args, port, workdir)
        self.tls, self.scheme = tls, "https" if tls else "http"

    def command(self):
        conf = os.path.join(self.workdir, "nginx.conf")
        lines = ""
        if self.tls:
            c = Certificate(self.workdir)
            lines = NGINX_TLS.format(pem=c.pem, key=c.key)
        with open(conf, "w") as f:
            f.write(NGINX.format(dir=self.workdir, port=self.port, tls_word=" ssl" if self.tls else "",
                                 tls_lines=lines, answer=ANSWER))
        return ["nginx" if shutil.which("nginx") else "/usr/sbin/nginx", "-p", self.workdir, "-c", conf]


class Haproxy(Server):
    name = "haproxy"

    @staticmethod
    def connections_max():
        """It wants two files for each connection and will not start if the limit is lower."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        return min(20000, hard // 2 - 100) if hard != resource.RLIM_INFINITY else 20000

    def command(self):
        conf = os.path.join(self.workdir, "haproxy.cfg")
        body = os.path.join(self.workdir, "answer.json")
        with open(body, "w") as f:
            f.write(ANSWER)
        with open(conf, "w") as f:
            f.write(f"""global
    nbthread 1
    maxconn {self.connections_max()}
defaults
    mode http
    timeout client 3600s
    timeout http-keep-alive 3600s
frontend f
    bind 127.0.0.1:{self.port} backlog 4096
    http-request return status 200 content-type application/json file {body}
""")
        return ["haproxy" if shutil.which("haproxy") else "/usr/sbin/haproxy", "-db", "-f", conf]
