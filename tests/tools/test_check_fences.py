"""The check of imports accepts only imports that the table allows."""

import pytest

from tools.check_fences import ALLOWED, PACKAGE, Import, imports_of, objection


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("detection/classifier/engines/torch.py", "torch"),
        ("lab/shipped_model/loop.py", "torch.nn"),
        ("web/app.py", "starlette.applications.Starlette"),
        ("operations/retention.py", "sqlalchemy.ext.asyncio.AsyncSession"),
        ("calls/queue.py", "sqlalchemy.select"),
        ("runtime/__init__.py", "httpx2"),
        ("operations/retention.py", "structlog.contextvars"),
    ],
)
def test_an_import_that_the_table_allows_passes(file: str, name: str) -> None:
    assert objection(Import(file, 1, name)) is None


@pytest.mark.parametrize(
    ("file", "name", "reason"),
    [
        ("web/api/predict.py", "torch", "only detection/classifier, lab may import torch"),
        ("detection/classifiers.py", "torch", "only detection/classifier, lab may import torch"),
        ("operations/retention.py", "sqlalchemy.select", "may import from sqlalchemy only"),
        ("a_new_folder/module.py", "httpx2", "may import httpx2"),
        ("web/app.py", "a_new_library", "not in the table"),
    ],
)
def test_any_other_import_is_reported_with_file_line_and_reason(file: str, name: str, reason: str) -> None:
    found = objection(Import(file, 7, name))
    assert found is not None
    assert found.startswith(f"amd_service/{file}:7: ")
    assert reason in found


def test_every_library_of_the_table_is_imported_somewhere() -> None:
    imported = {each.package for path in PACKAGE.rglob("*.py") for each in imports_of(path)}
    assert set(ALLOWED) - imported == set()
