"""Text readers: token counts, against the libraries that encode."""

import json
from pathlib import Path

import pytest

from spqr_fixtures.embedded import weights
from spqr_tests.checkpoint import text_reader
from spqr_tests.checkpoint.checkpoint import read
from spqr_tests.checkpoint.text_reader import TextReader
from spqr_tests.metrics.dual_encoder import DualEncoder
from spqr_tests.store.store import Store
from tests.tiny import backbones

TEXTS = [
    "",
    "a cat",
    "a circle on a plain ground, " * 40,
    "ünïcödé " * 60,
    "日本語のとても長い説明文です。" * 20,
    "a " * 75,
    "a " * 76,
    "a" * 400,
    "🙂" * 90,
]


def test_clip_s_tokens_are_those_that_open_clip_encodes(store: Store) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    reader = text_reader.of_clip("clip", 77)
    theirs = [len(SimpleTokenizer().encode(text)) + 2 for text in TEXTS]
    ours = reader.tokens(TEXTS, store)
    for count, truth in zip(ours, theirs, strict=True):
        assert count == truth or truth <= count <= 77, "short texts have an upper limit"
    assert [count > 77 for count in ours] == [truth > 77 for truth in theirs]


def test_a_text_is_counted_once_by_each_tokenizer(store: Store) -> None:
    loaded: list[str] = []

    def reader(content: str) -> TextReader:
        def load() -> object:
            loaded.append(content)
            return text_reader.of_clip("clip", 77)._load()

        return TextReader("clip", 77, load, lambda: content)

    first = reader("one").tokens(TEXTS, store)
    assert reader("one").tokens(TEXTS, store) == first
    assert reader("one").tokens(["a short one"], store) == [14]
    assert loaded == ["one"]
    assert reader("one").tokens(["a" * 401], store) != [0]
    assert reader("another").tokens(TEXTS, store) == first
    assert loaded == ["one", "one", "another"]


def test_an_open_clip_folder_reads_by_its_own_tokenizer_and_length(store: Store) -> None:
    import open_clip

    folder = weights.judge_folder()
    reader = DualEncoder(f"local-dir:{folder}", None, "cpu").reader
    assert reader is not None
    assert reader.limit == 32
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}").tokenizer
    theirs = [len(tokenizer(text, truncation=False)["input_ids"]) for text in TEXTS]
    ours = reader.tokens(TEXTS, store)
    assert [count > 32 for count in ours] == [truth > 32 for truth in theirs]
    assert all(one == two for one, two in zip(ours, theirs, strict=True) if two > 32)


@pytest.mark.parametrize(
    ("name", "limit"), [("ViT-B-32", 77), ("ViT-L-14", 77), ("ViT-B-32-quickgelu", 77)]
)
def test_a_published_open_clip_model_reads_as_its_config_says(name: str, limit: int) -> None:
    reader = DualEncoder(name, "openai", "cpu").reader
    assert reader is not None
    assert reader.limit == limit


def test_a_tokenizer_that_only_the_hub_has_is_not_counted() -> None:
    assert DualEncoder("ViT-B-16-SigLIP", "webli", "cpu").reader is None


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("sd1", {"text_encoder": 77}),
        ("sdxl", {"text_encoder": 77, "text_encoder_2": 77}),
        ("sd3", {"text_encoder": 77, "text_encoder_2": 77, "text_encoder_3": 256}),
        ("flux", {"text_encoder": 77, "text_encoder_2": 512}),
    ],
)
def test_each_encoder_of_a_family_reads_what_its_pipeline_gives_it(
    name: str, limits: dict[str, int], tmp_path: Path, store: Store
) -> None:
    backbones.build(name, tmp_path / name)
    readers = text_reader.of(read(name, tmp_path / name).parts)
    found = {reader.name: reader.limit for reader in readers}
    assert found.keys() == limits.keys()
    # The tiny CLIPs of the tests read fewer tokens than the published ones.
    assert {name: found[name] for name in found if limits[name] != 77} == {
        name: limit for name, limit in limits.items() if limit != 77
    }
    long = "a circle on a plain ground, " * 200
    assert all(reader.tokens([long], store)[0] > reader.limit for reader in readers)
    assert all(reader.tokens(["a"], store)[0] <= reader.limit for reader in readers)


def test_flux_schnell_reads_half_of_what_dev_reads(tmp_path: Path) -> None:
    folder = backbones.build("flux", tmp_path / "flux")
    config = folder / "transformer" / "config.json"
    table = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps(table | {"guidance_embeds": False}), encoding="utf-8")
    weights_of_guidance = [name for name in table if name == "guidance_embeds"]
    assert weights_of_guidance
    parts = read("flux", folder, weightless=True).parts
    assert [reader.limit for reader in text_reader.of(parts)][1] == 256
