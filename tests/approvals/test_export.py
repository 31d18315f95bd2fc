"""Bundles: everything about a decision in one signed file, checked offline, safe to look at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.backends.base.base import BaseDatabaseWrapper

from approvals import services
from approvals.domain import bundle, seal
from approvals.services import vault
from decisiongraph.core.db import tenant_tx
from tenants.access import system_principal
from tenants.models import AuditEntry, SigningKey
from tenants.services import keyring
from tests.approvals.house import House

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&</script><!--"


@pytest.fixture
def decided(house: House) -> Any:
    """An item with everything: comments, a decision, a used ticket, an incident."""
    item = house.ask()
    services.comment(house.tenant, principal=house.vera, item_id=str(item.pk), text=f"Seen. {HOSTILE}")
    item = house.decide(item, reason=f"Fare class allows it. {HOSTILE}")
    house.append(house.commit(item.trace_id, approval_id=str(item.pk)))
    house.follow()
    return item


def check(path: Path, **options: Any) -> str:
    """What the command says."""
    from io import StringIO

    out = StringIO()
    call_command("verify_export", str(path), stdout=out, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["json", "html"])
def test_the_bundle_of_an_item_is_whole_and_verifies(house: House, decided: Any, tmp_path: Path, kind: str) -> None:
    answer = house.person(house.cast.vera).get(f"/api/v1/approvals/{decided.pk}/export?format={kind}")
    assert answer.status_code == 200, answer.content
    assert answer["Content-Disposition"].startswith("attachment; ")
    path = tmp_path / f"bundle.{kind}"
    path.write_bytes(answer.content)
    keys = house.client("read").get("/api/v1/signing-keys").json()["items"]
    assert "all hashes right" in check(path, key=keys[0]["public_key"])
    content = bundle.content_of(kind, answer.content[: answer.content.rfind(seal.KINDS[kind == "html"].opening)])
    (item,) = content["approvals"]
    assert item["status"] == "approved"
    assert [vote["decision"] for vote in item["votes"]] == ["approved"]
    assert item["comments"][0]["text"].startswith("Seen.")
    assert {timer["kind"] for timer in item["timers"]} >= {"reminder", "deadline", "expiry"}
    assert {trace["trace_id"] for trace in content["traces"]} >= {decided.trace_id, decided.review_trace}
    assert {line["action"] for line in content["audit"]} >= {"approval.approved", "approval.commented"}
    assert content["incidents"][0]["cause"] == "action.not_stated"
    with tenant_tx(house.tenant):
        assert AuditEntry.objects.filter(action="approval.exported", target=f"approval:{decided.pk}").exists()


def test_the_bundle_of_a_trace(house: House, decided: Any, tmp_path: Path) -> None:
    answer = house.client("read").get(f"/api/v1/traces/{decided.trace_id}/export")
    path = tmp_path / "trace.json"
    path.write_bytes(answer.content)
    assert "all hashes right" in check(path)
    content = json.loads(answer.content)["content"]
    assert [item["id"] for item in content["approvals"]] == [str(decided.pk)]
    assert content["traces"][0]["events"][0]["event_type"] == "TraceStarted"


def test_a_changed_byte_of_a_real_bundle_is_named(house: House, decided: Any, tmp_path: Path) -> None:
    raw = services.export_item(house.tenant, principal=house.vera, item_id=str(decided.pk)).raw
    path = tmp_path / "bundle.json"
    for at in range(0, len(raw), max(1, len(raw) // 60)):
        path.write_bytes(raw[:at] + bytes((raw[at] ^ 4,)) + raw[at + 1 :])
        with pytest.raises(CommandError, match=rf"First wrong byte: {at} \(line \d+, column \d+\)"):
            check(path)
    path.write_bytes(raw[:-40])
    with pytest.raises(CommandError, match="NOT AS SIGNED"):
        check(path)


def test_a_rightly_signed_lie_is_found_by_its_hashes(house: House, decided: Any) -> None:
    """The control of the hashes: even the tenant's key cannot make another payload the one in the log."""
    raw = services.export_item(house.tenant, principal=house.vera, item_id=str(decided.pk)).raw
    content = json.loads(raw)["content"]
    assert bundle.problems(content) == []
    content["traces"][0]["events"][1]["payload"]["action_type"] = "refund.more"
    content["traces"][0]["events"][0]["principal"] = "user:somebody"
    content["approvals"][0]["action"]["action_type"] = "refund.more"
    found = " ".join(bundle.problems(content))
    assert "payload_hash" in found
    assert "committed" in found
    assert "leaf_hash" in found
    assert "action_digest" in found


def test_another_key_is_not_trusted(house: House, decided: Any, tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    path.write_bytes(services.export_item(house.tenant, principal=house.vera, item_id=str(decided.pk)).raw)
    with pytest.raises(CommandError, match="another key"):
        check(path, key="ab" * 32)
    with pytest.raises(CommandError, match="64 hex digits"):
        check(path, key="xyz")
    with pytest.raises(CommandError, match="no file"):
        check(tmp_path / "none")


def test_the_check_needs_no_database(house: House, decided: Any, tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "bundle.json"
    path.write_bytes(services.export_item(house.tenant, principal=house.vera, item_id=str(decided.pk)).raw)
    monkeypatch.setattr(BaseDatabaseWrapper, "cursor", lambda *a, **k: pytest.fail("it asked the database"))
    assert "Right" in check(path)


def test_the_check_leaves_nothing_behind(house: House, decided: Any, tmp_path: Path) -> None:
    """As an auditor runs it: a checkout, no stack, no variables; and the whole command line."""
    path, state = tmp_path / "bundle.html", tmp_path / "none"
    raw = services.export_item(house.tenant, principal=house.vera, item_id=str(decided.pk), format="html").raw
    path.write_bytes(raw)
    environ = {"PATH": os.environ["PATH"], "STATE_DIR": str(state)}
    manage = Path(__file__).resolve().parents[2] / "manage.py"

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(manage), "verify_export", str(path)], env=environ, cwd=tmp_path, capture_output=True,
            text=True, check=False,
        )  # fmt: skip

    good = run()
    assert (good.returncode, good.stderr) == (0, "")
    assert "all hashes right" in good.stdout
    assert not state.exists()
    path.write_bytes(raw.replace(b"Fare class", b"Farm class", 1))
    wrong = run()
    assert wrong.returncode == 1
    assert f"First wrong byte: {raw.index(b'Fare class') + 3} " in wrong.stderr


def test_every_opening_of_an_incident_is_inside(house: House, decided: Any) -> None:
    (incident,) = house.incidents()
    for action, version in (("resolve", 1), ("reopen", 2), ("resolve", 3)):
        services.act_on_incident(
            house.tenant, principal=house.alice, incident_id=str(incident.pk), action=action, version=version, text="x"
        )
    content = json.loads(services.export_item(house.tenant, principal=house.vera, item_id=str(decided.pk)).raw)[
        "content"
    ]
    told = {trace["trace_id"]: [event["event_type"] for event in trace["events"]] for trace in content["traces"]}
    opened = ["TraceStarted", "IncidentOpened", "IncidentResolved", "TraceFinished"]
    assert told[f"review:{incident.pk}"] == told[f"review:{incident.pk}.1"] == opened


@pytest.mark.parametrize(("limit", "most"), [("MOST_ITEMS", 0), ("MOST_AUDIT", 1)])
def test_what_does_not_fit_is_refused_and_never_cut(
    house: House, decided: Any, limit: str, most: int, monkeypatch: Any
) -> None:
    monkeypatch.setattr(f"approvals.selectors.bundles.{limit}", most)
    answer = house.client("read").get(f"/api/v1/traces/{decided.trace_id}/export")
    assert (answer.status_code, answer.json()["code"]) == (422, "export.too_large")


class Tags(HTMLParser):
    """Every element and attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_hostile_text_stays_text(house: House, decided: Any) -> None:
    page = services.export_item(house.tenant, principal=house.vera, item_id=str(decided.pk), format="html").raw.decode()
    tags = Tags()
    tags.feed(page)
    assert [attrs for tag, attrs in tags.seen if tag == "script"] == [{"type": "application/json", "id": "bundle"}]
    assert not [tag for tag, _ in tags.seen if tag in ("img", "iframe", "link", "form", "object")]
    assert not [name for _, attrs in tags.seen for name in attrs if name.startswith("on")]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count("<!--") == 1  # the seal


def test_refusals(house: House, decided: Any) -> None:
    client = house.client("read")
    assert client.get("/api/v1/approvals/00000000-0000-0000-0000-000000000000/export").status_code == 404
    assert client.get("/api/v1/traces/none/export").json()["code"] == "trace.not_found"
    assert client.get(f"/api/v1/approvals/{decided.pk}/export?format=pdf").status_code == 400
    assert house.client("ingest").get(f"/api/v1/approvals/{decided.pk}/export").json()["permission"] == "read"
    other = House()
    assert other.client("read").get(f"/api/v1/approvals/{decided.pk}/export").status_code == 404
    assert other.client("read").get(f"/api/v1/traces/{decided.trace_id}/export").status_code == 404


def test_a_trace_too_long_for_a_bundle(house: House, decided: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("approvals.selectors.bundles.MOST_EVENTS", 1)
    answer = house.client("read").get(f"/api/v1/traces/{decided.trace_id}/export")
    assert (answer.status_code, answer.json()["code"]) == (422, "export.too_large")


def test_the_private_key_is_not_in_the_database_and_survives_a_new_secret(house: House, settings: Any) -> None:
    first = keyring.signing_key(house.tenant, principal=system_principal(house.tenant))
    assert keyring.signing_key(house.tenant, principal=system_principal(house.tenant)).pk == first.pk
    private = vault.open_(house.tenant, first.private_key)
    assert private not in bytes(first.private_key)
    with pytest.raises(vault.Unreadable):
        vault.open_(House().tenant, first.private_key)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another secret key that is longer than fifty characters, surely"
    assert keyring.signing_key(house.tenant, principal=system_principal(house.tenant)).pk == first.pk
    settings.SECRET_KEY_FALLBACKS = []
    second = keyring.signing_key(house.tenant, principal=system_principal(house.tenant))
    assert second.key_id != first.key_id
    with tenant_tx(house.tenant):
        assert SigningKey.objects.count() == 2
