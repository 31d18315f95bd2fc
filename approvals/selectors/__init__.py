"""Reads of the human workflow."""

from approvals.selectors import bundles, finding, incidents, items, policies, presence, telling, trial, waiting

__all__ = ["bundles", "finding", "incidents", "items", "policies", "presence", "telling", "trial", "waiting"]
