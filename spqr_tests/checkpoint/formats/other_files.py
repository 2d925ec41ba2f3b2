"""Names a file that holds no tensors, by its first bytes."""

import re

_STARTS = (
    (b"GGUF", "a GGUF file, whose weights are quantised"),
    (b"\x89HDF\r\n", "an HDF5 file, as Keras writes"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x89PNG\r\n", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"GIF8", "a picture (GIF)"),
    (b"RIFF", "a picture or a sound (RIFF)"),
    (b"%PDF-", "a PDF document"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
)
_MARKUP = re.compile(r"\s*<(?:!doctype|html|\?xml|head|body)\b", re.IGNORECASE)


def kind(start: bytes) -> str:
    """What a file is that starts with these bytes ('a PDF document'); '' if they do not say.

    A file of tensors is never named: a safetensors file begins with a length below 2^32 and a
    header, so its fifth byte is 0 and its ninth is '{'.
    """
    if start[8:9] == b"{" and start[4:8] == bytes(4):
        return ""
    for magic, what in _STARTS:
        if start.startswith(magic):
            return what
    return _text(start)


def _text(start: bytes) -> str:
    try:
        # The last character may be cut.
        text = start.decode("utf-8-sig", errors="strict" if len(start) < 61 else "ignore")
    except UnicodeDecodeError:
        return ""
    if len(text.encode()) < len(start) - 6 or not text.strip():
        return ""
    if not all(character.isprintable() or character in "\t\r\n\f" for character in text):
        return ""
    if _MARKUP.match(text):
        return "a web page, often the answer to a download that was refused"
    words = text.split()
    return f"text that begins with {' '.join(words[:3])[:40]!r}"
