"""What is raised: named without a path, and whole after a way between processes."""

from __future__ import annotations

import copy
import pickle
import traceback
from multiprocessing import get_context

import pytest

from drag_core.errors import DragError
from drag_core.trajectory.bounds import Diverged

KINDS = [DragError, Diverged]
SAID = "too large: 7, use 5"


def refuse(number: int) -> None:
    error = KINDS[number](SAID)
    vars(error)["seen"] = number
    raise error


@pytest.mark.parametrize("kind", KINDS)
def test_its_name_has_no_module(kind: type[DragError]) -> None:
    """ComfyUI names it by module and name, and by the name alone where the module is builtins."""
    assert (kind.__module__, kind.__qualname__) == ("builtins", kind.__name__)
    assert traceback.format_exception_only(kind(SAID)) == [f"{kind.__name__}: {SAID}\n"]


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_it_goes_between_processes(number: int) -> None:
    with get_context("spawn").Pool(1) as pool, pytest.raises(DragError) as caught:
        pool.apply(refuse, (number,))
    assert type(caught.value) is KINDS[number] and str(caught.value) == SAID
    assert vars(caught.value)["seen"] == number


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_and_copy_is_the_same_error(protocol: int) -> None:
    error = Diverged("gone")
    for made in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error), copy.deepcopy(error)):
        assert type(made) is Diverged and made.args == ("gone",) and vars(made) == {}
