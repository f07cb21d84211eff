"""The report of one release: a Markdown page, and the same as one self-contained HTML file with its pictures.

In: `ReleaseReport` and pictures as PNG bytes. Out: drawing them (`plots.py`), writing files, the shorter
alert of a run (`report.py`).

The HTML is rendered from the Markdown by markdown-it with raw HTML switched off, so both say the same and
nothing in a name or message becomes markup.
"""

import base64
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import TypeVar
from urllib.parse import quote

from markdown_it import MarkdownIt

from gfe_assets.hla.changes import ReleaseChanges
from gfe_assets.notify.models import ReleaseReport
from gfe_assets.notify.wording import counted, difference, duration, first_line, is_link, moment, number, some, words

LONGEST_LIST = 50
"""How many alleles or GFEs a list of the page shows before it says how many more there are."""

_STYLE = """
body { margin: 0 auto; padding: 24px; max-width: 960px; color: #1f2328; background: #fff;
       font: 15px/1.6 system-ui, "Segoe UI", Arial, sans-serif; }
h1 { font-size: 26px; margin: 0 0 8px; } h2 { font-size: 19px; margin: 32px 0 8px; border-bottom: 1px solid #d8dee4; }
h3 { font-size: 16px; margin: 20px 0 4px; }
table { border-collapse: collapse; font-size: 14px; } th, td { padding: 4px 14px 4px 0; text-align: left; vertical-align: top;
        border-bottom: 1px solid #d8dee4; overflow-wrap: anywhere; }
code { font: 13px ui-monospace, Consolas, monospace; } img { max-width: 100%; height: auto; } a { color: #0969da; }
"""
_URL_SAFE = "%/:?=&#@+,;!$()*'~[]"
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&])")
_BLOCK_START = re.compile(r"^(\d*)([-+.)#])(?=[-+#\s]|$)")


def as_markdown(report: ReleaseReport, pictures: Mapping[str, bytes] | None = None) -> str:
    """The page as Markdown; `pictures` maps caption → PNG, which stand inline as data addresses."""
    parts = [
        f"# Release {_safe(report.release_name)}: {_safe(report.status)}",
        _safe(summary(report)),
        _facts(report),
        *_counts(report),
        *_totals(report),
        *_correction(report),
        *_checks(report),
        *_pictures(pictures or {}),
        *_one_by_one("The changes one by one", report.changes),
        *_skipped(report),
        *_notes(report),
        *_timings(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def as_html_page(report: ReleaseReport, pictures: Mapping[str, bytes] | None = None) -> str:
    """The page as one HTML file that needs no other file and no network."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(as_markdown(report, pictures))
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">\n'
        f"<title>Release {escape(report.release_name)}</title>\n<style>{_STYLE}</style></head>\n<body>\n{body}</body></html>\n"
    )


def summary(report: ReleaseReport) -> str:
    """What the release changed against the one before it, and against itself where this is a correction; a sentence each."""
    earlier = "There is no earlier release to compare it with."
    if report.changes is not None:
        earlier = _compared(report.compared_with or "the release before", report.changes)
    if report.correction is None:
        return earlier
    return f"{_compared(f'commit {report.corrected}, which was loaded before', report.correction)} {earlier}"


def _compared(against: str, changes: ReleaseChanges) -> str:
    if changes.empty:
        return f"Compared with {against}, no allele has changed."
    parts = [
        counted(len(changes.new), "allele is", "alleles are") + " new",
        f"{number(len(changes.renamed))} renamed",
        f"{number(len(changes.resequenced))} re-sequenced",
        f"{number(len(changes.deleted))} deleted",
    ]
    return f"Compared with {against}, {', '.join(parts)}; {counted(len(changes.gfes_new), 'GFE is', 'GFEs are')} new."


def _facts(report: ReleaseReport) -> str:
    lines = []
    if report.commit_sha:
        date = f", {moment(report.commit_date)}" if report.commit_date else ""
        commit = _link(report.commit_sha[:10], report.commit_url) if report.commit_url else f"`{_code(report.commit_sha[:10])}`"
        lines.append(f"- Commit {commit}{date}: {_safe(first_line(report.commit_message) or 'no message')}")
    if report.run_id:
        lines.append(f"- Run {_link(report.run_id, report.run_url)}")
    if report.created_at:
        lines.append(f"- Written {moment(report.created_at)}")
    return "\n".join(lines)


def _counts(report: ReleaseReport) -> Iterable[str]:
    names = list(dict.fromkeys([*report.counts_before, *report.counts_after]))
    if names:
        before, after = report.counts_before, report.counts_after
        rows = [
            (words(name), number(b), number(a), difference(b, a))
            for name, b, a in ((name, before.get(name, 0), after.get(name, 0)) for name in names)
        ]
        yield "## Counts"
        yield _table(("in the graph", "before", "after", "difference"), rows)


def _totals(report: ReleaseReport) -> Iterable[str]:
    if report.changes is not None:
        yield "## What changed"
        yield _table(("what", "count"), [(words(name), number(count)) for name, count in report.changes.counts.items()])


def _correction(report: ReleaseReport) -> Iterable[str]:
    yield from _one_by_one(f"What this commit corrected since {report.corrected}", report.correction)


def _one_by_one(title: str, changes: ReleaseChanges | None) -> Iterable[str]:
    if changes is None or changes.empty:
        return
    yield f"## {title}"
    yield from _list("New alleles", changes.new, lambda a: f"`{_code(a.name)}` {_safe(a.accession)}, `{_code(a.gfe)}`")
    yield from _list(
        "Renamed alleles", changes.renamed, lambda a: f"{_safe(a.accession)}: `{_code(a.before)}` is now `{_code(a.after)}`"
    )
    yield from _list(
        "Re-sequenced alleles",
        changes.resequenced,
        lambda a: (
            f"`{_code(a.name)}` {_safe(a.before)} → {_safe(a.after)}"
            + (", another sequence" if a.sequence_changed else ", the same sequence")
            + (f": `{_code(a.gfe_before)}` → `{_code(a.gfe_after)}`" if a.gfe_before != a.gfe_after else "")
        ),
    )
    yield from _list("Deleted alleles", changes.deleted, lambda a: f"`{_code(a.name)}` {_safe(a.accession)}")
    yield from _list(
        "Alleles with the same sequence and another GFE",
        changes.reannotated,
        lambda a: f"`{_code(a.name)}` {_safe(a.accession)}: `{_code(a.gfe_before)}` → `{_code(a.gfe_after)}`",
    )
    yield from _list("New GFEs", changes.gfes_new, lambda name: f"`{_code(name)}`")
    yield from _list("GFEs that no allele has any more", changes.gfes_gone, lambda name: f"`{_code(name)}`")


ItemT = TypeVar("ItemT")


def _list(title: str, items: Sequence[ItemT], line: Callable[[ItemT], str]) -> Iterable[str]:
    """A heading with the total, the first items, and how many more there are; nothing where there are none."""
    if items:
        more = len(items) - LONGEST_LIST
        lines = [f"- {line(item)}" for item in items[:LONGEST_LIST]]
        yield f"### {title} ({number(len(items))})"
        yield "\n".join([*lines, *([f"- … and {number(more)} more"] if more > 0 else [])])


def _checks(report: ReleaseReport) -> Iterable[str]:
    if report.checks:
        failed = report.failed_checks
        rows = [
            ("passed" if check.passed else f"FAILED ({check.severity})", check.name, check.summary)
            for check in sorted(report.checks, key=lambda check: check.passed)
        ]
        yield "## Checks"
        names = some([check.name for check in failed])
        yield _safe(
            f"{len(failed)} of {counted(len(rows), 'check')} failed: {names}." if failed else f"All {len(rows)} passed."
        )
        yield _table(("verdict", "check", "what it found"), rows)


def _skipped(report: ReleaseReport) -> Iterable[str]:
    rows = [
        (reason, locus, number(entries))
        for reason, loci in report.skipped.items()
        for locus, entries in sorted(loci.items(), key=lambda item: (-item[1], item[0]))
    ]
    if rows:
        yield "## Entries left out"
        yield _table(("reason", "locus", "entries"), rows[:LONGEST_LIST])
        if len(rows) > LONGEST_LIST:
            yield f"… and {number(len(rows) - LONGEST_LIST)} more"


def _notes(report: ReleaseReport) -> Iterable[str]:
    if report.notes:
        yield "## Notes"
        yield "\n".join(f"- {_safe(note)}" for note in report.notes)


def _timings(report: ReleaseReport) -> Iterable[str]:
    if report.seconds:
        yield "## Time"
        rows = [*report.seconds.items(), ("together", sum(report.seconds.values()))]
        yield _table(("stage", "time"), [(stage, duration(seconds)) for stage, seconds in rows])


def _pictures(pictures: Mapping[str, bytes]) -> Iterable[str]:
    if pictures:
        yield "## Pictures"
    for caption, png in pictures.items():
        yield f"### {_safe(caption)}"
        yield f"![{_safe(caption)}](data:image/png;base64,{base64.b64encode(png).decode()})"


def _table(headers: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(headers) + " |", "|" + " --- |" * len(headers)]
    return "\n".join([*lines, *("| " + " | ".join(_safe(cell) for cell in row) + " |" for row in rows)])


def _safe(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _BLOCK_START.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", " ".join(text.split())))


def _code(text: str) -> str:
    """Text for between backticks, where only a backtick matters."""
    return " ".join(text.replace("`", "'").split())


def _link(text: str, url: str) -> str:
    """A link where `url` is a web address, else the text alone."""
    return f"[{_safe(text)}](<{quote(url, safe=_URL_SAFE)}>)" if is_link(url) else _safe(text)
