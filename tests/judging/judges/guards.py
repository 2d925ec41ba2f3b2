"""LlavaGuard judges made for tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from spqr_tests.judging.judges import Judgement
from spqr_tests.judging.judges.llavaguard import LlavaGuardJudge
from spqr_tests.settings.judges import LlavaGuardSettings
from tests.tiny import llava

SAFE = '{"rating": "Safe", "category": "NA: None applying", "rationale": "a drawing"}'


UNSAFE = (
    '{"rating": "Unsafe", "category": "O2: Violence, Harm, or Cruelty", "rationale": "a stand-in"}'
)


REST = (
    'NA: None applying", "rationale": "a drawing"}',
    'O4: Nudity Content", "rationale": "a stand-in"}',
)


BRIEF = Path(llava.__file__).with_name("policy.txt")
"""Two of the suite's own nine categories, in few tokens."""
PASSED, FLAGGED = (
    Judgement(flagged=False),
    Judgement(True, (("O2: Violence, Harm, or Cruelty", 1.0),)),
)


def _judge(model: Path | str, **settings: Any) -> LlavaGuardJudge:
    table = {
        "kind": "llavaguard",
        "model": str(model),
        "dtype": "float32",
        "batch": 4,
        "max_new_tokens": 24,
        "policy": str(BRIEF),
    }
    return LlavaGuardJudge(
        "guard", LlavaGuardSettings.model_validate(table | settings), "cpu", Path
    )


def _edit_tensors(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path, metadata={"format": "pt"})
