"""What documents show to be run: commands with their output in blocks of `console`, and programs."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEREDOC = re.compile(r"<<'(\w+)'")
ANYTHING = "…"
# Of the server, in every document.
DOCUMENTED_ADDRESS = "127.0.0.1:6334"


@dataclass(frozen=True, slots=True)
class Example:
    """A command, whole with its continued lines, and what it prints; `…` stands for anything."""

    command: str
    output: str

    def prints(self, text: str) -> bool:
        """Tell whether `text` is the output, white space at its ends apart."""
        pattern = ".*".join(re.escape(part) for part in self.output.strip().split(ANYTHING))
        return re.fullmatch(pattern, text.strip(), re.DOTALL) is not None


def examples(document: str) -> list[Example]:
    """Return the examples of a document in their order: `$ ` begins a command, what follows it is its output."""
    return [example for block in _BLOCK.findall(document) for example in _examples_of_block(block.splitlines())]


def program(document: str, language: str) -> str:
    """Return the only fenced block of a language in a document."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)
    return str(found)


def _examples_of_block(lines: list[str]) -> list[Example]:
    found = []
    while lines:
        assert lines[0].startswith("$ "), f"a block starts with a command, not {lines[0]!r}"
        command = [lines.pop(0).removeprefix("$ ")]
        while command[-1].endswith("\\"):
            command.append(lines.pop(0))
        if heredoc := _HEREDOC.search(command[0]):
            while command[-1] != heredoc[1]:
                command.append(lines.pop(0))
        output = []
        while lines and not lines[0].startswith("$ "):
            output.append(lines.pop(0))
        found.append(Example("\n".join(command), "\n".join(output)))
    return found
