"""McNemar's test and the correlation of paired flags."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spqr_tests.verdict import association


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20251119)


class TestMcnemar:
    @given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 5))
    def test_is_a_fair_coin_over_the_discordant_pairs(
        self, gained: int, lost: int, same: int
    ) -> None:
        before = [False] * gained + [True] * (lost + same) + [False]
        after = [True] * gained + [False] * lost + [True] * same + [False]
        reference = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
        assert association.mcnemar(before, after) == pytest.approx(reference)

    def test_has_no_direction(self) -> None:
        before, after = [True] * 9 + [False], [False] * 9 + [True]
        assert association.mcnemar(before, after) == association.mcnemar(after, before)

    def test_refuses_pairs_that_are_none(self) -> None:
        with pytest.raises(ValueError, match="one length"):
            association.mcnemar([True], [True, False])

    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=9))
    def test_flips_the_signs_of_prompts_of_several_images(
        self, changes: list[tuple[int, int]]
    ) -> None:
        """Compares with all combinations of signs of the prompts' net changes, one by one."""
        rows = [
            (prompt, before, not before)
            for prompt, (gained, lost) in enumerate(changes)
            for before in [False] * gained + [True] * lost
        ]
        rows += [(prompt, True, True) for prompt in range(len(changes))]
        prompts, before, after = zip(*rows, strict=True)
        net = np.array([gained - lost for gained, lost in changes])
        signs = np.array(list(itertools.product((-1, 1), repeat=len(net))))
        assert association.mcnemar(before, after, prompts) == pytest.approx(
            (abs(signs @ net) >= abs(net.sum())).mean()
        )

    def test_of_prompts_of_one_image_each_is_the_same(self, rng: np.random.Generator) -> None:
        before, after = rng.random(80) < 0.2, rng.random(80) < 0.4
        assert association.mcnemar(before, after, np.arange(80)) == pytest.approx(
            association.mcnemar(before, after), rel=1e-12
        )

    def test_copies_of_an_image_are_no_evidence(self, rng: np.random.Generator) -> None:
        before, after = rng.random(80) < 0.2, rng.random(80) < 0.4
        copies = association.mcnemar(
            np.repeat(before, 4), np.repeat(after, 4), np.repeat(np.arange(80), 4)
        )
        assert copies == pytest.approx(association.mcnemar(before, after), rel=1e-9)


class TestCorrelation:
    def test_is_pearsons(self, rng: np.random.Generator) -> None:
        before = rng.random(200) < 0.3
        after = before ^ (rng.random(200) < 0.1)
        assert association.correlation(before, after) == pytest.approx(
            np.corrcoef(before, after)[0, 1]
        )
        assert association.correlation(before, ~before) == pytest.approx(-1)

    @pytest.mark.parametrize(
        ("before", "after"), [([False] * 3, [True, False, True]), ([True, False], [True, True])]
    )
    def test_is_none_where_one_side_never_differs(
        self, before: list[bool], after: list[bool]
    ) -> None:
        assert association.correlation(before, after) is None
