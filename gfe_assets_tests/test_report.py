"""The words of run alerts and release reports."""

import base64
import re
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gfe_assets.hla.changes import Allele, Reannotated, ReleaseChanges, Renamed, Resequenced
from gfe_assets.hla.manifest import CheckResult
from gfe_assets.notify.models import CheckLine, ReleaseReport, RunReport
from gfe_assets.notify.plots import growth_figure, png
from gfe_assets.notify.release_report import LONGEST_LIST, as_html_page, as_markdown
from gfe_assets.notify.report import as_html, as_text, message, subject, watchdog_message
from gfe_assets.notify.wording import cut, difference, duration, first_line, is_link, some

SHA = "0123456789abcdef0123456789abcdef01234567"
GOOD = CheckLine(name="csv_schema", passed=True, summary="1,234 rows in 4 files")
WARNED = CheckLine(name="groups_known", passed=False, severity="WARN", summary="3 alleles without a group")
BLOCKED = CheckLine(name="unique_keys", passed=False, summary="HLA00001.4 stands more than once")
FACTS = {
    "release": "3580",
    "version": "3.58.0",
    "commit_sha": SHA,
    "commit_url": f"https://github.com/ANHIG/IMGTHLA/commit/{SHA}",
    "commit_message": "3580 release\n\nCorrects A*01:01:01:01",
    "run_id": "11111111-2222-3333-4444-555555555555",
    "ui_url": "http://localhost:3000/",
}
RUN_URL = "http://localhost:3000/runs/11111111-2222-3333-4444-555555555555"


class Page(HTMLParser):
    """What a browser would make of a page: its tags, links, pictures, and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.pictures: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.links += [values["href"] or ""] if "href" in values else []
        self.pictures += [values["src"] or ""] if "src" in values else []
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data + " "

    def handle_entityref(self, name: str) -> None:
        raise AssertionError(name)


def run(outcome: str = "success", status: str = "LOAD_SUCCESS", **values) -> RunReport:
    return RunReport(outcome=outcome, status=status, **{**FACTS, **values})


# -- subject ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (run(checks=(GOOD,)), "[GFE] success: release 3580 (3.58.0) LOAD_SUCCESS"),
        (
            run("warning", checks=(GOOD, WARNED)),
            "[GFE] warning: release 3580 (3.58.0) LOAD_SUCCESS, check groups_known failed",
        ),
        (
            run("failure", "BUILD_FAILED", checks=(BLOCKED, WARNED)),
            "[GFE] failure: release 3580 (3.58.0) BUILD_FAILED, checks unique_keys, groups_known failed",
        ),
        (run("canceled", "ABORTED", version=""), "[GFE] canceled: release 3580 ABORTED"),
        (RunReport(outcome="failure", job="backup_job"), "[GFE] failure: backup_job"),
        (RunReport(outcome="success"), "[GFE] success: run"),
    ],
)
def test_the_subject_says_outcome_release_status_and_failed_checks(report: RunReport, expected: str):
    assert subject(report) == expected


# -- run alert --------------------------------------------------------------------------------------------------


def test_the_text_of_a_success_reads_as_a_person_would_write_it():
    report = run(
        checks=(GOOD,),
        commit_date=datetime(2024, 10, 14, 9, 30, tzinfo=timezone.utc),
        counts={"alleles": 41234, "gfes": 39876},
        changes={"GFE.insert": 312},
        seconds={"raw": 3.21, "build": 65.4},
        report_url="http://localhost:3000/assets/release_report?partition=3580",
    )
    assert (
        as_text(report)
        == f"""\
Release 3580 (3.58.0): LOAD_SUCCESS
The run went through; its one check passed.

Run
  outcome      success
  status       LOAD_SUCCESS
  release      3580 (3.58.0)
  commit       {SHA} 3580 release
  committed    2024-10-14 09:30 UTC
  commit page  https://github.com/ANHIG/IMGTHLA/commit/{SHA}
  run          {RUN_URL}
  report       http://localhost:3000/assets/release_report?partition=3580

Counts
  alleles  41,234
  GFEs     39,876

Written
  GFE insert  312

Passed checks
  passed  csv_schema  1,234 rows in 4 files

Time
  raw    3.2 s
  build  1 min 05 s

Commit message
  3580 release

  Corrects A*01:01:01:01
"""
    )


def test_a_failure_begins_with_its_cause_and_shows_the_error_once():
    report = run("failure", "BUILD_FAILED", cause="release 3580: hla.dat is cut", error="release 3580: hla.dat is cut")
    text = as_text(report)
    assert text.splitlines()[1] == "The run failed: release 3580: hla.dat is cut"
    assert "\nCause\n" in text
    assert "\nError\n" not in text


def test_a_failure_without_a_cause_takes_the_first_line_of_its_error():
    text = as_text(run("failure", "EXECUTION_FAILED", error="\nOSError: no space left\n  at line 3"))
    assert text.splitlines()[1] == "The run failed: OSError: no space left"
    assert "  OSError: no space left\n    at line 3\n" in text
    assert "no cause is known" in as_text(run("failure", "EXECUTION_FAILED"))


def test_a_warning_names_the_failed_checks_and_lists_them_before_the_passed_ones():
    text = as_text(run("warning", checks=(GOOD, WARNED)))
    assert "The run went through, but 1 of 2 checks failed: groups_known." in text
    assert "  FAILED (WARN)  groups_known  3 alleles without a group\n" in text
    assert text.index("Failed checks") < text.index("Passed checks")


def test_a_canceled_run_says_so():
    assert "The run was canceled before it ended." in as_text(run("canceled", "ABORTED"))


def test_without_a_ui_address_there_is_no_link_but_the_run_is_named():
    text = as_text(run(ui_url=""))
    assert "http://localhost" not in text
    assert f"run          {FACTS['run_id']}" in text


def test_a_long_error_is_cut_and_says_where_the_rest_is():
    text = as_text(run("failure", "LOAD_FAILED", error="x" * 100_000))
    assert len(text) < 6_000
    assert "… (cut; the page of the run has all of it)" in text


def test_the_html_says_what_the_text_says_and_links_to_run_and_commit():
    report = run("failure", "BUILD_FAILED", checks=(BLOCKED,), cause="a < b & c", counts={"alleles": 5}, seconds={"raw": 1})
    page = Page(as_html(report))
    assert not page.open
    assert page.links == [FACTS["commit_url"], RUN_URL]
    for word in as_text(report).split():
        assert word in page.text


def test_the_html_needs_nothing_from_elsewhere():
    page = as_html(run())
    assert not re.search(r"<(link|script|img|style)|url\(|@import", page)


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "http://", "http://a b/"])
def test_only_web_addresses_become_links(link: str):
    page = Page(as_html(run(commit_url=link)))
    assert page.links == [RUN_URL]
    assert " ".join(link.split()) in " ".join(page.text.split())


NASTY = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    ["<script>alert(1)</script>", "a|b", "`x`", "*a* _b_", "![x](y)", "[x](javascript:y)", "# h", "- l", "1. l", "<!--", "&lt;"]
)
FRAME_OF_ALERT = {"html", "head", "meta", "title", "body", "div", "h1", "h2", "p", "pre", "table", "tr", "td", "a"}


@given(NASTY, NASTY, NASTY, NASTY)
@settings(deadline=None)
def test_nothing_in_the_facts_becomes_markup_of_the_alert(name: str, summary: str, error: str, commit: str):
    check = CheckLine(name=name, passed=False, summary=summary)
    report = run("failure", "BUILD_FAILED", checks=(check,), error=error, commit_message=commit)
    page = Page(as_html(report))
    assert set(page.tags) <= FRAME_OF_ALERT
    assert set(page.links) <= {FACTS["commit_url"], RUN_URL, name, summary}
    assert not page.open
    assert " ".join(report.error.split()) in " ".join(page.text.split())
    assert "\n" not in subject(report)


def test_a_message_carries_subject_text_html_and_outcome():
    report = run("warning", checks=(WARNED,))
    made = message(report)
    assert (made.outcome, made.subject, made.text, made.html) == (
        "warning",
        subject(report),
        as_text(report),
        as_html(report),
    )


def test_the_watchdog_says_since_when_the_sensor_is_silent_and_why():
    now = datetime(2024, 10, 15, 12, 0, tzinfo=timezone.utc)
    made = watchdog_message("commit_sensor", now - timedelta(hours=25), now, "GitHub does not answer", "http://ui")
    assert made.subject == "[GFE] failure: no good tick of commit_sensor since 2024-10-14 11:00 UTC (25 h 00 min ago)"
    assert "GitHub does not answer" in made.text
    assert Page(made.html).links == ["http://ui/automation"]
    assert "no good tick ever" in watchdog_message("commit_sensor", None, now, "", "").text


# -- release report ---------------------------------------------------------------------------------------------

CHANGES = ReleaseChanges(
    alleles_before=100,
    alleles_after=161,
    new=tuple(Allele(f"HLA{n:05}.1", f"HLA-A*99:{n:02}", f"HLA-Aw{n}-1") for n in range(1, 64)),
    deleted=(Allele("HLA90000.1", "HLA-B*07:99", "HLA-Bw1-1"), Allele("HLA90001.1", "HLA-B*07:98", "HLA-Bw1-2")),
    renamed=(Renamed("HLA00005", "HLA-A*02:01", "HLA-A*02:01:01"),),
    resequenced=(
        Resequenced("HLA-C*01:02", "HLA00401.1", "HLA00401.2", True, "HLA-Cw1-1", "HLA-Cw1-2"),
        Resequenced("HLA-C*01:03", "HLA00402.1", "HLA00402.2", False, "HLA-Cw3-1", "HLA-Cw3-1"),
    ),
    reannotated=(Reannotated("HLA-C*01:04", "HLA00403.1", "HLA-Cw4-1", "HLA-Cw0-9"),),
    gfes_new=("HLA-Aw1-1", "HLA-Cw1-2"),
    gfes_gone=("HLA-Bw1-2",),
)


def release(**values) -> ReleaseReport:
    return ReleaseReport(**{**FACTS, "status": "LOAD_SUCCESS", "compared_with": "3.57.0", "changes": CHANGES, **values})


def test_the_page_sums_up_what_the_release_changed():
    assert (
        "Compared with 3.57.0, 63 alleles are new, 1 renamed, 2 re-sequenced, 2 deleted; 2 GFEs are new."
        in Page(as_html_page(release())).text
    )


def test_the_page_shows_counts_before_and_after_with_the_difference():
    text = as_markdown(release(counts_before={"GFE": 10, "Feature": 7}, counts_after={"GFE": 1012, "Feature": 5, "New": 1}))
    assert "| GFE | 10 | 1,012 | +1,002 |" in text
    assert "| Feature | 7 | 5 | −2 |" in text
    assert "| New | 0 | 1 | +1 |" in text


def test_a_long_list_is_cut_with_the_number_of_the_rest():
    text = as_markdown(release())
    assert "### New alleles (63)" in text
    assert f"- `HLA-A*99:{LONGEST_LIST:02}`" in text
    assert f"- `HLA-A*99:{LONGEST_LIST + 1:02}`" not in text
    assert "- … and 13 more" in text


def test_every_kind_of_change_is_listed_with_what_it_was_and_what_it_is():
    text = as_markdown(release())
    assert "- HLA00005: `HLA-A*02:01` is now `HLA-A*02:01:01`" in text
    assert "- `HLA-C*01:02` HLA00401.1 → HLA00401.2, another sequence: `HLA-Cw1-1` → `HLA-Cw1-2`" in text
    assert "- `HLA-C*01:03` HLA00402.1 → HLA00402.2, the same sequence\n" in text
    assert "- `HLA-B*07:99` HLA90000.1" in text
    assert "- `HLA-C*01:04` HLA00403.1: `HLA-Cw4-1` → `HLA-Cw0-9`" in text
    assert "### New GFEs (2)\n\n- `HLA-Aw1-1`\n- `HLA-Cw1-2`" in text
    assert "### GFEs that no allele has any more (1)\n\n- `HLA-Bw1-2`" in text


def test_what_matters_stands_before_the_long_lists():
    titles = re.findall(r"^## (.*)", as_markdown(release(checks=(GOOD,), counts_after={"GFE": 1}), {"p": b""}), re.M)
    assert titles == ["Counts", "What changed", "Checks", "Pictures", "The changes one by one"]


def test_a_release_without_changes_and_one_without_a_release_before_say_so():
    assert "Compared with 3.57.0, no allele has changed." in as_markdown(release(changes=ReleaseChanges(5, 5)))
    alone = as_markdown(release(changes=None))
    assert "There is no earlier release to compare it with." in alone
    assert "## What changed" not in alone


def test_checks_skips_notes_and_times_have_their_tables():
    text = as_markdown(
        release(
            checks=(GOOD, WARNED),
            skipped={"deleted": {"HLA-A": 2, "HLA-B": 1200}},
            notes=("msf/DRB5_gen.msf is missing",),
            seconds={"raw": 2.0, "build": 3.5},
        )
    )
    assert "1 of 2 checks failed: groups\\_known." in text
    assert text.index("FAILED (WARN)") < text.index("| passed | csv\\_schema")
    assert "| deleted | HLA-B | 1,200 |\n| deleted | HLA-A | 2 |" in text
    assert "- msf/DRB5\\_gen.msf is missing" in text
    assert "| together | 5.5 s |" in text


def test_the_html_page_links_commit_and_run_and_holds_the_pictures_themselves():
    pictures = {"Growth": png(growth_figure([])), "Alleles per locus": b"\x89PNG made up"}
    page = Page(as_html_page(release(), pictures))
    assert not page.open
    assert page.links == [FACTS["commit_url"], RUN_URL]
    kind, content = page.pictures[0].split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(content) == pictures["Growth"]
    assert len(page.pictures) == 2
    assert not re.search(r"<(link|script)|@import|(src|href)=\"//", as_html_page(release(), pictures))


FRAME_OF_PAGE = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "ul", "li", "table", "thead"}
FRAME_OF_PAGE |= {"tbody", "tr", "th", "td", "a", "code"}


@given(NASTY, NASTY, NASTY, NASTY)
@settings(deadline=None)
def test_nothing_in_the_facts_becomes_markup_of_the_page(note: str, summary: str, name: str, commit: str):
    report = release(
        notes=(f"{note} end",),
        checks=(CheckLine(name="some", passed=True, summary=summary),),
        changes=ReleaseChanges(1, 1, renamed=(Renamed("HLA00001", "A", name),)),
        commit_message=commit,
    )
    page = Page(as_html_page(report))
    assert set(page.tags) <= FRAME_OF_PAGE
    assert page.links == [FACTS["commit_url"], RUN_URL]
    assert not page.open
    assert page.tags.count("li") == 4
    assert " ".join(report.notes[0].split()) in " ".join(page.text.split())
    assert " ".join(report.checks[0].summary.split()) in " ".join(page.text.split())


def test_a_first_load_of_a_full_release_makes_a_page_of_bearable_size():
    new = tuple(Allele(f"HLA{n}.1", f"HLA-A*{n}", f"HLA-Aw{n}") for n in range(46_000))
    text = as_markdown(release(changes=ReleaseChanges(0, 46_000, new=new, gfes_new=tuple(a.gfe for a in new))))
    assert "… and 45,950 more" in text
    assert len(text) < 20_000


# -- wording ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0.0 s"), (3.21, "3.2 s"), (59.4, "59.4 s"), (59.96, "1 min 00 s"), (65, "1 min 05 s"), (3720, "1 h 02 min")],
)
def test_durations(seconds: float, expected: str):
    assert duration(seconds) == expected


def test_small_words():
    assert [difference(3, 3), difference(0, 1200), difference(7, 5)] == ["0", "+1,200", "−2"]
    assert some(["a", "b", "c"], 2) == "a, b and 1 more"
    assert first_line("\n  one \n two") == "one"
    assert first_line("abcdef", 4) == "abc…"
    assert cut("abcdef", 4, "more inside") == "abcd … (more inside)"
    assert is_link("https://example.org/x?y=1")
    assert not is_link("https://[broken")


def test_a_check_line_is_made_from_the_result_of_a_check():
    check = CheckResult(name="n", passed=False, summary="s", blocking=False)
    assert CheckLine.of(check) == CheckLine(name="n", passed=False, severity="WARN", summary="s")
