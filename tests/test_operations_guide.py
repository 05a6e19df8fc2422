"""The operations guide says what the code does: its table of settings, its file names and texts, its links."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pointstore import config
from pointstore.config import OptimizerSettings, Settings
from pointstore.storage.layout import QUARANTINE
from pointstore.supervisor import DRAIN_MARGIN_S, RestartPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
FACTORY_DEFAULT = "number of cores"


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings of a model's fields, each in one line."""
    body = ast.parse(inspect.getsource(model)).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            assert isinstance(field.target, ast.Name)
            found[field.target.id] = " ".join(str(text.value.value).split())
    return found


def rows(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the rows of the table that the guide must have."""
    texts = meanings(model)
    for name, field in model.model_fields.items():
        if isinstance(field.default, OptimizerSettings):
            yield from rows(OptimizerSettings, f"{name}.")
            continue
        default = FACTORY_DEFAULT if field.default_factory is not None else f"`{field.default}`"
        yield f"| `{prefix}{name}` | {default} | {texts[name]} |"


def test_table_names_every_setting_with_default_and_meaning() -> None:
    section = GUIDE.partition("\n## Settings\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("| `")]
    assert table == list(rows(Settings))


def test_every_setting_has_a_docstring() -> None:
    for model in (Settings, OptimizerSettings):
        assert set(meanings(model)) == set(model.model_fields)


def test_times_of_the_drain_are_those_of_the_code() -> None:
    settings = Settings()
    total = settings.lame_duck_s + settings.grace_s + DRAIN_MARGIN_S
    assert f"{total} s with the defaults" in GUIDE
    assert total - settings.lame_duck_s + 5 < 25
    policy = RestartPolicy()
    assert f"after {policy.first_delay_s} s, doubling to {policy.delay_max_s:.0f} s" in GUIDE
    assert (policy.deaths_max, policy.window_s) == (10, 60)


def test_log_lines_are_written_somewhere() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "server").rglob("*.py"))
    section = GUIDE.partition("\n## Logs\n")[2].partition("\n## ")[0]
    lines = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    texts = [text for line in lines for text in re.findall(r"`([^`]+)`", line)]
    assert len(texts) >= 8
    assert [text for text in texts if f'"{text}"' not in sources] == []


def test_quarantine_marker_has_its_name() -> None:
    assert f"collections/<uid>/{QUARANTINE}`" in GUIDE


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md"])
def test_links_lead_to_files(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert links
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


def test_readme_links_to_the_guide() -> None:
    assert "docs/operations.md" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_module_of_settings_has_no_other_model() -> None:
    models = {
        name for name, each in vars(config).items() if inspect.isclass(each) and each.__module__ == config.__name__
    }
    assert models == {"Settings", "OptimizerSettings"}
