# SPDX-License-Identifier: Apache-2.0
"""User kernels for tests: where NVRTC is not, they are skipped; and sources that misbehave on a device."""
import os
import tempfile
import unittest

from gateway import run_once

# On the emulated runtime, the library that plays NVRTC there; on a real one "": it is looked for.
NVRTC = os.environ.get("EMULATED_NVRTC", "")
KERNEL = "urn:iicp:intent:x.taskgate:kernel:v1"
EXAMPLES = os.path.join(os.path.dirname(__file__), "..", "..", "tools", "examples")

SOUND = "__device__ int run(const int *in, int *out)\n{\n    out[0] = in[0] + 1;\n    return 0;\n}\n"

# 666 writes to address 1, 667 never ends, 668 is refused.
WILD = """__device__ int run(const int *in, int *out)
{
    if (in[0] == 666)
        *(volatile char *)1 = 1;
    while (in[0] == 667)
        *(volatile int *)out = 1;
    out[0] = in[0] + 1;
    return in[0] == 668;
}
"""

# Two to the power of 29 instances of a template.
ENDLESS = """template <int N, int A> struct F { static const long v = F<N - 1, A * 2>::v + F<N - 1, A * 2 + 1>::v; };
template <int A> struct F<0, A> { static const long v = A; };
__device__ int run(const int *in, int *out) { out[0] = F<29, 1>::v; return 0; }
"""


def table(source, more="", count=1):
    """A configuration with that source."""
    library = 'nvrtc = "%s"\n' % NVRTC if NVRTC else ""
    return ('[runner.k]\ntype = "kernel"\nsource = "%s"\nin = "i32:%d"\nout = "i32:%d"\n%s' %
            (source, count, count, library + more))


def without_nvrtc():
    """Why nothing can be compiled here, or None."""
    with tempfile.NamedTemporaryFile("w", suffix=".cu") as f:
        f.write(SOUND)
        f.flush()
        more = ["nvrtc=" + NVRTC] if NVRTC else []
        code, _, err = run_once("compile-kernel", f.name, "in=i32:1", "out=i32:1", *more)
    return err.strip() if code == 1 and "NVRTC is needed" in err else None


class Sources:
    """Mix-in: a folder for sources, and a look for NVRTC."""
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        why = without_nvrtc()
        if why:
            raise unittest.SkipTest(why)
        cls.folder = tempfile.TemporaryDirectory(prefix="taskgate-kernels-")
        cls.addClassCleanup(cls.folder.cleanup)

    def source(self, content, name="k.cu"):
        path = os.path.join(self.folder.name, name)
        with open(path, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        return path
