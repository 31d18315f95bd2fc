"""The matrix of roles, scopes and permissions, and the text form of a token."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.domain import roles
from tenants.domain.principal import Actor

MATRIX = {
    "viewer": {"read"},
    "operator": {"read", "operate"},
    "reviewer": {"read", "review"},
    "admin": {"read", "ingest", "operate", "review", "admin"},
}


def test_matrix_is_the_published_one() -> None:
    assert {role: set(roles.permissions_of_role(role)) for role in roles.ROLES} == MATRIX


def test_only_admins_administer_and_operators_do_not_decide() -> None:
    assert roles.roles_with("admin") == ("admin",)
    assert roles.roles_with("review") == ("reviewer", "admin")
    assert roles.roles_with("operate") == ("operator", "admin")


def test_unknown_role_and_scope_hold_nothing() -> None:
    assert roles.permissions_of_role("root") == frozenset()
    assert roles.permissions_of_scopes(["root"]) == frozenset()


def test_an_ingest_token_cannot_read_but_the_others_can() -> None:
    assert roles.permissions_of_scopes(["ingest"]) == {"ingest"}
    for scope in set(roles.SCOPES) - {"ingest"}:
        assert "read" in roles.permissions_of_scopes([scope])


def test_a_scope_never_grants_more_than_itself_and_read() -> None:
    for scope in roles.SCOPES:
        assert roles.permissions_of_scopes([scope]) <= {scope, "read"}


def test_order_of_trust() -> None:
    assert sorted(["admin", "viewer", "reviewer", "operator"], key=roles.rank) == list(roles.ROLES)
    with pytest.raises(ValueError, match="not in"):
        roles.rank("root")


@given(
    st.text(alphabet=roles.TOKEN_ALPHABET, min_size=8, max_size=8),
    st.text(alphabet=string.ascii_letters + string.digits + "_-", min_size=32, max_size=64),
)
def test_token_text_round_trips(ident: str, secret: str) -> None:
    assert roles.parse_token(roles.format_token(ident, secret)) == (ident, secret)


@given(st.text(max_size=80))
def test_other_text_is_no_token(text: str) -> None:
    parsed = roles.parse_token(text)
    assert parsed is None or roles.format_token(*parsed) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dg_",
        "dg_short_" + "a" * 43,
        "dg_ABCDEFGH_" + "a" * 43,
        "dg_abcd1234_short",
        "dg_abcd1234_" + "a" * 43 + "\n",
        "xx_abcd1234_" + "a" * 43,
        "dg_abcd1234_" + "é" * 43,
    ],
)
def test_malformed_tokens_are_refused(text: str) -> None:
    assert roles.parse_token(text) is None


def test_format_refuses_what_would_not_parse_back() -> None:
    with pytest.raises(ValueError, match="8 characters"):
        roles.format_token("abc", "a" * 43)


def test_the_refusal_says_how_to_get_in() -> None:
    person = Actor("user", "user:v", "Vera", frozenset({"read"}))
    program = Actor("token", "token:x", "x", frozenset({"read"}))
    assert "role operator or admin" in person.missing("operate")
    assert "scope 'operate'" in program.missing("operate")


def test_producer_binding() -> None:
    bound = Actor("token", "token:x", "x", frozenset(), producers=frozenset({"billing"}))
    assert bound.bound_to("billing")
    assert not bound.bound_to("crm")
    assert Actor("token", "token:x", "x", frozenset()).bound_to("anything")
