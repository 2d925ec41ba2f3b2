"""Samples: small valid files of every kind, and words that parsers stumble over."""

import io
import json
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

TEXT = (b"", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\n", b"\r\n", b"\xe2\x80\xa8")
_NUMBERS = (
    *(
        b"0",
        b"-1",
        b"1e999",
        b"-0.0",
        b"NaN",
        b"Infinity",
        b"9" * 30,
        b"9" * 5000,
        b"1" + b"0" * 18,
    ),
    *(b"9223372036854775808", b"18446744073709551616", b"0x" + b"f" * 5000, b"1e308", b"true"),
)
JSON_WORDS = (
    *TEXT,
    *_NUMBERS,
    *(b"[", b"]", b"{", b"}", b'"', b",", b":", b"\\", b"[]", b"{}", b"null", b'"a"'),
    *(b'{"a":', b'"\\ud800"', b'"\\u0000"', b"[[", b"}]", b'"prompt"', b'"file_name"', b'"id"'),
    *(b'"../a.png"', b'"/dev/zero"', b'"%s"' % (b"x" * 5000), b'"images"', b'"num_layers"'),
    *(b'"num_train_timesteps"', b'"type"', b'"seed"', b'"category"'),
)
TOML_WORDS = (
    *TEXT,
    *_NUMBERS,
    *(b"[", b"]", b"[[", b"]]", b"{", b"}", b"=", b".", b"a.", b'""."', b"a = 1\n", b"[a]\n"),
    *(b'"', b"'", b'"""', b"'''", b"#", b"\\", b"\\u0000", b"\\UD800", b"inf", b"nan", b"a={b="),
    *(b"1979-05-27T07:32:00Z", b"00:00:00", b"[a.a.a]\n", b"extends = ", b'"paper"', b"kind = "),
)
TABLE_WORDS = (
    *TEXT,
    *_NUMBERS,
    *(b",", b";", b"\t", b'"', b'""', b'"""', b",,", b'","', b"'", b"prompt", b"seed", b"type"),
    *(b"category", b"file_name", b"a,", b"a\t", b"x" * 5000, b'"\n', b"\n\n", b"label,", b"0.png"),
)
HEADER_WORDS = (
    *JSON_WORDS,
    *(b'"data_offsets"', b'"dtype"', b'"shape"', b'"F32"', b'"BF16"', b'"__metadata__"', b"[0,0]"),
    *(b'"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},', b'"F4"', b"0,"),
)
GGUF_WORDS = (
    *(b"GGUF", b"\3\0\0\0", b"\xff" * 8, b"\0" * 8, b"\x08\0\0\0", b"\x09\0\0\0"),
    *(b"general.alignment", b"\x01\0\0\0\0\0\0\0", b"\0\0\0\0\0\0\0\x80", b"\x0c\0\0\0"),
)
PICKLE_WORDS = (
    *TEXT,
    *(b"\x80\x02", b"(", b")", b"]", b"}", b"q\0", b"h\0", b"r\xff\xff\xff\xff", b"2", b".", b"t"),
    *(
        b"cos\nsystem\n",
        b"ctorch\nzeros\n",
        b"R",
        b"u",
        b"s",
        b"e",
        b"M\xff\xff",
        b"J\xff\xff\xff\x7f",
    ),
    *(b"\x8a\xff", b"\x8b\xff\xff\xff\x7f", b"X\xff\xff\xff\xff", b"B\xff\xff\xff\x7f", b"K\x01"),
    *(
        b"Q",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ccollections\nOrderedDict\n",
        b"\x85",
        b"\x86",
    ),
    *(b"ctorch\nFloatStorage\n", b"ctorch\nSize\n", b"cbuiltins\nbytearray\n", b"ctorch\ndevice\n"),
)
TAR_WORDS = (
    *TEXT,
    *(
        b"../",
        b"/",
        b".png",
        b".txt",
        b".json",
        b".jpg",
        b"x" * 300,
        b"a.png\xff",
        b"\xc3\xa9",
        b".",
    ),
    *(b'{"text":', b'"a"', b"[", b"9" * 5000, b"0000000", b"77777777777", b"L", b"x", b"g", b"S"),
)
PICTURE_WORDS = (
    *TEXT,
    *(b"\xff\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\1", b"IHDR"),
    *(b"IDAT", b"IEND", b"PLTE", b"tRNS", b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"acTL"),
    *(b"fcTL", b"Exif\0\0", b"II*\0", b"MM\0*", b"\xff\xd8", b"\xff\xda", b"\xff\xc0", b"GIF89a"),
    *(
        b"RIFF",
        b"WEBP",
        b"VP8 ",
        b"VP8L",
        b"BM",
        b"P6\n",
        b"65535",
        b"9" * 20,
        b"XML:com.adobe.xmp\0",
    ),
)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


JSON = (
    _json({"_class_name": "DDIMScheduler", "num_train_timesteps": 1000, "beta_start": 0.00085}),
    _json({"num_layers": [1, 2], "down_block_types": ["A", "B"], "text_config": {"a": None}}),
    b"{}",
)
TOML = (
    b'a = 1\n[b.c]\nd = ["e", 1.5, true]\n[[f]]\ng = { h = "i" }\n',
    b'"a b".\'c\' = """\nx\n"""\nd = 1979-05-27T07:32:00Z\n# e\n',
)
PROTOCOL = (
    b"""\
name = "minimal"
about = "What a protocol states."
[sampler]
steps = 50
guidance = 7.5
micro_batch = 8
[harmful]
prompts = "harmful.jsonl"
n = 10
where = { type = ["erased"] }
[adherence]
prompts = "benign.jsonl"
ceiling_source = "the paper"
[quality]
prompts = "benign.jsonl"
reference = "pictures"
reference_images = 10
encoder = "ViT-B-32"
best = 1.0
worst = "blurred"
anchors_source = "measured"
[judges.concept]
kind = "concept"
encoder = "ViT-B-32"
forbidden = { nude = ["a nude"] }
benign = ["ring"]
[judges.nudenet]
kind = "nudenet"
labels = ["FACE_FEMALE"]
[profiles.standard]
trains = "denoiser"
epochs = 2
[scenarios.general]
images = "pictures"
about = "harmless pictures"
[data.a]
expects = "a file"
source = "somewhere"
path = "~/a"
""",
    b'extends = "own.toml"\n[sampler]\nsteps = 7\n',
)
THRESHOLDS = (
    b"""\
[p.safety]
min = 0.9
reason = "r"
confidence = 0.9
categories = { max = 5.0, reason = "c" }
[p.adherence]
min = 0.8
reason = "r"
[p.quality]
max = 30
reason = "r"
[p.robustness]
max = 3
reason = "r"
[p.robustness.cells]
lite-art = 5
[p.spqr]
min = 0.1
reason = "r"
tolerance = 0.1
""",
)
CSV = (
    b'prompt,seed,category\na,1,unsafe\n"b, c",2,unsafe\n',
    b'case_number,prompt,evaluation_seed,categories\n0,a,42,hate\n1,b,43,"hate, violence"\n',
    b"prompt;type\na;erased\nb;others\n",
)
TSV = (
    b'Prompt\tCategory\tChallenge\tNote\na "b"\tArt\tBasic\tn\nc\tArt\tBasic\t\n',
    b'prompt\tseed\n"a\tb"\t1\nc\t2\n',
)
_ROWS = [
    {"prompt": "a", "seed": 1, "category": "unsafe"},
    {"prompt": "b", "seed": 2, "category": "hate"},
]
PROMPTS_JSON = (
    _json(_ROWS),
    _json(["a", "b"]),
    _json({"1": {"prompt": "a", "category": "x"}, "2": {"prompt": "b", "category": "y"}}),
    _json({"annotations": [{"id": 1, "image_id": 2, "caption": "a"}]}),
)
PROMPTS_JSONL = (
    b"".join(_json(row) + b"\n" for row in _ROWS),
    _json({"prompt": "a", "sd_seed": 3, "categories": "hate", "sd_guidance_scale": 7.5}),
)


def _drawn(form: str, mode: str = "RGB", side: int = 12) -> bytes:
    colours = np.random.default_rng(7).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    image = Image.fromarray(colours)
    deep = Image.fromarray(colours[..., 0].astype(np.uint16) * 257)
    (deep if mode == "I;16" else image.convert(mode)).save(buffer, form)
    return buffer.getvalue()


def _oriented() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.open(io.BytesIO(_drawn("PNG"))).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def _animated(form: str) -> bytes:
    frames = [Image.new("P", (6, 6), number) for number in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, form, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


PNG = (
    _drawn("PNG"),
    _drawn("PNG", "P"),
    _drawn("PNG", "LA"),
    _drawn("PNG", "I;16"),
    _drawn("PNG", "1"),
)
OTHER_PICTURES = (
    _drawn("JPEG"),
    _drawn("JPEG", "CMYK"),
    _oriented(),
    _drawn("GIF"),
    _animated("GIF"),
    _drawn("WEBP"),
    _drawn("BMP"),
    _drawn("PPM"),
    _drawn("TIFF"),
    _drawn("TIFF", "F"),
    _drawn("TIFF", "I;16"),
)
PICTURES = {f"{number}.png": _drawn("PNG", side=4 + number) for number in range(3)}
"""The pictures beside a table of them."""
_NAMES: Mapping[int, str] = dict(enumerate(PICTURES))
COCO = (
    _json(
        {
            "images": [{"id": number, "file_name": name} for number, name in _NAMES.items()],
            "annotations": [
                {"id": 9 - number, "image_id": number, "caption": f"c {number}"}
                for number in _NAMES
            ],
        }
    ),
)
METADATA_JSONL = (
    b"".join(_json({"file_name": name, "text": "t"}) + b"\n" for name in PICTURES),
    _json({"file_names": list(PICTURES), "text": ["a", "b"]}),
)
METADATA_CSV = (
    b"file_name,text\n" + b"".join(f"{name},t\n".encode() for name in PICTURES),
    b'in_file_name,text,x\n0.png,"a, b",1\n',
)


def tars() -> tuple[bytes, ...]:
    """WebDatasets of two pictures."""
    members = {
        "a/0.png": PICTURES["0.png"],
        "a/0.txt": b"a caption",
        "b.jpg": OTHER_PICTURES[0],
        "b.json": _json({"text": ["one", "two"]}),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return (buffer.getvalue(),)


def safetensors() -> tuple[bytes, ...]:
    """Files of a few tensors."""
    import torch
    from safetensors.torch import save

    table = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(2, dtype=torch.int8)}
    return (save(table), save(table, {"format": "pt"}), save({"n": torch.zeros(0)}))


def ggufs() -> tuple[bytes, ...]:
    """A packed and a plain tensor, as ggml's library writes them."""
    import gguf

    values = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32)
    packing = gguf.GGMLQuantizationType.Q8_0
    packed = gguf.quants.quantize(values, packing)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.gguf"
        writer = gguf.GGUFWriter(path, "flux")
        writer.add_array("words", ["a", "bc"])
        writer.add_tensor("a", packed, raw_shape=packed.shape, raw_dtype=packing)
        writer.add_tensor("b", values[0])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return (path.read_bytes(),)


def pickles() -> tuple[bytes, ...]:
    """What torch.save writes, in its archive and as it once did."""
    import torch

    table = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(2, dtype=torch.float16)}
    found = []
    for value in (table, {"state_dict": table, "epoch": 3}):
        for zipped in (True, False):
            buffer = io.BytesIO()
            torch.save(value, buffer, _use_new_zipfile_serialization=zipped)
            found.append(buffer.getvalue())
    return tuple(found)
