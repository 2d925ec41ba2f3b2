"""The process in which a parser reads inputs: bounded in memory, and in time for each input."""

import contextlib
import gc
import hashlib
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, FunctionType

from hypothesis import HealthCheck, Phase, given, seed, settings

from benchmarks.fuzz import mutation, parsers
from benchmarks.fuzz.parsers import Parser
from benchmarks.fuzz.tally import Finding, Tally
from spqr_tests.errors import EvidenceError, InputError

CHUNK = 250
"""Inputs between two writings of the tally, which are made from one seed."""
MOST_SECONDS = 10
MOST_BYTES = 2**30
_LONGEST_MESSAGE = 9000


class _TooSlow(BaseException):
    """Raised in an input's reading after 10 seconds; no parser catches it."""


def main(name: str, count: int, folder: Path, engine: str = "hypothesis") -> None:
    """Read inputs of a parser until its tally counts `count` of them."""
    parser = parsers.known()[name]
    for sample in parser.valid:
        # Whatever a library imports or allocates once is no input's.
        checked(parser, sample, folder, Tally())
    # What is there when this process ends is the input that ended it.
    shutil.rmtree(folder / "input", ignore_errors=True)
    _bound_memory()
    if engine == "atheris":
        _guided(parser, name, count, folder)
    while (tally := Tally.read(folder)).inputs < count:
        _chunk(parser, tally, folder)
        tally.write(folder)


def _chunk(parser: Parser, tally: Tally, folder: Path) -> None:
    """Read the next inputs, which follow from how many there were."""
    begun = tally.inputs
    run = _property(parser, lambda data: checked(parser, data, folder, tally), CHUNK)
    seed(begun)(run)()
    # However many were read, the next chunk is of the next seed.
    tally.inputs = begun + CHUNK


def _property(parser: Parser, check: Callable[[bytes], None], count: int) -> Callable[..., None]:
    @settings(
        max_examples=count,
        phases=(Phase.generate,),
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutation.inputs(parser))
    def run(data: bytes) -> None:
        check(data)

    return run


def _guided(parser: Parser, name: str, count: int, folder: Path) -> None:
    """Let atheris choose the inputs, by the lines of the suite that they reach; does not return."""
    import atheris

    # The modules are loaded, so that atheris cannot instrument their imports any more.
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and str(one.__module__).startswith("spqr_tests."):
            atheris.instrument_func(one)
    tally = Tally.read(folder)

    def check(data: bytes) -> None:
        checked(parser, data, folder, tally)
        if tally.inputs % CHUNK == 0:
            tally.write(folder)

    def changed(data: bytes, most: int, number: int) -> bytes:
        made = mutation.of_part(parser, data, number, lambda part: atheris.Mutate(part, most))
        return made[:most]

    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(parser.valid):
        (corpus / f"valid-{number}").write_bytes(sample)
    words = folder / "words"
    # libFuzzer takes words of 1 to 64 bytes.
    written = [f'"{_escaped(word)}"\n' for word in parser.words if 1 <= len(word) <= 64]
    words.write_text("".join(written), encoding="ascii")
    # It ends the process without a word to Python: inputs are counted in whole chunks.
    flags = [f"-runs={count}", f"-seed={tally.inputs + 1}", f"-dict={words}", "-max_len=65536"]
    atheris.Setup([name, *flags, str(corpus)], check, custom_mutator=changed)
    atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def checked(parser: Parser, data: bytes, folder: Path, tally: Tally) -> None:
    """Read one input, and count how that ended."""
    place = folder / "input"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    path = place / parser.name
    path.write_bytes(data)
    begun = time.process_time()
    try:
        with _timed():
            parser.read(path)
        tally.read_whole += 1
    except (InputError, EvidenceError) as error:
        tally.refused += 1
        if len(str(error)) > _LONGEST_MESSAGE:
            _found(tally, folder, data, f"a message of {len(str(error))} characters")
    except _TooSlow:
        _found(tally, folder, data, f"more than {MOST_SECONDS} seconds")
    except Exception as error:  # noqa: BLE001  whatever it is, it is a finding
        _found(tally, folder, data, _said(error))
    tally.inputs += 1
    tally.slowest = max(tally.slowest, time.process_time() - begun)


def _found(tally: Tally, folder: Path, data: bytes, what: str) -> None:
    tally.note(Finding(what, keep(folder, data)))


def keep(folder: Path, data: bytes) -> str:
    """Write an input that is a finding; the name of its file."""
    kept = folder / "findings" / hashlib.sha256(data).hexdigest()[:12]
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(data)
    return kept.name


def _said(error: Exception) -> str:
    """The error, and the last place in this tree that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "spqr_tests" in frame.filename] or list(frames)
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
    return f"{type(error).__name__} in {place}: {str(error)[:80]}"


@contextlib.contextmanager
def _timed() -> Iterator[None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise _TooSlow

    # Of this process: other processes may keep the machine busy.
    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _bound_memory() -> None:
    """Let this process grow by 1 GB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    most = pages * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
