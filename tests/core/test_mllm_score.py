"""Scores of a judge: order, reading, mean. None is clamped or made up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from drag_core.mllm.score import (
    Scores,
    letters,
    orders,
    prompt_hash,
    question,
    read_scores,
    schema,
    summary,
)
from drag_core.types import DragError


def answer(**scores: Any) -> str:
    return json.dumps({"analysis": "A is fine.", "scores": scores})


def test_scores_come_back_in_the_order_of_the_pictures() -> None:
    # shown as A: the third, B: the first, C: the second
    assert read_scores(answer(A=1, B=2.5, C="7/10"), (2, 0, 1)) == (2.5, 7.0, 1.0)
    text = f"<think>{answer(A=9, B=9)}</think>Here:\n```json\n{answer(B=0, A=10)}\n```"
    assert read_scores(text, (0, 1)) == (10.0, 0.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("A: 7, B: 8", "holds no scores"),
        ('{"scores": [7, 8]}', "holds no scores"),
        ('{"scores": {"A": 7, "B": 8', "holds no scores"),
        (answer(A=7), "'B' too much or not at all"),
        (answer(A=7, B=8, C=9), "'C' too much or not at all"),
        (answer(A=7, b=8), "'B, b' too much or not at all"),
        (answer(A=7, B=11), "score of B is '11'"),
        (answer(A=-1, B=8), "score of A is '-1'"),
        (answer(A=True, B=8), "score of A is 'True'"),
        (answer(A=None, B=8), "score of A is 'None'"),
        (answer(A="good", B=8), "score of A is 'good'"),
        (answer(A="70/100", B=8), "score of A is '70/100'"),
        (answer(A=[7], B=8), "score of A is '[7]'"),
        ('{"scores": {"A": NaN, "B": 8}}', "holds no scores"),
        ('{"scores": {"A": 1e999, "B": 8}}', "score of A is 'inf'"),
    ],
)
def test_a_broken_answer_is_refused(text: str, said: str) -> None:
    with pytest.raises(DragError) as refused:
        read_scores(text, (0, 1))
    assert said in str(refused.value)


def test_the_order_is_shuffled_by_the_seed() -> None:
    ten = orders(3, 10, seed=4)
    assert len(ten) == 10 and all(sorted(o) == [0, 1, 2] for o in ten)
    assert len(set(ten)) > 2 and ten == orders(3, 10, seed=4) != orders(3, 10, seed=5)
    assert {o[0] for o in orders(3, 60, seed=0)} == {0, 1, 2}  # each stands first at times


def test_mean_and_deviation() -> None:
    assert summary([(7.0, 4.0), (9.0, 4.0)]) == (
        Scores(8.0, pytest.approx(2**0.5), (7.0, 9.0)),
        Scores(4.0, 0.0, (4.0, 4.0)),
    )
    assert summary([(7.0,)]) == (Scores(7.0, 0.0, (7.0,)),)
    with pytest.raises(DragError, match="no repeat gave scores"):
        summary([])


def test_the_question_names_every_picture() -> None:
    assert letters(3) == "ABC" and "named A, B, C in this order" in question(3)
    assert list(schema(2)["properties"]["scores"]["properties"]) == ["A", "B"]
    assert prompt_hash(2) != prompt_hash(3) and len(prompt_hash(2)) == 64
    for count in (0, 9):
        with pytest.raises(DragError, match=f"{count} edited pictures"):
            question(count)
