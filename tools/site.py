"""Collects the pages of the documentation site in `build/docs`. `make docs` runs this script, then Zensical.

GitHub shows README.md and `docs/` at their normal locations. Zensical needs all pages in one folder, with README.md as
the first page. So this script copies the pages into one folder and rewrites the links between them. `zensical build`
then checks each link.
"""

import re
import shutil
from os.path import normpath, relpath
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[1]
PAGES_BESIDE_DOCS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
RELATIVE_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")


def gather(site: Path) -> None:
    """Delete the folder `site`, then write the pages to this folder."""
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(ROOT / "docs", site)
    _write_index_of_decisions(site)
    pages_in_docs = [str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("**/*.md")]
    for page in [*PAGES_BESIDE_DOCS, *pages_in_docs]:
        _publish(page, site)


def _write_index_of_decisions(site: Path) -> None:
    """Write a page that lists the decision records. GitHub needs no such page, because it lists each folder."""
    lines = ["# Decisions", "", "Each record explains one decision whose reason is not obvious.", ""]
    for record in sorted((ROOT / "docs" / "decisions").glob("*.md")):
        title = record.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        lines.append(f"- [{record.name[:4]}: {title}]({record.name})")
    (site / "decisions" / "index.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _publish(page: str, site: Path) -> None:
    """Copy one page and rewrite its links. `page`: path relative to the repository."""
    text = (ROOT / page).read_text(encoding="utf-8")
    text = RELATIVE_LINK.sub(lambda link: _rewritten(link[1], page, site), text)
    (site / _site_path(page)).write_text(text, encoding="utf-8")


def _rewritten(link: str, page: str, site: Path) -> str:
    """Return the link for the site. A linked file that is not a page, such as a table of results, is copied too."""
    target = normpath(Path(page).parent / unquote(link))
    there = _site_path(target)
    if (ROOT / target).is_dir():
        there += "/index.md"
    elif (ROOT / target).is_file() and not (site / there).exists():
        (site / there).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / target, site / there)
    return relpath(there, Path(_site_path(page)).parent)


def _site_path(path: str) -> str:
    return "index.md" if path == "README.md" else path.removeprefix("docs/")


if __name__ == "__main__":
    gather(ROOT / "build" / "docs")
