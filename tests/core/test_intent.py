"""What a model answers on a drag: the question, and a reader that makes nothing up."""

from __future__ import annotations

import json
import random
import re
import time
from typing import Any

import pytest

from drag_core.mllm.answer import clean, json_values
from drag_core.mllm.candidates import read_intent
from drag_core.mllm.intent import CANDIDATES, INTENDED, MOST_WORDS, QUESTION, Intent, as_dict, schema
from drag_core.types import DragError
from tests.core.hostile_answers import CASES, ROWS, Case, whole

SECONDS = 2.0  # of this process for one answer and its checks; the slowest answer is read in 0.05


def texts_in(answer: str) -> str:
    """All that an answer says, its JSON's escapes undone: what a prompt may be made of."""
    quoted = re.findall(r'"((?:[^"\\]|\\.)*)"', answer)
    undone = []
    for text in quoted[:20_000]:
        try:
            undone.append(json.loads(f'"{text}"', strict=False))
        except ValueError:
            continue
    return "\n".join(map(clean, [answer, *undone]))


def assert_holds(answer: str, intent: Intent) -> None:
    """Every word of the intent stands in the answer, in its order; its form is what it promises."""
    there = texts_in(answer)
    assert 1 <= len(intent.candidates) <= CANDIDATES
    assert len(set(intent.candidates)) == len(intent.candidates)
    for c in intent.candidates:
        assert c.prompt in there and c.prompt == clean(c.prompt)
        assert 1 <= len(c.prompt.split()) <= MOST_WORDS and any(x.isalpha() for x in c.prompt)
        assert c.task is None or c.task in INTENDED
    assert intent.background in there and intent.motion in there
    json.dumps(as_dict(intent)).encode()
    "".join(c.prompt for c in intent.candidates).encode()  # no half surrogate


def test_a_hundred_of_them() -> None:
    assert len(CASES) >= 100 and len({name for name, _, _ in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[name.replace(" ", "-") for name, _, _ in CASES])
def test_a_hostile_answer(case: Case) -> None:
    """Refused in one sentence, or read as far as it goes, with a note: and nothing invented."""
    _, answer, outcome = case
    begun = time.process_time()
    if isinstance(outcome, str):
        with pytest.raises(DragError) as refused:
            read_intent(answer)
        sentence = str(refused.value)
        assert outcome in sentence and "\n" not in sentence and len(sentence) < 400
    else:
        intent = read_intent(answer)
        wanted, note = outcome
        assert [(c.prompt, c.task) for c in intent.candidates] == wanted
        assert any(note in n for n in intent.notes) or not note
        assert_holds(answer, intent)
    assert time.process_time() - begun < SECONDS


def test_a_good_answer_has_no_notes() -> None:
    intent = read_intent(whole())
    assert (intent.background, intent.motion) == ("A red cup on a table", "the cup moves")
    assert [(c.prompt, c.task) for c in intent.candidates] == ROWS and intent.notes == ()


def test_cut_anywhere_it_is_read_as_far_as_it_goes() -> None:
    """An answer that ends at each of its characters: refused, or its whole candidates and no other."""
    answer = whole()
    most = 0
    for end in range(len(answer)):
        try:
            intent = read_intent(answer[:end])
        except DragError:
            assert most == 0
            continue
        found = [(c.prompt, c.task) for c in intent.candidates]
        assert found == ROWS[: len(found)] and most <= len(found) <= most + 1
        most = len(found)
    assert most == 10


@pytest.mark.parametrize("seed", range(4))
def test_damaged_at_random_it_says_nothing_of_its_own(seed: int) -> None:
    r = random.Random(seed)
    refused = 0
    for _ in range(60):
        letters = list(whole() if r.random() < 0.7 else CASES[r.randrange(28, 60)][1])
        for _ in range(r.randrange(1, 12)):
            at = r.randrange(max(len(letters), 1))
            letters[at : at + r.randrange(3)] = r.choice(
                ['"', "{", "}", "[", "]", ",", "\\", "\x00", "</think>", "\ud83d"]
            )
        answer = "".join(letters)
        try:
            assert_holds(answer, read_intent(answer))
        except DragError:
            refused += 1
    assert 0 < refused < 60


def test_the_schema_is_what_the_reader_reads() -> None:
    form: dict[str, Any] = schema()
    candidate = form["properties"]["candidates"]["items"]
    assert candidate["required"] == ["prompt", "task"]
    assert candidate["properties"]["task"]["enum"] == list(INTENDED)
    assert set(form["required"]) == set(json.loads(whole()))
    for name in (*form["required"], *INTENDED):
        assert name in QUESTION
    # the form given back holds no candidate
    for text in (json.dumps(form), QUESTION):
        with pytest.raises(DragError, match="holds no candidate"):
            read_intent(text)


def test_json_in_a_text() -> None:
    assert json_values('a {"b": [1]} c [2] {"d": ') == [{"b": [1]}, [2]]
    assert json_values('{"a": [{"b": 1}, {"c": 2},]}') == [{"b": 1}, {"c": 2}]
    assert json_values("{x} [1e400]") in ([], [[float("inf")]])
