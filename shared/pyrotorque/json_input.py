"""Decodes JSON that others may have written or damaged: messages, files and rows; all that is wrong is one error.

msgspec raises UnicodeDecodeError for texts that are not UTF-8, and RecursionError for values that are nested too
deeply.
Only this module calls its decoders.
"""

from typing import Any, Final, Generic, TypeVar, overload

import msgspec

T = TypeVar("T")

_OTHERS: Final = (UnicodeDecodeError, RecursionError)


class JsonDecoder(Generic[T]):
    """Decodes values of one type; `decode` raises msgspec.DecodeError and nothing else."""

    @overload
    def __init__(self, type: type[T]) -> None: ...
    @overload
    def __init__(self: "JsonDecoder[Any]", type: Any) -> None: ...
    def __init__(self, type: Any) -> None:
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(type)

    def decode(self, data: bytes | str) -> T:
        """The value. Raises msgspec.DecodeError, or its ValidationError, on anything else."""
        try:
            return self._decoder.decode(data)
        except _OTHERS as error:
            raise _one_error(error) from error


@overload
def decode_json(data: bytes | str | msgspec.Raw, *, type: type[T]) -> T: ...
@overload
def decode_json(data: bytes | str | msgspec.Raw, *, type: Any = Any) -> Any: ...
def decode_json(data: bytes | str | msgspec.Raw, *, type: Any = Any) -> Any:
    """One value of this type. Raises msgspec.DecodeError, or its ValidationError, on anything else."""
    try:
        return msgspec.json.decode(data, type=type)
    except _OTHERS as error:
        raise _one_error(error) from error


def _one_error(error: UnicodeDecodeError | RecursionError) -> msgspec.DecodeError:
    if isinstance(error, UnicodeDecodeError):
        return msgspec.DecodeError("it is not UTF-8")
    return msgspec.DecodeError("it is nested too deeply")
