"""The words of a run alert: subject, plain text and HTML, all from one list of sections.

In: `RunReport` → `Message`, and the alert of the watchdog. Out: sending it (`send.py`), and the longer report
of a release (`release_report.py`).

The HTML is for mail clients: tables, inline styles, nothing to fetch, everything escaped. What matters most
stands first, because chat services cut long messages.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from html import escape

from gfe_assets.notify.models import CheckLine, Message, Outcome, RunReport
from gfe_assets.notify.wording import counted, cut, duration, first_line, is_link, moment, number, some, words

LONGEST_ERROR = 4000
LONGEST_COMMIT_MESSAGE = 1000

_COLOURS: dict[Outcome, str] = {"success": "#1a7f37", "warning": "#9a6700", "failure": "#cf222e", "canceled": "#57606a"}
_ELSEWHERE = "cut; the page of the run has all of it"


@dataclass(frozen=True)
class Section:
    """A part of an alert: rows of a table, or one text that keeps its line breaks."""

    title: str
    rows: tuple[tuple[str, ...], ...] = ()
    text: str = ""


def message(report: RunReport) -> Message:
    """The alert of a run, ready to be sent."""
    return Message(outcome=report.outcome, subject=subject(report), text=as_text(report), html=as_html(report))


def watchdog_message(sensor: str, last_good: datetime | None, now: datetime, reason: str, ui_url: str) -> Message:
    """The alert that a sensor has had no good tick for too long; `reason` is the error of its newest tick."""
    since = f"since {moment(last_good)} ({duration((now - last_good).total_seconds())} ago)" if last_good else "ever"
    headline = f"The sensor {sensor} has had no good tick {since}"
    sentence = "New commits are not seen until it ticks again. Look at its newest tick in the UI, and whether the daemon runs."
    sections = [
        Section("Where", tuple([("sensors", f"{ui_url.rstrip('/')}/automation")] if ui_url else [])),
        Section("Newest error", text=cut(reason, LONGEST_ERROR, "cut; the tick has all of it")),
    ]
    sections = [section for section in sections if section.rows or section.text]
    return Message(
        outcome="failure",
        subject=f"[GFE] failure: no good tick of {sensor} {since}",
        text=_text(headline, sentence, sections),
        html=_html("failure", headline, sentence, sections),
    )


def subject(report: RunReport) -> str:
    """One line that says it all: `[GFE] failure: release 3580 (3.58.0) BUILD_FAILED, check unique_keys failed`."""
    failed = [check.name for check in report.failed_checks]
    checks = "" if not failed else f", {'check' if len(failed) == 1 else 'checks'} {some(failed, 3)} failed"
    return first_line(f"[GFE] {report.outcome}: {_subject_of(report)} {report.status}".strip() + checks, 200)


def as_text(report: RunReport) -> str:
    """The alert as plain text."""
    return _text(_headline(report), _sentence(report), _sections(report))


def as_html(report: RunReport) -> str:
    """The alert as an HTML document for mail clients."""
    return _html(report.outcome, _headline(report), _sentence(report), _sections(report))


def _subject_of(report: RunReport) -> str:
    return f"release {report.release_name}" if report.release_name else report.job or "run"


def _headline(report: RunReport) -> str:
    what = _subject_of(report)
    return f"{what[:1].upper()}{what[1:]}: {report.status or report.outcome}"


def _sentence(report: RunReport) -> str:
    """What happened, in one sentence."""
    if report.outcome == "canceled":
        return "The run was canceled before it ended."
    if report.outcome == "failure":
        return f"The run failed: {first_line(report.cause or report.error, 300) or 'no cause is known'}"
    if report.failed_checks:
        failed = [check.name for check in report.failed_checks]
        return f"The run went through, but {len(failed)} of {counted(len(report.checks), 'check')} failed: {some(failed)}."
    if not report.checks:
        return "The run went through; no check was made."
    return f"The run went through; {_all_passed(len(report.checks))}."


def _all_passed(checks: int) -> str:
    return "its one check passed" if checks == 1 else f"all {checks} checks passed"


def _sections(report: RunReport) -> list[Section]:
    """What is known of the run; sections without content are left out."""
    failed, passed = report.failed_checks, [check for check in report.checks if check.passed]
    sections = [
        Section("Run", tuple(_facts(report))),
        Section("Failed checks", tuple(_check(check) for check in failed)),
        Section("Cause", text=cut(report.cause, LONGEST_ERROR, _ELSEWHERE)),
        Section("Error", text=cut(report.error, LONGEST_ERROR, _ELSEWHERE) if report.error != report.cause else ""),
        Section("Counts", _numbers(report.counts)),
        Section("Written", _numbers(report.changes)),
        Section("Passed checks", tuple(_check(check) for check in passed)),
        Section("Time", tuple((stage, duration(seconds)) for stage, seconds in report.seconds.items())),
        Section("Commit message", text=_commit_message(report)),
    ]
    return [section for section in sections if section.rows or section.text]


def _facts(report: RunReport) -> Iterable[tuple[str, str]]:
    yield "outcome", report.outcome
    commit = " ".join(part for part in (report.commit_sha, first_line(report.commit_message, 72)) if part)
    date = moment(report.commit_date) if report.commit_date else ""
    facts = {
        "status": report.status,
        "release": report.release_name,
        "commit": commit,
        "committed": date,
        "commit page": report.commit_url,
        "run": report.run_url or report.run_id,
        "report": report.report_url,
    }
    yield from ((name, value) for name, value in facts.items() if value)


def _commit_message(report: RunReport) -> str:
    """The whole message, unless its first line among the facts says all of it."""
    text = report.commit_message.strip()
    return cut(text, LONGEST_COMMIT_MESSAGE, "cut; the commit has all of it") if text != first_line(text, 72) else ""


def _check(check: CheckLine) -> tuple[str, ...]:
    return ("passed" if check.passed else f"FAILED ({check.severity})", check.name, check.summary)


def _numbers(values: dict[str, int]) -> tuple[tuple[str, ...], ...]:
    return tuple((words(name), number(value)) for name, value in values.items())


def _text(headline: str, sentence: str, sections: Iterable[Section]) -> str:
    blocks = [f"{headline}\n{sentence}"]
    blocks += [f"{section.title}\n{_text_body(section)}" for section in sections]
    return "\n\n".join(blocks) + "\n"


def _text_body(section: Section) -> str:
    """Rows in columns, the last one free; a text indented."""
    if section.text:
        return "\n".join(f"  {line}".rstrip() for line in section.text.splitlines())
    rows = [tuple(" ".join(cell.split()) for cell in row) for row in section.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return "\n".join(
        "  " + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    )


def _html(outcome: Outcome, headline: str, sentence: str, sections: Iterable[Section]) -> str:
    colour = _COLOURS[outcome]
    body = "".join(f"{_html_title(section.title)}{_html_body(section)}" for section in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(headline)}</title></head>\n'
        '<body style="margin:0;padding:16px;background:#ffffff;color:#1f2328;font:14px/1.5 Arial,Helvetica,sans-serif">\n'
        f'<div style="max-width:720px;margin:0 auto;border-top:6px solid {colour}">\n'
        f'<h1 style="font-size:20px;margin:16px 0 4px;color:{colour}">{escape(headline)}</h1>\n'
        f'<p style="margin:0 0 8px">{escape(sentence)}</p>\n{body}</div></body></html>\n'
    )


def _html_title(title: str) -> str:
    return f'<h2 style="font-size:15px;margin:20px 0 6px">{escape(title)}</h2>\n'


def _html_body(section: Section) -> str:
    if section.text:
        style = "margin:0;padding:10px;background:#f6f8fa;white-space:pre-wrap;word-break:break-word;font:12px/1.5 monospace"
        return f'<pre style="{style}">{escape(section.text)}</pre>\n'
    rows = "".join(f"<tr>{''.join(_html_cell(cell) for cell in row)}</tr>\n" for row in section.rows)
    return f'<table style="border-collapse:collapse;width:100%;font-size:13px">\n{rows}</table>\n'


def _html_cell(cell: str) -> str:
    safe = escape(cell)
    content = f'<a href="{safe}" style="color:#0969da">{safe}</a>' if is_link(cell) else safe
    style = "padding:4px 12px 4px 0;border-bottom:1px solid #d8dee4;vertical-align:top;word-break:break-word"
    return f'<td style="{style}">{content}</td>'
