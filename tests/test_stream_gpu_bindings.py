"""The real cuda-bindings and NVRTC, on a driver that stands in for NVIDIA's: tests/*.cpp.

What is marked gpu in test_stream_gpu.py runs there, in a process of its own, as on a GPU.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stream.backends import BackendUnavailable
from stream.gpu import program

HERE = Path(__file__).parent
KERNEL = """
static void run_{name}(int gx, int gy, int gz, int bx, int by, void** values) {{
    for_all(gx, gy, gz, bx, by, [&] {{ {name}({values}); }});
}}
static const int sizes_{name}[] = {{{sizes}}};
"""


def test_what_needs_a_gpu_runs_on_the_real_bindings(tmp_path) -> None:
    if shutil.which("g++") is None or not sys.platform.startswith("linux"):
        pytest.skip("needs Linux and g++, to compile the kernels for the processor")
    try:
        program.compiled((9, 0))
    except BackendUnavailable as error:
        pytest.skip(str(error))
    _make_libcuda(tmp_path)
    paths = [str(tmp_path), os.environ.get("LD_LIBRARY_PATH", "")]
    env = dict(os.environ, LD_LIBRARY_PATH=os.pathsep.join(filter(None, paths)))
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-rA", "-p", "no:cacheprovider"]
    command += ["--log-level=INFO", str(HERE / "test_stream_gpu.py")]
    done = subprocess.run(
        command, env=env, cwd=HERE.parent, timeout=500, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert re.search(r"\b[1-9]\d* passed", done.stdout) and "skipped" not in done.stdout
    assert "one by one" not in done.stdout, "what was recorded was more than kernels"


def _make_libcuda(folder: Path) -> None:
    source = program.SOURCE.read_text("utf-8")
    parts, table = [source], []
    for name, parameters in re.findall(r"__global__ void (\w+)\(([^)]*)\)", source):
        types = [re.sub(r"\w+$", "", each.strip()).strip() for each in parameters.split(",")]
        values = [f"*static_cast<{each}*>(values[{n}])" for n, each in enumerate(types)]
        sizes = ", ".join(f"sizeof({each})" for each in types)
        parts.append(KERNEL.format(name=name, values=", ".join(values), sizes=sizes))
        table.append(f'{{"{name}", sizes_{name}, {len(types)}, run_{name}}}')
    parts.append(f"static const Kernel KERNELS[] = {{{', '.join(table)}}};\n")
    (folder / "kernels.inc").write_text("".join(parts))
    command = ["g++", "-std=c++17", "-O2", "-shared", "-fPIC", "-Wall", "-Werror"]
    command += [f"-I{folder}", f"-I{HERE}", *program.OPTIONS, str(HERE / "stand_in_driver.cpp")]
    subprocess.run([*command, "-o", str(folder / "libcuda.so.1"), "-ldl"], check=True, timeout=300)
