"""py-ard's answer for every allele of a release, without network: the oracle of `test_groups.py`, run as a program.

    python oracle_pyard.py RELEASE FOLDER < names > name,G,lg,lgx

The environment variable IMGT_HLA_URL names the `file://` tree that py-ard reads. FOLDER must be empty: a database file made
there beforehand keeps py-ard from asking GitHub which releases exist.
"""

import sys
from contextlib import redirect_stdout
from pathlib import Path


def _no_network(event: str, _: object) -> None:
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise RuntimeError("py-ard asked for the network")


def main() -> None:
    release, folder = sys.argv[1:]
    sys.addaudithook(_no_network)
    (Path(folder) / f"pyard-{release}.sqlite3").touch()
    with redirect_stdout(sys.stderr):  # it prints what it does
        import pyard  # noqa: PLC0415

        # ping asks the P groups too, which hla_nom_g.txt does not hold
        ard = pyard.init(release, data_dir=folder, load_mac=False, config={"ping": False})
    for line in sys.stdin:
        name = line.strip()
        print(name, *(ard.redux(name, kind) for kind in ("G", "lg", "lgx")), sep=",")


if __name__ == "__main__":
    main()
