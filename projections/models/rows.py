"""Read models.

Rows of read models are written only by `projections.engine`. Each table's real primary key is
``(tenant_id, generation, key_sha)``; ``id`` exists because Django's admin cannot register a
composite key, and has no index of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

import orjson
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models.expressions import RawSQL

from decisiongraph.core.db import TenantManager, TenantModel, current_tenant_id
from projections.domain.digest import key_sha
from projections.models import search
from traces.domain.canonical import jcs


class CanonicalField(models.TextField):
    """A JSON value kept as its RFC 8785 text: ``jsonb`` would rewrite the numbers that are hashed."""

    if TYPE_CHECKING:
        _pyi_private_set_type: Any
        _pyi_private_get_type: Any
        _pyi_lookup_exact_type: Any

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        """The value."""
        return None if value is None else orjson.loads(value)

    def to_python(self, value: Any) -> Any:
        """The value, from the text of a form as well."""
        return json.loads(value) if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> str | None:
        """The text."""
        return None if value is None else jcs(value).decode()


def moment(text: str | None) -> datetime | None:
    """An RFC 3339 text as a point in time, None when it names none (a leap second counts as :59)."""
    if not text:
        return None
    upper = text.upper().replace(":60", ":59")
    try:
        found = datetime.fromisoformat(upper)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def pair_sha(first: str | None, second: str | None) -> bytes | None:
    """What the database indexes for a pair of names such as an entity's type and id."""
    if first is None or second is None:
        return None
    return hashlib.sha256(f"{first}\x1f{second}".encode()).digest()


def text_sha(text: str | None) -> bytes | None:
    """What the database indexes instead of a text of any length."""
    return None if text is None else key_sha(text)


class RowManager(TenantManager["ProjectionRow"]):
    """Fail-closed like every tenant manager, and planned the same for a tenant of any age.

    The numbers of tenant and generation are hidden in sub-selects: for one that is newer than its
    statistics the planner expects a single row, and then reads all of it through any index that
    begins with the two instead of the one that finds the row.
    """

    def get_queryset(self) -> models.QuerySet[ProjectionRow]:
        """Rows of the current tenant only."""
        return models.Manager.get_queryset(self).filter(tenant_id=_hidden(current_tenant_id()))

    def of(self, generation: int) -> models.QuerySet[Any]:
        """Rows of one generation."""
        return self.get_queryset().filter(generation=_hidden(generation))


def _hidden(number: int) -> RawSQL:
    return RawSQL("(SELECT %s::int)", [number])


class Derived:
    """How a column that no rule names follows from others: semantic columns, ``key``, or the whole ``row``."""

    def __init__(self, compute: Callable[..., Any], *sources: str) -> None:
        self.compute = compute
        self.sources = sources


class ProjectionRow(TenantModel):
    """A row some rule made. Semantic columns carry the names the rule gives them."""

    id = models.BigAutoField(primary_key=True)
    generation = models.IntegerField()
    key = models.TextField()
    key_sha = models.BinaryField()
    row_hash = models.BinaryField()
    log_seq = models.BigIntegerField()

    derived: ClassVar[Mapping[str, Derived]] = {}
    """Columns for searching, computed from others; no part of any digest."""

    objects: ClassVar[RowManager] = RowManager()

    class Meta(TenantModel.Meta):
        abstract = True

    def __str__(self) -> str:
        return self.key


class TraceSummary(ProjectionRow):
    """One row per trace; see `projections.domain.rules.trace_summary`."""

    kind = models.TextField()
    workflow = models.TextField(null=True)
    title = models.TextField(null=True)
    primary_entity_type = models.TextField(null=True)
    primary_entity_system = models.TextField(null=True)
    primary_entity_id = models.TextField(null=True)
    status = models.TextField()
    outcome = models.TextField(null=True)
    started_at = models.TextField(null=True)
    finished_at = models.TextField(null=True)
    last_event_at = models.TextField(null=True)
    event_count = models.BigIntegerField()
    event_counts = CanonicalField()
    last_policy_id = models.TextField(null=True)
    last_policy_version = models.TextField(null=True)
    last_policy_decision = models.TextField(null=True)
    policies = ArrayField(models.TextField())
    actors = ArrayField(models.TextField())
    open_exceptions = models.BigIntegerField()
    open_exception_ids = ArrayField(models.TextField())
    open_approvals = models.BigIntegerField()
    exceptions = CanonicalField()
    approvals = CanonicalField()
    actions_committed = models.BigIntegerField()
    actions_failed = models.BigIntegerField()
    first_log_seq = models.BigIntegerField()
    last_log_seq = models.BigIntegerField()
    summary = models.TextField(null=True)
    context = CanonicalField()
    started_ts = models.DateTimeField(null=True)
    entity_sha = models.BinaryField(null=True)
    words = SearchVectorField(null=True)
    handle = models.TextField(null=True)

    derived: ClassVar = {
        "started_ts": Derived(moment, "started_at"),
        "entity_sha": Derived(pair_sha, "primary_entity_type", "primary_entity_id"),
        "words": Derived(search.summary_words, "key", "row"),
        "handle": Derived(search.summary_handle, "key", "row"),
    }

    class Meta(ProjectionRow.Meta):
        verbose_name_plural = "trace summaries"
        indexes: ClassVar = [
            models.Index(fields=["tenant", "generation", "kind", "last_log_seq"], name="projections_trace_recent"),
            models.Index(fields=["tenant", "generation", "kind", "started_ts"], name="projections_trace_started"),
            models.Index(
                fields=["tenant", "generation", "entity_sha"],
                condition=models.Q(entity_sha__isnull=False),
                name="projections_trace_entity",
            ),
            # Every event of a trace moves its row. Inverted entries are worth their price only for rows
            # that rest; open traces are few and are read.
            GinIndex(
                fields=["tenant", "generation", "words"],
                condition=models.Q(status="finished"),
                name="projections_trace_words",
            ),
            GinIndex(
                fields=["tenant", "generation", "handle"],
                opclasses=["int4_ops", "int4_ops", "gin_trgm_ops"],
                condition=models.Q(status="finished"),
                name="projections_trace_handle",
            ),
            models.Index(
                fields=["tenant", "generation", "last_log_seq"],
                condition=models.Q(status="open"),
                name="projections_trace_open",
            ),
        ]


class GraphNode(ProjectionRow):
    """A trace, entity, input, policy, exception, action or actor."""

    node_type = models.TextField()
    trace_id = models.TextField()
    created_at = models.TextField()


class GraphEdge(ProjectionRow):
    """What one event says about two nodes."""

    edge_type = models.TextField()
    from_key = models.TextField()
    to_key = models.TextField()
    trace_id = models.TextField()
    event_id = models.TextField()
    created_at = models.TextField()
    from_sha = models.BinaryField()
    to_sha = models.BinaryField()

    derived: ClassVar = {
        "from_sha": Derived(text_sha, "from_key"),
        "to_sha": Derived(text_sha, "to_key"),
    }

    class Meta(ProjectionRow.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "generation", "from_sha", "log_seq"], name="projections_edge_from"),
            models.Index(fields=["tenant", "generation", "to_sha", "log_seq"], name="projections_edge_to"),
        ]


class PolicyEvaluation(ProjectionRow):
    """One ``PolicyEvaluated``."""

    trace_id = models.TextField()
    trace_seq = models.BigIntegerField()
    event_id = models.TextField()
    occurred_at = models.TextField()
    actor_type = models.TextField()
    actor_id = models.TextField()
    policy_id = models.TextField(null=True)
    policy_version = models.TextField(null=True)
    decision = models.TextField(null=True)
    inputs = ArrayField(models.TextField())
    violation_codes = ArrayField(models.TextField())
    violations = CanonicalField()
    explanation = CanonicalField()
    trace_sha = models.BinaryField()

    derived: ClassVar = {"trace_sha": Derived(text_sha, "trace_id")}

    class Meta(ProjectionRow.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "generation", "trace_sha"], name="projections_policy_trace"),
        ]


class PrecedentRow(ProjectionRow):
    """One policy evaluation or exception request of a finished decision."""

    trace_id = models.TextField()
    source_event_id = models.TextField()
    source_event_type = models.TextField()
    source_log_seq = models.BigIntegerField()
    source_trace_seq = models.BigIntegerField()
    policy_id = models.TextField(null=True)
    policy_version = models.TextField(null=True)
    decision = models.TextField(null=True)
    exception_id = models.TextField(null=True)
    primary_entity_type = models.TextField(null=True)
    primary_entity_system = models.TextField(null=True)
    primary_entity_id = models.TextField(null=True)
    workflow = models.TextField(null=True)
    outcome = models.TextField(null=True)
    started_at = models.TextField(null=True)
    finished_at = models.TextField(null=True)
    entity_sha = models.BinaryField(null=True)
    trace_sha = models.BinaryField()

    derived: ClassVar = {
        "entity_sha": Derived(pair_sha, "primary_entity_type", "primary_entity_id"),
        "trace_sha": Derived(text_sha, "trace_id"),
    }

    class Meta(ProjectionRow.Meta):
        verbose_name = "precedent"
        indexes: ClassVar = [
            models.Index(fields=["tenant", "generation", "source_log_seq"], name="projections_precedent_recent"),
            models.Index(
                fields=["tenant", "generation", "entity_sha", "source_log_seq"], name="projections_precedent_entity"
            ),
        ]


class PrecedentText(ProjectionRow):
    """What one finished decision says, for searching."""

    trace_id = models.TextField()
    title = models.TextField(null=True)
    text = models.TextField()
    facts = CanonicalField()
    policies = ArrayField(models.TextField())
    violation_codes = ArrayField(models.TextField())
    action_types = ArrayField(models.TextField())
    primary_entity_type = models.TextField(null=True)
    primary_entity_system = models.TextField(null=True)
    primary_entity_id = models.TextField(null=True)
    workflow = models.TextField(null=True)
    outcome = models.TextField(null=True)
    started_at = models.TextField(null=True)
    finished_at = models.TextField(null=True)
    truncated = models.BooleanField()
    trace_sha = models.BinaryField(null=True)
    words = SearchVectorField(null=True)

    derived: ClassVar = {"trace_sha": Derived(text_sha, "trace_id"), "words": Derived(search.precedent_words, "row")}

    class Meta(ProjectionRow.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "generation", "trace_sha"], name="projections_text_trace"),
            GinIndex(fields=["tenant", "generation", "words"], name="projections_text_words"),
        ]


TABLES: dict[tuple[str, str], type[ProjectionRow]] = {
    ("trace_summary", "trace_summary"): TraceSummary,
    ("context_graph", "node"): GraphNode,
    ("context_graph", "edge"): GraphEdge,
    ("policy_evaluations", "policy_evaluation"): PolicyEvaluation,
    ("precedent_index", "precedent"): PrecedentRow,
    ("precedent_index", "precedent_text"): PrecedentText,
}
"""(projection, table name of its rule) -> model."""
