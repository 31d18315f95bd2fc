"""Replays, health and erasures over HTTP."""

from replays.api.erasures import ConfirmErasure, ErasureDetail, Erasures, RetryErasure, WithdrawErasure
from replays.api.jobs import CancelReplay, Health, ReplayDetail, ReplayDifferences, Replays, StartReplay

__all__ = [
    "CancelReplay",
    "ConfirmErasure",
    "ErasureDetail",
    "Erasures",
    "Health",
    "ReplayDetail",
    "ReplayDifferences",
    "Replays",
    "RetryErasure",
    "StartReplay",
    "WithdrawErasure",
]
