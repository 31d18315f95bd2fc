"""What a statement read, told by the database itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext


def blocks(statement: str, given: Any = None) -> int:
    """Blocks of tables and indexes one statement touches, those of the functions it calls too."""
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) " + statement, given)
        answer = cursor.fetchone()[0]
    root = (json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]
    return int(root["Shared Hit Blocks"] + root["Shared Read Blocks"])


def blocks_of(work: Callable[[], Any], table: str) -> int:
    """Blocks touched by all statements about a table that some work sends. Inside the caller's transaction."""
    with CaptureQueriesContext(connection) as seen:
        work()
    sent = [query["sql"] for query in seen.captured_queries]
    found = [each for each in sent if each.lstrip("(").startswith("SELECT") and table in each]
    assert found, sent
    return sum(blocks(each) for each in found)
