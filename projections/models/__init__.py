"""Tables of the projections."""

from projections.models.books import (
    Checkpoint,
    DeadLetter,
    DigestBucket,
    DigestKey,
    Finding,
    Generation,
    RecordedDigest,
    SkippedEvent,
    WorkerHeartbeat,
)
from projections.models.lists import ColumnChoice, ExportPiece, SavedView, TraceExport
from projections.models.rows import (
    TABLES,
    CanonicalField,
    GraphEdge,
    GraphNode,
    PolicyEvaluation,
    PrecedentRow,
    PrecedentText,
    ProjectionRow,
    RowManager,
    TraceSummary,
    moment,
    pair_sha,
    text_sha,
)
from projections.models.situations import SituationCursor, SituationRow
from projections.models.texts import OpenText

__all__ = [
    "TABLES",
    "CanonicalField",
    "Checkpoint",
    "ColumnChoice",
    "DeadLetter",
    "DigestBucket",
    "DigestKey",
    "ExportPiece",
    "Finding",
    "Generation",
    "GraphEdge",
    "GraphNode",
    "OpenText",
    "PolicyEvaluation",
    "PrecedentRow",
    "PrecedentText",
    "ProjectionRow",
    "RecordedDigest",
    "RowManager",
    "SavedView",
    "SituationCursor",
    "SituationRow",
    "SkippedEvent",
    "TraceExport",
    "TraceSummary",
    "WorkerHeartbeat",
    "moment",
    "pair_sha",
    "text_sha",
]
