"""The engine: claim -> read -> fold -> write -> advance, written once for all projections."""

from projections.engine.generations import (
    Keys,
    Mismatch,
    begin,
    buckets,
    canonical,
    delete_some,
    merge_keys,
    promote,
    record_digests,
    retire,
    rows_of,
    scan,
    scrub_bucket,
    suspects,
)
from projections.engine.letters import refold
from projections.engine.live import CaughtUp, catch_up, positions
from projections.engine.step import (
    REBUILD_BATCH,
    Claim,
    Step,
    hold_generation,
    hold_live,
    prepare,
    step,
)
from projections.engine.tables import BOUND, BoundRule, BoundTable, Found
from projections.engine.window import Window

__all__ = [
    "BOUND",
    "REBUILD_BATCH",
    "BoundRule",
    "BoundTable",
    "CaughtUp",
    "Claim",
    "Found",
    "Keys",
    "Mismatch",
    "Step",
    "Window",
    "begin",
    "buckets",
    "canonical",
    "catch_up",
    "delete_some",
    "hold_generation",
    "hold_live",
    "merge_keys",
    "positions",
    "prepare",
    "promote",
    "record_digests",
    "refold",
    "retire",
    "rows_of",
    "scan",
    "scrub_bucket",
    "step",
    "suspects",
]
