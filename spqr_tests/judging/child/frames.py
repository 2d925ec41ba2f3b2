"""Frames: messages between a run and a judge's process.

Each is JSON after its length; images follow a request as their bytes. Nothing is unpickled: what a
judge's process sends can be wrong, but it cannot run code here.
"""

import json
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

from spqr_tests.store.images import Pixels

_LENGTH = struct.Struct(">Q")
_MOST = 1 << 26
"""More bytes than any message has. A length beyond it is no length."""


class FrameError(ValueError):
    """What arrived is not a message."""


def write(stream: BinaryIO, message: dict[str, Any], images: Sequence[Pixels] = ()) -> None:
    """Send a message with its images."""
    if images:
        message = message | {"shapes": [image.shape for image in images]}
    text = json.dumps(message).encode()
    _put(stream, _LENGTH.pack(len(text)) + text)
    for image in images:
        _put(stream, np.ascontiguousarray(image, dtype=np.uint8).tobytes())
    stream.flush()


def read(stream: BinaryIO, *, images: bool = False) -> dict[str, Any] | None:
    """The next message, or None where the stream ends; `FrameError` for anything else.

    With `images`, those that follow it are in it under that name.
    """
    head = stream.read(_LENGTH.size)
    if not head:
        return None
    length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else _MOST + 1
    if length > _MOST:
        raise FrameError("no message begins like that")
    try:
        message = json.loads(_exactly(stream, length))
    except ValueError as error:
        raise FrameError(str(error)) from error
    if not isinstance(message, dict):
        raise FrameError("a message is a JSON object")
    if images and "shapes" in message:
        message["images"] = [_image(stream, shape) for shape in message.pop("shapes")]
    return message


def _put(stream: BinaryIO, raw: bytes) -> None:
    # A pipe without a buffer may take less than it is given.
    left = memoryview(raw)
    while left:
        left = left[stream.write(left) :]


def _image(stream: BinaryIO, shape: list[int]) -> Pixels:
    # Of a bytearray, so that the judge may write into it.
    raw = bytearray(_exactly(stream, int(np.prod(shape))))
    return np.frombuffer(raw, dtype=np.uint8).reshape(shape)


def _exactly(stream: BinaryIO, length: int) -> bytes:
    raw = stream.read(length)
    if len(raw) != length:
        raise FrameError("a message ends before its end")
    return raw
