"""Opens files of tensors; a file's content, not its name, decides which reader it needs."""

from pathlib import Path

from spqr_tests import files
from spqr_tests.checkpoint.formats import gguf_file
from spqr_tests.checkpoint.formats.safetensors_file import SafetensorsFile
from spqr_tests.checkpoint.formats.tensor import TensorFile
from spqr_tests.errors import InputError


def open_file(path: Path, *, allow_pickle: bool) -> TensorFile:
    """The tensors of a safetensors file, of a GGUF file or, if that is allowed, of a pickle.

    `InputError` for anything else.
    """
    start = files.start(path)
    # diffusers reads them under this name alone, and from no folder of a pipeline.
    if start.startswith(b"GGUF") and path.suffix == gguf_file.SUFFIX:
        return gguf_file.GgufFile(path)
    if _is_pickle(start):
        from spqr_tests.checkpoint.formats.pickle_file import PickleFile

        if path.suffix == ".safetensors":
            raise InputError(
                f"{path} is a pickle with the name of a safetensors file; under this name it is not"
                " read."
            )
        if not allow_pickle:
            raise InputError(
                f"{path} is a pickle, which can execute code when it is read. If you trust the"
                " file's source, pass --spqr-allow-pickle to read it with weights_only; or convert"
                " it to safetensors."
            )
        return PickleFile(path)
    return SafetensorsFile(path)


def _is_pickle(start: bytes) -> bool:
    """Whether a file starts as a zip or with a pickle's protocol byte.

    The ninth byte of a safetensors file is the '{' of its header.
    """
    return start.startswith(b"PK\x03\x04") or (
        start[:1] == b"\x80" and start[1:2] <= b"\x05" and start[8:9] != b"{"
    )
