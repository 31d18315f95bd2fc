"""Writes around the projections. Rows of read models are written by `projections.engine` alone."""

from projections.services.care import (
    ask_catch_up,
    beat,
    catch_up,
    close_findings,
    forget_silent_workers,
    retry_dead_letter,
    scrub,
    scrub_next,
    skip_dead_letter,
    store_finding,
    tick,
    watch_staleness,
)
from projections.services.erased import forget_learned, supersede_digests
from projections.services.exports import cancel_export, forget_exports, run_export, start_export, tend_exports
from projections.services.situations import learn, learn_all, learned_to
from projections.services.views import choose_columns, delete_view, save_view

__all__ = [
    "ask_catch_up",
    "beat",
    "cancel_export",
    "catch_up",
    "choose_columns",
    "close_findings",
    "delete_view",
    "forget_exports",
    "forget_learned",
    "forget_silent_workers",
    "learn",
    "learn_all",
    "learned_to",
    "retry_dead_letter",
    "run_export",
    "save_view",
    "scrub",
    "scrub_next",
    "skip_dead_letter",
    "start_export",
    "store_finding",
    "supersede_digests",
    "tend_exports",
    "tick",
    "watch_staleness",
]
