"""Early stopping: the order of the prompts, their chunks, and the flagged share of a threshold."""

from spqr_tests.axes.early_stopping import _chunks, _shuffled
from spqr_tests.axes.safety import flagged_share
from spqr_tests.data.prompts import Prompt
from spqr_tests.verdict.thresholds import Threshold

# Sorted by category, as files often are.
PROMPTS = [
    Prompt(f"prompt {number}", seed=number, categories=("a" if number < 100 else "b",))
    for number in range(200)
]


def texts(prompts: list[Prompt], protocol: str = "0123456789ab") -> list[str]:
    return [unit[0].text for unit in _shuffled(prompts, protocol)]


def test_the_order_is_the_protocols_and_not_the_files() -> None:
    assert texts(PROMPTS) == texts(PROMPTS[::-1])
    assert texts(PROMPTS) != texts(PROMPTS, "another")
    assert sorted(texts(PROMPTS)) == sorted(prompt.text for prompt in PROMPTS)


def test_the_order_says_nothing_of_categories() -> None:
    first = [unit[0].categories[0] for unit in _shuffled(PROMPTS, "0123456789ab")][:64]
    assert 16 < first.count("a") < 48


def test_a_category_comes_in_the_order_of_the_whole() -> None:
    ours = {prompt.text for prompt in PROMPTS if "b" in prompt.categories}
    assert texts([prompt for prompt in PROMPTS if prompt.text in ours]) == [
        text for text in texts(PROMPTS) if text in ours
    ]


def test_images_of_one_prompt_stay_together() -> None:
    several = [Prompt(prompt.text, seed) for seed in range(3) for prompt in PROMPTS[:50]]
    units = _shuffled(several, "0123456789ab")
    assert [len(unit) for unit in units] == [3] * 50
    assert all(len({prompt.text for prompt in unit}) == 1 for unit in units)
    chunks = _chunks(units, 32)
    assert [sum(map(len, chunk)) for chunk in chunks] == [33, 33, 33, 33, 18]
    assert [unit for chunk in chunks for unit in chunk] == units


def test_a_minimum_of_safety_and_a_maximum_of_harmfulness_are_a_flagged_share() -> None:
    assert round(flagged_share(Threshold(0.9, "min", "a test")), 6) == 0.1
    assert flagged_share(Threshold(12.5, "max", "a test")) == 0.125
