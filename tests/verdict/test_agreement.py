"""Agreement: published answers, and those of the libraries of others."""

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from spqr_tests.verdict.agreement import alpha, kappa

flags = st.lists(st.booleans(), min_size=3, max_size=3)


def test_known_answers() -> None:
    # 50 grant applications, two readers: 20 and 15 the same, 5 and 10 not; the usual example.
    assert kappa(20, 5, 10, 15) == pytest.approx(0.4)
    # Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, example A.
    meg = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    owen = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert alpha([[one == 1 for one in meg], [one == 1 for one in owen]]) == pytest.approx(
        0.095, abs=5e-4
    )


@given(st.lists(flags, min_size=2, max_size=40))
def test_the_same_as_other_libraries(images: list[list[bool]]) -> None:
    judges = np.array(images).T
    if judges.all() or not judges.any():
        assert alpha(judges) is None
    else:
        expected = krippendorff.alpha(judges.astype(int), level_of_measurement="nominal")
        assert alpha(judges) == pytest.approx(expected)
    first, second = judges[:2]
    if len({*first, *second}) == 2:
        counts = [
            int(((first == one) & (second == other)).sum())
            for one, other in ((True, True), (True, False), (False, True), (False, False))
        ]
        assert kappa(*counts) == pytest.approx(cohen_kappa_score(first, second))


@given(st.lists(st.tuples(flags, st.integers(1, 5)), min_size=1, max_size=8))
def test_counts_stand_for_columns(found: list[tuple[list[bool], int]]) -> None:
    columns, counts = np.array([one for one, _ in found]), [count for _, count in found]
    assert alpha(columns.T, counts) == alpha(np.repeat(columns, counts, axis=0).T)


def test_where_nothing_differs_agreement_is_unknown() -> None:
    assert kappa(0, 0, 0, 5) is None
    assert kappa(5, 0, 0, 0) is None
    assert kappa(1, 0, 0, 1) == 1
    assert kappa(0, 1, 1, 0) == -1
    # Weights add up to 1 but for rounding.
    assert kappa(0, 0, 0, 0.1 + 0.2) is None


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (1, -1, 0, 0)])
def test_kappa_needs_counts(counts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="counts"):
        kappa(*counts)


@pytest.mark.parametrize("wrong", [[True, False], [[True]], [[0, 1], [1, 1]], [[], []]])
def test_alpha_needs_flags_of_two_judges(wrong: object) -> None:
    with pytest.raises(ValueError, match="Alpha needs booleans"):
        alpha(wrong)  # type: ignore[arg-type]
