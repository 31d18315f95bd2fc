"""Every service that writes is in the audit log, or here with the reason why not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPS = ("tenants", "traces", "projections", "replays", "approvals")
WRITERS = {"record_audit", "record_refusal", "note_about", "note_refusal"}
"""What writes a line."""

WITHOUT = {
    # tenants
    "tenants.consume_ticket": "uses up what a person or program was given a minute ago",
    "tenants.find_or_create_user": "no access yet: becoming a member is written",
    "tenants.forget_attempts": "housekeeping of counters",
    "tenants.forget_sessions": "housekeeping of what is over already",
    "tenants.held_sign_in": "reads",
    "tenants.hold_sign_in": "half a sign-in opens nothing",
    "tenants.issue_ticket": "no more than the credential that asks for it",
    "tenants.note_second": "part of factor.enrolled",
    "tenants.note_seen": "the time a session was used",
    "tenants.note_token_use": "the time a token was used",
    "tenants.open_link": "reads",
    "tenants.password_problem": "reads",
    "tenants.pending_factor": "reads",
    "tenants.second_shown": "reads",
    "tenants.set_password": "part of what asked for it: member.joined, member.password_reset, user.password_changed",
    "tenants.start_factor": "a secret that counts for nothing before factor.enrolled",
    "tenants.sync_groups": "part of tenant.created, and of migrations",
    # the log is its own record: every event names its principal and cannot be changed
    "traces.append": "the log",
    "traces.append_batch": "the log",
    "traces.append_one": "the log",
    "traces.import_principal": "reads",
    "traces.roll_up": "figures made from the log",
    "traces.seal": "signs what the log holds; the checkpoint is itself the record",
    "traces.push_checkpoints": "hands out what is signed already",
    # what the platform does by itself, from what is written already
    "projections.beat": "a heartbeat",
    "projections.catch_up": "folds the log",
    "projections.choose_columns": "a person's own view of a list",
    "projections.close_findings": "a state that passed by itself",
    "projections.forget_silent_workers": "housekeeping of heartbeats",
    "projections.forget_exports": "part of an erasure, which is written",
    "projections.forget_learned": "part of an erasure, which is written",
    "projections.supersede_digests": "part of an erasure, which is written",
    "projections.learn": "rows made from the log",
    "projections.learn_all": "rows made from the log",
    "projections.learned_to": "reads",
    "projections.run_export": "carries out export.started",
    "projections.scrub": "compares rows with the log; a difference is a finding",
    "projections.scrub_next": "the same, one tenant after the other",
    "projections.store_finding": "a finding is itself the record",
    "projections.tend_exports": "housekeeping of files past their age",
    "projections.tick": "asks for catch-up",
    "projections.watch_staleness": "a finding is itself the record",
    "replays.claim": "a worker takes up replay.started",
    "replays.sweep": "housekeeping of rows nobody reads any more",
    "replays.tick": "wakes workers",
    "approvals.choose_ways": "a person's own wishes: how they are told",
    "approvals.fan_out": "hands out what is written already",
    "approvals.forget": "housekeeping of notifications and deliveries past their age",
    "approvals.hand_out": "hands out what is written already",
    "approvals.mark_read": "a person's own inbox",
    "approvals.tell_checkpoints": "hands out what is signed already",
    "approvals.visit": "when a person last looked",
    "approvals.wake": "wakes workers",
}


def services(app: str) -> list[Path]:
    """The files of an app's services."""
    folder = ROOT / app / "services"
    return sorted(folder.rglob("*.py"))


def functions(app: str) -> dict[str, ast.FunctionDef]:
    """All functions of the services, by name (a name stands for itself and for `module.name`)."""
    found: dict[str, ast.FunctionDef] = {}
    for path in services(app):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                found.setdefault(node.name, node)
    return found


def called(node: ast.AST) -> Iterator[str]:
    """Names that a function calls or hands on (a callback is called by somebody)."""
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            yield each.id
        elif isinstance(each, ast.Attribute):
            yield each.attr


def public(app: str) -> list[str]:
    """What the package offers: the services, without constants and classes."""
    tree = ast.parse((ROOT / app / "services" / "__init__.py").read_text())
    known = functions(app)
    for node in tree.body:
        if isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == ["__all__"]:
            return [name for name in ast.literal_eval(node.value) if name in known]
    raise AssertionError(f"{app}/services/__init__.py has no __all__")


def audited(app: str, name: str) -> bool:
    """Whether some way from this service leads to a line of the audit log."""
    known, seen, open_ = functions(app), set(), [name]
    while open_:
        at = open_.pop()
        if at in WRITERS:
            return True
        if at in seen or at not in known:
            continue
        seen.add(at)
        open_ += called(known[at])
    return False


def unaudited() -> set[str]:
    """Services of all apps that write no line."""
    return {f"{app}.{name}" for app in APPS for name in public(app) if not audited(app, name)}


def test_every_service_is_audited_or_says_why_not() -> None:
    assert unaudited() - set(WITHOUT) == set()


def test_the_list_holds_nothing_that_is_gone_or_audited_by_now() -> None:
    assert set(WITHOUT) - unaudited() == set()
    assert all(len(reason) > 4 for reason in WITHOUT.values())


def test_the_control_a_service_without_a_line_is_found() -> None:
    """Where nothing counts as a writer, everything is found."""
    assert audited("tenants", "create_token")
    kept = set(WRITERS)
    WRITERS.clear()
    try:
        assert not audited("tenants", "create_token")
    finally:
        WRITERS.update(kept)
