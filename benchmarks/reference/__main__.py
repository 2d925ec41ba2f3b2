"""The reference pages.

    python -m benchmarks.reference

writes docs/reference-options.md, docs/reference-protocol.md and docs/reference-thresholds.md from
the plugin's options and the settings' fields.
"""

from benchmarks.numbers import DOCS
from benchmarks.reference import keys, options

PAGES = {
    "reference-options.md": options.page,
    "reference-protocol.md": keys.protocol,
    "reference-thresholds.md": keys.thresholds,
}
"""What makes each page of docs/."""


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
