"""ARD groups of alleles (G, lg, lgx), from the release's own `wmda/hla_nom_g.txt` and nothing else.

In: the lines of that file; `Groups.of` for the groups of an allele. Out: opening the file, writing rows
(`build.py`), P groups.

The file, six header lines shortened to two, with what is read from it on the right (long lists cut at …):

    # file: hla_nom_g.txt                                   lines with `#` are ignored; old releases have four,
    # version: IPD-IMGT/HLA 3.58.0                          newer ones six of them
    A*;01:01:01:01/01:01:01:02N/01:01:38L/01:04N;01:01:01G  locus; the alleles of a G group; its name
    A*;01:01:02;                                            an allele without a G group
    C*;02:02:37/02:02:38/02:10:01:01/02:10:02;02:10:01G     named by its first allele (02:02:37G), see below

Rules, those of py-ard 2.4.2 with `ping` switched off, as far as this file can tell:

- G: three fields of the *first allele in the list*, without its expression letter, and `G`; a missing third field
  is `01`. The name at the end of the line is ignored, for it may contradict the list (py-ard
  `misc.get_G_name`, `loader/g_group.py`; in 3.58.0 three groups do). Only alleles of a group have a G.
- lgx: the first two fields of the G group's name; of the allele's own name where it has no G group. There the
  expression letter stays where it is part of the second field (`A*01:11N`) and goes with the rest
  (`A*01:52:01N`) (py-ard `reducers/lg_reducer.py`).
- lg: lgx and `g`.

`ping`, the default of py-ard since 1.2.0 and off in the 1.0.3 of the reference pipeline, also asks the P groups for
alleles without a G group, and reduces lgx twice but lg once, so that the two may disagree.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gfe_assets.errors import BuildError
from gfe_assets.source.models import GROUPS_FILE

PREFIX = "HLA-"
_EXPRESSION = "NQLS"
"""Letters that py-ard takes off an allele before it names a G group after it."""
_LINE = re.compile(r"(?P<locus>[A-Z][A-Z0-9]*\*);(?P<alleles>[^;]+);(?P<group>\d+(?::\d+)*G)?")
_ALLELE = re.compile(r"\d+(?::\d+){0,3}[A-Z]?")


@dataclass(frozen=True)
class Groups:
    """The G group of every allele of a release, by full name (`HLA-A*01:01:01:01`); None for alleles without one."""

    release: str
    g_groups: Mapping[str, str | None]

    def __len__(self) -> int:
        return len(self.g_groups)

    def __contains__(self, hla_name: object) -> bool:
        """Whether the file lists this allele. A sound release lists all of its HLA alleles except those of HLA-DRA."""
        return hla_name in self.g_groups

    def of(self, hla_name: str) -> tuple[tuple[str, str], ...]:
        """Groups of an allele as (ard_name, ard_id), in the order G, lg, lgx; G only where it has a G group.

        KIR alleles have no groups. An HLA allele that the file does not list is treated as one without a G group.
        """
        if not hla_name.startswith(PREFIX):
            return ()
        group = self.g_groups.get(hla_name)
        lgx = ":".join((group or hla_name).split(":", 2)[:2])
        reduced = (("lg", f"{lgx}g"), ("lgx", lgx))
        return (("G", group), *reduced) if group else reduced


def parse_groups(lines: Iterable[str], release: str) -> Groups:
    """Read `hla_nom_g.txt`, e.g. from a file opened as UTF-8 text; `release` is named in errors.

    Raises:
        BuildError: a line is not of this format, two lines contradict each other, or there is no allele at all; the
            message names release, file and line.
    """
    g_groups: dict[str, str | None] = {}
    number = 0
    try:
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if text and not text.startswith("#"):
                _add(g_groups, text, release, number)
    except UnicodeDecodeError:
        raise _problem(release, number + 1, "bytes at or after this line are not UTF-8 text") from None
    if not g_groups:
        raise BuildError(f"release {release}: {GROUPS_FILE} lists no allele; fetch the release again")
    return Groups(release, g_groups)


def _add(g_groups: dict[str, str | None], text: str, release: str, number: int) -> None:
    """Enter the alleles of one line."""
    match = _LINE.fullmatch(text)
    if not match:
        raise _problem(release, number, f"{text[:80]!r} is not of the form 'locus*;allele/allele/…;group'")
    locus = PREFIX + match["locus"]
    alleles = match["alleles"].split("/")
    group = locus + _group_name(alleles[0]) if match["group"] else None
    for allele in alleles:
        if not _ALLELE.fullmatch(allele):
            raise _problem(release, number, f"{allele[:80]!r} is not the name of an allele")
        name = locus + allele
        if g_groups.setdefault(name, group) != group:
            raise _problem(
                release, number, f"{name} is in {group or 'no G group'} here and in {g_groups[name] or 'no G group'} before"
            )


def _group_name(first: str) -> str:
    """Name of the G group whose first allele is `first`, both without locus: `01:04:01:01N` → `01:04:01G`."""
    fields = first.rstrip(_EXPRESSION).split(":")
    return ":".join([*fields, "01"][:3] if len(fields) == 2 else fields[:3]) + "G"


def _problem(release: str, number: int, problem: str) -> BuildError:
    return BuildError(
        f"release {release}, {GROUPS_FILE}, line {number}: {problem}; "
        "fetch the release again, or report it to IPD-IMGT/HLA if the file there says the same"
    )
