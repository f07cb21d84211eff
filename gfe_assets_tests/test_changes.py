"""What is new and what is done about it: tables of decisions, and the tick over a folder."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfe_assets.errors import SourceError, SourceUnavailable
from gfe_assets.hla.release import parse_release
from gfe_assets.source.changes import decide, is_excluded, moved_tips
from gfe_assets.source.cursor import Cursor, Known, Look, Outcome
from gfe_assets.source.folder import FolderSource
from gfe_assets.source.models import Commit, Tip, Tips
from gfe_assets.source.tick import tick
from gfe_assets_tests.releases import flat_file, new_releases, release_files, write_release, zipped

DAY = datetime(2024, 4, 10, 9, tzinfo=timezone.utc)


def sha(name: str) -> str:
    """A sha whose first seven digits can be told apart."""
    return name.encode().hex().ljust(40, "0")


def look(name: str, content: str | None, days: int = 0, problem: str = "") -> Look:
    commit = Commit(sha=sha(name), date=DAY + timedelta(days), message=name)
    return Look(commit=commit, fingerprint=content, problem=problem)


def tips(*present: tuple[str, str], others: tuple[str, ...] = (), etag: str = "e") -> Tips:
    return Tips(tips=tuple(Tip(release=release, sha=sha(name)) for release, name in present), others=others, etag=etag)


def cursor(**releases: Known) -> Cursor:
    return Cursor(releases={name.removeprefix("r"): known for name, known in releases.items()})


def known(name: str, content: str | None, asked: tuple[str, ...] = (), gone: bool = False) -> Known:
    return Known(sha=sha(name), date=DAY, fingerprint=content, asked=asked, gone=gone)


OLD = known("c1", "A")

TABLE = [
    # known of 3580, look at its tip, excluded, outcome, run key, what the sentence says
    (OLD, None, (), Outcome.UNCHANGED, None, "its branch has not moved"),
    (OLD, look("c2", "B", 1), (), Outcome.NEW_CONTENT, "3580:B", "changes files that a build reads"),
    (OLD, look("c2", "A", 1), (), Outcome.NO_TRACKED_CHANGE, None, "changes no file that a build reads"),
    (OLD, look("c2", "B", 1), (sha("c2"),), Outcome.EXCLUDED, None, "is on the exclusion list"),
    (OLD, look("c2", None, 1, "no groups file"), (), Outcome.INCOMPLETE, None, "no groups file; it runs when they are there"),
    (OLD, look("c0", "B", -9), (), Outcome.NEW_CONTENT, "3580:B", "moved back to a commit older than 6331000"),
    (OLD, look("c0", "A", -9), (), Outcome.NO_TRACKED_CHANGE, None, "moved back to a commit older than 6331000"),
    (None, look("c1", "A"), (), Outcome.NEW_RELEASE, "3580:A", "the release is new"),
    (None, look("c1", "A"), (sha("c1"),), Outcome.EXCLUDED, None, "is on the exclusion list"),
    (None, look("c1", None, 0, "no flat file"), (), Outcome.INCOMPLETE, None, "no flat file"),
    (
        known("c1", None),
        look("c2", "A", 1),
        (),
        Outcome.NEW_CONTENT,
        "3580:A",
        "the first commit of the release that can be run",
    ),
    (known("c1", None), look("c2", None, 1), (), Outcome.INCOMPLETE, None, "files are missing"),
    (known("c1", "A", gone=True), None, (), Outcome.UNCHANGED, None, "its branch is back, at the commit known before"),
    (known("c1", "A", gone=True), look("c2", "A", 1), (), Outcome.NO_TRACKED_CHANGE, None, "had disappeared and is back"),
    (known("c1", "A", gone=True), look("c2", "B", 1), (), Outcome.NEW_CONTENT, "3580:B", "had disappeared and is back"),
    (known("c1", "B", ("A", "B")), look("c2", "A", 1), (), Outcome.NEW_CONTENT, "3580:A:2", "changes files"),
    (known("c1", "B", ("A", "B", "A", "B")), look("c2", "A", 1), (), Outcome.NEW_CONTENT, "3580:A:3", "changes files"),
]


@pytest.mark.parametrize("row", TABLE, ids=[f"{n}-{row[3].value}" for n, row in enumerate(TABLE)])
def test_each_tip_has_one_outcome_and_a_sentence_that_says_why(row):
    before, seen, excluded, outcome, run_key, sentence = row
    state = cursor(r390=known("x", "X"), **({"r3580": before} if before else {}))
    name = "c1" if seen is None else bytes.fromhex(seen.commit.sha).rstrip(b"\0").decode()
    present = tips(("390", "x"), ("3580", name))
    assert [tip.release for tip in moved_tips(state, present, excluded)] == ([] if seen is None else ["3580"])
    decision = decide(state, present, {"3580": seen} if seen else {}, excluded=excluded).decisions[1]
    assert (decision.branch, decision.outcome, decision.run_key) == ("3580", outcome, run_key)
    assert sentence in decision.reason
    assert decision.reason.startswith("release 3580")
    assert decision.moved_back == ("moved back" in sentence)


def test_other_branches_are_no_releases_and_a_branch_that_is_gone_is_said_once():
    state = cursor(r390=known("x", "X"), r3100=known("y", "Y"))
    first = decide(state, tips(("390", "x"), others=("Latest", "testing")), {})
    assert [(d.branch, d.outcome) for d in first.decisions] == [
        ("390", Outcome.UNCHANGED),
        ("3100", Outcome.DISAPPEARED),
        ("Latest", Outcome.NOT_A_RELEASE),
        ("testing", Outcome.NOT_A_RELEASE),
    ]
    assert "what was loaded from it stays" in first.decisions[1].reason
    assert first.cursor.releases["3100"] == known("y", "Y", gone=True)
    second = decide(first.cursor, tips(("390", "x")), {})
    assert [d.outcome for d in second.decisions] == [Outcome.UNCHANGED]
    back = decide(second.cursor, tips(("390", "x"), ("3100", "y")), {})
    assert back.cursor.releases["3100"] == known("y", "Y")


def test_an_excluded_or_incomplete_tip_leaves_the_accepted_content_as_it_was():
    state = cursor(r390=known("c1", "A"))
    for excluded, seen in (((sha("c2"),), look("c2", "B", 1)), ((), look("c2", None, 1))):
        after = decide(state, tips(("390", "c2")), {"390": seen}, excluded=excluded).cursor
        assert (after.releases["390"].sha, after.releases["390"].fingerprint) == (sha("c2"), "A")
        later = decide(after, tips(("390", "c3")), {"390": look("c3", "A", 2)}, excluded=excluded)
        assert later.decisions[0].outcome is Outcome.NO_TRACKED_CHANGE


def test_a_commit_that_comes_off_the_exclusion_list_is_judged_again_though_nothing_moved():
    state = cursor(r390=known("c1", "A"))
    excluded = (sha("c2"),)
    after = decide(state, tips(("390", "c2"), etag="e2"), {"390": look("c2", "B", 1)}, excluded=excluded).cursor
    assert after.etag_for(excluded) == "e2"
    assert after.etag_for(()) == ""
    assert moved_tips(after, tips(("390", "c2")), excluded) == []
    assert [tip.release for tip in moved_tips(after, tips(("390", "c2")), ())] == ["390"]
    found = decide(after, tips(("390", "c2")), {"390": look("c2", "B", 1)})
    assert (found.decisions[0].outcome, found.runs[0].run_key) == (Outcome.NEW_CONTENT, "390:B")


@pytest.mark.parametrize(
    ("excluded", "expected"),
    [((), False), (("1dfe565",), True), (("1DFE565A",), True), (("1dfe56",), False), (("2dfe565",), False), (("",), False)],
)
def test_the_exclusion_list_takes_whole_shas_or_seven_digits_and_more(excluded, expected):
    assert is_excluded("1dfe565a453e894152c3fa4887a323dd1e1ca235", excluded) is expected


FIRST = {"390": look("a", "A"), "3100": look("b", "B"), "3580": look("c", "C"), "3590": look("d", None)}
FIRST_TIPS = tips(("390", "a"), ("3100", "b"), ("3580", "c"), ("3590", "d"), others=("Latest",))


@pytest.mark.parametrize(
    ("process", "excluded", "runs"),
    [
        ("none", (), []),
        ("latest", (), ["3580:C"]),  # 3590 is not complete
        ("latest", (sha("c"),), ["3100:B"]),
        ("all", (), ["390:A", "3100:B", "3580:C"]),
        ("all", (sha("b"),), ["390:A", "3580:C"]),
    ],
)
def test_the_first_tick_of_a_deployment_records_all_and_runs_what_the_setting_says(process, excluded, runs):
    found = decide(Cursor(), FIRST_TIPS, FIRST, excluded=excluded, process=process)
    assert new_releases(found) == ("390", "3100", "3580", "3590")
    assert [decision.run_key for decision in found.runs] == runs
    waiting = [d for d in found.decisions if d.outcome is Outcome.NEW_RELEASE and not d.run_key]
    assert all(f"recorded, not run (GFE_PROCESS_EXISTING is {process})" in d.reason for d in waiting)


@pytest.mark.parametrize("process", ["none", "latest", "all"])
def test_after_the_first_tick_new_releases_and_new_content_run_whatever_that_setting_says(process):
    first = decide(Cursor(), FIRST_TIPS, FIRST, process="none").cursor
    now = tips(("390", "a"), ("3100", "b2"), ("3580", "c"), ("3590", "d2"), ("3600", "e"))
    looks = {"3100": look("b2", "B2", 1), "3590": look("d2", "D", 1), "3600": look("e", "E", 1)}
    found = decide(first, now, looks, process=process)
    assert [d.run_key for d in found.runs] == ["3100:B2", "3590:D", "3600:E"]
    assert new_releases(found) == ("3600",)


def test_a_mass_rewrite_of_fifty_five_branches_is_judged_branch_by_branch_in_numeric_order():
    names = [f"3{minor}0" for minor in range(59)]
    before = Cursor(releases={name: known(f"{name}a", name) for name in names})
    now = tips(*((name, f"{name}b") for name in names))
    looks = {name: look(f"{name}b", name if int(name[1:-1]) < 4 else f"new{name}", 1) for name in reversed(names)}
    found = decide(before, now, looks)
    assert [d.branch for d in found.runs] == names[4:]
    assert {d.outcome for d in found.decisions[:4]} == {Outcome.NO_TRACKED_CHANGE}
    assert new_releases(found) == ()


def test_a_listing_without_any_branch_changes_nothing_that_is_known():
    state = cursor(r390=known("c1", "A", ("A",)))
    found = decide(state, tips(), {})
    assert found.runs == ()
    assert decide(found.cursor, tips(("390", "c1")), {}).cursor.releases == state.releases


def test_a_cursor_survives_being_written_and_read():
    state = decide(Cursor(), FIRST_TIPS, FIRST, process="all").cursor
    assert Cursor.parse(state.model_dump_json()) == state
    assert Cursor.parse(None) == Cursor.parse("") == Cursor()


@pytest.mark.parametrize("text", ["x", "[]", '{"releases": {"390": {}}}'])
def test_a_cursor_that_is_none_is_an_error_that_says_what_to_do(text):
    with pytest.raises(SourceError, match="cursor of the commit sensor cannot be read: reset it"):
        Cursor.parse(text)


CONTENTS = st.lists(st.tuples(st.sampled_from(["390", "3100", "3580"]), st.sampled_from("ABC")), max_size=12)


@given(CONTENTS)
def test_whatever_happens_each_change_of_content_asks_for_one_run_with_a_key_never_used_before(history):
    """The model: a branch runs when its content differs from that of its last tip; repeating a tick changes nothing."""
    state = decide(Cursor(), tips(("300", "base")), {"300": look("base", "Z")}).cursor
    present, contents, keys, expected = {"300": "base"}, {}, [], 0
    for step, (release, content) in enumerate(history):
        present[release] = f"t{step}"
        expected += contents.get(release) != content
        contents[release] = content
        now = tips(*sorted(present.items(), key=lambda item: parse_release(item[0])))
        looks = {tip.release: look(f"t{step}", content, step) for tip in moved_tips(state, now)}
        found = decide(state, now, looks)
        assert decide(state, now, looks) == found
        keys += [decision.run_key for decision in found.runs]
        state = found.cursor
        assert moved_tips(state, now) == []
    assert len(keys) == len(set(keys)) == expected


def test_a_tick_over_a_folder_finds_what_changed_in_it(tmp_path):
    for release in ("390", "3100", "3110"):
        write_release(tmp_path, release)
    source = FolderSource(tmp_path)
    first = tick(source, Cursor())
    assert new_releases(first) == ("390", "3100", "3110")
    assert tick(source, first.cursor) is None
    write_release(tmp_path, "390", {"hla.dat.zip": zipped(flat_file("3.9.0", 5))})
    write_release(tmp_path, "3110", {"README.md": b"no build reads this"})
    write_release(tmp_path, "3120", release_files("3120", {"wmda/hla_nom_g.txt": None, "wmda/hla_nom_p.txt": None}))
    second = tick(source, first.cursor)
    assert [(d.branch, d.outcome) for d in second.decisions] == [
        ("390", Outcome.NEW_CONTENT),
        ("3100", Outcome.UNCHANGED),
        ("3110", Outcome.UNCHANGED),
        ("3120", Outcome.INCOMPLETE),
    ]
    assert "has no wmda" in second.decisions[3].reason


def test_a_source_that_fails_on_one_tip_fails_the_tick(tmp_path):
    for minor in range(8):
        write_release(tmp_path, f"3{minor}0")

    class Failing(FolderSource):
        def root_objects(self, release, sha):
            if release == "330":
                raise SourceUnavailable("the source is down")
            return super().root_objects(release, sha)

    with pytest.raises(SourceUnavailable, match="is down"):
        tick(Failing(tmp_path), Cursor())
