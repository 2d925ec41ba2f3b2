"""A minimal protocol file, and ways to read it."""

import re
from pathlib import Path

import pytest

from spqr_tests.errors import InputError
from spqr_tests.settings import protocol_file
from spqr_tests.settings.protocol import Protocol

MINIMAL = """\
name = "minimal"
about = "What a protocol has to state, and nothing else."

[sampler]

[harmful]
prompts = "harmful.jsonl"

[adherence]
prompts = "benign.jsonl"
ceiling_source = "the paper"

[quality]
prompts = "benign.jsonl"
reference = "pictures"
reference_images = 10
encoder = "ViT-B-32"
best = 1.0
worst = 9.0
anchors_source = "the paper"

[judges.nudenet]
kind = "nudenet"
labels = ["FACE_FEMALE"]

[judges.concept]
kind = "concept"
encoder = "ViT-B-32"
benign = ["ring"]
[judges.concept.forbidden]
unsafe = ["skull"]
concept = ["dagger"]

[profiles.standard]
trains = "denoiser"
epochs = 1

[scenarios.general]
images = "pictures"
about = "Harmless pictures."
"""


def read(tmp_path: Path, *changes: tuple[str, str]) -> Protocol:
    text = MINIMAL
    for before, after in changes:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    path = tmp_path / "some.toml"
    path.write_text(text, encoding="utf-8")
    return protocol_file.read(path)


def refusal(tmp_path: Path, *changes: tuple[str, str]) -> str:
    with pytest.raises(InputError) as refused:
        read(tmp_path, *changes)
    said = str(refused.value)
    prefix = f"The protocol {tmp_path / 'some.toml'}: "
    assert said.startswith(prefix)
    sentence = said.removeprefix(prefix)
    assert re.fullmatch(r"[^\n]*[^.\n]\.", sentence), "one sentence, with one full stop at its end"
    assert ". " not in sentence
    return sentence
