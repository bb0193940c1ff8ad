"""From the bytes of a file to its text: byte order marks, compression, and names of encodings that are not UTF-8.

UTF-8, UTF-16 and UTF-32 are read without a word. Other bytes are never guessed at: code pages of one family read each
other's files without an error and give other letters, so the user names the encoding and is shown how each likely one
reads. What is likely is judged by charset-normalizer.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whichway.errors import DataError, OptionError

COMPRESSED: Mapping[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
MAX_BYTES = 4 << 30
LIKELY = (
    "gb18030", "cp932", "euc_jp", "cp949", "big5", "cp1252", "cp1251", "cp1250", "cp1253", "cp1254", "cp1255", "cp1256",
    "cp1257", "iso8859_2", "iso8859_15", "koi8_r", "mac_roman", "cp437", "cp850",
)  # fmt: skip
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_DISGUISED = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook. Unpack it, or save it as CSV (UTF-8)"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls). Save it as CSV (UTF-8)"),
    (b"PAR1", "a Parquet file. Name it .parquet"),
    (b"ARROW1", "an Arrow file. Name it .arrow"),
    (b"%PDF", "a PDF"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself. Fetch it: git lfs pull"),
    (b"SQLite format 3", "a SQLite database. Export the table as CSV"),
    (b"\x1f\x8b", "a gzip archive. Add .gz to its name"),
    (b"BZh", "a bzip2 archive. Add .bz2 to its name"),
    (b"\xfd7zXZ", "an xz archive. Add .xz to its name"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive. Unpack it"),
    (b"\x80\x04\x95", "a pickle, which can run code when it is opened. Save it as CSV or Parquet"),
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """The text of a file without byte order mark, and how it was read."""

    text: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


_SAMPLE = 40_000  # bytes that the judgement of an encoding is made on
_PLAUSIBLE = 0.25  # share of odd sequences, by charset-normalizer, above which a reading is garbage


def decode(path: Path, encoding: str | None = None) -> str:
    """The text of a file, without byte order mark.

    Raises:
        DataError: it cannot be read, or not in this encoding; names line and byte.
        OptionError: there is no such encoding.
    """
    return text_of(path, encoding).text


def text_of(path: Path, encoding: str | None = None) -> Decoded:
    """The text of a file, and how it was read. Raises as `decode` does."""
    data = _bytes(path)
    head = data[:64].removeprefix(codecs.BOM_UTF8).lstrip()
    for mark, what in _DISGUISED:
        if data.startswith(mark):
            raise DataError(f"{path}: this is {what}.")
    if head.startswith(b"<?xml"):
        raise DataError(f"{path}: this is XML, whatever its name. Save the table as CSV (UTF-8).")
    if head[:6].lower() in (b"<html>", b"<html ", b"<!doct", b"<table"):
        raise DataError(f"{path}: this is a web page (HTML), whatever its name. Save the table as CSV (UTF-8).")
    if encoding is not None:
        return _as_named(path, data, encoding)
    for mark, name in _MARKS:
        if data.startswith(mark):
            notes = () if name == "utf-8-sig" else (f"encoding: {name}.",)
            return Decoded(_checked(_strict(path, data, name), path), notes)
    wide = _wide(data)
    if wide:
        note = f"encoding: {wide} (found; there is no byte order mark)."
        return Decoded(_checked(_strict(path, data, wide), path), (note,))
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{data[error.start]:02x} at position {error.start}"
        raise DataError(f"{path}:{line}: not UTF-8: {byte}. {_advice(data)}") from None
    if "\x1b$" in text or "\x1b(" in text:
        line = text.count("\n", 0, text.index("\x1b")) + 1
        raise DataError(
            f"{path}:{line}: it looks like ISO-2022-JP. Name it: --encoding iso2022_jp (task file: encoding)."
        )
    return Decoded(_checked(text, path))


def _bytes(path: Path) -> bytes:
    try:
        if path.suffix.lower() not in COMPRESSED:
            return path.read_bytes()
        with COMPRESSED[path.suffix.lower()](path) as stream:
            data: bytes = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path}: cannot be read: {reason}.") from None
    if len(data) > MAX_BYTES:
        raise DataError(f"{path}: more than {MAX_BYTES >> 30} GB when unpacked.")
    return data


def _strict(path: Path, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: not {encoding}: {error.reason} at byte {error.start}.") from None


def _checked(text: str, path: Path) -> str:
    """A text without zero characters and without a second byte order mark in it."""
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}:{line}: a zero byte. Is the file damaged, or in another encoding (--encoding)?")
    return text


def _wide(data: bytes) -> str | None:
    """UTF-16 without a mark: nearly every second byte is zero, always on the same side."""
    sample = data[: _SAMPLE & ~1]
    if len(sample) < 8:
        return None
    even, odd = sample[::2].count(0) / (len(sample) / 2), sample[1::2].count(0) / (len(sample) / 2)
    if odd > 0.4 and even < 0.01:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 and odd < 0.01 else None


def _as_named(path: Path, data: bytes, encoding: str) -> Decoded:
    try:
        name = codecs.lookup(encoding).name
        text = "".encode(name) and ""  # codecs like base64 are no encodings of text
    except (LookupError, TypeError, AttributeError):
        raise OptionError(
            f"--encoding {encoding}: there is no such encoding. Examples: utf-8, gb18030, cp1251, shift_jis, cp1252."
        ) from None
    mark = next((encoding_of_mark for sign, encoding_of_mark in _MARKS if data.startswith(sign)), None)
    if mark and name not in ("utf-8", "utf-8-sig", "utf-16", "utf-32") and mark.split("-")[:2] != name.split("-")[:2]:
        raise DataError(f"{path}: the byte order mark says {mark}, not {encoding}. Leave the encoding out.")
    text = _checked(_strict(path, data, "utf-8-sig" if name == "utf-8" else name), path)
    return Decoded(text, (f"encoding: {name}, as you said.",), _doubt(data, name))


def _doubt(data: bytes, name: str) -> tuple[str, ...]:
    """A warning when the text reads oddly in the encoding that was named, and another one reads well."""
    sample = _unusual(data)
    if not sample or name.startswith("utf"):
        return ()
    readings = _readings(sample)
    odd = next((m.chaos for m in readings if codecs.lookup(m.encoding).name == name), 1.0)
    if not readings or odd <= _PLAUSIBLE or readings[0].chaos > _PLAUSIBLE / 2:
        return ()
    best = readings[0].encoding
    return (f"the file reads oddly as {name}: {_shown(sample, name)}; as {best}: {_shown(sample, best)}.",)


def _unusual(data: bytes) -> bytes:
    """Lines that hold other bytes than ASCII."""
    if data.isascii():
        return b""
    lines = (line.strip() for line in data[: 1 << 22].splitlines() if not line.isascii())
    sample = b""
    for line in lines:
        sample += line[:400] + b"\n"
        if len(sample) > _SAMPLE:
            break
    return sample


def _readings(sample: bytes) -> list[Any]:
    """Encodings in which a sample makes sense, the best first."""
    from charset_normalizer import from_bytes

    matches = [m for m in from_bytes(sample, cp_isolation=list(LIKELY), threshold=0.5) if m.chaos <= 2 * _PLAUSIBLE]
    return sorted(matches, key=lambda m: (round(m.chaos, 1), -m.coherence, LIKELY.index(m.encoding)))


def _shown(sample: bytes, encoding: str) -> str:
    text = " / ".join(sample.decode(encoding, "replace").split("\n")[:2])
    return f"'{text[:40]}'"


def _advice(data: bytes) -> str:
    """How the likely encodings read, each different reading once."""
    sample = _unusual(data)
    if sample.decode("utf-8", "ignore").encode() != sample and _mixed(sample):
        return "Most of the file is UTF-8, some lines are not: several encodings in one file. Mend these lines."
    readings: dict[str, str] = {}
    for match in _readings(sample):
        if match.chaos <= _PLAUSIBLE:
            alike = [name for name in match.could_be_from_charset if name in LIKELY]  # which read it so as well
            readings.setdefault(_shown(sample, match.encoding), min([match.encoding, *alike], key=LIKELY.index))
    if not readings:
        return "Its encoding is unknown; name it: --encoding NAME (task file: encoding: NAME)."
    shown = "; ".join(f"{name} reads {text}" for text, name in list(readings.items())[:3])
    return f"Name the encoding: --encoding NAME (task file: encoding: NAME). {shown}."


def _mixed(sample: bytes) -> bool:
    """Whether most lines with other bytes than ASCII are UTF-8."""
    lines = [line for line in sample.split(b"\n") if line]
    good = 0
    for line in lines:
        try:
            line.decode()
        except UnicodeDecodeError:
            continue
        good += 1
    return good > len(lines) / 2
