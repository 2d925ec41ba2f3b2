"""Processes that have imported torch, diffusers and the suite: most of a small run's time.

A process imports them once, compiles the report's templates, and forks for each run and for each
worker of a run. Nothing else was called before: to the suite a fork is a fresh process. What a
user's process imports, and when, is for the tests that start Python itself.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

SECONDS = 300
"""For one run."""


def run(
    arguments: Sequence[str], cwd: Path, environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """`python -m pytest` with these arguments, in `cwd`, with this environment and no other."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asked = {
            "arguments": list(arguments),
            "cwd": str(cwd),
            "environment": dict(environment),
            "stdout": str(folder / "stdout"),
            "stderr": str(folder / "stderr"),
        }
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        out, err = (
            (folder / one).read_bytes().decode("utf-8", "replace") for one in ("stdout", "stderr")
        )
    return subprocess.CompletedProcess(["pytest", *arguments], code, out, err)


@cache
def _server() -> "subprocess.Popen[str]":
    """One for each process of tests; it ends with the pipe to it."""
    server = subprocess.Popen(
        [sys.executable, "-P", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    # Leaving the context closes both pipes and waits.
    atexit.register(server.__exit__, None, None, None)
    return server


def _serve() -> None:
    import accelerate  # noqa: F401
    import diffusers
    import jinja2  # noqa: F401
    import peft  # noqa: F401
    import PIL.Image
    import pydantic
    import rich.console  # noqa: F401
    import scipy.stats  # noqa: F401
    import torch  # noqa: F401
    import transformers

    # Both import their classes when they are asked for.
    for module, names in (
        (diffusers, ("StableDiffusionPipeline", "DDIMScheduler")),
        (transformers, ("CLIPTextModel", "CLIPTokenizer")),
        (pydantic, ("BaseModel", "TypeAdapter")),
    ):
        for name in names:
            getattr(module, name)
    _import_suite()
    # pytest warns of a plugin's package that was imported before it, unless its text says this.
    for point in metadata.entry_points(group="pytest11"):
        if plugin := sys.modules.get(point.module.partition(".")[0]):
            plugin.__doc__ = f"{plugin.__doc__} PYTEST_DONT_REWRITE"
    PIL.Image.init()
    # What was imported is no garbage of any fork's.
    gc.collect()
    gc.freeze()
    # Not one that cleans up after itself: each fork would.
    folder = Path(tempfile.mkdtemp())
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(folder / "workers"))
    listening.listen()
    workers = os.fork()
    if workers == 0:
        _serve_workers(listening)
        return
    launcher = _launcher(folder)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line), launcher)
            return
        print(_code(child), flush=True)  # noqa: T201  read by the tests' process
    os.kill(workers, signal.SIGKILL)
    shutil.rmtree(folder)


def _import_suite() -> None:
    import spqr_tests
    from spqr_tests.reports.html import page

    for one in pkgutil.walk_packages(spqr_tests.__path__, f"{spqr_tests.__name__}."):
        # Pytest imports its cases itself, and what authors of packages test with.
        if not one.name.split(".")[1].startswith(("test_", "testing", "__main__")):
            importlib.import_module(one.name)
    templates = page._environment()
    for name in templates.list_templates(["j2"]):
        templates.get_template(name)


def _launcher(folder: Path) -> Path:
    """An executable in place of Python's, for the workers of a run."""
    path = folder / "python"
    text = Path(__file__).with_name("launcher.py").read_text(encoding="utf-8")
    path.write_text(
        f"#!{sys.executable} -IS\n{text}\nmain({sys.executable!r}, {str(folder / 'workers')!r})\n",
        encoding="utf-8",
    )
    path.chmod(0o700)
    return path


def _serve_workers(listening: socket.socket) -> None:
    """Fork for each launcher, until the other server ends."""
    server = os.getppid()
    listening.settimeout(5)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while os.getppid() == server:
        with contextlib.suppress(TimeoutError):
            connection, _ = listening.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _serve_worker(connection)
                return
            connection.close()


def _serve_worker(connection: socket.socket) -> None:
    """Tell a launcher its worker's number, then how that ended."""
    asked, pipes, *_ = socket.recv_fds(connection, 2**20, 3)
    while not asked.endswith(b"\n"):
        more = connection.recv(2**20)
        if not more:  # the launcher was killed
            return
        asked += more
    worker = os.fork()
    if worker == 0:
        connection.close()
        _become_worker(json.loads(asked), pipes)
        return
    for pipe in pipes:
        os.close(pipe)
    connection.sendall(f"{worker}\n".encode())
    _, status = os.waitpid(worker, 0)
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _become_worker(asked: Mapping[str, Any], pipes: Sequence[int]) -> None:
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    for number, pipe in enumerate(pipes):
        os.dup2(pipe, number)
        os.close(pipe)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  for good
    sys.stdout = open(1, "w", 1, encoding="utf-8", closefd=False)  # noqa: SIM115  for good
    sys.path[:] = ["", *sys.path]
    sys.argv = ["-c"]
    exec(eval(sys.stdin.readline()), {"__name__": "__main__"})  # noqa: S102, S307  execnet's own


def _code(child: int) -> int:
    """The exit code of a run, which is ended after a while."""

    def end(*_: object) -> None:
        os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, end)
    signal.alarm(SECONDS)
    _, status = os.waitpid(child, 0)
    signal.alarm(0)
    return os.waitstatus_to_exitcode(status)


def _become(asked: Mapping[str, object], launcher: Path) -> None:
    """Be the process that `python -m pytest` would be; ends it by SystemExit."""
    cwd, environment, arguments = asked["cwd"], asked["environment"], asked["arguments"]
    assert isinstance(cwd, str)
    assert isinstance(environment, dict)
    assert isinstance(arguments, list)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for number, flags, path in (
        (0, os.O_RDONLY, os.devnull),
        (1, os.O_WRONLY | os.O_CREAT, str(asked["stdout"])),
        (2, os.O_WRONLY | os.O_CREAT, str(asked["stderr"])),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    added = [one for one in environment.get("PYTHONPATH", "").split(os.pathsep) if one]
    sys.path[:] = [cwd, *(one for one in added if one not in sys.path), *sys.path]
    if any(one.startswith("-n") for one in arguments):
        sys.executable = str(launcher)
    sys.argv = ["pytest", *arguments]
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve()
