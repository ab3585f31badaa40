"""HTML and SVG from Python: every text is escaped unless it is markup already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

MISSING = "–"
_EMPTY = ("meta", "circle", "line", "path", "rect", "image")


class Markup(str):
    """Text that is HTML already and is not escaped again."""

    __slots__ = ()


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element. Children: text (escaped), Markup, or sequences of both; None is left out.

    Attributes: an underscore becomes a hyphen and one at the end is dropped (``class_``, ``stroke_width``);
    capital letters stay (``viewBox``). None leaves the attribute out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Markup:
    """One piece of markup of several."""
    return Markup("".join(_child(child) for child in children))


def _child(child: object) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, (list, tuple)):
        return join(child)
    return escape(str(child))


def _text(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def number(value: float | None, form: str = ".3f") -> str:
    """A number for people; a dash where there is none. form: of ``format``, "+" for a true sign."""
    if value is None or value != value:
        return MISSING
    text = format(value, form)
    return "0" if text.strip("+-0.") == "" and text.startswith(("-", "+")) else text.replace("-", "−")


def table(
    caption: str,
    heads: Sequence[object],
    lines: Iterable[Sequence[object]],
    groups: Sequence[tuple[str, int]] = (),
    last_is_total: bool = False,
    class_: str = "numbers",
) -> Markup:
    """A table in a frame that scrolls by itself where the window is narrow.

    The first cell of each line is its header. groups: headings above the heads, with the columns that each
    spans. last_is_total: whether the last line is set apart.
    """
    rows = [
        tag("tr", tag("th", line[0], scope="row"), [tag("td", cell) for cell in line[1:]]) for line in lines
    ]
    above = [
        tag("th", text, scope="colgroup", colspan=span) if text else tag("td", colspan=span)
        for text, span in groups
    ]
    head = tag(
        "thead",
        tag("tr", above, class_="groups") if groups else None,
        tag("tr", [tag("th", text, scope="col") for text in heads]),
    )
    foot = tag("tfoot", rows.pop()) if last_is_total and rows else None
    body = tag("table", tag("caption", caption), head, tag("tbody", rows), foot, class_=class_)
    return tag("div", body, class_="scroll", tabindex="0", role="region", aria_label=caption)


def section(title: str, anchor: str, *children: object) -> Markup:
    """A part of the page with a heading that can be linked to."""
    return tag(
        "section",
        tag("h2", title, id=f"{anchor}-title"),
        children,
        id=anchor,
        aria_labelledby=f"{anchor}-title",
    )


def folded(title: object, *children: object, open_: bool = False) -> Markup:
    """A part that is opened with a click, or a key, and is open on paper."""
    return tag("details", tag("summary", title), children, open="open" if open_ else None)
