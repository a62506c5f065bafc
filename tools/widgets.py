"""Which inputs a node has in ComfyUI's editor, and the order of its widgets, from /object_info.

Follows the frontend 1.49.6: litegraphService.ts (addInputs), nodeDefOrderingUtil.ts, dynamicWidgets.ts
(DynamicCombo), widgets.ts (control_after_generate), uploadImage.ts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Info = dict[str, Any]  # of one node type, an entry of object_info
Spec = Sequence[Any]  # (type or list of choices, options)

VALUES = {"INT", "FLOAT", "BOOLEAN", "STRING", "COMBO", "COLOR", "MARKDOWN", "TEXTAREA"}  # a widget, a value
DYNAMIC, GROWING, MATCHING = "COMFY_DYNAMICCOMBO_V3", "COMFY_AUTOGROW_V3", "COMFY_MATCHTYPE_V3"
# Other widgets of the frontend: they hold several values, or send another one than they keep.
REFUSED = {
    *("CHART", "GALLERIA", "PAINTER", "COMPOSITOR", "CURVE", "RANGE", "VIDEO_EDIT", "IMAGECOMPARE"),
    *("BOUNDING_BOX", "BOUNDING_BOXES", "COLORS", "AUDIOUPLOAD", "AUDIO_UI", "LOAD_3D", "WEBCAM"),
}
UPLOADS = ("image_upload", "video_upload", "animated_image_upload")
CONTROL = "control_after_generate"
EMPTY: dict[str, Any] = {"INT": 0, "FLOAT": 0, "BOOLEAN": False}


@dataclass(frozen=True)
class Slot:
    """A socket, a widget, or a widget with its socket."""

    name: str  # what a dynamic combo brings: "method.steps"
    type: str
    spec: Spec
    optional: bool = False
    widget: bool = False  # has a value in widgets_values
    socket: bool = True
    sent: bool = True  # its value is part of the API prompt
    nested: bool = False  # brought by a dynamic combo


def type_of(spec: Spec) -> str:
    return spec[0] if isinstance(spec[0], str) else "COMBO"


def options_of(spec: Spec) -> dict[str, Any]:
    return spec[1] if len(spec) > 1 and spec[1] else {}


def is_widget(spec: Spec) -> bool:
    """Whether the editor shows a widget for this input. A type that only a `widgetType` names belongs to an
    extension; it is taken for a widget of one value.
    """
    options = options_of(spec)
    kind = options.get("widgetType", type_of(spec))
    if kind in REFUSED and not options.get("forceInput"):
        raise ValueError(f"inputs of the type {kind} are not handled here")
    return not options.get("forceInput") and (kind in VALUES or kind == DYNAMIC or "widgetType" in options)


def default_of(spec: Spec) -> Any:
    """The value of a new widget."""
    kind, options = type_of(spec), options_of(spec)
    if kind == DYNAMIC:
        return options["options"][0]["key"]  # whatever its default says
    if kind == "COMBO":
        choices = options.get("options", []) if isinstance(spec[0], str) else spec[0]
        return options.get("default", choices[0] if choices else None)
    return options.get("default", EMPTY.get(kind, ""))


def ordered(info: Info) -> list[tuple[str, Spec, bool]]:
    """(name, spec, optional) of a node's inputs: required ones first, then as its input_order says."""
    out = []
    for kind in ("required", "optional"):
        specs = info["input"].get(kind) or {}
        names = [n for n in (info.get("input_order") or {}).get(kind, specs) if n in specs]
        out += [(n, specs[n], kind == "optional") for n in [*names, *(n for n in specs if n not in names)]]
    for name, spec in (info["input"].get("required") or {}).items():
        if type_of(spec) == "COMBO" and any(options_of(spec).get(k) is True for k in UPLOADS):
            button = (
                "IMAGEUPLOAD",
                {"widgetType": "IMAGEUPLOAD", "default": "image", "imageInputName": name},
            )
            return [*out, ("upload", button, False)]
    return out


def controls(name: str, spec: Spec) -> Iterator[tuple[str, Spec]]:
    """The widgets behind a widget that say what becomes of its value after a run."""
    kind, options = type_of(spec), options_of(spec)
    wanted = options.get(CONTROL)
    if wanted is None and kind == "INT":
        wanted = name in ("seed", "noise_seed")
    if wanted and kind in ("INT", "FLOAT", "COMBO"):
        # the frontend takes a text here for the widget's name too
        own = wanted if isinstance(wanted, str) else CONTROL
        yield own, ("COMBO", {"default": "fixed", "control": True})
        if kind == "COMBO":
            yield "control_filter_list", ("STRING", {})


def slots(info: Info, take: Callable[[str, Spec], Any], linked: Collection[str] = ()) -> list[Slot]:
    """The inputs of a node, widgets in the order of widgets_values. `take(name, spec)` gives a value,
    asked in that order: it decides what a dynamic combo brings. `linked`: names of inputs that hold a link,
    for those that grow with their links.
    """

    def walk(inputs: list[tuple[str, Spec, bool]], before: str) -> Iterator[Slot]:
        for short, spec, optional in inputs:
            name, kind = before + short, type_of(spec)
            if kind == GROWING:
                for n in (n for n in linked if n.startswith(name + ".")):
                    yield Slot(n, "*", spec, True, nested=bool(before))
                continue
            if kind == MATCHING:
                kind = options_of(spec).get("template", {}).get("allowed_types", "*")
            if not is_widget(spec):
                yield Slot(name, kind, spec, optional, nested=bool(before))
                continue
            # The frontend leaves out the socket of an extension's own widgets only.
            own = options_of(spec).get("widgetType", kind) not in VALUES
            bare = own and kind != DYNAMIC and bool(options_of(spec).get("socketless"))
            value, sent = take(name, spec), kind != "IMAGEUPLOAD"
            yield Slot(name, kind, spec, optional, True, not bare, sent, bool(before))
            for extra, its in controls(name, spec):
                take(extra, its)
                yield Slot(extra, "COMBO", its, False, True, False, False, bool(before))
            if kind == DYNAMIC:
                chosen = {o["key"]: o["inputs"] for o in options_of(spec)["options"]}
                if value not in chosen:
                    raise ValueError(f"{name} is {value!r} and must be one of {', '.join(chosen)}")
                yield from walk(ordered({"input": chosen[value]}), f"{name}.")

    return list(walk(ordered(info), ""))


def as_listed(found: list[Slot]) -> list[Slot]:
    """Those with a socket, in the order of a node's `inputs`: plain sockets, then widgets and what they
    bring.
    """
    plain = [s for s in found if not s.widget and not s.nested]
    return plain + [s for s in found if s.socket and (s.widget or s.nested)]


def fits(a: str, b: str) -> bool:
    """Whether an output of type `a` can be linked to an input of type `b`."""
    ours, theirs = (set(t.lower().split(",")) for t in (a, b))
    return bool(ours & theirs) or bool({"*", ""} & (ours | theirs))


def output_types(info: Info) -> list[str]:
    kinds = [t if isinstance(t, str) else "COMBO" for t in info["output"]]
    return ["*" if t == MATCHING else t for t in kinds]
