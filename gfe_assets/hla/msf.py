"""Reading GCG's multiple sequence format (MSF), as IPD-IMGT/HLA writes it.

In: the lines of a file; names and gapped sequences. Out: whose alignments they are (`alignments.py`).

A file, shortened, with what is read from it on the right:

    !!NA_MULTIPLE_ALIGNMENT                                              anything may stand before the next line
       MSF: 13655  Type: N  Oct 06, 2015  15:39  Check: 0 ..             columns of the alignment
     Name: DRB3*01:01:02:01 Len: 13655  Check: 5423  Weight:  1.00       a sequence and its length with gaps
     Name: DRB3*02:02:01:01 Len: 13655  Check: 1177  Weight:  1.00
    //                                                                   end of the header
                                                                         blocks of 50 columns, a blank line between
    DRB3*01:01:02:01  .......... .......... GTGTACCGTT ACGGTAC..G ..........
    DRB3*02:02:01:01  .......... ....TCACAA TAGCTCCCCA ATTAAAGTGT TTTACATGCA

`.` (inside) and `~` (at the ends) are gaps and become `-`, as they do in the reference pipeline, which reads with Biopython.
IPD-IMGT/HLA writes only `.`, also for what is not sequenced. Letters are kept as they are, `X` in proteins is a stop codon.

A sequence may be announced shorter than the alignment, with blank lines where it has ended: null alleles in protein files
end with their stop codon. It is filled with gaps at its end, as Biopython does. A sequence that is not as long as its own
`Len:` says is an error; that was so in the first C_prot.msf of 3.32.0, which was cut (ANHIG/IMGTHLA issue 190).
"""

import re
from collections.abc import Iterable, Iterator

from gfe_assets.errors import BuildError

_WIDTH = re.compile(rb"\bMSF:\s*(\d{1,6})\b")
_NAME = re.compile(rb"\s*Name:\s+(\S+?)\s*Len:\s*(\d{1,6})\b")
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BLANKS = b" \t\r\n"
_ALLOWED = _LETTERS + b"*.~-" + _BLANKS
_GAPS = bytes.maketrans(b".~", b"--")


def read_msf(lines: Iterable[bytes], file: str) -> Iterator[tuple[str, str]]:
    """Allele name (`A*01:01:01:01`) and aligned sequence (gaps are `-`, all of one length) of an MSF file, in its order.

    `lines` is the file opened in binary mode, `file` what it is called in errors. Memory is about the size of the
    sequences: an MSF file gives all of them piece by piece.

    Raises:
        BuildError: the file is not MSF, is cut, or contradicts itself; the message names file, line and allele.
    """
    numbered = _Numbered(lines)
    width, lengths = _read_header(numbered, file)
    pieces = _read_blocks(numbered, lengths, file)
    for name, length in lengths.items():
        # taken out of the dictionary, so that what was handed on is not kept twice
        sequence = bytes(pieces.pop(name)).translate(_GAPS, _BLANKS)
        if len(sequence) != length:
            raise _problem(
                file,
                numbered.line,
                f"{_text(name)} has {len(sequence)} columns where its Len: says {length} when the file ends",
            )
        yield _text(name), sequence.ljust(width, b"-").decode("ascii")


class _Numbered:
    """Lines of a stream; `line` is the number of the last one given."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self.line = 0

    def __iter__(self) -> Iterator[bytes]:
        for text in self._lines:
            self.line += 1
            yield text


def _read_header(lines: _Numbered, file: str) -> tuple[int, dict[bytes, int]]:
    """Columns of the alignment, and the length of every announced sequence; stops behind `//`."""
    width: int | None = None
    lengths: dict[bytes, int] = {}
    for line in lines:
        if line.strip() == b"//":
            break
        if width is None:
            width = int(match[1]) if (match := _WIDTH.search(line)) else None
        elif match := _NAME.match(line):
            name, length = match[1], int(match[2])
            if name in lengths:
                raise _problem(file, lines.line, f"{_text(name)} is announced twice")
            if length > width:
                raise _problem(
                    file, lines.line, f"{_text(name)} is announced with {length} columns in an alignment of {width} (MSF:)"
                )
            lengths[name] = length
        elif line.strip():
            raise _problem(file, lines.line, f"{_quoted(line.strip()[:60])} announces no sequence with Name: and Len:")
    else:
        raise _problem(file, lines.line, "the file ends inside the header" if lines.line else "the file is empty")
    if width is None:
        raise _problem(file, lines.line, "the header announces no alignment (MSF:)")
    if max(lengths.values(), default=None) != width:
        raise _problem(file, lines.line, f"the header announces no sequence of {width} columns (MSF:)")
    return width, lengths


def _read_blocks(lines: _Numbered, announced: Iterable[bytes], file: str) -> dict[bytes, bytearray]:
    """What stands behind each announced name, blanks included."""
    pieces = {name: bytearray() for name in announced}
    for line in lines:
        name, *rest = line.split(None, 1) or (b"",)
        if (sequence := pieces.get(name)) is None:
            if line.translate(None, b"0123456789" + _BLANKS):
                raise _problem(file, lines.line, f"{_quoted(name[:60])} is not announced in the header")
            continue  # a blank line, or one with column numbers
        if rest:
            if strange := rest[0].translate(None, _ALLOWED):
                raise _problem(file, lines.line, f"{_text(name)} holds {_quoted(strange[:1])}, which is no residue and no gap")
            sequence += rest[0]
    return pieces


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "backslashreplace")


def _quoted(raw: bytes) -> str:
    return repr(raw)[1:]


def _problem(file: str, line: int, problem: str) -> BuildError:
    return BuildError(f"{file}, line {line}: {problem}; fetch the release again, or build it without alignments")
