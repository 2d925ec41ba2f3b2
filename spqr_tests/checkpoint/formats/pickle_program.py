"""What a pickle would have torch do, found without doing it.

torch's `weights_only` executes nothing of a file's own, but a small file may still take it
gigabytes (what it calls allocates as much as it is told) or hours (it hashes tuples of tuples, and
searches the message that quotes a name or a value in quadratic time).
"""

import io
import pickletools
from typing import Any

from spqr_tests import quotes

_LONGEST_NAME = 200
_HEAVIEST = 2**24
"""Characters and items of a value, each counted as often as it is held."""
_MOST_FILLED = 2**26
"""Those of all that lists and tables take: a key is hashed whole, each time that it is taken."""
_BUILTINS = ("builtins", "__builtin__")
_CALLED = frozenset(
    {
        "collections OrderedDict",
        "collections Counter",
        "_codecs encode",
        "torch Size",
        "torch device",
        "torch.serialization _get_layout",
        "torch.nn.parameter Parameter",
        "torch._utils _rebuild_tensor",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_tensor_v3",
        "torch._utils _rebuild_parameter",
        "torch._utils _rebuild_parameter_with_state",
        "torch._utils _rebuild_qtensor",
        "torch._utils _rebuild_sparse_tensor",
        "torch._utils _rebuild_meta_tensor_no_storage",
        *(f"{module} {name}" for module in _BUILTINS for name in ("set", "complex")),
    }
)
"""What torch may call: all of it takes the memory of what it is given."""
_PLAIN = {
    *("NONE", "NEWTRUE", "NEWFALSE", "EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET"),
    *("BININT", "BININT1", "BININT2", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING", "LONG1"),
}
_CONTAINERS = {"APPEND": 1, "APPENDS": None, "SETITEM": 2, "SETITEMS": None, "BUILD": 1}
"""How many values an operation takes from the stack; None: all to the last mark."""
_TUPLES = {"TUPLE": None, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_NEITHER = (
    "which is neither a tensor nor a plain value. The file was refused, and nothing in it was"
    " executed. If the class is only a trainer's bookkeeping, save the tensors alone as"
    " safetensors."
)
DAMAGED = (
    "is not a file of tensors that torch can read without executing it; it is damaged, or of"
    " another kind."
)


class Refused(Exception):  # noqa: N818  no error of the program's
    """Why a pickle is not read: a clause that follows the file's name."""


def neither(name: str) -> str:
    """What is said of a name that a file of tensors has no need of."""
    return f"names {name}, {_NEITHER}"


class _Global(str):
    """A name of a module and of something in it."""

    __slots__ = ()


_Held = int | _Global
"""On the stack: how heavy a value is, or a name, which a call may be of."""
_MARK = -1


def follow(pickles: bytes, count: int, inert: frozenset[str]) -> None:
    """Follow `count` pickles, one behind the other; `Refused` unless torch may read them.

    `inert` are further names, as 'module name', which may be called.
    """
    stream = io.BytesIO(pickles)
    for _ in range(count):
        _Program(_CALLED | inert).follow(stream)


class _Program:
    """One pickle's stack and memo."""

    def __init__(self, called: frozenset[str]) -> None:
        self._called = called
        self._stack: list[_Held] = []
        self._memo: dict[int, _Held] = {}
        self._filled = 0

    def follow(self, stream: io.BytesIO) -> None:
        """Follow the pickle that begins here to its end."""
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                self._step(opcode.name, argument)
                if self._stack and _weight(self._stack[-1]) > _HEAVIEST:
                    raise Refused(_too_much("builds a value of", _HEAVIEST))
        except (ValueError, LookupError) as error:
            raise Refused(DAMAGED) from error

    def _step(self, name: str, argument: Any) -> None:
        if name in ("PROTO", "STOP"):
            return
        if name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = held = self._pop()
        elif name in ("BINGET", "LONG_BINGET"):
            held = self._memo[argument]
        elif name == "MARK":
            held = _MARK
        else:
            held = self._made(name, argument)
        self._stack.append(held)

    def _made(self, name: str, argument: Any) -> _Held:
        """What an operation makes of what it takes from the stack."""
        if name == "GLOBAL":
            return _named(argument)
        if name in _PLAIN:
            return 1 + (len(argument) if isinstance(argument, str | bytes) else 0)
        if name in _TUPLES:
            return 1 + self._taken(_TUPLES[name])
        if name in _CONTAINERS:
            # A list or a table, which weighs what it did.
            self._filled += self._taken(_CONTAINERS[name])
            if self._filled > _MOST_FILLED:
                raise Refused(_too_much("fills tables with", _MOST_FILLED))
            return self._pop()
        if name in ("REDUCE", "NEWOBJ"):
            return self._call()
        if name == "BINPERSID":
            return min(1, self._taken(1))
        raise LookupError(f"torch does not know {name}")

    def _call(self) -> int:
        weight, called = self._taken(1), self._pop()
        if not isinstance(called, _Global):
            raise LookupError("a value is called")
        if called not in self._called:
            raise Refused(neither(called.replace(" ", ".")))
        # As much as it may take (`encode`, to hexadecimal digits).
        return 2 * weight

    def _pop(self) -> _Held:
        if self._stack[-1] == _MARK:
            raise LookupError("a mark")
        return self._stack.pop()

    def _taken(self, count: int | None) -> int:
        """The weight of the top `count` values, which are taken; None: of all to a mark."""
        if count is not None:
            return sum(_weight(self._pop()) for _ in range(count))
        weight = 0
        while (held := self._stack.pop()) != _MARK:
            weight += _weight(held)
        return weight


def _named(name: str) -> _Global:
    if len(name) > _LONGEST_NAME:
        raise Refused(neither(quotes.named(name)))
    return _Global(name)


def _too_much(does: str, most: int) -> str:
    return (
        f"is not a file of tensors that can be read: its pickle {does} more than {most} characters"
        " and items; save the tensors alone as safetensors."
    )


def _weight(held: _Held) -> int:
    return 1 if isinstance(held, _Global) else held
