"""Process logs: what a mapping makes of activities, and how broken logs and mappings are refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from tests.traces.importers.shared import MAPPINGS, require_sound
from traces.importers import FORMATS, Case, ImportProblem, load_mapping, read_cases

MAPPING: dict[str, Any] = {
    "name": "desk",
    "workflow": "claims",
    "title": "Claim {case} of {case:owner}",
    "columns": {
        "case": "case:id", "activity": "what", "time": "when", "lifecycle": "step", "actor": "who",
    },
    "source": {"producer_id": "import:desk", "system": "desk"},
    "entity": {"type": "claim"},
    "context": {"amount": {"from": "case:amount", "type": "number"}, "owner": "case:owner"},
    "outcome": {"activities": {"paid": "success", "refused": "failure"}},
    "activity": [
        {"names": ["filed"], "event": "InputObserved", "facts": {"owner": "case:owner"}},
        {"names": ["offered"], "event": "ActionProposed", "instance": "offer", "action_type": "pay"},
        {"names": ["paid"], "event": "ActionCommitted", "instance": "offer", "action_type": "pay"},
        {
            "names": ["checked"], "lifecycle": "START", "event": "InputObserved",
        },
        {
            "names": ["checked"], "event": "PolicyEvaluated", "decision": "allow",
            "policy": {"id": "claims", "version": "1"},
        },
        {
            "names": ["held"], "event": "ExceptionRequested", "instance": "hold", "reason": "odd",
            "policy": {"id": "claims", "version": "1"},
        },
        {"names": ["released"], "event": "ApprovalRecorded", "instance": "hold", "decision": "approved"},
    ],
}  # fmt: skip
HEADER = "case:id,what,when,step,who,case:amount,case:owner\n"


def mapped(**changes: Any) -> dict[str, Any]:
    return {**MAPPING, **changes}


def from_csv(tmp_path: Path, rows: str, mapping: dict[str, Any] = MAPPING) -> list[Case]:
    path = tmp_path / "log.csv"
    path.write_text(HEADER + rows)
    return list(read_cases("csv", path, mapping))


def test_rows_of_a_case_may_lie_apart_and_out_of_order(tmp_path: Path) -> None:
    """Cases come whole, their events by time and at the same moment by row."""
    cases = require_sound(
        from_csv(
            tmp_path,
            "a,filed,2024-01-01 10:00:00+00:00,,ann,10.5,X\n"
            "b,filed,2024-01-01T09:00:00Z,,bob,7,Y\n"
            "a,paid,2024-01-03T00:00:00Z,,ann,10.5,X\n"
            "a,checked,2024-01-02T01:00:00+02:00,COMPLETE,,10.5,X\n"
            "a,checked,2024-01-02T01:00:00+02:00,start,,10.5,X\n"
            "a,offered,2024-01-02T00:00:00Z,,ann,10.5,X\n",
        )
    )
    assert [(case.trace_id, case.outcome) for case in cases] == [("desk-b", None), ("desk-a", "success")]
    events = cases[1].envelopes
    assert [event["event_type"] for event in events] == [
        "TraceStarted", "InputObserved", "PolicyEvaluated", "InputObserved", "ActionProposed",
        "ActionCommitted", "TraceFinished",
    ]  # fmt: skip
    assert events[0]["payload"]["title"] == "Claim a of X"
    assert events[0]["payload"]["context"] == {"amount": 10.5, "owner": "X"}
    assert events[1]["occurred_at"] == "2024-01-01T10:00:00+00:00"
    assert events[2]["actor"] == {"actor_type": "system", "actor_id": "not-recorded"}
    assert events[5]["causation_event_id"] == events[4]["event_id"]
    assert events[5]["payload"]["action_id"] == events[4]["payload"]["action_id"] == "offer-1"
    assert "executed" not in events[5]["payload"]
    assert events[6]["occurred_at"] == events[5]["occurred_at"]


def test_the_finish_comes_after_the_last_event(tmp_path: Path) -> None:
    """Not after the event that decided; a commit without proposal says what it did."""
    (case,) = require_sound(
        from_csv(tmp_path, "a,paid,2024-01-01T00:00:00Z,,ann,1,X\na,filed,2024-01-05T00:00:00Z,,ann,1,X\n")
    )
    assert case.envelopes[1]["payload"]["executed"]["action_type"] == "pay"
    assert case.envelopes[-1]["event_type"] == "TraceFinished"
    assert case.envelopes[-1]["occurred_at"] == "2024-01-05T00:00:00Z"


def test_an_exception_is_settled_by_its_approval(tmp_path: Path) -> None:
    (case,) = require_sound(
        from_csv(tmp_path, "a,held,2024-01-01T00:00:00Z,,ann,1,X\na,released,2024-01-02T00:00:00Z,,bob,1,X\n")
    )
    assert case.envelopes[2]["payload"]["subject"] == {"subject_type": "exception", "subject_id": "hold-1"}
    assert case.envelopes[2]["payload"]["approver"]["actor_id"] == "bob"


def test_what_cannot_become_an_event_is_refused_and_counted(tmp_path: Path) -> None:
    """Unknown activities, bad times, short rows, rows without a case: the rest is imported."""
    cases = from_csv(
        tmp_path,
        "a,filed,2024-01-01T00:00:00Z,,ann,1,X\n"
        "a,dreamt,2024-01-01T00:00:00Z,,ann,1,X\n"
        "a,filed,yesterday,,ann,1,X\n"
        "a,filed,2024-01-01T00:00:00,,ann,1,X\n"
        "a,filed\n"
        ",filed,2024-01-01T00:00:00Z,,ann,1,X\n",
    )
    codes = sorted(refusal.code for case in cases for refusal in case.refusals)
    assert codes == [
        "import.activity_unknown", "import.bad_row", "import.bad_time", "import.bad_time", "import.no_case_id",
    ]  # fmt: skip
    assert sum(case.source_events for case in cases) == 6
    assert sum(len(case.envelopes) for case in cases) == 2


def test_a_default_takes_unknown_activities(tmp_path: Path) -> None:
    mapping = mapped(default={"event": "InputObserved"}, columns={**MAPPING["columns"], "default_offset": "+01:00"})
    (case,) = require_sound(from_csv(tmp_path, "a,dreamt,2024-01-01 00:00:00,,ann,1,X\n", mapping))
    assert case.envelopes[1]["payload"]["activity"] == "dreamt"
    assert case.envelopes[1]["occurred_at"] == "2024-01-01T00:00:00+01:00"


def test_odd_identifiers_stay_apart(tmp_path: Path) -> None:
    """Ids that a path cannot carry are rewritten, and two of them never become one."""
    cases = require_sound(
        from_csv(
            tmp_path, "".join(f"{c},filed,2024-01-01T00:00:00Z,, x ,1e9,X\n" for c in ("a/b", "a?b", "a b", "é" * 200))
        )
    )
    assert len({case.trace_id for case in cases}) == 4


def xes(body: str) -> str:
    return f'<?xml version="1.0"?><log xmlns="http://www.xes-standard.org/">{body}</log>'


TRACE = (
    '<trace><string key="id" value="7"/><string key="owner" value="X &amp; Y"/><string key="amount" value="{amount}"/>'
    '<event><string key="what" value="filed"><string key="note" value="n"/></string>'
    '<date key="when" value="{when}"/></event>'
    "</trace>"
)


@pytest.mark.parametrize("packed", [False, True])
def test_xes(tmp_path: Path, packed: bool) -> None:
    """Plain and gzip alike; numbers JSON cannot keep stay text; nested attributes do not disturb."""
    text = xes(TRACE.format(amount="90071992547409930", when="2024-01-01T00:00:00.000+02:00")).encode()
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(text) if packed else text)
    (case,) = require_sound(read_cases("xes", path, MAPPING))
    assert case.envelopes[0]["payload"]["context"] == {"amount": "90071992547409930", "owner": "X & Y"}
    assert case.envelopes[1]["occurred_at"] == "2024-01-01T00:00:00.000+02:00"
    assert case.position == path.stat().st_size


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (xes(TRACE) + "<", "import.broken_xml"),
        ("<log><trace>", "import.broken_xml"),
        ("<html/>", "import.not_xes"),
        ("", "import.broken_xml"),
        ('<!DOCTYPE log [<!ENTITY a "aaaa">]><log>&a;</log>', "import.doctype"),
        ('<!DOCTYPE log SYSTEM "file:///etc/hostname"><log/>', "import.doctype"),
    ],
)
def test_broken_xes(tmp_path: Path, text: str, code: str) -> None:
    path = tmp_path / "log.xes"
    path.write_text(text)
    with pytest.raises(ImportProblem) as raised:
        list(read_cases("xes", path, MAPPING))
    assert raised.value.code == code


def test_cases_before_the_break_are_handed_out(tmp_path: Path) -> None:
    path = tmp_path / "log.xes"
    whole = TRACE.format(amount=1, when="2024-01-01T00:00:00Z")
    path.write_text(xes(whole + " " * 200_000).replace("</log>", "<trace></log>"))
    cases = read_cases("xes", path, MAPPING)
    assert next(cases).trace_id == "desk-7"
    with pytest.raises(ImportProblem, match=r"line 1.*1 cases before it"):
        next(cases)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Cut gzip, no file, wrong encoding, broken quoting, missing columns."""
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(xes(TRACE).encode() * 50)[:60])
    latin = tmp_path / "latin.csv"
    latin.write_bytes(HEADER.encode() + b"a,filed,2024-01-01T00:00:00Z,,\xe9,1,X\n")
    quoted = tmp_path / "quoted.csv"
    quoted.write_text(HEADER + 'a,"filed"x,2024-01-01T00:00:00Z,,,1,X\n')
    columns = tmp_path / "columns.csv"
    columns.write_text("case:id,what\na,filed\n")
    for name, path, code in (
        ("xes", cut, "import.unreadable"),
        ("xes", tmp_path / "none", "import.unreadable"),
        ("csv", latin, "import.unreadable"),
        ("csv", quoted, "import.broken_csv"),
        ("csv", columns, "import.missing_columns"),
    ):
        with pytest.raises(ImportProblem) as raised:
            list(read_cases(name, path, MAPPING))
        assert raised.value.code == code, path.name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"workflow": ""}, "workflow: expected a text"),
        ({"colums": {}}, "colums: expected one of the keys"),
        ({"columns": {"case": "x"}}, "columns.activity: expected a text"),
        ({"outcome": {"activities": {"paid": "won"}}}, "outcome.activities.paid: expected one of success"),
        ({"context": {"amount": {"from": "x", "type": "money"}}}, "context.amount.type: expected one of"),
        ({"activity": []}, "activity: expected at least one"),
        ({"activity": [{"names": ["a"], "event": "TraceStarted"}]}, r"activity\[0\].event: expected one of"),
        ({"activity": [{"names": ["a"], "event": "ActionProposed"}]}, r"activity\[0\].instance: expected a value"),
        ({"activity": [{"names": ["a", "a"], "event": "InputObserved"}]}, "'a' only once"),
        ({"activity": [{"names": "a", "event": "InputObserved"}]}, "a list of activity names"),
        ({"default": {"event": "Nothing"}}, "default.event: expected one of"),
        ({"columns": {**MAPPING["columns"], "default_offset": "Amsterdam"}}, "columns.default_offset"),
    ],
)
def test_mistakes_in_a_mapping(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ImportProblem, match=said) as raised:
        from_csv(tmp_path, "", mapped(**change))
    assert raised.value.code == "import.bad_mapping"


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ImportProblem) as raised:
        from_csv(tmp_path, "", {"name": "x"})
    for path in ("workflow", "title", "columns", "source", "entity", "activity"):
        assert path in raised.value.detail


def test_mapping_files(tmp_path: Path) -> None:
    """Not TOML, not there, needed but not given, unknown format; the shipped ones are sound."""
    bad = tmp_path / "bad.toml"
    bad.write_text("name = ")
    for path, code in ((bad, "import.bad_mapping"), (tmp_path / "none.toml", "import.unreadable")):
        with pytest.raises(ImportProblem) as raised:
            load_mapping(path)
        assert raised.value.code == code
    with pytest.raises(ImportProblem, match="needs --mapping"):
        read_cases("xes", bad, None)
    with pytest.raises(ImportProblem, match="none of the formats"):
        read_cases("pdf", bad, None)
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    for name, mapping in (("csv", "receipt"), ("xes", "bpic2012")):
        with pytest.raises(ImportProblem, match=r"missing_columns|broken_xml"):
            list(FORMATS[name].read(empty, mapping=load_mapping(MAPPINGS / f"{mapping}.toml")))
    assert list(read_cases("chat", empty, load_mapping(MAPPINGS / "taubench-airline.toml"))) == []
