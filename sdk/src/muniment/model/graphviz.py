"""Lineage as a Graphviz picture: data flows from left to right."""

from __future__ import annotations

from muniment.model.link import Lineage

_SHAPES = {
    "run": "box", "dataset_version": "cylinder", "model_version": "component", "evaluation": "note",
}  # fmt: skip


def picture(lineage: Lineage) -> str:
    """The DOT text of a lineage; what was asked about is drawn bold."""
    lines = ["digraph lineage {", "  rankdir=LR;", '  node [fontname="sans-serif"];']
    for node in lineage.nodes:
        shape = _SHAPES.get(node.kind, "ellipse")
        style = ", style=bold" if node.id == lineage.root else ""
        label = quoted(f"{node.kind.replace('_', ' ')}\n{node.name}")
        lines.append(f'  "{node.id}" [label={label}, shape={shape}{style}];')
    for link in lineage.links:
        label = quoted(f"{link.type} ({link.role})" if link.role else link.type)
        lines.append(f'  "{link.upstream}" -> "{link.downstream}" [label={label}];')
    return "\n".join([*lines, "}", ""])


def quoted(text: str) -> str:
    """A DOT string that says this text, whatever it holds."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
