"""Where the sets of a protocol are."""

from pathlib import Path

import pytest

from spqr_tests.errors import InputError
from spqr_tests.run import user_data
from spqr_tests.run.user_data import UserData
from spqr_tests.settings.prompts import DataSettings
from tests.data.prompts.published import write


@pytest.fixture
def data(tmp_path: Path) -> UserData:
    sets = {
        "one": DataSettings(expects="a file", source="somewhere", path="one.csv"),
        "two": DataSettings(expects="a file", source="somewhere"),
        "home": DataSettings(expects="a file", source="somewhere", path="~/one.csv"),
    }
    return UserData(tmp_path, sets, {})


def test_a_name_that_is_no_sets_is_a_path_in_the_protocols_folder(
    data: UserData, tmp_path: Path
) -> None:
    assert data.place("some/file.csv") == tmp_path / "some" / "file.csv"
    assert data.place("/else/where") == Path("/else/where")


def test_an_option_goes_before_the_protocols_own_path(data: UserData, tmp_path: Path) -> None:
    own, other = write(tmp_path / "one.csv", ""), write(tmp_path / "other.csv", "")
    assert data.place("data:one") == own
    given = UserData(tmp_path, data.sets, user_data.given(["one=other.csv"], tmp_path))
    assert given.place("data:one") == other


def test_a_tilde_is_the_users_folder(
    data: UserData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    home = write(tmp_path / "one.csv", "")
    assert data.place("data:home") == home
    assert user_data.given(["two=~/one.csv"], tmp_path / "elsewhere") == {"two": home}


def test_a_path_may_hold_the_sign_of_the_option(tmp_path: Path) -> None:
    assert user_data.given(["one=a=b.csv"], tmp_path) == {"one": tmp_path / "a=b.csv"}


def test_a_set_that_nobody_has_is_an_error_where_it_is_asked_for(data: UserData) -> None:
    with pytest.raises(
        InputError,
        match=(
            r"a set of data that is not there:\n  two: a file; source: somewhere\n"
            r"Say where each one is: --spqr-data two=PATH"
        ),
    ):
        data.place("data:two")
    with pytest.raises(
        InputError, match=r"names data:three, but has no table data\.three; it has one, two, home"
    ):
        data.place("data:three")
