"""How alike two situations are in structure: names, sets, and facts with numeric closeness."""

from __future__ import annotations

import math
from typing import NamedTuple

from projections.domain.precedents.situation import Situation, Value


class Likeness(NamedTuple):
    """One comparison."""

    name: str
    value: float
    """0 to 1."""
    words: str
    """What was found, as part of a sentence."""


def _same(name: str, label: str, wanted: str, found: str | None) -> Likeness:
    alike = wanted == found
    said = f"same {label} {wanted}" if alike else f"{label} {found or 'unknown'}, not {wanted}"
    return Likeness(name, 1.0 if alike else 0.0, said)


def _shared(name: str, label: str, wanted: tuple[str, ...], found: tuple[str, ...]) -> Likeness:
    """Jaccard index of two sets."""
    mine, theirs = set(wanted), set(found)
    both = sorted(mine & theirs)
    value = len(both) / len(mine | theirs)
    if not both:
        return Likeness(name, value, f"no {label} in common")
    rest = len(mine | theirs) - len(both)
    return Likeness(name, value, f"{label} {', '.join(both)} in common" + (f", {rest} not" if rest else ""))


def _policies(wanted: tuple[str, ...], found: tuple[str, ...]) -> Likeness:
    """Jaccard index of the policies, where another version of the same policy counts a half."""
    mine, theirs = set(wanted), set(found)
    exact = sorted(mine & theirs)
    other = sorted({name.rpartition("@")[0] for name in mine - theirs} & {n.rpartition("@")[0] for n in theirs - mine})
    value = min(1.0, (len(exact) + len(other) / 2) / (len(mine | theirs) - len(other)))
    said = [*(f"same policy {name}" for name in exact), *(f"another version of {name}" for name in other)]
    return Likeness("policy", value, ", ".join(said) or "no policy in common")


def closeness(wanted: Value, found: Value) -> float:
    """1 for equal values; numbers by their ratio: 1 - |a - b| / max(|a|, |b|), at least 0."""
    if isinstance(wanted, bool) or isinstance(found, bool) or not isinstance(wanted, int | float):
        return 1.0 if type(wanted) is type(found) and wanted == found else 0.0
    if not isinstance(found, int | float):
        return 0.0
    if wanted == found:
        return 1.0
    largest = max(abs(wanted), abs(found))
    return max(0.0, 1.0 - abs(wanted - found) / largest) if math.isfinite(largest) else 0.0


def _shown(value: Value) -> str:
    said = f"{value:g}" if isinstance(value, float) else str(value)
    return said if len(said) <= 40 else said[:39] + "\u2026"


def _facts(wanted: Situation, found: Situation) -> Likeness:
    """Mean closeness of the facts asked for; one that the case does not have counts 0."""
    theirs = dict(found.facts)
    near: list[tuple[float, str]] = []
    for key, value in wanted.facts:
        if key in theirs:
            near.append((closeness(value, theirs[key]), f"{key} {_shown(theirs[key])} for {_shown(value)}"))
    value = sum(part for part, _ in near) / len(wanted.facts)
    best = [words for _, words in sorted(near, key=lambda pair: (-pair[0], pair[1]))[:3]]
    more = len(near) - len(best)
    said = ", ".join(best) + (f" and {more} more" if more > 0 else "")
    return Likeness("facts", value, said or "none of these facts known")


def structure(wanted: Situation, found: Situation) -> list[Likeness]:
    """Everything the question says about structure, compared. Nothing said, nothing compared."""
    parts = []
    if wanted.workflow is not None:
        parts.append(_same("workflow", "workflow", wanted.workflow, found.workflow))
    if wanted.entity_type is not None:
        parts.append(_same("entity", "entity type", wanted.entity_type, found.entity_type))
    if wanted.policies:
        parts.append(_policies(wanted.policies, found.policies))
    if wanted.codes:
        parts.append(_shared("violations", "violations", wanted.codes, found.codes))
    if wanted.actions:
        parts.append(_shared("actions", "actions", wanted.actions, found.actions))
    if wanted.facts:
        parts.append(_facts(wanted, found))
    return parts
