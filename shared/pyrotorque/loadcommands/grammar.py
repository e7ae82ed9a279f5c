"""Parses command text like rTorrent's own parser; an inserted value is a single symbol in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from pyrotorque.errors import CommandRefused
from pyrotorque.templates import Inserted, Piece
from pyrotorque.text import printable

Symbol: TypeAlias = int | Inserted
Part: TypeAlias = bytes | Inserted

_BLANK: Final = b" \t"
_SPACE: Final = b" \t\n\v\f\r"
_NAME: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_."
_COMMAND_END: Final = b",;" + _SPACE
_LIST_END: Final = b",}"
_FUNCTION_END: Final = b",)"
_SEPARATOR: Final = b";\n\0"
_NAME_MAX: Final = 127
_DEPTH_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument as written (`source`), and as rTorrent parses it.

    A plain string has `parts`; a list or function object has `inner` arguments, a function object also a `function`.
    """

    source: tuple[Symbol, ...]
    parts: tuple[Part, ...]
    plain: bool = True
    function: str = ""
    inner: "tuple[Argument, ...]" = ()

    @property
    def inserted(self) -> tuple[Inserted, ...]:
        return tuple(symbol for symbol in self.source if isinstance(symbol, Inserted))


@dataclass(frozen=True, slots=True)
class ParsedCommand:
    name: str
    arguments: tuple[Argument, ...]

    @property
    def inserted(self) -> tuple[Inserted, ...]:
        return tuple(value for argument in self.arguments for value in argument.inserted)


def parse(pieces: Sequence[Piece]) -> list[ParsedCommand]:
    """The commands in a text; raises CommandRefused with the position if rTorrent would reject it."""
    symbols: list[Symbol] = []
    for piece in pieces:
        symbols.extend([piece] if isinstance(piece, Inserted) else piece.encode("utf-8", "surrogateescape"))
    return _Parser(symbols).commands()


class _Parser:
    def __init__(self, symbols: list[Symbol]) -> None:
        self.symbols = symbols
        self.at = 0

    def commands(self) -> list[ParsedCommand]:
        found: list[ParsedCommand] = []
        while True:
            self._skip(_SPACE + _SEPARATOR)
            if self._peek() is None:
                return found
            found.append(self._command())

    def _command(self) -> ParsedCommand:
        name = self._name()
        self._skip(_BLANK)
        self._expect(b"=", f"an equals sign is missing after {name}")
        arguments = [self._argument(_COMMAND_END, 0)]
        while self._skip(_BLANK) == ord(","):
            self.at += 1
            arguments.append(self._argument(_COMMAND_END, 0))
        if self._peek() is not None:
            self._expect(_SEPARATOR, f"an argument of {name} ended; put double quotes around one with spaces")
        return ParsedCommand(name, tuple(arguments))

    def _name(self) -> str:
        if self._peek() == ord("#"):
            raise self._refused("rTorrent does not support comments in load commands")
        begin = self.at
        while (symbol := self._peek()) is not None and not isinstance(symbol, Inserted) and symbol in _NAME:
            self.at += 1
        if isinstance(symbol, Inserted):
            raise self._refused("the name of a command cannot be an inserted value")
        name = _written(self.symbols[begin : self.at]).decode("ascii")
        if not name[:1].isalpha() or len(name) > _NAME_MAX:
            raise self._refused("the name of a command is expected here")
        return name

    def _argument(self, end: bytes, depth: int) -> Argument:
        self._skip(_BLANK)
        begin, first = self.at, self._peek()
        if depth > _DEPTH_MAX:
            raise self._refused("lists are nested too deeply")
        if first == ord("{"):
            self.at += 1
            return self._compound(begin, self._elements(_LIST_END, ord("}"), depth))
        if first == ord("("):
            return self._function(begin, depth)
        parts = self._quoted() if first == ord('"') else self._unquoted(end)
        return Argument(tuple(self.symbols[begin : self.at]), parts)

    def _function(self, begin: int, depth: int) -> Argument:
        while self._peek() == ord("("):
            self.at += 1
        parentheses = self.at - begin
        if parentheses > 3:
            raise self._refused("a function object can start with at most three parentheses")
        name = self._quoted() if self._peek() == ord('"') else self._unquoted(_FUNCTION_END)
        function = "".join(part.decode("utf-8", "replace").strip() for part in name if isinstance(part, bytes))
        inner: list[Argument] = []
        if self._skip(_BLANK) == ord(","):
            self.at += 1
            inner = self._elements(_FUNCTION_END, ord(")"), depth)
            self.at -= 1
        for _ in range(parentheses):
            self._expect(b")", "the parentheses of a function object do not match")
        return self._compound(begin, inner, function)

    def _elements(self, end: bytes, closing: int, depth: int) -> list[Argument]:
        """The elements of a list; consumes its closing symbol."""
        found = [self._argument(end, depth + 1)]
        while self._skip(_BLANK) == ord(","):
            self.at += 1
            found.append(self._argument(end, depth + 1))
        self._expect(bytes([closing]), f"a {chr(closing)} is missing")
        return found

    def _compound(self, begin: int, inner: list[Argument], function: str = "") -> Argument:
        return Argument(tuple(self.symbols[begin : self.at]), (), False, function, tuple(inner))

    def _quoted(self) -> tuple[Part, ...]:
        self.at += 1
        parts = self._string(lambda symbol: symbol == ord('"'))
        self._expect(b'"', "a closing double quote is missing")
        return parts

    def _unquoted(self, end: bytes) -> tuple[Part, ...]:
        return self._string(lambda symbol: symbol in end)

    def _string(self, ends: Callable[[int], bool]) -> tuple[Part, ...]:
        parts: list[Part] = []
        while (symbol := self._peek()) is not None and (isinstance(symbol, Inserted) or not ends(symbol)):
            self.at += 1
            if symbol == ord("\\"):
                symbol = self._peek()
                if symbol is None or isinstance(symbol, Inserted):
                    raise self._refused("a character is missing after a backslash; it cannot be an inserted value")
                self.at += 1
            if isinstance(symbol, Inserted):
                parts.append(symbol)
            elif parts and isinstance(last := parts[-1], bytes):
                parts[-1] = last + bytes([symbol])
            else:
                parts.append(bytes([symbol]))
        return tuple(parts)

    def _peek(self) -> Symbol | None:
        return self.symbols[self.at] if self.at < len(self.symbols) else None

    def _skip(self, blanks: bytes) -> Symbol | None:
        """Skip `blanks`; returns the symbol after them."""
        while (symbol := self._peek()) is not None and not isinstance(symbol, Inserted) and symbol in blanks:
            self.at += 1
        return symbol

    def _expect(self, wanted: bytes, otherwise: str) -> None:
        symbol = self._peek()
        if symbol is None or isinstance(symbol, Inserted) or symbol not in wanted:
            raise self._refused(otherwise)
        self.at += 1

    def _refused(self, reason: str) -> CommandRefused:
        near = "".join(map(_shown, self.symbols[max(0, self.at - 30) : self.at]))
        return CommandRefused(f"{reason} (after `{near}`)" if near else f"{reason} (at the beginning)")


def _written(symbols: Sequence[Symbol]) -> bytes:
    return bytes(symbol for symbol in symbols if not isinstance(symbol, Inserted))


def _shown(symbol: Symbol) -> str:
    return "{{…}}" if isinstance(symbol, Inserted) else printable(bytes([symbol]))
