"""Mutation: inputs made from valid files, as strategies of hypothesis."""

from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from benchmarks.fuzz.parsers import Parser

_LARGEST = 2**20
"""Bytes of an input: below that, none may take more than 10 seconds or 1 GB."""
_TIMES = (2, 3, 10, 63, 64, 65, 300, 1000, 5000, 100_000)


def inputs(parser: Parser) -> SearchStrategy[bytes]:
    """Inputs of a parser: changed valid files, and a few of any bytes."""
    return st.one_of(*[_changed(parser)] * 9, st.binary(max_size=2000))


@st.composite
def _changed(draw: DrawFn, parser: Parser) -> bytes:
    valid = draw(st.sampled_from(parser.valid))
    parts = parser.shape.parts(valid)
    for _ in range(draw(st.integers(1, 4))):
        if not parts:
            break
        position = draw(st.integers(0, len(parts) - 1))
        parts[position] = _edited(draw, parts[position], parser.words)
        if draw(st.integers(0, 19)) == 0:
            parts.insert(position, parts[position])
        elif draw(st.integers(0, 19)) == 0:
            del parts[position]
    made = parser.shape.whole(valid, parts)
    if draw(st.integers(0, 9)) == 0:
        made = _edited(draw, made, parser.words)
    return made[:_LARGEST]


def of_part(parser: Parser, data: bytes, number: int, change: Callable[[bytes], bytes]) -> bytes:
    """A file with one of its parts changed, or changed as a whole where it has none."""
    try:
        parts = parser.shape.parts(data)
        position = number % len(parts)
        parts[position] = change(parts[position])
        return parser.shape.whole(data, parts)
    except Exception:  # noqa: BLE001  a file that was changed before may be damaged in any way
        return change(data)


def _edited(draw: DrawFn, data: bytes, words: tuple[bytes, ...]) -> bytes:
    """The data with one stretch of it replaced, removed or repeated."""
    begin = draw(st.integers(0, len(data)))
    end = draw(st.integers(begin, min(len(data), begin + draw(st.sampled_from((0, 1, 4, 40))))))
    kind = draw(st.sampled_from(("word", "word", "bytes", "flip", "repeat", "end", "words")))
    if kind == "word":
        new = draw(st.sampled_from(words))
    elif kind == "words":
        word, times = draw(st.sampled_from(words)), draw(st.sampled_from(_TIMES))
        new = word * min(times, _LARGEST // max(1, len(word)))
    elif kind == "bytes":
        new = draw(st.binary(max_size=16))
    elif kind == "flip":
        new = bytes(byte ^ (1 << draw(st.integers(0, 7))) for byte in data[begin : begin + 1])
        end = max(end, begin + 1)
    elif kind == "repeat":
        stretch = data[begin : begin + draw(st.sampled_from((1, 2, 8, 40)))]
        times = draw(st.sampled_from(_TIMES))
        new = stretch * min(times, _LARGEST // max(1, len(stretch)))
    else:
        return data[:begin]
    return data[:begin] + new + data[end:]
