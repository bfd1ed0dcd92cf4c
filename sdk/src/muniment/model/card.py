"""A model card in Markdown, generated from what is recorded; what is not recorded is said."""

from __future__ import annotations

import re
from collections.abc import Iterable

from muniment.model.evaluation import Evaluation
from muniment.model.question import Reproducibility
from muniment.model.schema import Column

_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~-])")


def card(report: Reproducibility) -> str:
    """The card of a model version.

    Args:
        report: everything that made it.
    """
    version, run = report.model_version, report.run
    lines = [f"# {text(report.name)}", ""]
    if version.description:
        lines += [text(version.description), ""]
    lines += ["| | |", "|---|---|"]
    lines += _row("stage", version.stage)
    lines += _row("registered", f"{version.created_at:%Y-%m-%d %H:%M} UTC")
    if version.framework is not None:
        lines += _row("framework", f"{version.framework.name} {version.framework.version or ''}".strip())
    lines += _row("digest", version.digest or "not recorded")
    lines += _row("files", version.uri or "not recorded")
    if run is not None:
        lines += _row("made by", f"run {run.name} ({run.id})")
        lines += _row("code", (run.code.commit if run.code else None) or "not recorded")
        lines += _row(
            "seeds", ", ".join(f"{name} {seed}" for name, seed in (run.seeds or {}).items()) or "not recorded"
        )
    lines += ["", "## Data", ""]
    lines += [f"- {text(item.role or 'used')}: {text(item.name)}, {_rows(item.version.rows)}" for item in report.inputs]
    lines += [] if report.inputs else ["No data is recorded."]
    lines += ["", "## How good it is", "", *_evaluations(report.evaluations)]
    if report.params:
        lines += ["", "## Parameters", "", "| | |", "|---|---|"]
        for name, value in sorted(report.params.items()):
            lines += _row(name, value)
    if version.signature is not None:
        lines += ["", "## Takes and gives", ""]
        lines += _columns("takes", version.signature.inputs) + _columns("gives", version.signature.outputs)
    lines += ["", "## Missing to make it again", ""]
    lines += [f"- {text(line)}" for line in report.missing] or ["Nothing."]
    return "\n".join([*lines, "", f"Generated from what was recorded up to position {report.position}.", ""])


def text(value: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    return _MARKUP.sub(r"\\\1", " ".join(value.split()))


def _row(name: str, value: str) -> list[str]:
    return [f"| {text(name)} | {text(value)} |"]


def _rows(count: int | None) -> str:
    return "rows not recorded" if count is None else f"{count:,} rows"


def _evaluations(found: list[Evaluation]) -> list[str]:
    if not found:
        return ["No evaluation is recorded."]
    names = sorted({name for item in found for name in item.metrics})
    lines = [f"| slice | {' | '.join(map(text, names))} | verdict |", f"|---|{'--:|' * len(names)}---|"]
    for item in found:
        values = " | ".join(f"{float(item.metrics[name]):.4g}" if name in item.metrics else "" for name in names)
        lines.append(f"| {text(item.slice or 'whole')} | {values} | {item.verdict} |")
    return lines


def _columns(word: str, columns: Iterable[Column]) -> list[str]:
    listed = [f"{text(column.name)} {text(column.type or '')}".strip() for column in columns]
    shown = ", ".join(listed[:20]) + (f" and {len(listed) - 20} more" if len(listed) > 20 else "")
    return [f"- {word} {shown}"] if listed else []
