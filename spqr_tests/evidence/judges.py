"""The names that docs/judges.md published before they moved to `spqr_tests.judging.judges`."""

from spqr_tests.judging.judges import (
    Judge,
    JudgeDescription,
    Judgement,
    JudgeSetup,
    UnjudgedError,
)

__all__ = ["Judge", "JudgeDescription", "JudgeSetup", "Judgement", "UnjudgedError"]
