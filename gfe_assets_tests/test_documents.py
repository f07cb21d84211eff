"""What the documents say is what the code says."""

import re
from pathlib import Path

from gfe_assets.graph.model import EDGES, NODES
from gfe_assets.graph.queries import EXAMPLES
from gfe_assets.hla.records import CSV_FILES
from gfe_assets.settings import Settings

ROOT = Path(__file__).resolve().parents[1]


def test_the_page_of_the_graph_names_every_label_property_and_edge():
    page = (ROOT / "docs" / "graph.md").read_text()
    for node in NODES:
        [line] = [line for line in page.splitlines() if line.startswith(f"| `{node.label}` |")]
        assert f"**{node.key}**" in line
        assert all(re.search(rf"\b{each.name}\b", line) for each in node.properties)
    for edge in EDGES:
        [line] = [line for line in page.splitlines() if line.startswith(f"| `{edge.type}` |")]
        assert f"{edge.source} → {edge.target}" in line
        assert all(each.name in line for each in edge.properties)


def test_the_page_of_the_graph_shows_every_question_with_its_statement_as_it_stands():
    page = (ROOT / "docs" / "graph.md").read_text()
    shown = [re.sub(r"'[^']*'", "?", " ".join(block.split())) for block in re.findall(r"```cypher\n(.*?)```", page, re.DOTALL)]
    asked = [re.sub(r"'[^']*'|\$\w+", "?", example.statement) for example in EXAMPLES.values()]
    assert shown == asked
    assert all(example.question in page for example in EXAMPLES.values())


def test_the_readme_lists_the_columns_of_every_csv_file():
    readme = (ROOT / "README.md").read_text()
    for name, row in CSV_FILES.items():
        [line] = [line for line in readme.splitlines() if line.startswith(f"| `{name}.<release>.csv`")]
        assert " ".join(row._fields) in line


def test_the_example_environment_names_every_setting_and_no_other():
    names = set(re.findall(r"^#?(GFE_\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert names == {f"GFE_{name.upper()}" for name in Settings.model_fields}
