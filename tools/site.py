"""`make docs`: gathers the pages of the documentation site in `build/docs`, where Zensical builds it from.

GitHub shows README.md and `docs/` where they lie. A site needs them under one folder, with README.md as its first
page: this copies them there and rewrites the links between them. Each link is then checked by `zensical build`.
"""

import re
import shutil
import sys
from os.path import normpath, relpath
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[1]
SITE = ROOT / "build" / "docs"
PAGES_BESIDE_DOCS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
RELATIVE_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")


def main() -> None:
    """Write `build/docs` anew."""
    shutil.rmtree(SITE, ignore_errors=True)
    shutil.copytree(ROOT / "docs", SITE)
    _write_index_of_decisions()
    for page in [*PAGES_BESIDE_DOCS, *_pages_in_docs()]:
        _publish(page)
    sys.stdout.write(f"{SITE.relative_to(ROOT)} is ready for zensical\n")


def _pages_in_docs() -> list[str]:
    return [str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").glob("**/*.md"))]


def _publish(page: str) -> None:
    """Copy one page, given by its path from the repository's root, with its links rewritten."""
    here = _site_path(page)
    text = (ROOT / page).read_text(encoding="utf-8")
    text = RELATIVE_LINK.sub(lambda link: _rewritten(link[1], page, here), text)
    (SITE / here).write_text(text, encoding="utf-8")


def _rewritten(link: str, page: str, here: str) -> str:
    """The link as it must read on the site. A linked file that is no page, such as a table of results, is copied."""
    target = normpath(Path(page).parent / unquote(link))
    there = _site_path(target)
    if (ROOT / target).is_dir():
        there += "/index.md"
    elif (ROOT / target).is_file() and not (SITE / there).exists():
        (SITE / there).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / target, SITE / there)
    return relpath(there, Path(here).parent)


def _site_path(path: str) -> str:
    return "index.md" if path == "README.md" else path.removeprefix("docs/")


def _write_index_of_decisions() -> None:
    """GitHub lists the folder by itself; a site needs a page."""
    lines = ["# Decisions", "", "Why things are as they are, one record a question.", ""]
    for record in sorted((ROOT / "docs" / "decisions").glob("*.md")):
        title = record.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        lines.append(f"- [{record.name[:4]}: {title}]({record.name})")
    (SITE / "decisions" / "index.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
