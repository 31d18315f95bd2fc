"""What ``/patterns`` shows: every component and state with made-up values, no database.

The page is the screenshot test and the place where a new component is designed, so the samples
cover the awkward cases too: hostile text, very long identifiers, nothing, far too much.
"""

from __future__ import annotations

from typing import Any

from decisiongraph.core import clock
from decisiongraph.core.templatetags.dg import marks
from decisiongraph.core.templatetags.dg.samples.operate import HEAD, operate
from decisiongraph.core.templatetags.dg.samples.overview import overview
from decisiongraph.core.templatetags.dg.samples.people import people
from decisiongraph.core.templatetags.dg.samples.trace import trace


def context() -> dict[str, Any]:
    """The whole context of ``patterns.html``."""
    now = clock.now()
    return {
        "tenant": {"slug": "acme", "name": "Acme Travel"},
        "tenants": [{"slug": "acme", "name": "Acme Travel"}, {"slug": "demo", "name": "Demonstration"}],
        "principal": {"label": "Jonas Weber", "permissions": ["read", "operate"]},
        "socket_url": "",
        "head": HEAD,
        "section": "overview",
        "crumbs": [{"label": "acme", "url": "#"}, {"label": "Patterns"}],
        "states": [(name, look.tone, look.shape) for name, look in marks.STATES.items()],
        "events": [
            ("TraceStarted", None),
            ("InputObserved", None),
            ("PolicyEvaluated", {"decision": "allow"}),
            ("PolicyEvaluated", {"decision": "require_exception"}),
            ("PolicyEvaluated", {"decision": "deny"}),
            ("ExceptionRequested", None),
            ("ApprovalRecorded", {"decision": "approved"}),
            ("ApprovalRecorded", {"decision": "rejected"}),
            ("PrecedentCited", None),
            ("ActionProposed", None),
            ("ActionCommitted", {"status": "success"}),
            ("ActionCommitted", {"status": "failure"}),
            ("TraceFinished", {"outcome": "success"}),
            ("TraceFinished", {"outcome": "failure"}),
            ("EventRedacted", None),
        ],
        "icons": [
            "overview",
            "traces",
            "graph",
            "precedents",
            "live",
            "projections",
            "replays",
            "approvals",
            "exceptions",
            "incidents",
            "settings",
            "search",
            "chev",
            "right",
            "left",
            "updown",
            "copy",
            "theme",
            "check",
            "lock",
            "clock",
            "link",
            "dots",
            "export",
            "compare",
            "people",
            "person",
            "more",
            "close",
            "plus",
            "out",
            "keys",
            "pause",
            "play",
            "key",
            "filter",
            "json",
            "audit",
        ],
        "hero_actions": [
            {"label": "Catch up all", "url": "#"},
            {"label": "New replay", "url": "#", "icon": "replays"},
        ],
        **overview(now),
        **operate(now),
        **trace(now),
        **people(now),
    }
