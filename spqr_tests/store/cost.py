"""What this process spent: counters that a report sums over workers."""

from dataclasses import asdict, dataclass


@dataclass
class Cost:
    """Images generated, images judged (once per judge) and variants fine-tuned.

    What the store already held is not counted.
    """

    generated: int = 0
    judged: int = 0
    finetuned: int = 0

    def since(self, earlier: "Cost") -> dict[str, int]:
        """What was spent since `earlier` was copied."""
        before = asdict(earlier)
        return {name: value - before[name] for name, value in asdict(self).items()}
