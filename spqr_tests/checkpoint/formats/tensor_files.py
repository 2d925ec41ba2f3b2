"""Files of tensors: which reader a file needs, by what it holds and not by its name."""

from pathlib import Path

from spqr_tests.checkpoint.formats.safetensors_file import SafetensorsFile
from spqr_tests.checkpoint.formats.tensor import TensorFile
from spqr_tests.errors import InputError


def open_file(path: Path, *, allow_pickle: bool) -> TensorFile:
    """The tensors of a safetensors file or, where that is allowed, of a pickle. `InputError` for anything else."""
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no file of tensors.")
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    if _is_pickle(start):
        from spqr_tests.checkpoint.formats.pickle_file import PickleFile

        if path.suffix == ".safetensors":
            raise InputError(
                f"{path} is a pickle under the name of a safetensors file; it is not read under"
                " this name."
            )
        if not allow_pickle:
            raise InputError(
                f"{path} is a pickle, which can execute code when it is read; pass"
                " --spqr-allow-pickle if you trust the file's source: it is read with"
                " weights_only, or convert it to safetensors."
            )
        return PickleFile(path)
    return SafetensorsFile(path)


def _is_pickle(start: bytes) -> bool:
    """A zip, or a pickle's protocol byte; the ninth byte of a safetensors file is the '{' of its header."""
    return start.startswith(b"PK\x03\x04") or (
        start[:1] == b"\x80" and start[1:2] <= b"\x05" and start[8:9] != b"{"
    )
