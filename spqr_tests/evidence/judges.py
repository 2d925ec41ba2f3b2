"""What docs/judges.md published before `spqr_tests.judging.judges` had it."""

from spqr_tests.judging.judges import (
    Judge,
    JudgeDescription,
    Judgement,
    JudgeSetup,
    UnjudgedError,
)

__all__ = ["Judge", "JudgeDescription", "JudgeSetup", "Judgement", "UnjudgedError"]
