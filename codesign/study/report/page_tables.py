"""The parts of the page that need no script: question, cards, points, standing of the numbers, commands."""

from __future__ import annotations

import html
import math
import re
import shlex
from collections.abc import Sequence
from typing import Any

from ...table import cell_text, percent
from ..definition.built_in import reference
from ..definition.study import Constraint
from ..objectives import MEASURES
from ..result import PointResult, StudyResult
from ..value import Value
from .points_table import measures_of, state_of

THIN = "\u202f"
LEGEND = (
    "≈ is an estimate, whose error is in its column’s head; * is a model: exact counts times constants; all other "
    "numbers are exact."
)
STANDING = {
    "exact": "counted or computed; the RTL has the same",
    "estimate": "predicted from other points’ syntheses; the error is the worst of leave-one-out predictions",
    "model": "exact counts times constants that somebody published",
}


def number_text(number: float, unit: str = "") -> str:
    """With thin separators, four digits of what is no whole number, and the unit; shares in percent."""
    if unit == "share":
        return percent(number).replace(" ", THIN)
    if float(number).is_integer():
        text = cell_text(int(number))
    elif abs(number) >= 1000:
        text = cell_text(round(number))
    else:
        text = f"{number:.4g}"
    return (text + THIN + unit if unit else text).replace("-", "−")


def value_text(name: str, value: Value) -> str:
    """A measure at a point, without its unit, marked where it is not exact."""
    text = number_text(value.number, "share" if MEASURES[name].unit == "share" else "")
    return f"{'≈' + THIN if value.kind == 'estimate' else ''}{text}{' *' if value.kind == 'model' else ''}"


def question(result: StudyResult) -> str:
    """What the study asks, as a list."""
    study = result.study
    combinations = math.prod(len(one.labels) for one in study.space)
    asked = [("network", network.name) for network in study.networks]
    if study.data is not None:
        asked.append(("data", study.data.name))
    if study.training is not None and study.training.recipe is not None:
        asked.append(("training", study.training.recipe))
    asked += [(one.direction, one.measure) for one in study.objectives]
    asked += [("only", _bounds(one)) for one in study.constraints]
    asked.append(("space", f"{cell_text(combinations)} combinations of {', '.join(one.name for one in study.space)}"))
    if study.search.sampler != "grid":
        asked.append(("search", f"{study.search.sampler}, seed {study.search.seed}"))
    items = "".join(f"<li>{html.escape(word)} <b>{html.escape(text)}</b></li>" for word, text in asked)
    return f'<ul class="question" aria-label="What the study asks">{items}</ul>'


def _bounds(one: Constraint) -> str:
    unit = MEASURES[one.measure].unit
    bounds = (("≥", one.low), ("≤", one.high))
    return f"{one.measure} " + " and ".join(f"{sign} {number_text(at, unit)}" for sign, at in bounds if at is not None)


def notes(result: StudyResult) -> str:
    """Sentences that a reader must know."""
    sentences = list(result.notes)
    if result.state != "complete":
        done = f"{len(result.points)} of {result.planned} points" if result.planned else f"{len(result.points)} points"
        sentences.insert(0, f"The study is {result.state}: {done} are there; the same command goes on with it.")
    return "".join(f'<p class="note">{html.escape(sentence)}</p>' for sentence in sentences)


def cards(result: StudyResult) -> str:
    """How many points of which state."""
    states = [state_of(point) for point in result.points]
    shown = [
        (len(states), "points"),
        (states.count("front"), "on the front"),
        (states.count("infeasible"), "violate a constraint"),
        (states.count("failed"), "failed"),
        (sum(point.cached for point in result.points), "not computed again"),
    ]
    seconds = result.provenance.get("seconds")
    if seconds is not None:
        shown.append((_duration(seconds), "time of the run"))
    return "".join(
        f'<div class="card"><b>{html.escape(cell_text(value))}</b><span>{html.escape(name)}</span></div>'
        for value, name in shown
    )


def _duration(text: str) -> str:
    try:
        seconds = float(text)
    except ValueError:
        return text
    if not 0 <= seconds < 1e9:
        return text
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else f"{minutes} min {rest} s"
        if minutes
        else f"{seconds:.1f} s"
    )


def points_table_html(result: StudyResult, points: Sequence[PointResult], name: str, empty: str) -> str:
    """One row a point: index, state, choices, measures, and what is wrong with it."""
    if not points:
        return f'<p class="soft" id="{name}">{html.escape(empty)}</p>'
    measures = measures_of(result)
    space = result.study.space
    heads = [_head("point", "index"), _head("state", "state")]
    heads += [_head(one.name, f"choice:{one.name}", _numeric(one.labels)) for one in space]
    heads += [
        _head(name, name, True, ", ".join(filter(None, (_unit(name), _error(result, name))))) for name in measures
    ]
    wrong = any(point.failure or point.violations for point in points)
    heads += ['<th scope="col" class="wrap">what is wrong</th>'] if wrong else []
    rows = []
    for point in points:
        state = state_of(point)
        cells = [f'<td data-open="{point.index}">#{point.index}</td>', _cell(state)]
        cells += [_cell(_label(point.point.choices[one.name]), _numeric(one.labels)) for one in space]
        for measure in measures:
            value = point.values.get(measure)
            cells.append(_cell("–" if value is None else value_text(measure, value), True))
        if wrong:
            cells.append(_wrapped(point.failure or "; ".join(point.violations)))
        rows.append(f'<tr class="{state}" data-index="{point.index}">{"".join(cells)}</tr>')
    tall = " tall" if len(points) > 16 else ""
    return (
        f'<div class="scroll{tall}" id="{name}" tabindex="0" role="group" aria-label="Points, scrollable"><table>'
        f"<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody></table></div>"
    )


def _numeric(labels: Sequence[Any]) -> bool:
    return all(type(label) in (int, float) for label in labels)


def _label(label: Any) -> str:
    return number_text(label) if type(label) in (int, float) else cell_text(label)


def _head(text: str, key: str, number: bool = False, unit: str = "") -> str:
    words = re.sub(r"([._])", r"\1<wbr>", html.escape(text)) + (f"<small>{unit}</small>" if unit else "")
    return f'<th scope="col" data-key="{html.escape(key)}"{_class(number)}>{words}</th>'


def _unit(measure: str) -> str:
    unit = MEASURES[measure].unit
    return "" if unit in ("share", measure) else unit


def _error(result: StudyResult, measure: str) -> str:
    """The worst error of the measure's estimates, of any point."""
    values = [point.values[measure] for point in result.points if measure in point.values]
    errors = [value.error for value in values if value.error]
    return f"≈{THIN}±{THIN}{percent(max(errors))}" if errors else ""


def _cell(text: str, number: bool = False) -> str:
    return f"<td{_class(number)}>{html.escape(text)}</td>"


def _wrapped(text: str) -> str:
    return f'<td class="wrap">{html.escape(text)}</td>'


def _class(number: bool) -> str:
    return ' class="number"' if number else ""


def trust_table(result: StudyResult) -> str:
    """Each measure: how far its numbers can be trusted, by how many points, with the worst error and the source."""
    rows = []
    for name in measures_of(result):
        values = [point.values[name] for point in result.points if name in point.values]
        for kind in STANDING:
            mine = [value for value in values if value.kind == kind]
            if not mine:
                continue
            errors = [value.error for value in mine if value.error is not None]
            sources = sorted({value.source for value in mine if value.source})
            tag = f'<span class="tag tag-{kind}">{kind}</span>'
            rows.append(
                f"<tr>{_cell(name)}<td>{tag}</td>{_cell(cell_text(len(mine)), True)}"
                f"{_cell('±' + THIN + percent(max(errors)) if errors else '–', True)}"
                f"{_wrapped(', '.join(sources[:4] + ['…'] * (len(sources) > 4)) or '–')}"
                f"{_wrapped(', '.join(filter(None, (MEASURES[name].unit, MEASURES[name].doc))))}</tr>"
            )
    if not rows:
        return '<p class="soft">No point has a value.</p>'
    meanings = "".join(f"<li><b>{kind}</b>: {html.escape(text)}</li>" for kind, text in STANDING.items())
    heads = "".join(
        f'<th scope="col"{_class(at in (2, 3))}>{text}</th>'
        for at, text in enumerate(("measure", "standing", "points", "worst error", "from", "what it is"))
    )
    return (
        f"<ul>{meanings}</ul>"
        '<div class="scroll" tabindex="0" role="group" aria-label="Standing of each measure, scrollable">'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def reproduction(result: StudyResult) -> str:
    """The command of the study, those of the front's points, and what it ran on."""
    study = result.study
    whole = f"lockstep study {shlex.quote(reference(study))} -o FOLDER"
    lines = [f"<p>The whole study; what its folder has is not computed again:</p>{_command(whole)}"]
    commands = [(f"#{point.index}", point.command) for point in result.front if point.command]
    if commands:
        lines.append(
            "<p>A point of the front, computed anew, alone, and compared with what is here; "
            "points.csv has those of all points:</p>"
        )
        lines.append(_pairs(commands, "Commands of the points on the front, scrollable", code=True))
    if result.provenance:
        lines.append("<h3>Where these numbers are from</h3>")
        lines.append(_pairs([*result.provenance.items()], "Provenance, scrollable"))
    return "\n".join(lines)


def _pairs(rows: Sequence[tuple[str, str]], label: str, code: bool = False) -> str:
    tall = " tall" if len(rows) > 16 else ""
    cells = "".join(
        f"<tr>{_cell(name)}{f'<td><code>{html.escape(text)}</code></td>' if code else _wrapped(text)}</tr>"
        for name, text in rows
    )
    return (
        f'<div class="scroll{tall}" tabindex="0" role="group" aria-label="{label}">'
        f"<table><tbody>{cells}</tbody></table></div>"
    )


def _command(text: str) -> str:
    return f'<pre tabindex="0"><code>{html.escape(text)}</code></pre>'
