"""Options that have another name now: the old one works, and says what it is called."""

from __future__ import annotations

import pytest
import typer

from splade_engine.cli.commands import COMMANDS, app
from splade_engine.cli.renamed import RENAMED, by_new_names


def names(command):
    group = typer.main.get_command(app)
    return {name for option in group.get_command(None, command).params for name in option.opts}


@pytest.mark.parametrize("command", RENAMED)
def test_new_names_are_options_and_old_ones_are_not(command):
    there = names(command)
    assert set(RENAMED[command].values()) <= there
    assert not set(RENAMED[command]) - {"--top-k"} & there


def test_an_old_name_works_and_names_the_new_one(cli, corpus_file, tmp_path, encoder):
    result = cli("index", corpus_file, "-o", tmp_path / "ix", "--top-k", 3, "--terms=split")
    assert encoder.options == [{"top_k": 3}]
    assert "--top-k is called --max-terms now; the old name will go" in result.stderr
    assert "--terms is called --term-numbers now" in result.stderr
    quiet = cli("-q", "index", corpus_file, "-o", tmp_path / "other", "--top-k", 3)
    assert quiet.stderr == ""
    assert "--top-k is empty" in cli("index", corpus_file, "-o", "x", "--top-k=", code=2).stderr


def test_what_is_no_option_is_left_alone():
    assert by_new_names("index", ["--", "--terms"]) == ["--", "--terms"]
    assert by_new_names("search", ["ix", "q", "--top-k", "3"]) == ["ix", "q", "--top-k", "3"]


def test_top_k_is_always_a_number_of_hits():
    meanings = {
        option.help
        for command in COMMANDS
        for option in typer.main.get_command(app).get_command(None, command.name).params
        if "--top-k" in option.opts
    }
    assert all("hits" in meaning.lower() or "top" in meaning.lower() for meaning in meanings), meanings
