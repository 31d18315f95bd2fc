"""Ranking, likeness, masking and the radar, as pure functions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.domain.precedents import radar
from projections.domain.precedents.evaluation import figures
from projections.domain.precedents.likeness import closeness
from projections.domain.precedents.question import answered, typed_facts
from projections.domain.precedents.ranking import TUNING, Compared, Tuning, rank
from projections.domain.precedents.situation import Case, Situation
from projections.domain.precedents.words import BestTurns, Bm25, Cosine, fused, masked, pairs, phrases, words

WORDS = ["cancel", "my", "flight", "refund", "bag", "Denver", "Boston", "3", "please", "航班", "取消"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=8)
VALUES = st.one_of(st.booleans(), st.integers(-1000, 1000), st.floats(-1e6, 1e6), st.sampled_from(["a", "b"]))


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    said = "\n".join(" ".join(turn) for turn in draw(st.lists(TEXTS, max_size=3)))
    names = st.lists(st.sampled_from("abcd"), unique=True, max_size=3).map(lambda each: tuple(sorted(each)))
    return Situation(
        workflow=draw(st.sampled_from([None, "refund", "loan"])),
        entity_type=draw(st.sampled_from([None, "order"])),
        policies=tuple(f"{name}@1" for name in draw(names)),
        codes=draw(names),
        actions=draw(names),
        facts=tuple(sorted(draw(st.dictionaries(st.sampled_from(["amount", "vip"]), VALUES)).items())),
        opening=said.partition("\n")[0],
        asked=said,
        spoken=bool(said),
    )


CASES = st.lists(st.tuples(situations(), st.sampled_from(["success", "failure"])), max_size=8).map(
    lambda rows: [
        Case(f"t{place}", place + 1, outcome, "2026-01-01T00:00:00Z", "", each)
        for place, (each, outcome) in enumerate(rows)
    ]
)


@settings(max_examples=60, deadline=None)
@given(situations(), CASES, st.randoms(use_true_random=False))
def test_the_same_answer_whatever_the_order_of_the_cases(query: Situation, cases: list[Case], dice: object) -> None:
    found = rank(query, cases, limit=8)
    shuffled = list(cases)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert rank(query, shuffled, limit=8) == found
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)


@settings(max_examples=60, deadline=None)
@given(situations(), CASES)
def test_the_parts_are_the_score(query: Situation, cases: list[Case]) -> None:
    for hit in rank(query, cases, limit=8):
        assert hit.score == math.fsum(part.points for part in hit.parts)
        assert 0 <= hit.score <= 1 + 1e-9
        for part in hit.parts:
            assert -1e-12 <= part.points <= part.most + 1e-9
            assert part.words


@settings(max_examples=40, deadline=None)
@given(CASES)
def test_a_trace_never_finds_itself(cases: list[Case]) -> None:
    for case in cases:
        found = rank(case.situation, cases, limit=8, without=case.trace_id)
        assert case.trace_id not in {hit.case.trace_id for hit in found}
        others = [other for other in cases if other is not case]
        assert len(found) == sum(hit.score > 0 for hit in Compared(case.situation, others).hits())


def test_nearer_facts_never_score_less() -> None:
    cases = [Case(f"t{n}", n, "success", "", "", Situation(facts=(("amount", n * 10.0),))) for n in range(1, 8)]
    found = rank(Situation(facts=(("amount", 40.0),)), cases, limit=7)
    assert found[0].case.trace_id == "t4"
    gaps = [abs(dict(hit.case.situation.facts)["amount"] - 40) / max(40, dict(hit.case.situation.facts)["amount"])
            for hit in found]  # fmt: skip
    assert gaps == sorted(gaps)


@given(VALUES, VALUES)
def test_closeness_is_symmetric_and_bounded(first: object, second: object) -> None:
    value = closeness(first, second)  # type: ignore[arg-type]
    assert 0 <= value <= 1
    assert value == closeness(second, first)  # type: ignore[arg-type]
    assert closeness(first, first) == 1  # type: ignore[arg-type]


def test_a_yes_is_no_number() -> None:
    assert closeness(True, 1) == 0
    assert closeness(100, 90) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("I am mia_li_3668", "I am"),
        ("reservation H9ZU1C please", "reservation please"),
        ("flight HAT136 on May20 in 24hrs", "flight HAT136 on May20 in 24hrs"),
        ("the 2nd of 2024-05-15T15:00", "the 2nd of 2024-05-15T15:00"),
        ("cancel NQNU5R", "cancel"),
        ("reservation HXDUBJ.", "reservation ."),
        ("this is URGENT", "this is URGENT"),
        ("WHY WTHLD MY REFUND", "WHY WTHLD MY REFUND"),
    ],
)
def test_masking(said: str, left: str) -> None:
    assert " ".join(masked(said).split()) == left


def test_known_identifiers_are_masked_whatever_they_look_like() -> None:
    assert masked("HATHAT flies", frozenset(["HATHAT"])).split() == ["flies"]


def test_bm25_and_cosine_prefer_the_rare_word() -> None:
    bags = [words(text) for text in ("cancel flight", "cancel refund", "cancel bag")]
    for index in (Bm25(bags), Cosine(bags)):
        scores = index.scores(words("cancel refund"))
        assert scores.index(max(scores)) == 1
    assert Bm25([]).scores(words("x")) == []
    assert Cosine([words("")]).scores(words("x")) == [0.0]


def test_bags() -> None:
    assert phrases("To be to")["to be"] == 1
    assert phrases("取消航班") == {"取消": 1, "消航": 1, "航班": 1, "取消 消航": 1, "消航 航班": 1}
    assert pairs("Cancel my flight, then the flight cancel") == {
        "cancel flight": 4,
        "flight flight": 1,
        "cancel cancel": 1,
    }
    assert pairs("one two three four five six")["one six"] == 0  # out of reach


def test_the_best_turn_counts_and_not_their_sum() -> None:
    turns = [
        [pairs("cancel flight Denver")],
        [pairs("cancel flight"), pairs("bags Denver"), pairs("bags flight Boston")],
        [pairs("two bags")],
    ]
    scores = BestTurns(turns).scores(pairs("cancel flight Denver"))
    assert scores[0] > scores[1] > scores[2] == 0
    again = BestTurns([turns[0], [*turns[1], pairs("cancel flight")], turns[2]]).scores(pairs("cancel flight"))
    assert again[1] == pytest.approx(BestTurns([turns[0], turns[1], turns[2]]).scores(pairs("cancel flight"))[1], 0.1)
    assert BestTurns([]).scores(pairs("a b")) == []


def test_kin_lift_a_case_and_the_part_says_so() -> None:
    said = ["cancel flight Denver sick child", "cancel flight Denver sick dog", "cancel flight Boston", "lamp broken"]
    cases = [Case(str(n), n, "success", "", "", Situation(opening=t, asked=t, spoken=True)) for n, t in enumerate(said)]
    compared = Compared(Situation(opening="sick child Denver", asked="sick child Denver", spoken=True), cases)
    alone = {hit.case.trace_id: hit.score for hit in compared.hits(Tuning(share=0.0))}
    lent = {hit.case.trace_id: hit for hit in compared.hits(Tuning(share=0.5))}
    assert alone["2"] == 0 < lent["2"].score
    (kin,) = [part for part in lent["2"].parts if part.name == "kin"]
    assert kin.points == pytest.approx(lent["2"].score)
    assert "nearest" in kin.words


@settings(max_examples=40, deadline=None)
@given(situations(), CASES)
def test_scores_to_try_are_those_that_are_explained(query: Situation, cases: list[Case]) -> None:
    compared = Compared(query, cases)
    tried = dict(zip((case.trace_id for case in compared.cases), compared.scores(TUNING), strict=True))
    for hit in compared.hits():
        assert hit.score == pytest.approx(tried[hit.case.trace_id], abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(situations(), CASES)
def test_nobodys_outcome_moves_the_ranking(query: Situation, cases: list[Case]) -> None:
    turned = [case._replace(outcome="failure" if case.outcome == "success" else "success") for case in cases]
    before, after = rank(query, cases, limit=8), rank(query, turned, limit=8)
    assert [(hit.case.trace_id, hit.parts) for hit in before] == [(hit.case.trace_id, hit.parts) for hit in after]


def test_fusion_rewards_agreement() -> None:
    assert [each.key for each in fused([["a", "b"], ["b", "c"]])] == ["b", "a", "c"]


def test_figures() -> None:
    found = figures({"q": ["x", "a", "y", "b"]}, {"q": ["a", "b"]})
    assert found.recall == 0.5
    assert found.mrr == 0.5


def test_numbers_near_each_other_share_a_fingerprint() -> None:
    one, two, far = (Situation(facts=(("amount", value),)) for value in (1000, 1010, 5000))
    assert radar.fingerprint(one) == radar.fingerprint(two) != radar.fingerprint(far)


def test_alike_requests_gather_and_their_split_is_named() -> None:
    said = ["cancel my flight to Denver please", "please cancel my flight to Denver", "two more bags for Boston"]
    each = [Situation(opening=text, asked=text, spoken=True) for text in said]
    assert radar.gathered(each) == [[0, 1], [2]]
    cases = [Case(str(n), n, "failure" if n else "success", "", "", one) for n, one in enumerate(each)]
    (split,) = radar.splits([[cases[0], cases[1]], [cases[2]]])
    assert split.outcomes == (("failure", 1), ("success", 1))


def test_counter_precedents_come_first() -> None:
    asked = "cancel my flight"
    cases = [
        Case(str(n), n, outcome, "", "", Situation(opening=asked, asked=asked, spoken=True))
        for n, outcome in enumerate(["success", "failure", "success"])
    ]
    answer = answered(rank(cases[0].situation, cases, limit=3), None)
    assert [hit.case.outcome for hit in answer.hits] == ["failure", "success", "success"]
    assert (answer.outcome, answer.counters) == ("success", 1)
    assert answer.agreement == pytest.approx(2 / 3)
    assert answered([], "failure").agreement == 0


def test_typed_facts() -> None:
    found = {fact.key: fact.value for fact in typed_facts("amount=120.5, vip=true\nname = a b, n=3")}
    assert found == {"amount": 120.5, "vip": True, "name": "a b", "n": 3}
    with pytest.raises(ValueError, match="name=value"):
        typed_facts("amount")
