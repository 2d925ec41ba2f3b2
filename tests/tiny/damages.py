"""Ways in which a file's bytes are damaged."""

from collections.abc import Callable

ALL: dict[str, Callable[[bytes], bytes]] = {
    "a bit at the start": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "a bit in the middle": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 16]) + data[len(data) // 2 + 1 :]
    ),
    "a bit at the end": lambda data: data[:-1] + bytes([data[-1] ^ 4]),
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "more": lambda data: data + b"\0",
    "zeros": lambda data: bytes(len(data)),
}
"""By what is done."""
