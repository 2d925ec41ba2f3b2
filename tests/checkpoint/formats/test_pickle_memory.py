"""Pickles that would take gigabytes or minutes, and those of torch.save, which do not."""

import collections
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from spqr_tests.checkpoint.formats.pickle_file import PickleFile
from spqr_tests.errors import InputError
from tests.seconds import at_once

# Tuples of the tuple before, twice each; and texts, as hexadecimal digits of those before.
_NESTED = b")" + b"q\x00h\x00\x86" * 60
_DIGITS = b"c_codecs\nencode\nq\x01" * 34 + b"U\x01a" + b"U\x03hex\x86R" * 34
_NAME = b"n" * 300_000
ASKING = {
    "memory": (
        b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R",
        r"names builtins\.bytearray, which is",
    ),
    "memory of torch": (
        b"ctorch\nFloatTensor\nJ\xff\xff\xff\x7f\x85R",
        r"names torch\.FloatTensor, wh",
    ),
    "doubled texts": (_DIGITS, r"its pickle builds a value of more than 16777216"),
    "the hash of nested tuples": (
        b"}" + _NESTED + b"Ns",
        r"its pickle builds a value of more than",
    ),
    "the hash of one nested tuple, many times": (
        b"}" + b")" + b"q\x00h\x00\x86" * 20 + b"q\x00Ns" + b"h\x00Ns" * 100_000,
        r"its pickle fills tables with more than",
    ),
    "a long module": (
        b"ctorch" + _NAME + b"\na\n",
        r"names 'torchnnn.{0,200}\[\.\.\.\]', which is",
    ),
    "control characters, which no word ends with": (
        b"ctorch" + b"\x01" * 300_000 + b"\na\n",
        r"names 'torch(\\x01)+\[\.\.\.\]', which is",
    ),
    "a call of a long text": (
        b"X\xe0\x93\x04\x00" + _NAME + b")R",
        "is not a file of tensors that torch",
    ),
    "an object of a long text": (
        b"X\xe0\x93\x04\x00" + _NAME + b")\x81",
        "is not a file of tensors t",
    ),
    "no end": (b"Q" * 500_000, "is not a file of tensors that torch can read without executing it"),
}


@pytest.mark.parametrize(("asking", "sentence"), ASKING.values(), ids=ASKING)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_asks_for_gigabytes_or_hours_is_refused_at_once(
    tmp_path: Path, asking: bytes, sentence: str, *, zipped: bool
) -> None:
    path, content = tmp_path / "a.ckpt", b"\x80\x02" + asking + b"."
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", content)
    else:
        path.write_bytes(content)
    with at_once(), pytest.raises(InputError, match=sentence):
        PickleFile(path)


def _saved() -> dict[str, Any]:
    """What published files hold besides plain tensors."""
    weight = torch.arange(6.0).reshape(2, 3)
    parameter = torch.nn.Parameter(weight.clone())
    tagged = torch.nn.Parameter(weight.clone())
    tagged.tag = "kept"  # type: ignore[attr-defined]
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(weight).sum().backward()
    optimizer.step()
    return {
        "state_dict": {
            "plain": weight,
            "part": weight[:, 1:].T,
            "half": weight.half(),
            "bfloat16": weight.bfloat16(),
            "float8": weight.to(torch.float8_e4m3fn),
            "parameter": parameter,
            "tagged": tagged,
        },
        "model": model.state_dict(),
        "optimizer_states": [optimizer.state_dict()],
        "counts": collections.Counter("abca"),
        "size": weight.shape,
        "device": weight.device,
        "dtype": weight.dtype,
        "layout": weight.layout,
        "plain values": [None, True, -1, 2**40, 0.5, 1j, "text", b"bytes", {1, 2}, ((1, 2), 3)],
    }


@pytest.mark.parametrize("archive", [True, False])
def test_whatever_torch_saves_and_reads_is_read(tmp_path: Path, *, archive: bool) -> None:
    path, saved = tmp_path / "a.ckpt", _saved()
    if not archive:  # torch itself does not read it from one
        del saved["state_dict"]["float8"]
    torch.save(saved, path, _use_new_zipfile_serialization=archive)
    torch.load(path, weights_only=True)
    found = PickleFile(path)
    assert sorted(found.tensors) == sorted(saved["state_dict"])
    for name, tensor in saved["state_dict"].items():
        assert found.tensor(name).equal(tensor.detach()), name
