"""Puts the pages outside of docs/ into the site, and points all other links out of docs/ at the repository."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

# Pages of the site by their files in the repository.
OUTSIDE = {
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "python/README.md": "python.md",
    "typescript/README.md": "typescript.md",
}
LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    root = Path(config.config_file_path).parent
    for source, page in OUTSIDE.items():
        if (root / source).exists():
            files.append(File.generated(config, page, content=(root / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    root = Path(config.config_file_path).parent
    source = next((s for s, p in OUTSIDE.items() if p == page.file.src_uri), f"docs/{page.file.src_uri}")
    markdown = linked(markdown, source, page, config, root)
    if page.file.src_uri == "README.md":
        readme, _, _ = (root / "README.md").read_text().partition("\n## Where to go next")
        markdown = linked(readme, "README.md", page, config, root) + "\n" + re.sub(r"^# .*", "", markdown)
    return markdown


def linked(markdown: str, source: str, page: Page, config: MkDocsConfig, root: Path) -> str:
    """Returns the text of a file of the repository with its links as they must be in a page."""

    def link(match: re.Match[str]) -> str:
        before, to, anchor, after = match.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), to))
        if "://" in to or not (root / path).exists():
            return match.group()
        page_uri = OUTSIDE.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if path == "README.md":
            page_uri = "README.md"
        if path == "docs":
            page_uri = "README.md"
        if page_uri:
            to = posixpath.relpath(page_uri, posixpath.dirname(page.file.src_uri) or ".")
        else:
            kind = "tree" if (root / path).is_dir() else "blob"
            to = config.repo_url if path == "." else f"{config.repo_url.rstrip('/')}/{kind}/main/{path}"
        return f"{before}{to}{anchor or ''}{after}"

    parts = re.split(r"(?ms)(^```.*?^```)", markdown)
    return "".join(part if part.startswith("```") else LINK.sub(link, part) for part in parts)
