"""What anybody may have written is opened, or refused with an error of ours; nothing else happens.

``benchmarks/fuzz.py`` does the same with many more inputs.
"""

from hostile import (
    COMMANDS,
    checkpoint_files,
    export_files,
    journals,
    open_checkpoint,
    open_export,
    open_journal,
    open_trials,
    trial_files,
)
from hypothesis import given, settings
from hypothesis import strategies as st


@given(journals, st.sampled_from(COMMANDS))
@settings(max_examples=100)
def test_journals(data: bytes, command: list[str]) -> None:
    """Every command answers any journal with status 0 or 1, and prints nothing but text."""
    open_journal(data, command)


@given(export_files)
@settings(max_examples=100)
def test_exports(data: bytes) -> None:
    """Any file given as an exported search builds a model, begins a search, or is refused."""
    open_export(data)


@given(trial_files)
@settings(max_examples=100)
def test_lists_of_trials(data: bytes) -> None:
    """Any list of trials given as another search is taken over within the space, or refused."""
    open_trials(data)


@given(checkpoint_files)
@settings(max_examples=100)
def test_checkpoints(data: bytes) -> None:
    """Any file given as a checkpoint is read into no more memory than it has bytes, or refused."""
    open_checkpoint(data)
