"""The picture of the rooms, made from the imports: `python docs/picture.py` writes architecture.svg."""

import ast
import itertools
import pathlib
import textwrap
from typing import NamedTuple
from xml.sax.saxutils import escape

from architecture import FLOOR, FLOORS, HOMES, ROOT, edges, fewest

PICTURE = pathlib.Path(__file__).parent / "architecture.svg"
WIDTH, LEFT, BOX, GAP, FLOOR_GAP = 1280, 150, 202, 22, 58
LINE, MARGIN, WRAP = 14.5, 22, 29  # of small print in points; around the picture; in letters
ARROWS_FROM = FLOOR["_engine"]  # below, every room may stand on every other: no arrows there
FAMILIES = set(FLOORS[2]) | set(FLOORS[3]) | {"targets", "plot"}
MEANING = (
    "the ground", "mathematics,\nand the machine", "families: parts\nof what you write",
    "families:\nwhat you write", "on disk", "through time,\nalong a line", "one answer",
    "many answers,\nalong a parameter\nor by learning", "built of\nseveral answers", "what you see",
)  # fmt: skip
LEGEND = (
    "A room imports only what lies below it. Arrows are imports between rooms, but for those that lead "
    "over another room as well. Orange: families, which you extend. Blue words: verbs."
)
ROOM, FAMILY, GROUND = ("#e3edf7", "#44709c"), ("#fbeedb", "#b97f2c"), ("#eeeeee", "#8a8a8a")
INK, FAINT, VERB, ARROW = "#222222", "#666666", "#1f5f99", "#5c6f82"


class Box(NamedTuple):
    """A room in the picture."""

    name: str
    x: float
    y: float
    width: float
    height: float
    lines: list[tuple[str, str]]
    colors: tuple[str, str]

    @property
    def middle(self) -> float:
        """Of its sides."""
        return self.x + self.width / 2


def said_of(room: str) -> str:
    """What the docstring of a room says in its first sentence; its verbs are named beside it."""
    path = ROOT / room / "__init__.py" if (ROOT / room).is_dir() else ROOT / f"{room}.py"
    first = str(ast.get_docstring(ast.parse(path.read_text()))).split("\n\n")[0].replace("\n", " ")
    if first.lower().startswith(f"{room}: "):
        first = first.partition(": ")[2]
    elif "`" in first and room.startswith("_"):
        first = first.partition("`")[0].strip(" :")
    first = first.replace("`", "").split(";")[0].rstrip(".")
    return first[0].upper() + first[1:] if first.split()[0].isalpha() else first


def small_print(room: str, found: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """What a box says below its name, and the color of each line.

    What the room is for, its verbs, and which families it takes.
    """
    verbs = [name for name, home in sorted(HOMES.items()) if home.partition(".")[0] == room]
    verbs = [name for name in verbs if name == name.lower()]
    taken = [b for a, b in sorted(found) if a == room and FLOOR[b] in (2, 3)]
    takes = "takes " + ", ".join(taken) if room.startswith("_") and taken else ""
    parts = (said_of(room), INK), (", ".join(verbs), VERB), (takes, FAINT)
    return [(line, color) for words, color in parts for line in textwrap.wrap(words, WRAP)]


def drawn(found: set[tuple[str, str]]) -> str:
    """The picture, as the text of an SVG.

    Args:
        found: `(room, room that it imports)`.
    """
    rooms = {room for edge in found for room in edge} | {"cli"}
    floors = [[room for room in floor if room in rooms] for floor in FLOORS]
    arrows = fewest(found, {room for room in rooms if FLOOR[room] >= ARROWS_FROM})
    rows = ordered(floors, arrows)
    boxes, beside, height = placed(rows, found)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="11.5">',
        "<title>The rooms of rnnjax: each imports only what lies below it</title>",
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="white"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0,0.8 L8,4 L0,7.2 z" fill="{ARROW}"/></marker></defs>',
        *beside,
        *(arrow(path) for path in routes(rows, boxes, arrows)),
        *(box(each) for each in boxes.values() if not each.name.startswith("~")),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def ordered(floors: list[list[str]], arrows: set[tuple[str, str]]) -> list[list[str]]:
    """Each floor's rooms from left to right, with room for arrows that pass, so that few arrows cross."""
    rows = [list(rooms) for rooms in floors]
    rows[0] = ["~ground"]
    for a, b in sorted(arrows):
        for height in range(FLOOR[b] + 1, FLOOR[a]):
            rows[height].append(f"~{a}>{b}")
    steps = [
        (height, *pair)
        for a, b in sorted(arrows)
        for height, pair in enumerate(itertools.pairwise(reversed(chain(a, b))), FLOOR[b])
    ]
    best, better = tangle(rows, steps), True
    while better:
        better = False
        for row in rows[ARROWS_FROM:]:
            for i, j in itertools.combinations(range(len(row)), 2):
                row[i], row[j] = row[j], row[i]
                now = tangle(rows, steps)
                if now < best:
                    best, better = now, True
                else:
                    row[i], row[j] = row[j], row[i]
    return rows


def chain(a: str, b: str) -> list[str]:
    """The places that an arrow passes from one room down to another, both included."""
    return [a, *[f"~{a}>{b}"] * (FLOOR[a] - FLOOR[b] - 1), b]


def tangle(rows: list[list[str]], steps: list[tuple[int, str, str]]) -> tuple[int, float]:
    """How many arrows cross, and how far they lean, in shares of the floors."""
    at = [{name: (k + 0.5) / len(row) for k, name in enumerate(row)} for row in rows]
    ends = [(height, at[height][low], at[height + 1][high]) for height, low, high in steps]
    crossed = sum(
        h == g and (a - c) * (b - d) < 0 for (h, a, b), (g, c, d) in itertools.combinations(ends, 2)
    )
    return crossed, round(sum((a - b) ** 2 for _, a, b in ends), 9)


def placed(
    rows: list[list[str]], found: set[tuple[str, str]]
) -> tuple[dict[str, Box], list[str], float]:
    """The boxes, what is drawn behind and beside them, and the height of the picture."""
    boxes: dict[str, Box] = {}
    beside = [text(MARGIN, MARGIN + 8, LEGEND, INK, 13)]
    y = MARGIN + 30.0
    for height in range(len(rows) - 1, -1, -1):
        said = {room: small_print(room, found) for room in rows[height] if room[0] != "~"}
        tall = 32 + LINE * max([len(lines) for lines in said.values()], default=0.0)
        beside += meaning(height, y + tall / 2)
        widths = [26 if room[0] == "~" else BOX for room in rows[height]]
        free = WIDTH - LEFT - MARGIN - sum(widths)
        space = min(free / (len(widths) + 1), 120)
        x = LEFT + (free - space * (len(widths) - 1)) / 2
        for room, width in zip(rows[height], widths, strict=True):
            colors = FAMILY if room in FAMILIES else GROUND if height < 2 else ROOM
            key = f"{height}{room}" if room[0] == "~" else room
            boxes[key] = Box(room, x, y, width, tall, said.get(room, []), colors)
            x += width + space
        if height == 0:
            beside.append(ground(y, tall))
        y += tall + (FLOOR_GAP if height > ARROWS_FROM else GAP)
    return boxes, beside, y - GAP + MARGIN


def meaning(height: int, middle: float) -> list[str]:
    """What a floor is, beside it."""
    lines = MEANING[height].split("\n")
    top = middle + 4 - 7.5 * (len(lines) - 1)
    return [text(MARGIN, top + 15 * k, line, FAINT, 12.5) for k, line in enumerate(lines)]


def ground(y: float, tall: float) -> str:
    """The files of the root, on which every room stands."""
    fill, edge = GROUND
    names = ", ".join(f"{name}.py" for name in FLOORS[0])
    return (
        f'<rect x="{LEFT}" y="{y:.1f}" width="{WIDTH - LEFT - MARGIN}" height="{tall}" rx="6" fill="{fill}" '
        f'stroke="{edge}"/>' + text(LEFT + 14, y + tall / 2 + 4, names, INK, 12.5)
    )


def routes(
    rows: list[list[str]], boxes: dict[str, Box], arrows: set[tuple[str, str]]
) -> list[list[tuple[float, float]]]:
    """The points that each arrow goes through, from above; those of one box leave side by side."""
    paths = {pair: chain(*pair) for pair in sorted(arrows)}

    def box_of(pair: tuple[str, str], k: int) -> Box:
        name = paths[pair][k]
        return boxes[f"{FLOOR[pair[0]] - k}{name}" if name[0] == "~" else name]

    def port(pair: tuple[str, str], k: int, side: int) -> float:
        """Where it leaves (side 1) or enters (side -1) the kth of its boxes."""
        here = box_of(pair, k)
        if here.name[0] == "~":
            return here.middle
        beside = [p for p in paths if p[0 if side == 1 else 1] == here.name]
        beside.sort(key=lambda p: (box_of(p, side if side == 1 else len(paths[p]) - 2).middle, p))
        share = (beside.index(pair) + 1) / (len(beside) + 1)
        return here.x + here.width * (0.2 + 0.6 * share)

    found = []
    for pair, path in paths.items():
        points = [(port(pair, 0, 1), box_of(pair, 0).y + box_of(pair, 0).height)]
        for k in range(1, len(path) - 1):
            here = box_of(pair, k)
            points += [(here.middle, here.y), (here.middle, here.y + here.height)]
        points.append((port(pair, len(path) - 1, -1), box_of(pair, len(path) - 1).y - 1))
        found.append(points)
    return found


def arrow(points: list[tuple[float, float]]) -> str:
    """A smooth line through points, upright at each of them."""
    (x, y), *others = points
    path = f"M{x:.1f},{y:.1f}"
    for a, b in others:
        middle = (y + b) / 2
        path += f" C{x:.1f},{middle:.1f} {a:.1f},{middle:.1f} {a:.1f},{b:.1f}"
        x, y = a, b
    return (
        f'<path d="{path}" fill="none" stroke="{ARROW}" stroke-width="1.4" marker-end="url(#tip)"/>'
    )


def box(each: Box) -> str:
    """A room with its name and its small print."""
    fill, edge = each.colors
    name = each.name if (ROOT / each.name).is_dir() else f"{each.name}.py"
    parts = [
        f'<rect x="{each.x:.1f}" y="{each.y:.1f}" width="{each.width}" height="{each.height}" rx="7" '
        f'fill="{fill}" stroke="{edge}"/>',
        text(each.x + 10, each.y + 19, name, INK, 14, "bold"),
    ]
    for k, (line, color) in enumerate(each.lines):
        parts.append(text(each.x + 10, each.y + 37 + LINE * k, line, color, 11.5))
    return "\n".join(parts)


def text(x: float, y: float, words: str, color: str, size: float, weight: str = "normal") -> str:
    """Words at a place."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" font-size="{size}" font-weight="{weight}">'
        f"{escape(words)}</text>"
    )


if __name__ == "__main__":
    PICTURE.write_text(drawn(edges()))
    print(f"wrote {PICTURE}")
