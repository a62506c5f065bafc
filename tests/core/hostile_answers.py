"""A hundred broken or hostile answers of a model, and what must come of each.

An outcome is a part of the sentence that refuses the answer, or the prompts that are read, each with its
task, and a part of a note. Nothing else may come out: `tests/core/test_intent.py` holds the reader to it.
"""

from __future__ import annotations

import json
from typing import Any

Read = tuple[list[tuple[str, str | None]], str]  # (prompt, task) of every candidate, and a part of a note
Case = tuple[str, Any, str | Read]
MOVE, BEND, TURN = "relocation", "deformation", "rotation"
ROWS = [(f"A red cup stands in place {i}", (MOVE, BEND, TURN)[i % 3]) for i in range(10)]
NO, EMPTY, THOUGHT, LONG, TEXT = (
    "holds no candidate",
    "is empty",
    "nothing but thinking",
    "at most 200000",
    "text",
)
FEW, SHAPE, LEFT_OUT, MORE = "of 10 candidates", "not the JSON object", "left out", "more than 10"
NO_TASK, NAMELESS, CUT, UNDESCRIBED = "calls its task", "names no task", "it was cut there", "not describe"


def rows(n: int = 10) -> list[dict[str, str]]:
    return [{"prompt": p, "task": t} for p, t in ROWS[:n]]


def whole(candidates: Any = None, **more: Any) -> str:
    """An answer as it was asked for."""
    said = {"background_details": "A red cup on a table", "motion": "the cup moves"}
    return json.dumps(said | {"candidates": rows() if candidates is None else candidates} | more)


def one(prompt: Any, task: Any = TURN) -> str:
    return whole([{"prompt": prompt, "task": task}])


def read(n: int, note: str = "") -> Read:
    return list(ROWS[:n]), note


CUP = "A red cup stands on its side"
JUST = [(CUP, TURN)]
NUMBERED = "\n".join(f"{i + 1}. {p} ({t})" for i, (p, t) in enumerate(ROWS))
WORDS = " ".join(f"word{i}" for i in range(80))
DEEP = "[" * 90_000

CASES: list[Case] = [
    # nothing, or not text
    ("none", None, TEXT),
    ("bytes", whole().encode(), TEXT),
    ("parsed", json.loads(whole()), TEXT),
    ("empty", "", EMPTY),
    ("blank", " \n\t\u2003", EMPTY),
    ("too long", "x" * 200_001, LONG),
    ("too long and valid", whole(motion="m" * 200_000), LONG),
    # refusals and chatter
    ("refusal", "I'm sorry, but I can't help with that request.", NO),
    ("refusal in JSON", '{"error": "I cannot help with images of people"}', NO),
    ("error with a description", '{"error": 400, "description": "bad request for a picture"}', NO),
    ("a question back", "Could you tell me what you would like to do with the red cup?", NO),
    ("no vision", "As a text model I can't see pictures. 1. Upload the picture\n2. Ask again", NO),
    ("prose", "The cup is red. It probably moves to the right, or it may rotate a little.", NO),
    (
        "steps",
        "1. First I look at the blue region\n2. Then at the green one\n3. Rotation of the cup is likely",
        NO,
    ),
    ("HTML page", "<html><body><h1>502 Bad Gateway</h1></body></html>", NO),
    (
        "our question back",
        "Under candidates give the 10 most likely states: relocation, deformation, rotation",
        NO,
    ),
    ("emoji", "\U0001f600" * 500, NO),
    ("one word", "rotation", NO),
    ("lorem", "lorem ipsum " * 2_000, NO),
    # thinking aloud
    (
        "thoughts first",
        f"<think>\nThe cup? {one('A blue lie in the thoughts')}\n</think>\n{whole()}",
        read(10),
    ),
    ("thoughts only", f"<think>{whole()}</think>", THOUGHT),
    ("thoughts without end", f"<think>{whole()}", THOUGHT),
    ("thoughts without beginning", f"{one('A lie')} well...</think>{whole()}", read(10)),
    ("thoughts in capitals", f"<THINK>{one('A lie')}</THINK >{whole()}", read(10)),
    ("reasoning", f"<reasoning>{one('A lie')}</reasoning>{whole()}", read(10)),
    ("thoughts twice", f"<think>a</think>{one('A lie')}<think>b</think>{whole()}", read(10)),
    ("thoughts inside thoughts", f"<think>a<think>b</think>{one('A lie')}</think>{whole()}", read(10)),
    ("a thousand thoughts", "<think>" * 20_000 + whole(), THOUGHT),
    # JSON in a wrapping
    ("as asked", whole(), read(10)),
    ("fenced", f"Here you are:\n```json\n{whole()}\n```\nHave fun!", read(10)),
    ("in prose", f"Sure! {whole()} Which one do you like?", read(10)),
    ("byte order mark", f"\ufeff{whole()}", read(10)),
    ("in an answer", json.dumps({"answer": json.loads(whole())}), read(10)),
    ("in three boxes", json.dumps({"a": {"b": {"c": json.loads(whole())}}}), read(10)),
    ("in nine boxes", '{"a":' * 9 + whole() + "}" * 9, NO),
    ("bare list", json.dumps(rows()), read(10, UNDESCRIBED)),
    ("draft, then final", f"Draft: {one('A lie in a draft')} Final: {whole()}", read(10)),
    ("final, then the form", f"{whole()} as in {{'prompt': text}} [prompt, task]", read(10)),
    ("one object a line", "\n".join(map(json.dumps, rows())), read(10, SHAPE)),
    ("other names", json.dumps({"guesses": [{"description": p, "label": t} for p, t in ROWS]}), read(10)),
    ("texts with labels", json.dumps([f"{p} ({t})" for p, t in ROWS]), read(10)),
    ("named texts without labels", whole([CUP]), ([(CUP, None)], NAMELESS)),
    ("texts without a name or label", json.dumps([p for p, _ in ROWS]), NO),
    # broken JSON: whole objects in it are read, nothing is repaired
    ("cut in a prompt", whole()[: whole().index("place 7") + 3], read(7, SHAPE)),
    ("cut after a prompt", whole()[: whole().index('", "task": "rotation"')], read(2, FEW)),
    ("cut before the first", whole()[: whole().index("place 0")], NO),
    ("trailing comma", whole().replace("}]}", "},]}"), read(10, SHAPE)),
    ("comments", whole().replace('{"prompt"', '/* next */ {"prompt"'), read(10, SHAPE)),
    ("single quotes", str(json.loads(whole())), NO),
    ("no quotes", "{candidates: [{prompt: a red cup, task: rotation}]}", NO),
    ("escaped twice", json.dumps(whole()), NO),
    ("quotes not escaped", '{"candidates": [{"prompt": "The "red" cup", "task": "rotation"}]}', NO),
    ("NaN", whole().replace('"the cup moves"', "NaN"), read(10, UNDESCRIBED)),
    ("Infinity", '{"candidates": [{"prompt": Infinity, "task": "rotation"}]}', NO),
    ("a huge integer", '{"candidates": ' + "9" * 6_000 + "}", NO),
    ("deep", DEEP, NO),
    ("deep objects", '{"a":' * 30_000, NO),
    ("deep, then good", DEEP[:300] + whole(), read(10)),
    ("deeper than is looked for", DEEP + whole(), NO),
    ("backslashes", "{\\" * 50_000, NO),
    ("open quotes", '{"' * 60_000, NO),
    ("XML", "<candidates><prompt>A cup</prompt><task>rotation</task></candidates>", NO),
    ("YAML", "candidates:\n  - prompt: A red cup\n    task: rotation\n", NO),
    # entries that are no candidates
    ("numbers", whole([1, 2.5, True, None]), NO),
    ("lists", whole([[["A red cup"]], []]), NO),
    ("prompt is a number", one(7), NO),
    ("prompt is a list", one(["A red cup"]), NO),
    ("prompt is an object", one({"type": "string"}), NO),
    ("prompt is null", one(None), NO),
    ("prompt is blank", one("  \n "), NO),
    ("prompt without a letter", one("... !!! 123"), NO),
    ("the form given back", one("<prompt>"), NO),
    ("the word string", one("String"), NO),
    ("candidates is a text", whole("A red cup turns"), NO),
    ("candidates is empty", whole([]), NO),
    ("candidates is an object", whole({"1": {"prompt": CUP, "task": TURN}}), NO),
    ("only a schema", json.dumps({"type": "object", "properties": {"candidates": {"type": "array"}}}), NO),
    ("half are good", whole([*rows(3), {}, "", None, {"task": TURN}]), read(3, "4 entries")),
    ("all the same", whole([{"prompt": CUP, "task": TURN}] * 10), (JUST, "9 entries")),
    (
        "thirteen",
        whole([*rows(), *({"prompt": f"Cup {i} more", "task": MOVE} for i in range(3))]),
        read(10, MORE),
    ),
    (
        "thousands",
        whole([{"prompt": f"c {i}", "task": MOVE} for i in range(4_000)]),
        ([(f"c {i}", MOVE) for i in range(10)], MORE),
    ),
    ("labels alone", whole(["relocation", "Rotation", "deform"]), NO),
    (
        "an embedding file in the description",
        whole(background_details="embedd\u200bing:x"),
        read(10, UNDESCRIBED),
    ),
    # tasks
    ("unknown task", one(CUP, "explosion"), ([(CUP, None)], NO_TASK)),
    ("no task", whole([{"prompt": CUP}]), ([(CUP, None)], NAMELESS)),
    ("task is a number", one(CUP, 3), ([(CUP, None)], NAMELESS)),
    ("two tasks", one(CUP, "rotation or relocation"), ([(CUP, None)], NO_TASK)),
    ("two tasks with a bar", one(CUP, "relocation|deformation|rotation"), ([(CUP, None)], NO_TASK)),
    ("a task denied", one(CUP, "not a rotation"), ([(CUP, None)], NO_TASK)),
    ("a scale", one(CUP, "scale"), ([(CUP, None)], NO_TASK)),
    ("a task in capitals", one(CUP, " ROTATION. "), (JUST, FEW)),
    ("another word for it", one(CUP, "Rotating"), (JUST, FEW)),
    ("DragFlow's own word", one(CUP, "transformation"), ([(CUP, MOVE)], FEW)),
    # what a prompt may hold
    ("eighty words", one(WORDS), ([(" ".join(WORDS.split()[:60]), TURN)], CUT)),
    ("one word of 90 kB", one("a" * 90_000), ([("a" * 600, TURN)], CUT)),
    ("no spaces", one("\u676f\u5b50" * 400), ([("\u676f\u5b50" * 300, TURN)], CUT)),
    ("an embedding file", one("A cup, embedding:../../secret"), NO),
    (
        "control characters",
        one("A red\x00 cup\x1b[2J stands\r\non its\x07 side"),
        ([("A red cup [2J stands on its side", TURN)], FEW),
    ),
    ("right to left", one("A red\u202e cup\u200b stands on its side"), (JUST, FEW)),
    (
        "half a surrogate",
        '{"candidates": [{"prompt": "A red \\ud83d cup", "task": "rotation"}]}',
        ([("A red cup", TURN)], FEW),
    ),
    (
        "markup",
        one("<img src=x onerror=alert(1)> a cup"),
        ([("<img src=x onerror=alert(1)> a cup", TURN)], FEW),
    ),
    # lists of lines
    ("numbered, label behind", NUMBERED, read(10, SHAPE)),
    (
        "numbered, label before",
        "\n".join(f"{i + 1}) **{t.title()}**: {p}" for i, (p, t) in enumerate(ROWS)),
        read(10, SHAPE),
    ),
    ("a line of many spaces", "1. " + " " * 150_000 + "(rotation)", NO),
]
