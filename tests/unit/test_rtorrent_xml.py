"""XML-RPC as rTorrent writes and reads it, with the texts that break other parsers."""

import time
import xmlrpc.client
from collections.abc import Callable, Sequence
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent.xml import (
    Param,
    Unreadable,
    Value,
    as_fault,
    decode_answer,
    decode_packed,
    encode_call,
    scan_packed,
)
from tests.waiting import bound

HOSTILE = ["\x01", "\x1b[2J", "a\rb", "\ufffe", "]]>", "&lt;", "<b>", "&amp;lt;", "😀", "\udcff", "ü", "\t\n", ""]


def answer_0_9_8(*values: str) -> bytes:
    """An answer as xmlrpc-c writes it: CRLF after each element."""
    body = "\r\n".join(values)
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\r\n<methodResponse>\r\n<params>\r\n'
        f"<param>{body}</param>\r\n</params>\r\n</methodResponse>\r\n"
    )
    return text.encode("utf-8", "surrogateescape")


def answer_0_16(value: str) -> bytes:
    """An answer as tinyxml2 writes it: no white space."""
    inner = f"<params><param>{value}</param></params>"
    text = f'<?xml version="1.0" encoding="UTF-8"?><methodResponse>{inner}</methodResponse>'
    return text.encode("utf-8", "surrogateescape")


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def packed_0_9_8(rows: Sequence[str]) -> bytes:
    inner = "".join(
        f"<value><array><data>\r\n<value><string>{escaped(row)}</string></value>\r\n</data></array></value>\r\n"
        for row in rows
    )
    return answer_0_9_8(f"<value><array><data>\r\n{inner}</data></array></value>")


def packed_0_16(rows: Sequence[str]) -> bytes:
    inner = "".join(
        f"<value><array><data><value><string>{escaped(row)}</string></value></data></array></value>" for row in rows
    )
    return answer_0_16(f"<value><array><data>{inner}</data></array></value>")


@pytest.mark.parametrize(
    ("xml", "value"),
    [
        ("<value><string>plain</string></value>", "plain"),
        ("<value>plain</value>", "plain"),
        ("<value></value>", ""),
        ("<value/>", ""),
        ("<value><string/></value>", ""),
        ("<value><string> blanks stay </string></value>", " blanks stay "),
        ("<value><string>&#65;&#x42;&quot;&apos;&gt;</string></value>", "AB\"'>"),
        ("<value><string>&unknown; &#x110000; & alone</string></value>", "&unknown; \ufffd & alone"),
        ("<value><i8>-5</i8></value>", -5),
        ("<value><i8>9223372036854775807</i8></value>", 2**63 - 1),
        ("<value><i4>5</i4></value>", 5),
        ("<value><int>5</int></value>", 5),
        ("<value><boolean>1</boolean></value>", True),
        ("<value><double>1.5</double></value>", 1.5),
        ("<value><base64>AAH/</base64></value>", b"\x00\x01\xff"),
        ("<value><base64>AAH/\r\n</base64></value>", b"\x00\x01\xff"),
        ("<value><base64/></value>", b""),
        ("<value><nil/></value>", ""),
        ("<value><ex:nil/></value>", ""),
        ("<value><dateTime.iso8601>20261123T22:43:45</dateTime.iso8601></value>", "20261123T22:43:45"),
        ("<value><array><data></data></array></value>", []),
        ("<value><array><data/></array></value>", []),
        ("<value><array/></value>", []),
        ("<value><array><data><value>a</value>\r\n<value><i4>1</i4></value></data></array></value>", ["a", 1]),
        ("<value><struct></struct></value>", {}),
        ("<value><struct/></value>", {}),
        (
            "<value><struct>\r\n<member><name>a</name>\r\n<value><i4>1</i4></value></member>\r\n</struct></value>",
            {"a": 1},
        ),
    ],
)
def test_each_form_of_a_value_is_read(xml: str, value: Value) -> None:
    assert decode_answer(answer_0_9_8(xml)) == value
    assert decode_answer(answer_0_16(xml)) == value


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_can_break_an_answer(text: str) -> None:
    values = f"<value><string>{escaped(text)}</string></value><value><i8>1</i8></value>"
    xml = f"<value><array><data>{values}</data></array></value>"
    assert decode_answer(answer_0_9_8(xml)) == [text, 1]


def test_bytes_that_are_not_utf_8_come_as_surrogates() -> None:
    body = answer_0_16("<value><string>a?b</string></value>").replace(b"?b", b"\xff\xfeb")
    assert decode_answer(body) == "a\udcff\udcfeb"


def test_a_fault_is_raised_with_its_code() -> None:
    body = (
        b'<?xml version="1.0"?>\r\n<methodResponse>\r\n<fault>\r\n<value><struct>\r\n'
        b"<member><name>faultCode</name>\r\n<value><i4>-506</i4></value></member>\r\n"
        b"<member><name>faultString</name>\r\n<value><string>Method 'x\n' not defined</string></value></member>\r\n"
        b"</struct></value>\r\n</fault>\r\n</methodResponse>\r\n"
    )
    with pytest.raises(RTorrentFault, match=r"Method 'x\\n' not defined") as caught:
        decode_answer(body)
    assert caught.value.code == -506


def test_a_struct_is_a_fault_only_with_code_and_text() -> None:
    assert as_fault({"faultCode": 1}) is None
    assert as_fault(["faultCode", "faultString"]) is None
    fault = as_fault({"faultCode": "odd", "faultString": "text"})
    assert fault is not None
    assert (str(fault), fault.code) == ("text", 0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"\x1f\x8b\x08gzip",
        b"<html><body>502 Bad Gateway</body></html>",
        answer_0_16("<value><string>cut"),
        answer_0_16("<value><string>a</string></value>")[:-5],
        answer_0_16("<value><string>a</string></value>") + b"more",
        answer_0_16("<value><i4>five</i4></value>"),
        answer_0_16("<value><base64>YQ=</base64></value>"),
        answer_0_16("<value><double>x</double></value>"),
        answer_0_16("<value><array><data><value>a</value></array></value>"),
        answer_0_16("<value><struct><member><value>a</value></member></struct></value>"),
        answer_0_16("<value><struct><member><name>a</name><value>a</value></struct></value>"),
        answer_0_16("<value><array><data>" * 100),
        answer_0_16(""),
        b"<methodResponse><fault><value><string>no struct</string></value></fault></methodResponse>",
    ],
)
def test_what_is_no_answer_is_called_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        decode_answer(body)


def test_a_megabyte_of_blanks_is_refused_at_once() -> None:
    began = time.monotonic()
    for body in (
        b" " * 1_000_000,
        answer_0_16("<value>" + " " * 1_000_000 + "<"),
        b"<methodResponse>" + b"\n" * 1_000_000,
    ):
        with pytest.raises(Unreadable):
            decode_answer(body)
    assert time.monotonic() - began < bound(2.0)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise_anything_else(body: bytes) -> None:
    with pytest.raises((Unreadable, RTorrentFault)):
        decode_answer(body)


Reader: TypeAlias = Callable[[bytes], list[str]]


def scanned(body: bytes) -> list[str]:
    """What `scan_packed` reads, the same at each iteration."""
    strings = scan_packed(body)
    assert list(strings) == list(strings)
    return list(strings)


READERS: tuple[Reader, ...] = (decode_packed, scanned)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("wire", [packed_0_9_8, packed_0_16])
def test_packed_rows_are_read_with_every_hostile_text(wire: Callable[[Sequence[str]], bytes], read: Reader) -> None:
    assert read(wire(HOSTILE)) == HOSTILE
    assert read(wire([])) == []


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20), max_size=5))
def test_packed_rows_are_the_texts_that_were_sent(rows: list[str]) -> None:
    for read in READERS:
        assert read(packed_0_9_8(rows)) == rows
        assert read(packed_0_16(rows)) == rows


@pytest.mark.parametrize("read", READERS)
def test_packed_rows_in_another_spelling_are_read_by_the_general_parser(read: Reader) -> None:
    row = "<value><array><data><value><string/></value></data></array></value>"
    assert read(answer_0_16(f"<value><array><data>{row}{row}</data></array></value>")) == ["", ""]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "inner",
    [
        "<value><array><data><value><i8>1</i8></value></data></array></value>",
        "<value><array><data><value>a</value><value>b</value></data></array></value>",
        "<value><array><data></data></array></value>",
        "<value><string>a</string></value>",
    ],
)
def test_rows_of_another_shape_are_refused_not_shifted(inner: str, read: Reader) -> None:
    good = "<value><array><data><value><string>a</string></value></data></array></value>"
    with pytest.raises(Unreadable):
        read(answer_0_16(f"<value><array><data>{good}{inner}{good}</data></array></value>"))


@pytest.mark.parametrize("read", READERS)
def test_a_fault_instead_of_packed_rows_is_raised(read: Reader) -> None:
    fault = xmlrpc.client.dumps(xmlrpc.client.Fault(-503, "Could not find view."))
    with pytest.raises(RTorrentFault, match="Could not find view"):
        read(fault.encode())


@pytest.mark.parametrize("read", READERS)
def test_rows_that_are_no_list_are_refused(read: Reader) -> None:
    with pytest.raises(Unreadable):
        read(answer_0_16("<value><string>a</string></value>"))


@pytest.mark.parametrize(
    ("param", "xml"),
    [
        ("a<b>&c", "<value><string>a&lt;b&gt;&amp;c</string></value>"),
        ("ü\t\n", "<value><string>ü\t\n</string></value>"),
        (b"a", "<value><base64>YQ==</base64></value>"),
        ("a\r", "<value><base64>YQ0=</base64></value>"),
        ("\x01", "<value><base64>AQ==</base64></value>"),
        ("\udcff", "<value><base64>/w==</base64></value>"),
        ("😀", "<value><base64>8J+YgA==</base64></value>"),
        (5, "<value><i4>5</i4></value>"),
        (-(2**31), "<value><i4>-2147483648</i4></value>"),
        (2**31, "<value><i8>2147483648</i8></value>"),
        (True, "<value><i4>1</i4></value>"),
        (
            ["a", 1],
            "<value><array><data><value><string>a</string></value><value><i4>1</i4></value></data></array></value>",
        ),
        (("a",), "<value><array><data><value><string>a</string></value></data></array></value>"),
        ({"a": 1}, "<value><struct><member><name>a</name><value><i4>1</i4></value></member></struct></value>"),
    ],
)
def test_each_kind_of_parameter_is_written_as_0_9_8_takes_it(param: Param, xml: str) -> None:
    assert f"<param>{xml}</param>".encode() in encode_call("cat", [param])


def test_parameters_without_end_are_refused() -> None:
    endless: list[Param] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="nested too deep"):
        encode_call("cat", [endless])


@given(st.lists(st.text() | st.binary() | st.integers(-(2**63), 2**63 - 1), max_size=4))
def test_calls_are_xml_rpc_to_others_too(params: list[Param]) -> None:
    read, method = xmlrpc.client.loads(encode_call("a.b", params), use_builtin_types=True)
    assert method == "a.b"
    assert [_raw(param) for param in read] == [_raw(param) for param in params]


def _raw(param: object) -> object:
    return param.encode("utf-8", "surrogateescape") if isinstance(param, str) else param
