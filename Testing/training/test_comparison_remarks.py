"""What a comparison says beside its table."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from peers.report import remarks


def test_a_reader_is_told_how_the_weights_were_chosen_and_where_a_budget_ended():
    about = {
        "data": {"test": ["c1"], "validation": ["c1"], "split": "own", "statement": ""},
        "budget": {"steps": None, "seconds": None},
        "size": 32,
    }
    common = {"seed": 1, "environment": {"device": "cpu", "devices": 1}}
    whole = {**common, "model": "iuinet", "weights": "best", "reached_last_phase": True}
    short = {**common, "model": "unet", "weights": "last", "reached_last_phase": False}
    said = " ".join(remarks([whole, short], about))
    assert "selected on cases that are tested on" in said and "no validation chose: unet." in said
    assert "ended before the recipe's last phase: unet." in said
    assert "selected on" not in " ".join(remarks([short], about))
