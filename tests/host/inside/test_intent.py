"""Drag Intent, Drag Local MLLM and Drag MLLM Score against a server of the tests."""

from __future__ import annotations

import base64
import io
import json
import time
from typing import Any

import comfy.model_management as mm
import pytest
import torch
from mllm_server import GOOD, PROMPTS, MllmServer
from PIL import Image
from region_drag_editing.drag_core.types import DragError
from region_drag_editing.nodes.intent import DragIntent
from region_drag_editing.nodes.mllm import DragLocalMLLM
from region_drag_editing.nodes.mllm_client import KEY, REMOTE, place_of
from region_drag_editing.nodes.mllm_score import DragMLLMScore

TOWER: dict[str, Any] = {
    "task": "relocation",
    "label": "tower",
    "polygons": [[[40, 20], [50, 20], [50, 80], [40, 80]]],
    "target": [75, 50],
}
SOURCE, TARGET = "A tower in a field.", "A tower in a field. " + PROMPTS[1]


def scene(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 100, 120, 3, generator=torch.Generator().manual_seed(seed))


def drag(**more: Any) -> str:
    return json.dumps({"image": {"width": 120, "height": 100}, "regions": [TOWER], **more})


def model(server: MllmServer, kind: str = "ollama", **more: Any) -> Any:
    values = {"server": kind, "address": server.address, "model": "tiny", "temperature": 0.4, "seed": 3}
    return DragLocalMLLM.execute(**{**values, "timeout": 20.0, "keep_loaded": False, **more}).result[0]


def intent(**values: Any) -> Any:
    return DragIntent.execute(**{"image": scene(), "instruction": drag(), "choice": 0, **values})


def sent(data: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (KEY, REMOTE):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("kind", ["ollama", "openai"])
def test_the_chosen_candidate_sets_task_and_prompts(kind: str) -> None:
    with MllmServer() as server:
        regions, text, source, target, overlay, question, candidates = intent(
            mllm=model(server, kind), choice=2
        ).result
    assert (source, target) == (SOURCE, TARGET)
    (region,) = json.loads(text)["regions"]
    assert (region["task"], region["anchor"], region["target"]) == ("rotation", [45.0, 80.0], [75, 50])
    assert regions.regions[0].motion.angle == pytest.approx(torch.pi / 4, abs=1e-6)
    assert json.loads(text)["prompts"] == {"source": SOURCE, "target": TARGET}
    assert [c["prompt"] for c in json.loads(candidates)["candidates"]] == PROMPTS
    (asked,) = server.asked
    message = asked["messages"][0]
    if kind == "ollama":
        assert server.told[0][0] == "/api/chat" and message["content"] == question
        assert asked["keep_alive"] == 0 and asked["options"] == {"temperature": 0.4, "seed": 3}
        files = message["images"]
    else:
        assert server.told[0][0] == "/v1/chat/completions" and message["content"][0]["text"] == question
        files = [part["image_url"]["url"].split(",")[1] for part in message["content"][1:]]
    assert [sent(f).size for f in files] == [(120, 100)] * 2
    # the second picture: blue where the tower is, green where it goes, nothing outlined at the corner
    for (x, y), channel in {(42, 25): 2, (72, 25): 1}.items():
        before, after = (sent(f).getpixel((x, y)) for f in files)
        assert after[channel] > 0.4 * 255 * (0.45 + 0.55 * before[channel] / 255) and before != after
    assert sent(files[0]).getpixel((1, 1)) == sent(files[1]).getpixel((1, 1))
    assert overlay.shape == (1, 100, 120, 3)


def test_nothing_chosen_leaves_the_drag_as_it_is() -> None:
    with MllmServer() as server:
        out = intent(mllm=model(server))
    regions, text, source, target, *_ = out.result
    assert (source, target) == ("", "") and json.loads(text)["regions"][0]["task"] == "relocation"
    assert regions.regions[0].motion.angle == 0
    assert [c["task"] for c in out.ui["drag_intent"][0]["candidates"]][:3] == [
        *("relocation", "rotation", "deformation"),
    ]
    assert (
        out.ui["drag_notes"] == ()
        and "nothing is chosen" in out.ui["text"][0]
        and PROMPTS[9] in out.ui["text"][0]
    )


def test_a_drag_that_has_its_prompt_asks_nobody() -> None:
    with MllmServer() as server:
        out = intent(mllm=model(server), instruction=drag(prompts={"source": "a", "target": "b"}))
        assert server.asked == [] and out.result[2:4] == ("a", "b")
        assert out.ui["drag_intent"][0]["candidates"] == () and "nobody was asked" in out.ui["text"][0]


def test_an_answer_of_another_node() -> None:
    assert intent(answer=GOOD, choice=2).result[3] == TARGET
    assert "nobody was asked" in intent().ui["text"][0]
    for values, said in [
        ({"answer": "no"}, "holds no candidate"),
        ({"answer": GOOD, "choice": 1, "mllm": "x"}, "both mllm and answer are connected"),
        ({"choice": 4}, "choice is 4 and nobody is asked"),
        ({"answer": json.dumps({"candidates": ["A cup"]}), "choice": 4}, "candidate 4 was chosen and"),
        ({"instruction": ""}, "nothing is marked"),
        ({"instruction": json.dumps({"regions": [{**TOWER, "target": None}]})}, "without a target"),
    ]:
        with pytest.raises(DragError, match=said):
            intent(**values)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"said": "I'm sorry, I can't see pictures."}, "holds no candidate"),
        ({"raw": b"<html>502</html>", "status": 502}, "refuses \\(502\\): '<html>502</html>'"),
        ({"raw": b'{"error": "model \'tiny\' not found"}', "status": 404}, "model 'tiny' not found"),
        ({"raw": b'{"error": {"message": "too large"}}', "status": 400}, "refuses \\(400\\): 'too large'"),
        ({"raw": b"not json"}, "does not answer as ollama does"),
        ({"raw": b'{"choices": []}'}, "choose the other server"),
        ({"raw": b"[" * 100_000}, "does not answer as ollama does"),
        ({"raw": b'{"message": {"content": null}}'}, "without a text"),
        ({"raw": b"x" * (2 * 1024 * 1024 + 1)}, "more than 2097152 bytes"),
        ({"status": 302, "headers": {"Location": "http://127.0.0.1:9/"}}, "sends on to another address"),
        ({"wait": 60.0}, "did not answer within 1 s"),
        ({"trickle": True}, "did not answer within 1 s"),
    ],
)
def test_a_server_that_misbehaves(change: dict[str, Any], said: str) -> None:
    with MllmServer() as server:
        for name, value in change.items():
            setattr(server, name, value)
        begun = time.monotonic()
        with pytest.raises(DragError, match=said) as refused:
            intent(mllm=model(server, timeout=1.0 if "within" in said else 20.0))
        assert "\n" not in str(refused.value) and len(server.asked) == 1
        assert time.monotonic() - begun < 30


def test_nothing_listens() -> None:
    with MllmServer() as server:
        gone = model(server)
    with pytest.raises(DragError, match=f"nothing answers at {gone.address}: start the server"):
        intent(mllm=gone)


def test_the_users_interrupt_ends_the_waiting() -> None:
    with MllmServer() as server:
        server.wait = 60.0
        begun = time.monotonic()
        mm.interrupt_current_processing()
        with pytest.raises(mm.InterruptProcessingException):
            intent(mllm=model(server))
        assert time.monotonic() - begun < 30


@pytest.mark.parametrize(
    "address",
    [
        *("http://192.168.0.7:11434", "http://example.org", "https://example.org/v1", "http://0.0.0.0:1"),
        *("http://127.0.0.1.example.org", "http://localhost.", "http://2130706433/", "http://[2001:db8::1]/"),
    ],
)
def test_other_machines_only_where_the_environment_says_so(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DragError, match="is not this machine"):
        place_of(address)
    monkeypatch.setenv(REMOTE, "true")
    with pytest.raises(DragError, match="is not this machine"):
        place_of(address)
    monkeypatch.setenv(REMOTE, "1")
    assert place_of(address).port > 0


@pytest.mark.parametrize(
    ("address", "said"),
    [
        *(
            (a, "not one of a server")
            for a in ("", "127.0.0.1:11434", "file:///etc/passwd", "ftp://127.0.0.1")
        ),
        *(
            (a, "not one of a server")
            for a in ("http://", "http://127.0.0.1:99999", "http://[::1", "http://a b")
        ),
        *(
            (a, "not one of a server")
            for a in ("http://127.0.0.1/?a=b", "http://127.0.0.1/\r\nX: y", "http://\u0261.org")
        ),
        *((a, "name or a password") for a in ("http://me:secret@127.0.0.1", "http://127.0.0.1@example.org")),
    ],
)
def test_an_address_that_is_none(address: str, said: str) -> None:
    with pytest.raises(DragError, match=said) as refused:
        place_of(address)
    assert "secret" not in str(refused.value)


def test_local_addresses() -> None:
    for address in ("http://localhost:1", "http://LOCALHOST:1/", "http://127.8.9.1:1", "http://[::1]:1/v1"):
        place = place_of(address)
        assert place.port == 1 and all(h.startswith("127.") or h == "::1" for h in place.hosts)


def test_a_key_goes_into_the_header_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-very-secret"
    monkeypatch.setenv(KEY, key)
    monkeypatch.setenv(REMOTE, "1")
    with pytest.raises(DragError, match="use https"):
        place_of("http://example.org")
    with MllmServer() as server:
        out = intent(mllm=model(server, "openai"), choice=1)
        assert server.told[0][1]["Authorization"] == f"Bearer {key}"
        assert key not in json.dumps([server.asked, str(out.result), str(out.ui), model(server).record()])
        server.raw, server.status = f"bad key {key}".encode(), 401
        with pytest.raises(DragError, match="bad key \\*\\*\\*"):
            intent(mllm=model(server, "openai"))
        monkeypatch.setenv(KEY, "a\nb")
        with pytest.raises(DragError, match="set it anew") as refused:
            intent(mllm=model(server, "openai"))
        assert "a\nb" not in str(refused.value)


def brightness(file: str) -> int:
    return int(sent(file).convert("L").getpixel((0, 0)))


def judge(body: dict[str, Any]) -> str:
    """Scores an edit by its brightness, wherever it is shown."""
    files = body["messages"][0]["images"][1:]
    return json.dumps(
        {"analysis": "", "scores": {"ABC"[i]: brightness(f) // 25 for i, f in enumerate(files)}}
    )


def score(server: MllmServer, **more: Any) -> Any:
    edits = torch.cat([torch.full((1, 8, 8, 3), v / 255) for v in (50, 200, 100)])
    values = {"mllm": model(server), "original": scene(), "edited": edits, "names": "a, b, c"}
    return DragMLLMScore.execute(**{**values, "repeats": 6, "seed": 1, **more}).result


def test_scores_follow_the_pictures_not_their_places() -> None:
    with MllmServer(judge) as server:
        table, mean, text = score(server)
    record = json.loads(text)
    assert mean == 2.0 and {n: s["mean"] for n, s in record["scores"].items()} == {"a": 2, "b": 8, "c": 4}
    assert len({tuple(a["order"]) for a in record["answers"]}) > 2 and record["counted"] == "6 of 6"
    assert [tuple(map(brightness, a["messages"][0]["images"][1:])) for a in server.asked] == [
        tuple({"a": 50, "b": 200, "c": 100}[n] for n in a["order"]) for a in record["answers"]
    ]
    assert record["judge"]["model"] == "tiny" and record["answers"][0]["model"] == "tiny"
    assert record["comparable_to_paper"] is False and len(record["prompt_sha256"]) == 64
    assert [a["options"]["seed"] for a in server.asked] == [3, 4, 5, 6, 7, 8]
    assert table.splitlines()[0].startswith("MLLM score (GScore-style)") and "b   8.00" in table


def test_answers_without_scores_are_counted_not_made_up() -> None:
    bad = ["I like them all", '{"scores": {"A": 11, "B": 1, "C": 1}}']
    moods = iter([judge, lambda _: bad[0], judge, lambda _: bad[1], judge, judge])
    with MllmServer(lambda body: next(moods)(body)) as server:
        _, mean, text = score(server)
        record = json.loads(text)
        assert record["counted"] == "4 of 6" and mean == 2.0
        assert sum("refused" in a for a in record["answers"]) == 2
        server.said = "no"
        with pytest.raises(DragError, match="no answer of 6 held scores; the last one: .*holds no scores"):
            score(server)
    with pytest.raises(DragError, match="names holds 2 different ones for 3 edits"):
        score(server, names="a, b")
    with pytest.raises(DragError, match="9 edited pictures"):
        score(server, edited=torch.zeros(9, 8, 8, 3))
