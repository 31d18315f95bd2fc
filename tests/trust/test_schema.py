"""F3: requests made out of the published schema; no answer is a 5xx, and each is one the schema allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from django.test import Client
from hypothesis import HealthCheck, Phase
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from decisiongraph.wsgi import application
from tests.factories import Cast, make_cast, make_token
from tests.trust.sizes import SEED, size
from traces import services as log

pytestmark = [pytest.mark.django_db, pytest.mark.trust("F3")]

EXAMPLES = size(3, 20)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
WAITS = {"wait_ms"}
"""Parameters that hold a request for seconds: zero says as much about the schema."""


@pytest.fixture
def world(db: None) -> tuple[Cast, str]:
    """A tenant with some content, and an all-powerful token."""
    cast = make_cast()
    _token, secret = make_token(cast.acme)
    from tests.projections.desk import interleaved

    log.append(cast.acme, principal=cast.principal(cast.alice), events=interleaved(5))
    return cast, secret


def published() -> Any:
    """The schema as anybody gets it."""
    found = Client().get("/api/v1/schema", headers={"Accept": "application/json"})
    assert found.status_code == 200
    return schemathesis.openapi.from_dict(found.json())


def operations(schema: Any) -> Iterator[Any]:
    """Every operation; one that the library cannot read is a fault of the schema."""
    for found in schema.get_all_operations():
        yield found.ok()


def test_every_operation_answers_what_the_schema_says(world: tuple[Cast, str], figures: Callable[..., None]) -> None:
    _cast, secret = world
    schema = published()
    schema.app = application
    statuses: Counter[int] = Counter()
    problems: list[str] = []
    seen = 0
    for operation in operations(schema):
        seen += 1

        @hypothesis.seed(SEED)
        @hypothesis.settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            for name in WAITS & set(case.query or {}):
                case.query[name] = 0
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {secret}"}
            answer = case.call()
            statuses[answer.status_code] += 1
            case.validate_response(answer, checks=CHECKS)

        try:
            ask()
        except BaseExceptionGroup as several:
            problems += [f"{operation.label}: {_short(error)}" for error in several.exceptions]
        except Exception as error:
            problems.append(f"{operation.label}: {_short(error)}")
    assert not problems, f"{len(problems)} of {seen}:\n" + "\n".join(problems)
    assert seen > 60
    assert statuses[200] > 20
    figures(operations=seen, requests=sum(statuses.values()), server_errors=0, schema_violations=0)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:900]
