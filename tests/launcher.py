"""What runs as `sys.executable` in a preloaded run: a worker of xdist is forked, as the run was.

`preloaded` writes this text and a call of `main` into an executable file. Anything but a worker's
command is Python's own to run.
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path

WORKER = ["-u", "-c", "import sys;exec(eval(sys.stdin.readline()))"]
"""As execnet starts one; where another version of it starts one differently, Python does."""


def main(python: str, place: str) -> None:
    """Be the worker, as far as who started it can see: its pipes, its signals and its end."""
    if sys.argv[1:] != WORKER:
        os.execv(python, [python, *sys.argv[1:]])  # noqa: S606  arguments of the tests'
    server = socket.socket(socket.AF_UNIX)
    server.connect(place)
    asked = {"cwd": str(Path.cwd()), "environment": dict(os.environ)}
    socket.send_fds(server, [json.dumps(asked).encode() + b"\n"], [0, 1, 2])
    # The worker alone holds the pipes, so that their end is its end.
    for number in (0, 1, 2):
        os.close(number)
    answers = server.makefile()
    worker = int(answers.readline())
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda number, _: os.kill(worker, number))
    code = int(answers.readline())
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
