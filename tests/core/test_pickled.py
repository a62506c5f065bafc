"""Pickled sample files: every way of writing plain data is read, everything else is refused unrun."""

from __future__ import annotations

import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drag_core.__main__ import main
from drag_core.bench.pickled import MAX_BYTES, read_plain
from drag_core.bench.pickled_arrays import array_of
from drag_core.types import DragError

MASK = (np.arange(12).reshape(3, 4) % 3 == 0).astype(np.uint8)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "mask",
    [MASK, MASK.astype(np.float32), np.asfortranarray(MASK), MASK.astype(">i4"), MASK > 0, MASK[:0]],
    ids=["uint8", "float32", "fortran", "big endian", "bool", "nothing"],
)
def test_plain_data_is_read_in_every_protocol(protocol: int, mask: Any) -> None:
    data = {"prompt": "a cät", "points": [[1, 2], [np.int64(3), np.float32(4.5)], (5, -6.25)], "mask": mask}
    found = read_plain(pickle.dumps(data, protocol))
    array = array_of(found["mask"])
    assert array is not None and array.shape == mask.shape and (array == mask).all()
    assert found["prompt"] == "a cät" and found["points"] == [[1, 2], [3, 4.5], (5, -6.25)]


def test_numpys_names_of_before_2_are_read() -> None:
    text = pickle.dumps({"mask": MASK}, 4).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    old = text.replace(b"\x8c\x16numpy.core.multiarray", b"\x8c\x15numpy.core.multiarray")
    old = old[:3] + (len(old) - 11).to_bytes(8, "little") + old[11:]  # the frame's length
    array = array_of(read_plain(old)["mask"])
    assert array is not None and (array == MASK).all()


class Runs:
    """Pickles as a call of `function` on arguments."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.told = function, arguments

    def __reduce__(self) -> Any:
        return self.told


class Own:
    def __init__(self) -> None:
        self.points = [[1, 2], [3, 4]]


def huge() -> bytes:
    """An array said to be of a million million pixels, with four bytes of content."""
    whole = pickle.dumps(np.zeros((2, 2), np.uint8), 2)
    assert whole.count(b"K\x02K\x02\x86") == 1
    return whole.replace(b"K\x02K\x02\x86", b"J\x40\x42\x0f\x00J\x40\x42\x0f\x00\x86")


def kinds(marker: Path) -> dict[str, tuple[bytes, str]]:
    """The six kinds: a call, text that is run, an object of a class, objects in an array, a name from outside
    the file, a size that is a lie; each with what the sentence names.
    """
    return {
        "a call": (pickle.dumps(Runs(Path.touch, marker)), "pathlib"),
        "text that is run": (pickle.dumps(Runs(eval, f"open({str(marker)!r}, 'w')")), "builtins.eval"),
        "an object of a class": (b"(ios\nsystem\n.", "INST"),
        "objects in an array": (pickle.dumps(np.array([Own(), None], object)), "'O8'"),
        "a name from outside": (b"\x80\x02Pcat\n.", "PERSID"),
        "a size that is a lie": (huge(), "4 bytes for an array"),
    }


@pytest.mark.parametrize("kind", kinds(Path("x")).keys())
def test_six_kinds_of_malice_are_refused(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = tmp_path / "opened"
    data, said = kinds(marker)[kind]
    list(pickletools.genops(data))  # it is a pickle
    with pytest.raises(DragError, match=".") as error:
        read_plain(data)
    assert said in str(error.value)
    (tmp_path / "meta_data.pkl").write_bytes(data)
    assert main(["convert", str(tmp_path), str(tmp_path / "out.json")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and len(told.splitlines()) == 1 and said in told
    assert not marker.exists() and not (tmp_path / "out.json").exists()


NEVER = {
    "system by its name": pickle.dumps(Runs(__import__("os").system, "true")),
    "numpy.load": pickle.dumps(Runs(np.load, "x.npy", None, True)),
    "an object": pickle.dumps(Own(), 2),
    "a call of what a name gave": pickle.dumps(Runs(getattr, "a", "upper")),
    "an array of a class of its own": pickle.dumps(np.rec.array([(1, 2)], dtype=[("a", "i4"), ("b", "i4")])),
    "a date": pickle.dumps(np.array(["2026-01-01"], "datetime64[D]")),
    "a registered extension": b"\x80\x02\x82\x01.",
    "a buffer from outside": b"\x80\x05\x97.",
    "a set": pickle.dumps({1, 2}),
    "a complex number": pickle.dumps(1 + 2j),
    "a key that is a list": b"\x80\x02}(]K\x01u.",
    "an item of no list": b"\x80\x02NK\x01a.",
    "no mark": b"\x80\x02K\x01t.",
    "an empty stack": b"\x80\x02.",
    "nothing in the memo": b"\x80\x02h\x05.",
    "no array yet": b"cnumpy\nndarray\n.",
    "a dtype alone": pickle.dumps(np.dtype("u1")),
    "cut off": pickle.dumps({"mask": MASK})[:-20],
    "no pickle": b"GIF89a",
    "nothing": b"",
    "five thousand digits": b"I" + b"9" * 5000 + b"\n.",
}


@pytest.mark.parametrize("data", NEVER.values(), ids=NEVER.keys())
def test_whatever_is_no_plain_data_is_refused_in_a_sentence(data: bytes) -> None:
    with pytest.raises(DragError, match=".") as error:
        read_plain(data)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_one_byte_changed_gives_data_or_a_sentence() -> None:
    whole = pickle.dumps({"prompt": "a", "points": [[1, 2], [3, 4]], "mask": MASK})
    drawn = np.random.default_rng(0)
    read = 0
    for _ in range(3000):
        data = bytearray(whole)
        data[drawn.integers(len(data))] = drawn.integers(256)
        try:
            read_plain(bytes(data))
            read += 1
        except DragError:
            continue
    assert 0 < read < 3000


def test_too_long_a_file_is_refused_unread() -> None:
    with pytest.raises(DragError, match=str(MAX_BYTES + 1)):
        read_plain(bytes(MAX_BYTES + 1))
