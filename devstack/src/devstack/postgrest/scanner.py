"""A position in a text, for parsers written by hand."""

import re

from devstack.postgrest.errors import ApiError

BLANK = re.compile(r"[ \t]*")


class Scanner:
    """A text and a position in it."""

    __slots__ = ("text", "at", "what")

    def __init__(self, text: str, what: str) -> None:
        self.text, self.at, self.what = text, 0, what

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return match

    def literal(self, text: str) -> bool:
        if self.text.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def peek(self, *texts: str) -> bool:
        return self.text.startswith(texts, self.at)

    def ended(self) -> bool:
        return self.at >= len(self.text)

    def blank(self) -> None:
        self.take(BLANK)

    def separator(self, text: str) -> bool:
        """Take `text` with blanks around it, or nothing."""
        start = self.at
        self.blank()
        if self.literal(text):
            self.blank()
            return True
        self.at = start
        return False

    def expect(self, text: str) -> None:
        if not self.separator(text):
            raise self.error(f'"{text}"')

    def error(self, expected: str) -> ApiError:
        found = f'"{self.text[self.at]}"' if not self.ended() else "end of input"
        message = f'"failed to parse {self.what} ({self.text})" (line 1, column {self.at + 1})'
        return ApiError(400, "PGRST100", message, f"unexpected {found} expecting {expected}")
