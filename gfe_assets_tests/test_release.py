"""Names of releases: the table is hand-made from the branches of the real repository, and some that may come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfe_assets.errors import ReleaseNameError
from gfe_assets.hla.release import Release, is_release, parse_release, sort_names

NAMES = [  # branch, version, in release order
    ("300", "3.0.0"),
    ("310", "3.1.0"),
    ("390", "3.9.0"),
    ("3100", "3.10.0"),
    ("3130", "3.13.0"),
    ("3131", "3.13.1"),
    ("3190", "3.19.0"),
    ("3580", "3.58.0"),
    ("3640", "3.64.0"),
    ("3990", "3.99.0"),
    ("31000", "3.100.0"),
    ("39990", "3.999.0"),
    ("400", "4.0.0"),
    ("4100", "4.10.0"),
    ("900", "9.0.0"),
]
NO_RELEASES = [
    "",
    " ",
    "Latest",
    "testing",
    "main",
    "3.5",
    "3",
    "35",
    "03580",
    "3000",
    "35800000",
    "000",
    "3580x",
    "v3580",
    "-3580",
    "3 580",
    "3.58.0.0.0",
    "3.58",
    "3..0",
    "3.1000.0",
    "0.1.0",
    "3.58.10",
    "1e3",
    "3_580",
    "٣٥٨٠",  # 3580 in Arabic-Indic digits
    "3٥8٠",
    "3.٥8.0",
    "３５８０",  # in full-width digits
    "3580\x00",
    "35²0",
]

releases = st.builds(Release, st.integers(1, 9), st.integers(0, 999), st.integers(0, 9))


@pytest.mark.parametrize(("name", "version"), NAMES)
def test_a_branch_name_and_its_version_are_the_same_release(name, version):
    assert parse_release(name) == parse_release(version)
    assert parse_release(name).name == name
    assert parse_release(name).version == version
    assert str(parse_release(version)) == name
    assert is_release(name)
    assert not is_release(version)


def test_releases_are_ordered_by_their_numbers_not_as_strings_or_integers():
    names = [name for name, _ in NAMES]
    assert sort_names(sorted(names)) == names
    assert sort_names(sorted(names, key=int)) == names
    assert sort_names(set(names)) == names
    assert sorted(names) != names
    assert sorted(names, key=int) != names


@pytest.mark.parametrize("text", NO_RELEASES)
def test_what_is_no_release_is_refused_in_a_sentence(text):
    with pytest.raises(ReleaseNameError, match="is not an IPD-IMGT/HLA release: write it as a branch name such as 3580"):
        parse_release(text)
    assert not is_release(text)


def test_a_very_long_text_is_not_repeated_in_full():
    with pytest.raises(ReleaseNameError) as caught:
        parse_release("3" * 100_000)
    assert len(str(caught.value)) < 300


def test_spaces_around_a_release_are_ignored_when_it_is_read_but_are_no_branch_name():
    assert parse_release(" 3580\n") == Release(3, 58, 0)
    assert not is_release("3580\n")
    assert not is_release(" 3580")


@pytest.mark.parametrize(("text", "name"), [("3.29.0.1", "3290"), ("3.26.0.1", "3260"), ("3.02.0", "320"), ("3.00.0", "300")])
def test_versions_as_some_official_files_write_them_are_read(text, name):
    assert parse_release(text).name == name


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [("3130", "3.13.1", True), ("3200", "3.21.0", False), ("3580", "4.58.0", False), ("310", "3.10.0", False)],
)
def test_a_file_agrees_with_its_branch_on_major_and_minor(one, other, agree):
    assert parse_release(one).agrees_with(parse_release(other)) is agree


@given(releases)
def test_both_spellings_lead_back_to_the_release(release):
    assert parse_release(release.name) == parse_release(release.version) == release


@given(releases, releases)
def test_two_releases_never_share_a_name_and_are_ordered_by_their_numbers(one, other):
    numbers = (one.major, one.minor, one.patch), (other.major, other.minor, other.patch)
    assert (one.name == other.name) == (one == other) == (numbers[0] == numbers[1])
    assert (one < other) == (numbers[0] < numbers[1])
    assert (one >= other) == (numbers[0] >= numbers[1])


@given(st.text())
def test_any_text_is_a_release_or_a_clear_refusal(text):
    try:
        release = parse_release(text)
    except ReleaseNameError:
        assert not is_release(text)
    else:
        assert text.isascii() or text.strip().isascii()
        assert parse_release(release.name) == release


def test_a_release_is_not_compared_with_something_else():
    with pytest.raises(TypeError):
        _ = parse_release("3580") < "3590"
    assert parse_release("3580") != "3580"
