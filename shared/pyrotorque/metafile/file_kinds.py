"""Recognizes files that are no metafiles, so that a rejection says what they really are."""

import re
from typing import Final

from pyrotorque.text import printable

_SHOWN: Final = 200
_BOM: Final = b"\xef\xbb\xbf"

# The beginning of a file, and what it is.
_MAGIC: Final = (
    (b"\x1f\x8b", "a gzip archive: it was saved without being decompressed"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd: it was saved without being decompressed"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"BZh", "a bzip2 archive"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x7fELF", "a program"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
)
_TITLE: Final = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_LOGIN: Final = re.compile(rb"type=[\"']?password|log ?in|sign ?in", re.IGNORECASE)
_FAILURE: Final = re.compile(rb"14:failure reason([1-9][0-9]{0,4}):")


def kind_of_file(data: bytes) -> str:
    """What `data`, which is not a bencoded dictionary, is; empty if it is not known."""
    for begin, kind in _MAGIC:
        if data.startswith(begin):
            return kind
    text = data.removeprefix(_BOM).lstrip()
    begin = text[:512].lower()
    if not data.strip(b"\0"):
        return "nothing but zero bytes: its writer reserved the space and never wrote the content"
    if begin.startswith(b"magnet:"):
        return "a magnet link: give the file a name that ends in .magnet"
    if begin.startswith((b"http://", b"https://", b"ftp://")):
        return f"the address {_line(text)}: download the file at this address"
    if begin.startswith(b"[internetshortcut]"):
        return f"a Windows shortcut to {_shortcut(text)}: download the file at this address"
    if begin.startswith((b"<?xml", b"<nzb", b"<rss", b"<!doctype nzb")):
        return "an NZB file, which is for Usenet" if b"<nzb" in text[:4096].lower() else "an XML document"
    if begin.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) or b"<html" in begin:
        return _web_page(text)
    if begin.startswith((b"{", b"[")):
        return f"JSON: {_line(text)}"
    if data.startswith(_BOM + b"d"):
        return "a metafile behind a byte order mark: an editor changed it"
    return f"text: {_line(text)}" if text and _is_text(text[:512]) else ""


def failure_reason(data: bytes) -> str:
    """The error that a tracker sent in place of a metafile; empty if `data` is none."""
    found = _FAILURE.search(data, 0, 4096)
    return printable(data[found.end() : found.end() + min(int(found[1]), _SHOWN)]) if found else ""


def _web_page(text: bytes) -> str:
    title = _TITLE.search(text[:65536])
    named = f" ({printable(title[1].strip()[:_SHOWN])})" if title else ""
    login = ", probably a login page: the download needs a session" if _LOGIN.search(text[:65536]) else ""
    return f"an HTML page{named}{login}"


def _shortcut(text: bytes) -> str:
    found = re.search(rb"^\s*URL\s*=\s*(\S+)", text, re.IGNORECASE | re.MULTILINE)
    return printable(found[1][:_SHOWN]) if found else "an unknown address"


def _line(text: bytes) -> str:
    return printable(text.splitlines()[0][:_SHOWN])


def _is_text(sample: bytes) -> bool:
    return all(32 <= byte < 127 or byte in b"\t\n\r\f" for byte in sample)
