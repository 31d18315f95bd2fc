"""Addresses of the replays."""

from __future__ import annotations

from django.urls import path

from replays import api, console

api_urls = [
    path("projections/health", api.Health.as_view(), name="projection-health"),
    path("projections/replay", api.StartReplay.as_view(), name="replay-start"),
    path("replays", api.Replays.as_view(), name="replays-list"),
    path("replays/<str:replay_id>", api.ReplayDetail.as_view(), name="replay-detail"),
    path("replays/<str:replay_id>/differences", api.ReplayDifferences.as_view(), name="replay-differences"),
    path("replays/<str:replay_id>/cancel", api.CancelReplay.as_view(), name="replay-cancel"),
    path("erasures", api.Erasures.as_view(), name="erasures-list"),
    path("erasures/<str:erasure_id>", api.ErasureDetail.as_view(), name="erasure-detail"),
    path("erasures/<str:erasure_id>/confirm", api.ConfirmErasure.as_view(), name="erasure-confirm"),
    path("erasures/<str:erasure_id>/withdraw", api.WithdrawErasure.as_view(), name="erasure-withdraw"),
    path("erasures/<str:erasure_id>/retry", api.RetryErasure.as_view(), name="erasure-retry"),
]
"""Below ``/api/v1/``."""

console_urls = [
    path("replays", console.replays, name="console-replays"),
    path("replays/start", console.start, name="console-replay-start"),
    path("replays/<str:replay_id>", console.replay, name="console-replay"),
    path("replays/<str:replay_id>/cancel", console.cancel, name="console-replay-cancel"),
    path("settings/erasures", console.erasures, name="console-erasures"),
    path("settings/erasures/ask", console.ask_erasure, name="console-erasure-ask"),
    path("settings/erasures/<str:erasure_id>/<str:action>", console.act_on_erasure, name="console-erasure-act"),
]
"""Below ``/t/{slug}/``."""
