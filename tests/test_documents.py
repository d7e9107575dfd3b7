"""The documentation agrees with the code."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from starlette.datastructures import Headers

from amd_service.calls.number_policy import NumberPolicy
from amd_service.domain import SCOPES_OF_ROLE, AccessScope
from amd_service.settings import RETRY_OVERRIDES, Account
from amd_service.settings.warnings import warnings_for
from amd_service.twilio.signature import verify
from tools.settings_page import with_settings

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("**/*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_settings_table_is_current() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert with_settings(page) == page, "run `python -m tools.settings_page`"


def test_the_page_about_access_lists_the_scopes_of_every_role() -> None:
    page = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (`[^|]*`) \| [^|]*\|$", page, re.MULTILINE)
    documented = {role: set(re.findall(r"`(\w+)`", scopes)) for role, scopes in rows}
    assert documented == {role.value: {scope.value for scope in scopes} for role, scopes in SCOPES_OF_ROLE.items()}
    assert re.findall(r"^\| `(\w+)` \| [^|]+ \|$", page, re.MULTILINE) == [scope.value for scope in AccessScope]


def test_the_documented_rotation_uses_the_token_that_stays_valid_after_promotion() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    (file,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (table,) = tomllib.loads(file)["account"]
    account = Account.model_validate(table | {"account_sid": "AC" + "1" * 32, "api_key": None, "api_secret": None})
    assert account.basic_auth[1] == "next"
    (order,) = re.findall(r"`TWILIO_AUTH_TOKEN=(.*?)`", page)
    assert order == "next,current"


def test_the_readme_gives_twilio_urls_with_retries_switched_on() -> None:
    assert RETRY_OVERRIDES in README


def test_compose_and_the_example_environment_hold_no_password() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert re.findall(r"^\s+POSTGRES_PASSWORD: (.*)$", compose, re.MULTILINE) == [
        "${POSTGRES_PASSWORD:?set POSTGRES_PASSWORD in .env}"
    ]
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    secrets = re.findall(r"^(\w*(?:TOKEN|SECRET|PASSWORD|KEYS?)\w*)=(.*)$", example, re.MULTILINE)
    assert len(secrets) >= 4
    assert [name for name, value in secrets if value] == []


def test_torch_is_pinned_alike_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (pin,) = [need for need in project["project"]["dependencies"] if need.startswith("torch")]
    assert pin in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"'{pin}+cpu'" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_checklist_of_the_twilio_page_links_every_line_to_its_tests() -> None:
    page = (ROOT / "docs" / "twilio.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| (\d+) \| .+? \| \[.+?\]\((.+?)\) \|", page, re.MULTILINE)
    assert [int(number) for number, _ in lines] == list(range(1, 20))
    linked = {(ROOT / "docs" / link).resolve() for _, link in lines}
    assert linked == set((ROOT / "tests" / "receiver_checklist").glob("test_*.py"))


@pytest.mark.parametrize("folder", sorted((ROOT / "fixtures" / "calls").iterdir()), ids=lambda folder: folder.name)
def test_every_recorded_call_is_complete(folder: Path) -> None:
    assert (folder / "origin.txt").read_text(encoding="utf-8").strip()
    assert json.loads((folder / "expected.json").read_text(encoding="utf-8"))["analysis_state"]
    assert (folder / "callbacks.jsonl").read_text(encoding="utf-8").strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / unquote(link)).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_link_to_a_heading_finds_it(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]*)#([^)]+)\)", page.read_text(encoding="utf-8"))
    lost = [(file, anchor) for file, anchor in links if anchor not in headings(page.parent / file if file else page)]
    assert lost == []


def headings(page: Path) -> set[str]:
    """Return the anchors that GitHub creates for the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_a_callback_that_is_signed_by_hand_as_the_twilio_page_says_is_accepted() -> None:
    page = (ROOT / "docs" / "twilio.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    said = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, check=True).stdout
    _, _, url, _, header, *fields = shlex.split(said)
    form = [(name, value) for name, _, value in (field.partition("=") for field in fields[1::2])]
    account = Account.model_validate(
        {"account_sid": dict(form)["AccountSid"], "auth_tokens": ["12345678901234567890123456789012"]}
    )
    verify(
        {account.account_sid: account},
        public_url="https://amd.example.com",
        raw_path=urlsplit(url).path.encode(),
        query_string=b"",
        form=form,
        headers=Headers(dict([header.split(": ")])),
    )


# nextjs.md also contains settings of the example backend.
@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "nextjs.md"], ids=lambda p: p.name)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"\bAMD_[A-Z_]*[A-Z]\b", page.read_text(encoding="utf-8")))
    assert warnings_for(dict.fromkeys(named, "x")) == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_number_is_hashed_as_the_privacy_page_says() -> None:
    page = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^\$ (printf .+)$", page, re.MULTILINE)
    environment = {**os.environ, "AMD_PHONE_NUMBER_KEY": "0123456789abcdef"}
    said = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=True).stdout
    assert said.strip() == NumberPolicy("hash", b"0123456789abcdef").redact_number("+15005550010")
