# SPDX-License-Identifier: Apache-2.0
"""Certificates for the tests: made with the openssl command in a folder that goes away with them."""
import datetime
import os
import subprocess
import tempfile

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA = ("-newkey", "rsa:2048")
EXACT = """[ca]
default_ca = exact
[exact]
database = %s
new_certs_dir = %s
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
"""


def openssl(*args):
    done = subprocess.run(["openssl", *args], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    if done.returncode != 0:
        raise AssertionError("openssl %s: %s" % (" ".join(args), done.stderr.decode()))
    return done.stdout


class Authority:
    """A root, and what it has signed: `issue()` leaves NAME.pem and NAME.key in the folder."""

    def __init__(self, name="root"):
        self.folder = tempfile.TemporaryDirectory(prefix="taskgate-tls-")
        self.name = name
        self.ca = self.path(name + ".pem")
        openssl("req", "-x509", *CURVE, "-nodes", "-keyout", self.path(name + ".key"), "-out", self.ca, "-days", "2",
                "-subj", "/CN=" + name)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def issue(self, name, kind=CURVE):
        """Paths of a certificate for localhost and of its key."""
        pem, key, request, extra = (self.path(name + end) for end in (".pem", ".key", ".csr", ".ext"))
        with open(extra, "w", encoding="ascii") as f:
            f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("req", *kind, "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=" + name)
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.path(self.name + ".key"),
                "-CAcreateserial", "-out", pem, "-days", "2", "-extfile", extra)
        os.chmod(key, 0o600)
        return pem, key

    def issue_for(self, name, seconds):
        """Paths of a client's certificate that expires so soon, and of its key: only `openssl ca` counts in seconds."""
        pem, key, request, config, index = (self.path(name + end) for end in (".pem", ".key", ".csr", ".cnf", ".txt"))
        for path, text in ((config, EXACT % (index, self.folder.name)), (index, "")):
            with open(path, "w", encoding="ascii") as f:
                f.write(text)
        openssl("req", *CURVE, "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=" + name)
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
        openssl("ca", "-batch", "-notext", "-config", config, "-cert", self.ca, "-keyfile", self.path(self.name + ".key"),
                "-in", request, "-out", pem, "-startdate", "20250101000000Z", "-enddate", end.strftime("%Y%m%d%H%M%SZ"))
        return pem, key

    def close(self):
        self.folder.cleanup()


def replace(path, source):
    """As an ACME client does it: a new file under the old name."""
    with open(source, "rb") as f:
        data = f.read()
    fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as f:
        f.write(data)
    os.rename(path + ".new", path)
