"""What a source may hold, and the one line that every other one gets."""

import gzip
import io
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_core.adapters.documents import MAX_NESTING, read_documents
from durable_core.errors import SourceError

Write = Callable[[bytes], str]


def pack(data: bytes) -> bytes:
    """Return gzip data that doesn't depend on the time."""
    return gzip.compress(data, mtime=0)


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    path = tmp_path_factory.mktemp("documents") / "source"

    def write(data: bytes) -> str:
        path.write_bytes(data)
        return str(path)

    return write


def problem_of(source: str, **options: int) -> str:
    """Return the error without the name of the file."""
    with pytest.raises(SourceError) as caught:
        read_documents(source, **options)
    line = str(caught.value)
    assert line.isprintable()
    assert line.startswith(f"{caught.value.source}: ")
    return line.removeprefix(f"{caught.value.source}: ")


# -- what is read --------------------------------------------------------------------------------

PAGE = {"Events": [{"Name": "Grüße 😀", "Payload": '{"a": "\\u00e9"}'}]}
TEXT = json.dumps(PAGE, ensure_ascii=False, indent=1)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(TEXT.encode(), id="utf-8"),
        pytest.param(TEXT.encode("utf-8-sig"), id="utf-8 with a byte order mark"),
        pytest.param(b"\xff\xfe" + TEXT.encode("utf-16-le"), id="utf-16 as PowerShell writes it"),
        pytest.param(b"\xfe\xff" + TEXT.encode("utf-16-be"), id="utf-16, big-endian"),
        pytest.param(TEXT.encode("utf-16-le"), id="utf-16 without a byte order mark"),
        pytest.param(TEXT.encode("utf-32"), id="utf-32"),
        pytest.param(json.dumps(PAGE).encode(), id="ascii"),
        pytest.param(f" \r\n\t{TEXT}\r\n".encode(), id="white space around it"),
        pytest.param(pack(TEXT.encode()), id="gzip"),
        pytest.param(pack(TEXT.encode("utf-16")), id="gzip of utf-16"),
        pytest.param(pack(TEXT.encode()) + bytes(512), id="gzip padded with zeros"),
        pytest.param(
            pack(TEXT.encode()[:50]) + pack(TEXT.encode()[50:]),
            id="gzip in two members, cut anywhere",
        ),
    ],
)
def test_a_document_is_read_in_every_encoding(write: Write, data: bytes) -> None:
    assert read_documents(write(data)) == [PAGE]


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": 1}{"b": 2}',
        b'{"a": 1}\n{"b": 2}\n',
        b'{\n "a": 1\n}\n{\n "b": 2\n}',
        b'\xef\xbb\xbf{"a": 1}\r\n\xef\xbb\xbf{"b": 2}',
        pack(b'{"a": 1}') + pack(b'{"b": 2}'),
    ],
    ids=["side by side", "json lines", "indented", "each with a byte order mark", "gzip members"],
)
def test_several_documents_are_read_one_after_another(write: Write, data: bytes) -> None:
    assert read_documents(write(data)) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (rb'"\ud83d"', "\ud83d"),
        (b'"\xed\xa0\xbd"', "\ud83d"),
        (b"1" + b"0" * 400, 10**400),
        (b"1e400", float("inf")),
        (b"-Infinity", float("-inf")),
    ],
    ids=["escaped lone surrogate", "lone surrogate", "big integer", "big float", "infinity"],
)
def test_what_only_orjson_refuses_is_read(write: Write, data: bytes, value: object) -> None:
    assert read_documents(write(data)) == [value]


@given(
    documents=st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        ).map(lambda value: [value]),
        min_size=1,
        max_size=4,
    ),
    separator=st.sampled_from(["", "\n", "\r\n", " \t "]),
    ascii_only=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    packing=st.sampled_from([bytes, pack]),
)
def test_documents_come_back_from_any_layout(
    write: Write,
    documents: list[Any],
    separator: str,
    ascii_only: bool,
    encoding: str,
    packing: Callable[[bytes], bytes],
) -> None:
    text = separator.join(json.dumps(each, ensure_ascii=ascii_only) for each in documents)
    assert read_documents(write(packing(text.encode(encoding, "surrogatepass")))) == documents


@given(data=st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"\x1f\x8b" + tail))
def test_any_bytes_are_documents_or_one_line(write: Write, data: bytes) -> None:
    source = write(data)
    try:
        documents = read_documents(source)
    except SourceError:
        problem_of(source)
    else:
        assert documents


@given(cut=st.integers(1, len(TEXT.encode()) - 1))
def test_a_document_cut_anywhere_is_said_to_end_early(write: Write, cut: int) -> None:
    assert "ends early" in problem_of(write(TEXT.encode()[:cut]))


@given(cut=st.integers(2, len(pack(TEXT.encode())) - 1))
def test_gzip_cut_anywhere_is_said_to_end_early(write: Write, cut: int) -> None:
    assert "ends early" in problem_of(write(pack(TEXT.encode())[:cut]))


# -- where it comes from -------------------------------------------------------------------------


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"[1][2]")))
    assert read_documents("-") == [[1], [2]]


def test_errors_call_it_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(SourceError, match=r"^standard input: empty: "):
        read_documents("-")


@pytest.mark.parametrize("closed", [None, io.TextIOWrapper(io.BytesIO())])
def test_a_missing_standard_input_is_one_line(
    monkeypatch: pytest.MonkeyPatch, closed: io.TextIOWrapper | None
) -> None:
    if closed:
        closed.close()
    monkeypatch.setattr(sys, "stdin", closed)
    assert problem_of("-").startswith("can't be read: ")


def test_a_pipe_that_delivers_byte_by_byte_is_still_told_to_be_gzip() -> None:
    program = (
        "import sys; from durable_core.adapters.documents import read_documents;"
        "print(read_documents('-'))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdin
        for byte in pack(b"[1]"):
            process.stdin.write(bytes([byte]))
            process.stdin.flush()
        output, _ = process.communicate()
    assert output.strip() == b"[[1]]"


def test_the_name_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "history.json.gz"
    path.write_bytes(b"{}")
    assert read_documents(str(path)) == [{}]


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    assert problem_of(str(tmp_path / "nothing")) == (
        "not found: expected a file, or - for standard input"
    )


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    assert problem_of(str(tmp_path)) == "is a directory: expected a file"


def test_a_file_that_may_not_be_read_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert problem_of(str(tmp_path / "x")) == (
        "permission denied: expected a file that can be read"
    )


def test_any_other_refusal_of_the_system_is_passed_on(tmp_path: Path) -> None:
    assert problem_of(str(tmp_path / ("x" * 5000))) == "can't be read: File name too long"


def test_a_name_with_control_characters_is_escaped(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        read_documents(str(tmp_path / "a\x1b[31m\nb"))
    assert r"a\x1b[31m\nb: not found" in str(caught.value)


def test_a_name_with_a_nul_is_one_line() -> None:
    with pytest.raises(SourceError, match=r"^a\\x00b: can't be read: embedded null byte$"):
        read_documents("a\0b")


# -- what isn't read -----------------------------------------------------------------------------

EXPECTED = "expected JSON text, plain or gzip"
REST = "expected the rest of the JSON text"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", f"empty: {EXPECTED}"),
        (b" \r\n", f"empty: {EXPECTED}"),
        (b"\xef\xbb\xbf", f"empty: {EXPECTED}"),
        (pack(b""), f"empty: {EXPECTED}"),
        (b"hello", "line 1 column 1: not JSON: expecting value, found 'h'"),
        (b"[1,\n 2,\n x]", "line 3 column 2: not JSON: expecting value, found 'x'"),
        (b'{"a" 1}', "line 1 column 6: not JSON: expecting ':' delimiter, found '1'"),
        (b"[1 2]", "line 1 column 4: not JSON: expecting ',' delimiter, found '2'"),
        (b"[1]rest", "line 1 column 4: not JSON: expecting value, found 'r'"),
        (b'["\x07"]', r"line 1 column 3: not JSON: invalid control character, found '\x07'"),
        (b"\x1b[1m{}", r"line 1 column 1: not JSON: expecting value, found '\x1b'"),
        (b"9" * 5_000, "not JSON: a number of thousands of digits"),
        (b'{"a": [1, 2', f"line 1 column 12: ends early: {REST}"),
        (b'[\n "abc', f"line 2 column 6: ends early: {REST}"),
        (b'{"a":', f"line 1 column 6: ends early: {REST}"),
        (b'{"a": tru', f"line 1 column 10: ends early: {REST}"),
        (b"[-", f"line 1 column 3: ends early: {REST}"),
        (b"[1.", f"line 1 column 4: ends early: {REST}"),
        (b"[1e+", f"line 1 column 5: ends early: {REST}"),
        (b'["\\', f"line 1 column 4: ends early: {REST}"),
        (b'["\\u12', f"line 1 column 7: ends early: {REST}"),
        (b'{"a": 1}\n{"b"', f"line 2 column 5: ends early: {REST}"),
        (b'["caf\xc3', f"byte 6: ends early, in the middle of a character: {EXPECTED}"),
        (b"\xff\xfe[\x00]", f"byte 5: ends early, in the middle of a character: {EXPECTED}"),
        (b'["caf\xe9"]', f"byte 6: not UTF-8 text: {EXPECTED}"),
        (bytes(range(256)), f"binary data: {EXPECTED}"),
        (b"\x7fELF\x02\x01\x01\x00", f"binary data: {EXPECTED}"),
        (b"\x00\x01\x02\x03", f"binary data: {EXPECTED}"),
        (bytes(64), f"binary data: {EXPECTED}"),
        (b"PK\x03\x04\x14\x00", f"a zip archive: {EXPECTED}"),
        (b"\x28\xb5\x2f\xfd\x04\x00", f"zstd data: {EXPECTED}"),
        (b"BZh91AY&SY\xff", f"bzip2 data: {EXPECTED}"),
        (b"\xfd7zXZ\x00\x00\xff", f"xz data: {EXPECTED}"),
        (b"\x1f\x8b", "byte 2: the gzip data ends early: expected a complete file"),
        (pack(b"[1]")[:-3], "byte 20: the gzip data ends early: expected a complete file"),
        (b"\x1f\x8b\x07" + bytes(20), "damaged gzip data: Unknown compression method"),
        (
            pack(b"[1]")[:10] + b"\xff" * 20,
            "damaged gzip data: invalid block type",
        ),
        (
            pack(b"[1]") + b"[2]",
            "damaged gzip data: something else than gzip follows it",
        ),
        (pack(pack(b"[1]")), f"gzip data inside gzip data: {EXPECTED}"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_bad_input_is_one_line_with_its_place(write: Write, data: bytes, problem: str) -> None:
    assert problem_of(write(data)) == problem


def test_a_wrong_checksum_is_damage(write: Write) -> None:
    packed = bytearray(pack(b"[1]"))
    packed[-8] ^= 1
    assert problem_of(write(bytes(packed))).startswith("damaged gzip data: CRC check failed")


# -- bounds --------------------------------------------------------------------------------------

TOO_DEEP = f"nested deeper than {MAX_NESTING:,} levels: expected a history or updates"


@pytest.mark.parametrize("depth", [MAX_NESTING + 1, 5_000, 200_000])
@pytest.mark.parametrize(("start", "end"), [("[", "]"), ('{"a":', "}")])
def test_absurd_nesting_is_one_line(write: Write, depth: int, start: str, end: str) -> None:
    closed = start * depth + ("1" if start != "[" else "") + end * depth
    assert problem_of(write(closed.encode())) == TOO_DEEP


def test_absurd_nesting_is_found_before_the_cut(write: Write) -> None:
    assert problem_of(write(b"[" * 1_000_000)) == TOO_DEEP


@pytest.mark.parametrize("depth", [100, 500])
def test_deep_nesting_is_read(write: Write, depth: int) -> None:
    documents = read_documents(write(b"[" * depth + b"]" * depth + b"[]"))
    assert len(documents) == 2


def bomb(megabytes: int) -> bytes:
    """Return gzip data of so many MB of spaces, without ever packing as many."""
    return pack(b" " * 1_000_000) * megabytes


@pytest.mark.parametrize(
    "data",
    [b" " * 2_000_000, bomb(2), bomb(3_000)],
    ids=["plain", "2 MB in gzip", "3 GB in gzip"],
)
def test_a_larger_text_is_refused_however_it_is_packed(write: Write, data: bytes) -> None:
    assert problem_of(write(data), max_text_bytes=2**20) == (
        "larger than 1 MiB of text: expected one execution's history or less"
    )


def test_a_larger_standard_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b" " * 3_000_000)))
    assert problem_of("-", max_text_bytes=2**21) == (
        "larger than 2 MiB of text: expected one execution's history or less"
    )


def test_a_bomb_takes_no_more_memory_than_the_limit(write: Write) -> None:
    source = write(bomb(3_000))
    tracemalloc.start()
    try:
        problem_of(source, max_text_bytes=8 * 2**20)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 16 * 2**20


def test_a_text_of_exactly_the_limit_is_read(write: Write) -> None:
    data = b"[1]".ljust(4096)
    assert read_documents(write(data), max_text_bytes=4096) == [[1]]
    assert read_documents(write(pack(data)), max_text_bytes=4096) == [[1]]
