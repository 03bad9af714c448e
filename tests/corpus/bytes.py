"""Encodings, packings and what is no text at all."""

import bz2
import gzip
import io
import lzma
import zipfile

import pyarrow as pa

from tests.corpus.case import HEAD, Case

ROWS = HEAD + "a,1,Köln\nb,2,façade\n"
WANTED = [("a", 1, "Köln"), ("b", 2, "façade")]


def zipped(files: dict[str, str]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return target.getvalue()


def zstd(text: str) -> bytes:
    return bytes(pa.compress(text.encode(), codec="zstd", asbytes=True))


CASES = [
    Case("utf-8", ROWS, WANTED),
    Case("utf-8 with a mark", b"\xef\xbb\xbf" + ROWS.encode(), WANTED),
    Case("utf-16, as agreed", ROWS.encode("utf-16"), WANTED, source={"encoding": "utf-16"}),
    Case("utf-16 without a mark, as agreed", ROWS.encode("utf-16-le"), WANTED, source={"encoding": "utf-16-le"}),
    Case("utf-16, unforeseen", ROWS.encode("utf-16"), refused="is written in utf-16, not in utf-8"),
    Case("latin-1, as agreed", ROWS.encode("latin-1"), WANTED, source={"encoding": "latin-1"}),
    Case("windows-1252, as agreed", (HEAD + "a,1,5 € „x“\n").encode("cp1252"), [("a", 1, "5 € „x“")],
         source={"encoding": "windows-1252"}),
    Case("latin-1, unforeseen", ROWS.encode("latin-1"), refused="line 2 holds the byte 0xf6"),
    Case("latin-1 in the header, unforeseen", "id,n,s,größe\na,1,x,2\n".encode("latin-1"), refused="line 1 holds the byte 0xf6"),
    Case("utf-8 where utf-16 was agreed", ROWS.encode(), refused="utf-16", source={"encoding": "utf-16"}),
    Case("utf-8 with a mark where latin-1 was agreed", b"\xef\xbb\xbf" + ROWS.encode(),
         refused="is written in utf-8, not in latin-1", source={"encoding": "latin-1"}),
    Case("one broken letter", HEAD.encode() + b"a,1,x\nb,2,\xff\n", refused="line 3 holds the byte 0xff"),
    Case("an encoding that nobody knows", ROWS, refused="there is no encoding 'utf-9'", source={"encoding": "utf-9"}),
    Case("emoji and combining letters", HEAD + "a,1,👩‍🚀é\n", [("a", 1, "👩‍🚀é")]),
    Case("a zero byte in a text", HEAD + "a,1,x\0y\nb,2,y\n", [("b", 2, "y")], [(2, "type")]),
    Case("zero bytes to the end, as after a crash", HEAD + "a,1,x\n" + "\0" * 100, refused="a stretch of zero bytes"),
    Case("gzip", gzip.compress(ROWS.encode()), WANTED, file="day.csv.gz"),
    Case("gzip without its suffix", gzip.compress(ROWS.encode()), WANTED),
    Case("gzip in two parts", gzip.compress(HEAD.encode()) + gzip.compress(b"a,1,x\n"), [("a", 1, "x")], file="day.csv.gz"),
    Case("gzip cut off", gzip.compress((HEAD + "".join(f"k{n},{n},x\n" for n in range(5000))).encode())[:-200],
         refused="cut off or damaged", file="day.csv.gz"),
    Case("called gzip and is not", ROWS, WANTED, file="day.csv.gz"),
    Case("bzip2", bz2.compress(ROWS.encode()), WANTED, file="day.csv.bz2"),
    Case("bzip2 cut off", bz2.compress(ROWS.encode())[:-8], refused="cut off or damaged", file="day.csv.bz2"),
    Case("zstandard", zstd(ROWS), WANTED, file="day.csv.zst"),
    Case("zstandard cut off", zstd(ROWS)[:-6], refused="cut off or damaged", file="day.csv.zst"),
    Case("xz", lzma.compress(ROWS.encode()), WANTED, file="day.csv.xz"),
    Case("zip", zipped({"day.csv": ROWS}), WANTED, file="day.zip"),
    Case("zip of two files", zipped({"a.csv": HEAD + "a,1,x\n", "b.csv": HEAD + "b,2,y\n"}), 2, file="day.zip"),
    Case("zip with a Macintosh's extras", zipped({"day.csv": ROWS, "__MACOSX/day.csv": "?"}), WANTED, file="day.zip"),
    Case("zip of two equal files", zipped({"a.csv": ROWS, "b.csv": ROWS}), WANTED, file="day.zip"),
    Case("zip without files", zipped({}), refused="zip", file="day.zip"),
    Case("zip cut off", zipped({"day.csv": ROWS})[:-30], refused="damaged zip", file="day.zip"),
    Case("an Excel workbook", zipped({"[Content_Types].xml": "<x/>"}), refused="is an Excel workbook"),
    Case("a Parquet file", b"PAR1" + bytes(40) + b"PAR1", refused="is a Parquet file, not text"),
    Case("a PDF", b"%PDF-1.7 whatever", refused="is a PDF, not text"),
]  # fmt: skip
