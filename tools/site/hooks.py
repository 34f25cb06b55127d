"""Prepares the pages for the site.

It adds the pages outside of docs/, points all other links out of docs/ at the repository, and ranks pages for the
search.
"""

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
# The search multiplies a page's score by this factor, which is 1 for other pages.
RANK = {
    "delivery.md": 3,
    "discovery.md": 3,
    "errors.md": 3,
    "options.md": 3,
    "server.md": 3,
    "upgrades.md": 3,
    "versions.md": 3,
    "architecture.md": 0.5,
    "changelog.md": 0.3,
    "commands.md": 0.5,
    "contributing.md": 0.5,
    "performance.md": 0.2,
    "versions-table.md": 0.1,
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
    usual = 0.5 if page.file.src_uri.startswith("decisions/") else 1
    page.meta.setdefault("search", {"boost": RANK.get(page.file.src_uri, usual)})
    source = next((s for s, p in OUTSIDE.items() if p == page.file.src_uri), f"docs/{page.file.src_uri}")
    markdown = linked(markdown, source, page, config, root)
    if page.file.src_uri == "README.md":
        readme, _, _ = (root / "README.md").read_text().partition("\n## Where to go next")
        markdown = linked(readme, "README.md", page, config, root) + "\n" + re.sub(r"^# .*", "", markdown)
    return markdown


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Marks short names, such as --server-name, for a style that keeps them on one line."""
    return re.sub(r"<code>([^<\s]{1,24})</code>", r'<code class="whole">\1</code>', html)


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
