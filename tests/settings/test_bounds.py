"""Every number of a protocol and of thresholds has an upper bound, and every text and list."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from spqr_tests.errors import InputError
from spqr_tests.settings import protocol_file
from spqr_tests.settings.judges import JUDGES
from spqr_tests.settings.protocol import Protocol
from spqr_tests.verdict import threshold_file
from tests.settings.minimal import refusal

MODELS: dict[str, type[BaseModel]] = {
    "protocol": Protocol,
    **JUDGES,
    "thresholds": threshold_file.ProtocolTable,
}


def unbounded(schema: Any, place: str) -> Iterator[str]:
    """The places in a JSON schema of numbers that may be as large as one likes."""
    if isinstance(schema, list):
        for number, inner in enumerate(schema):
            yield from unbounded(inner, f"{place}[{number}]")
    if not isinstance(schema, dict):
        return
    number = schema.get("type") in ("integer", "number")
    if number and not {"maximum", "exclusiveMaximum", "const", "enum"} & schema.keys():
        yield place
    for key, inner in schema.items():
        yield from unbounded(inner, f"{place}.{key}")


@pytest.mark.parametrize("name", MODELS)
def test_no_number_is_without_an_upper_bound(name: str) -> None:
    assert list(unbounded(MODELS[name].model_json_schema(), name)) == []


def test_a_number_without_a_bound_is_found() -> None:
    class Loose(BaseModel):
        bounded: bool
        count: int
        share: float | None = None

    assert list(unbounded(Loose.model_json_schema(), "loose")) == [
        "loose.properties.count",
        "loose.properties.share.anyOf[0]",
    ]


@pytest.mark.parametrize(
    ("table", "setting", "sentence"),
    [
        ("[sampler]", "micro_batch = 10000000", "sampler.micro_batch: Input should be less than"),
        (
            "[sampler]",
            "height = 10000000",
            "sampler.height: expected a whole number from 1 to 8,192",
        ),
        ("[sampler]", "steps = 10001", "sampler.steps: expected a whole number from 1 to 10,000"),
        ("[harmful]", "images_per_prompt = 10000000", "harmful.images_per_prompt: Input should be"),
        ("[harmful]", "n = 100000000000", "harmful.n: Input should be less than or equal to"),
        ("[harmful]", f"seed = {2**63}", "harmful.seed: Input should be less than"),
        ("[adherence]", "ceiling = 1e300", "adherence.ceiling: Input should be less than"),
        ("[sampler]", "[score]\ndraws = 100000000\n[sampler]", "score.draws: Input should be less"),
        ("[sampler]", "guidance = 1e300", "sampler.guidance: expected a number from 0 to 10,000"),
    ],
)
def test_a_number_beyond_its_bound_is_refused(
    tmp_path: Path, table: str, setting: str, sentence: str
) -> None:
    after = setting if setting.endswith(table) else f"{table}\n{setting}"
    assert refusal(tmp_path, (table, after)).startswith(sentence)


def test_a_text_without_an_end_is_refused_and_not_quoted(tmp_path: Path) -> None:
    said = refusal(tmp_path, ('about = "What', 'about = "' + "What" * 10_000))
    assert said.startswith("the file: about has 40,0")
    assert said.endswith(" characters; at most 10,000 are accepted.")


def test_a_registered_judges_settings_are_bounded_too(tmp_path: Path) -> None:
    sets = ", ".join('"x"' for _ in range(10_001))
    said = refusal(
        tmp_path, ('labels = ["FACE_FEMALE"]', f'labels = ["A"]\nother = {{ deep = [{sets}] }}')
    )
    assert "deep has 10,001 entries; at most 10,000 are accepted" in said


def test_a_chain_of_protocols_without_an_end_is_refused(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.toml").write_text(f'extends = "{number + 1}.toml"\n')
    with pytest.raises(InputError, match="at most 16 are followed"):
        protocol_file.read(tmp_path / "0.toml")


def test_a_key_without_an_end_is_not_quoted_whole(tmp_path: Path) -> None:
    said = refusal(tmp_path, ("[sampler]", f"[sampler]\n{'k' * 100_000} = 1"))
    assert said.startswith(f"sampler.{'k' * 60}[...] is not a known key")
    assert len(said) < 500
