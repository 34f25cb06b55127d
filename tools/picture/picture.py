"""Draws what a command prints on standard input as docs/demo.svg, without the sections in SKIPPED."""

import io
import pathlib
import re
import sys

from rich.console import Console
from rich.text import Text

SKIPPED = ("A call to one server", "Arguments are", "One server accepts a cast", "A multicall", "Now by hand")
WIDTH = 100


def shown(text: str) -> list[str]:
    sections = re.split(r"(?m)^(?=== )", text)
    return "".join(s for s in sections if not s.startswith(tuple("== " + skipped for skipped in SKIPPED))).strip().split("\n")


def styled(line: str) -> Text:
    if line.startswith("== "):
        return Text("# " + line[3:], style="bold yellow")
    if line.startswith("$ "):
        return Text("$ ", style="dim") + Text(line[2:], style="bold")
    return Text(line)


def main(file: str) -> None:
    text = sys.stdin.read()
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for line in shown(text):
        console.print(styled(line), soft_wrap=True)
    svg = console.export_svg(title="make demo")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # A picture loads nothing.
    pathlib.Path(file).write_text(svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace"))


if __name__ == "__main__":
    main(sys.argv[1])
