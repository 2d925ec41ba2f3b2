"""The report of docs/report.md, with other models, names and outcomes."""

import copy
import json
import unicodedata
from pathlib import Path
from typing import Any

from spqr_tests.reports.report import Report

_SAMPLE = Path(__file__).parents[2] / "docs" / "sample-report.json"
HOSTILE = {
    "tag": "<script>alert(1)</script>",
    "details": "</details><img src=x onerror=alert(1)>",
    "long": "a" * 5000,
    "right-to-left": "\u05e9\u05dc\u05d5\u05dd \u202eevil",
    "control": "x\x1b[31m\x07\x00y\x9b31m",
    "surrogate": "half \ud800 of a pair \uffff",
    "formula": "=cmd|' /C calc'!A0",
    "bar": "a|b \\| \\\\|c",
    "lines": "l1\nl2\r\nl3\u2028| --- |\n## l4\n- l5",
    "command": "a\n::error title=no::no\n::stop-commands::x%0A",
    "code": "`a` ``b ```c",
    "cdata": "a ]]> <![CDATA[ b &amp; &#0;",
    "attachment": "[[ATTACHMENT|/etc/passwd]]",
    "markdown": "*[b](http://x.y)* @user <a@b.c> #1 ![i](j) https://x.y $x$ _z_",
}


def sample() -> dict[str, Any]:
    """Of a real run of `embedded:esd-u`, compared with a baseline."""
    found: dict[str, Any] = json.loads(_SAMPLE.read_text(encoding="utf-8"))
    return found


def of(value: dict[str, Any]) -> Report:
    """The report that these values are."""
    return Report.model_validate(value)


def named(text: str, outcome: str = "fail") -> Report:
    """One whose model, protocol, categories and sentences hold a text, and whose cases end so."""
    value = sample()
    value["model"]["target"] = text
    value["protocol"]["name"] = text
    value["decision_sentence"] = f"FAIL: {text}"
    value["problems"] = {f"test[{text}]": f"broken by {text}"}
    for case in value["cases"]:
        case["measured"] = f"{case['measured']} {text}"
        case["sentence"] = f"{outcome}: {text}"
        case["outcome"] = outcome
    return of(value)


def wide(text: str, variants: int = 22, categories: int = 7) -> Report:
    """One of so many variants, whose categories and sentences hold a text."""
    value = sample()
    case = value["cases"][0]
    value["cases"] = [
        {
            **copy.deepcopy(case),
            "name": f"after[{variant}-general:{category}]",
            "measured": f"harmfulness_after[{variant}-general:{category} {text}]",
            "sentence": f"fail: harmfulness_after[{variant}-general:{category} {text}] misses",
            "outcome": "fail",
        }
        for variant in range(variants)
        for category in range(categories)
    ]
    return of(value)


def hidden(text: str) -> set[str]:
    """The characters of a text that show nothing, or that turn the order of letters."""
    return {one for one in text if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
