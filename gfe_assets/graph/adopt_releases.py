"""Which releases the edges of a database list that another pipeline filled.

In: what its edges say, as texts. Out: reading the edges and writing the lists (`adopt_survey.py`, `adopt_steps.py`).

The reference pipeline lists every release on `HAS_IPD_ALLELE`, possibly repeated and unsorted, but on
`HAS_IPD_ACCESSION` only the release whose load made the edge. The others follow where that is certain:

- An allele has one accession number at a time. So in a release in which a GFE has as many alleles as it has accession
  numbers in all (`HLA00001` is the number of `HLA00001.2`), every one of its numbers was there.
- Of several versions of a number, a release has the last one made in it or before (before all of them: the first).
- In any other release it cannot be known which accessions the GFE had; there an edge lists only the release that made it.

The next load of each release by this program makes its part exact, whatever was known before.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from gfe_assets.errors import ReleaseNameError
from gfe_assets.hla.release import Release, parse_release, sort_names

Ends = tuple[str, str]
"""Name of the GFE and name of the allele or accession."""


class Said(NamedTuple):
    """What one edge says: its list `releases` and the text `release`, as they are stored (either may be missing)."""

    gfe: str
    target: str
    releases: Any
    release: Any


class Lists(NamedTuple):
    """What edges ought to list, those of them that do not, texts that name no release, and what remains unknown."""

    wanted: dict[Ends, list[str]]
    changed: list[Ends]
    unreadable: list[str]
    unknown: list[Ends]


def allele_lists(edges: Iterable[Said]) -> Lists:
    """Sorted, without repeats; edges between duplicate nodes count as one. `unknown` are those that name no release."""
    said, unreadable = _united(edges)
    wanted = {ends: sort_names(set(listed)) for ends, (listed, _) in said.items()}
    changed = [ends for ends, (_, settled) in said.items() if not settled or not wanted[ends]]
    return Lists(wanted, changed, unreadable, [ends for ends, names in wanted.items() if not names])


def accession_lists(edges: Iterable[Said], alleles: Mapping[Ends, list[str]]) -> Lists:
    """By the rules above. `unknown` are those of which some release of their GFE cannot be known."""
    said, unreadable = _united(edges)
    present: dict[str, Counter[str]] = {}
    for (gfe, _), names in alleles.items():
        present.setdefault(gfe, Counter()).update(names)
    versions: dict[str, dict[str, list[Ends]]] = {}
    for gfe, accession in said:
        versions.setdefault(gfe, {}).setdefault(accession.partition(".")[0], []).append((gfe, accession))
    wanted, unknown = {}, []
    for gfe, numbers in versions.items():
        counts = present.get(gfe, Counter())
        certain = [name for name, count in counts.items() if count >= len(numbers)]
        for edges_of_number in numbers.values():
            shares = _shares(certain, {ends: said[ends][0] for ends in edges_of_number})
            for ends in edges_of_number:
                listed, settled = said[ends]
                wanted[ends] = list(listed) if settled else sort_names({*listed, *shares[ends]})
                if not settled and len(certain) < len(counts):
                    unknown.append(ends)
    return Lists(wanted, [ends for ends, (_, settled) in said.items() if not settled], unreadable, unknown)


def _shares(names: list[str], started: Mapping[Ends, list[str]]) -> dict[Ends, set[str]]:
    """`names` shared out among the versions of one accession number, by the release from which each was there."""
    starts = sorted((min(map(_parsed, listed)), ends) for ends, listed in started.items() if listed)
    shares: dict[Ends, set[str]] = {ends: set() for ends in started}
    for name in names:
        before = [ends for start, ends in starts if start <= _parsed(name)]
        if starts:
            shares[before[-1] if before else starts[0][1]].add(name)
        elif len(started) == 1:
            shares[next(iter(started))].add(name)
    return shares


def _united(edges: Iterable[Said]) -> tuple[dict[Ends, tuple[list[str], bool]], list[str]]:
    """Ends → the releases named, and whether the edge says just them in our way already; and texts that name none."""
    found: dict[Ends, tuple[list[str], bool]] = {}
    unreadable = []
    for edge in edges:
        texts = edge.releases if isinstance(edge.releases, list) else [edge.releases]
        names = []
        for text in (*texts, edge.release):
            if text is not None:
                name = _name(str(text))
                names.append(name)
                if not name:
                    unreadable.append(f"{edge.gfe} → {edge.target}: {text}")
        names = [name for name in names if name]
        ends = (edge.gfe, edge.target)
        settled = edge.releases == sort_names(set(names)) and edge.release is None
        if ends in found:
            names, settled = found[ends][0] + names, False
        found[ends] = (names, settled)
    return found, unreadable


@cache
def _name(text: str) -> str:
    """The branch name of a release that is written in either way, or nothing."""
    try:
        return parse_release(text).name
    except ReleaseNameError:
        return ""


@cache
def _parsed(name: str) -> Release:
    return parse_release(name)
