"""`gfe-assets demo`: from nothing to answers, without touching anything of the user's."""

import pytest

from gfe_assets.simulate import LABEL


@pytest.mark.slow
def test_the_demo_ends_in_load_success_and_answers_three_questions(loaded):
    """With settings of the user's around that would spoil it, were they used."""
    before = loaded.graph_digest()
    ran = loaded.cli("demo", GFE_LOCI="KIR2DL1", GFE_PROCESS_EXISTING="all", GFE_GRAPH_URI="neo4j://nowhere.invalid")
    assert (ran.code, ran.err) == (0, "")
    assert LABEL in ran.out
    runs = [line for line in ran.out.splitlines() if line.startswith(("3580 ", "3590 ", "3600 "))]
    assert [line.split()[:2] for line in runs] == [
        ["3580", "LOAD_SUCCESS"],
        ["3590", "LOAD_SUCCESS"],
        ["3600", "LOAD_SUCCESS"],
        ["3590", "LOAD_SUCCESS"],
    ]
    questions = [line for line in ran.out.splitlines() if line.endswith("?")]
    assert len(questions) == 3
    assert ran.out.count("gfe-assets query") >= 3
    for heading in ("1. Three releases", "2. A commit corrects 3.59.0", "3. Where every release stands", "4. What changed"):
        assert heading in ran.out
    assert "Where to go next" in ran.out
    assert loaded.graph_digest() == before
    assert loaded.ask("MATCH (r:Release) RETURN r.name") == [["3580"]]
    assert [state.release for state in loaded.states()] == ["3580"]
