"""Whatever the model service does, over whichever HTTP, the chat is replied to in time, as the failure table has it,
and with no more requests than that takes: every row of the matrix through the real worker on Apache Kafka."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import harness
import pytest

from matrix_alone import ALONE_CASES, run_alone
from matrix_cases import SHARED
from matrix_http import ONE_VERSION
from matrix_run import Row, make_rows, run_rows, table

pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")


@functools.cache
def all_rows() -> tuple[Row, ...]:
    return tuple(make_rows([*SHARED, *ONE_VERSION, *ALONE_CASES]))


@pytest.fixture(scope="module")
def matrix(broker: harness.Broker, tmp_path_factory: pytest.TempPathFactory, tables: list[str]) -> Iterator[None]:
    """All rows have been run."""
    rows = all_rows()
    try:
        run_rows(tmp_path_factory.mktemp("matrix"), broker, rows, run_alone)
    finally:
        if any(run.sent for row in rows for run in row.runs):
            tables.append(table(rows))
    yield


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in all_rows() if row.applies])
def test_matrix_row_is_as_expected(matrix: None, row: Row) -> None:
    assert row.wrong() == []


def test_matrix_names_are_unique_and_each_gap_has_its_reason() -> None:
    names = [row.name for row in all_rows()]
    assert len(names) == len(set(names))
    assert all(row.case.because for row in all_rows() if not row.applies)
