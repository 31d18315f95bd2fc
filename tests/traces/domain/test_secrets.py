"""The secret guard finds credentials wherever they hide and leaves ordinary words alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.domain.canonical import jcs
from traces.domain.secrets import PATTERNS, find_secret

BODY = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"

SECRETS = [
    ("Authorization: " + "Bearer " + BODY, "bearer_token"),
    ("authorization:\tbearer\t" + BODY + "==", "bearer_token"),
    ("bearer " + "eyJhbGciOiJIUzI1NiJ9." + BODY + "." + BODY, "bearer_token"),
    ("Bearer " + "abcdefghijklmnopqrstuvwxyz", "bearer_token"),
    ("xox" + "b-abcdefghijklmnop", "slack_token"),
    ("token is xox" + "b-123456789012-abcdefABCDEF", "slack_token"),
    ("(xox" + "p-1234567890-0987654321)", "slack_token"),
    ("gh" + "p_" + BODY, "github_token"),
    ("remote=https://gh" + "s_" + BODY + "@github.example/", "github_token"),
    ("github" + "_pat_" + BODY, "github_token"),
    ("AK" + "IAIOSFODNN7EXAMPLE", "aws_access_key"),
    ("key AS" + "IAIOSFODNN7EXAMPLE, region eu", "aws_access_key"),
    ("-----BEGIN " + "PRIVATE KEY-----\nMIIB", "private_key"),
    ("x\n-----BEGIN RSA " + "PRIVATE KEY-----\nMIIB", "private_key"),
    ("-----BEGIN PGP " + "PRIVATE KEY BLOCK-----", "private_key"),
    ("sk-" + BODY, "secret_key"),
    ("\nsk-" + BODY, "secret_key"),
    ("sk-" + "a" * 20, "secret_key"),
    ("use sk-" + "ant-api03-" + BODY + "_-" + BODY, "secret_key"),
    ("password=" + "hunter2", "password_assignment"),
    ("DB_PASSWORD=" + "swordfish", "password_assignment"),
    ("jdbc:x?user=sa&pwd=" + "s3cr3t!x", "password_assignment"),
    ('{"api_key": "' + 'abc123def456"}', "password_assignment"),
    ("client_secret = '" + "Zx81Spectrum'", "password_assignment"),
    ("my password: " + "hunter2", "password_assignment"),
]

HARMLESS = [
    "task-42933",
    "Slovakia",
    "risk-gate",
    "risk-assessment-committee-decision-2026",
    "desk-12345678901234567890123",
    "sk-bratislava-warehouse-north-3",
    "sk-SK",
    "the bearer of bad news arrived",
    "bearer internationalisation_of_processes",
    "AKIA",
    "AKIAIOSFODNN7EXAMPL",
    "ASIAN markets rose 3 percent",
    "xAKIAIOSFODNN7EXAMPLE",
    "xoxo",
    "xoxo-greetings",
    "xoxo-greetings-from-everyone",
    "ghp_short",
    "the private key is kept in the vault",
    "-----BEGIN PUBLIC KEY-----",
    "-----BEGIN CERTIFICATE-----",
    "password reset requested",
    "password=",
    "password=***",
    "password=<redacted>",
    "password=${DB_PASSWORD}",
    "password: required",
    "Please choose a password: minimum twelve characters",
    "token count 1234",
    "primary key: id",
    "cache_key=user:1234567890",
    "d2ab3f6e-9c1e-4b7a-8f00-1f2e3d4c5b6a",
    "sha256:" + "ab12" * 16,
]


@pytest.mark.parametrize(("text", "pattern"), SECRETS)
def test_a_credential_is_named_with_its_place(text: str, pattern: str) -> None:
    value = {"note": "fine", "facts": [{"key": "k"}, {"value": {"type": "string", "value": text}}]}
    found = find_secret(value, path="payload")
    assert found == ("payload.facts[1].value.value", pattern)
    assert text not in found.violation().detail
    assert found.violation().code == "event.secret_found"
    assert found.violation().status == 422


@pytest.mark.parametrize(("text", "pattern"), SECRETS)
def test_a_credential_is_found_as_a_name_and_behind_escapes(text: str, pattern: str) -> None:
    assert find_secret({"a": {text: 1}}) == ("a", pattern)
    escaped = "".join(f"\\u{ord(c):04x}" for c in text)
    value = json.loads(f'{{"a": "{escaped}"}}')
    assert find_secret(value, jcs(value)) == ("a", pattern)
    for around in ("\n", "\t", '"', "\\", "é", "\U0001f511", " "):
        found = find_secret([around + text])
        assert found is not None
        assert found.path == "[0]"


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_text_passes(text: str) -> None:
    assert find_secret({"note": text, "list": [text], text: 1}) is None


def test_a_member_named_like_a_password_must_not_hold_one() -> None:
    assert find_secret({"login": {"password": "hunter2secret"}}) == ("login.password", "password_assignment")
    assert find_secret({"API_KEY": "9f8e7d6c5b4a"}) == ("API_KEY", "password_assignment")
    for harmless in ("incorrect", "expired", "***", "<redacted>", "must have 12 characters", "", None, 7, True):
        assert find_secret({"password": harmless}) is None
    assert find_secret({"key": "deal_value_2026", "token_count": "12345678"}) is None


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40), st.sampled_from(SECRETS))
def test_neighbouring_text_never_hides_a_credential(before: str, secret: tuple[str, str]) -> None:
    assert find_secret({"a": before + " " + secret[0]}) is not None


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz -", max_size=200))
def test_words_are_not_credentials(text: str) -> None:
    found = find_secret({"a": text})
    assert found is None or any(len(word) >= 16 for word in text.replace("-", " ").split())


def test_a_long_text_is_searched_in_linear_time() -> None:
    for text in (
        "sk-" * 60_000,
        "bearer " * 30_000,
        "password" * 25_000,
        "a_" * 90_000 + "key:",
        "password:" + "a" * 200_000,
        "-----BEGIN " * 20_000,
    ):
        find_secret({"a": text})


def test_every_pattern_has_an_example() -> None:
    assert {name for _, name in SECRETS} == {pattern.name for pattern in PATTERNS}
