"""Reading corpora: every format, and every way in which one can be broken, with its place."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa
import pytest

from splade_engine.collections import Document, read_documents
from splade_engine.collections.corpus import Corpus
from splade_engine.collections.id_register import IdRegister
from splade_engine.collections.passages import Passages
from splade_engine.collections.summary import CorpusDigest
from splade_engine.errors import DatasetError, InvalidInputError

CORPUS = (
    '{"_id": "a", "title": "Tides", "text": "The moon pulls the sea.", "year": 1999}\n'
    '{"id": "b", "text": "Bread needs yeast.", "metadata": {"kind": "recipe"}}\n'
)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(source, **options):
    with pytest.raises(DatasetError) as caught:
        list(read_documents(source, **options))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_jsonl_takes_either_id_field_and_keeps_the_rest_as_metadata(tmp_path):
    tides, bread = read_documents(write(tmp_path / "c.jsonl", CORPUS))
    assert tides == Document("a", "The moon pulls the sea.", "Tides", {"year": 1999})
    assert bread == Document("b", "Bread needs yeast.", "", {"kind": "recipe"})
    assert tides.indexed_text == "Tides The moon pulls the sea."
    assert bread.indexed_text == "Bread needs yeast."


def test_compressed_files_read_like_plain_ones(tmp_path):
    plain = list(read_documents(write(tmp_path / "c.jsonl", CORPUS)))
    gz = write(tmp_path / "c.jsonl.gz", gzip.compress(CORPUS.encode()))
    zst = write(tmp_path / "c.jsonl.zst", pa.compress(CORPUS.encode(), codec="zstd", asbytes=True))
    assert list(read_documents(gz)) == plain
    assert list(read_documents(zst)) == plain


def test_byte_order_mark_windows_line_ends_and_blank_lines_are_no_content(tmp_path):
    path = write(
        tmp_path / "c.jsonl", b'\xef\xbb\xbf{"id": "a", "text": "x"}\r\n\r\n{"id": "b", "text": "y"}'
    )
    assert [d.id for d in read_documents(path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "joined"),
    [
        ("c.jsonl", '{"id": "1", "text": "tea"}\n\ufeff{"id": "2", "text": "coffee"}\n'),
        ("c.tsv", "1\ttea\n\ufeff2\tcoffee\n"),
        ("c.csv", "id,text\n1,tea\n\ufeff2,coffee\n"),
    ],
)
def test_a_byte_order_mark_where_files_were_joined(tmp_path, name, joined):
    """In TSV and CSV it was a part of the id."""
    (tmp_path / name).write_text("\ufeff" + joined)
    documents = list(read_documents(tmp_path / name))
    assert [(document.id, document.text) for document in documents] == [("1", "tea"), ("2", "coffee")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a\tThe moon.\nb\tBread.\n", [Document("a", "The moon."), Document("b", "Bread.")]),
        ("a\tTides\tThe moon.\n", [Document("a", "The moon.", "Tides")]),
        ("text\tid\tyear\nThe moon.\ta\t1999\n", [Document("a", "The moon.", "", {"year": 1999})]),
        ("_id\ttitle\ttext\na\tTides\tThe moon.\n", [Document("a", "The moon.", "Tides")]),
    ],
)
def test_tsv_with_and_without_a_header(tmp_path, content, expected):
    assert list(read_documents(write(tmp_path / "c.tsv", content))) == expected


def test_beir_folder(tmp_path):
    write(tmp_path / "corpus.jsonl", CORPUS + '{"_id": "c", "title": "", "text": ""}\n')
    write(tmp_path / "queries.jsonl", '{"_id": "q", "text": "moon"}\n')
    assert [d.id for d in read_documents(tmp_path)] == ["a", "b", "c"]
    assert "'c' has neither title nor text" in refusal(tmp_path, allow_empty=False)


def test_folder_of_files(tmp_path):
    write(tmp_path / "notes/plan.md", "# The plan\n\nBuy flour.\n")
    write(tmp_path / "b.txt", "Bread needs yeast.")
    write(tmp_path / "long.md", "Intro.\n\n# Chapter\n\n" + "\n\n".join(f"word{i} " * 90 for i in range(3)))
    write(tmp_path / "empty.txt", " \n")
    write(tmp_path / ".hidden/secret.txt", "not read")
    documents = {d.id: d for d in read_documents(tmp_path)}
    assert list(documents) == ["b.txt", "long.md#1", "long.md#2", "long.md#3", "notes/plan.md"]
    plan = documents["notes/plan.md"]
    assert (plan.title, plan.text) == ("The plan", "# The plan\n\nBuy flour.")
    place = {
        "path": "notes/plan.md",
        "parent": "notes/plan.md",
        "passage": 1,
        "start_char": 0,
        "end_char": 22,
    }
    assert {k: v for k, v in plan.metadata.items() if k != "_sync"} == {**place, "line": 1, "last_line": 3}
    assert documents["long.md#2"].title == "Chapter"
    assert documents["long.md#3"].metadata["line"] == 9
    assert documents["b.txt"].title == "b"
    assert [d.id for d in read_documents(tmp_path / "b.txt")] == ["b.txt"]


def test_what_cannot_be_read_in_a_folder_is_named_and_the_rest_is_read(tmp_path, caplog):
    write(tmp_path / "good.txt", "Bread needs yeast.")
    write(tmp_path / "latin.txt", b"fine\ncaf\xe9\n")
    write(tmp_path / "broken.docx", "no archive")
    write(tmp_path / "empty.md", "\n")
    for i in range(3):
        write(tmp_path / f"image{i}.png", b"\x89PNG")
    write(tmp_path / "table.csv", "id,text\n1,x\n")
    (tmp_path / "again").symlink_to(tmp_path)
    corpus = Corpus(tmp_path)
    assert corpus.survey().n_docs == 1
    report = corpus.report
    assert (report.n_files, report.empty, list(report.skipped)) == (2, ["empty.md"], [".png", ".csv"])
    assert [path for path, _ in report.failed] == ["broken.docx", "latin.txt"]
    assert report.failed[1][1] == "2: invalid UTF-8 (byte 0xe9)"
    assert report.advice == ["--encoding latin-1, or Corpus(..., encoding='latin-1'), decodes such text"]
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "left out: latin.txt: 2: invalid UTF-8 (byte 0xe9)\n" in said
    assert said.count("--encoding latin-1, or Corpus(..., encoding='latin-1'), decodes such text") == 1
    assert "1 folder is a link and is not followed (again)" in said
    assert "left out: broken.docx: not readable as DOCX (File is not a zip file)" in said
    assert "4 files of kinds that are not read (3 .png, 1 .csv), such as image0.png" in said
    assert ".csv holds records: index such a file by itself" in said
    assert "1 file without text (empty.md)" in said
    decoded = Corpus(tmp_path, encoding="latin-1")
    assert {d.id: d.text for d in decoded}["latin.txt"] == "fine\ncaf\xe9"


def test_every_file_that_cannot_be_read_is_named(tmp_path, caplog):
    caplog.set_level("INFO", "splade_engine")
    write(tmp_path / "good.txt", "Bread needs yeast.")
    for i in range(30):
        write(tmp_path / f"same{i}.docx", "no archive")
        write(tmp_path / f"other{i}.txt", b"\n" * i + b"\xe9")
    Corpus(tmp_path).survey()
    warned = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert sum(".txt: " in line for line in warned) == 20
    assert any(line.endswith("left out: 40 more that cannot be read; --verbose names all") for line in warned)
    said = "\n".join(r.getMessage() for r in caplog.records if r.levelname == "INFO")
    assert all(f"same{i}.docx" in said and f"other{i}.txt" in said for i in range(30))


@pytest.mark.parametrize("name", ["c.csv", "c.tsv", "c.jsonl", "c.json", "c.csv.gz"])
def test_records_in_another_encoding(tmp_path, name):
    texts = {
        "c.csv": "id,text\n1,K\xe4se\n",
        "c.tsv": "1\tK\xe4se\n",
        "c.jsonl": '{"id": "1", "text": "K\xe4se"}\n',
        "c.json": '[{"id": "1",\n "text": "K\xe4se"}]',
    }
    data = texts[name.removesuffix(".gz")].encode("latin-1")
    path = write(tmp_path / name, gzip.compress(data) if name.endswith(".gz") else data)
    assert [d.text for d in Corpus(path, encoding="latin-1")] == ["K\xe4se"]
    with pytest.raises(DatasetError, match=r"invalid UTF-8 .*; --encoding latin-1"):
        list(Corpus(path))
    with pytest.raises(DatasetError, match="records in utf-16 cannot be read"):
        list(Corpus(path, encoding="utf-16"))
    with pytest.raises(DatasetError, match="neither UTF-8 nor ascii"):
        list(Corpus(path, encoding="ascii"))


def test_a_folder_of_which_nothing_can_be_read(tmp_path):
    write(tmp_path / "latin.txt", b"caf\xe9\n")
    assert "no file can be read; latin.txt: 1: invalid UTF-8" in refusal(tmp_path)
    assert "no text in any file of text, Markdown" in refusal(write(tmp_path / "x/a.png", b"x").parent)
    with pytest.raises(InvalidInputError, match="encoding 'klingon': not known"):
        Corpus(tmp_path, encoding="klingon")


def test_folders_that_programs_fill_are_left_out(tmp_path):
    write(tmp_path / "a.md", "text")
    write(tmp_path / "node_modules/b.md", "text")
    write(tmp_path / "env/pyvenv.cfg", "")
    write(tmp_path / "env/lib/c.py", "x = 1")
    assert [d.id for d in read_documents(tmp_path)] == ["a.md"]
    assert [d.id for d in read_documents(tmp_path / "env")] == ["lib/c.py"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_with_a_mark_of_their_encoding(tmp_path, encoding):
    write(tmp_path / "a.txt", "caf\xe9\r\nau lait".encode(encoding))
    (document,) = read_documents(tmp_path / "a.txt")
    assert (document.text, document.metadata["last_line"]) == ("caf\xe9\nau lait", 2)


def test_records_are_cut_where_it_is_asked_for(tmp_path):
    long = "\n\n".join(f"Section {i} says something about tides." for i in range(100))
    records = [{"id": "a", "title": "T", "text": long, "year": 3}, {"id": "b", "text": "short"}]
    path = write(tmp_path / "c.jsonl", "".join(json.dumps(r) + "\n" for r in records))
    assert [d.id for d in Corpus(path)] == ["a", "b"]
    for corpus in (Corpus(path, passages=64), Corpus(records, passages=Passages(64))):
        documents = list(corpus)
        assert corpus.survey().n_docs == len(documents) > 10
        assert list(corpus) == documents  # the second time from the disk
        *of_a, b = documents
        assert [d.id for d in of_a] == [f"a#{i}" for i in range(1, len(documents))]
        place = {"_sync": "cut:64+0", "parent": "b", "passage": 1, "start_char": 0, "end_char": 5}
        assert b == Document("b", "short", "", place)
        assert all(d.metadata["year"] == 3 and d.title == "T" and d.metadata["parent"] == "a" for d in of_a)
        assert all(d.text == long[d.metadata["start_char"] : d.metadata["end_char"]] for d in of_a)
        assert "".join("".join(d.text for d in of_a).split()) == "".join(long.split())


def test_passages_whose_names_are_taken(tmp_path):
    def cut(records):
        with pytest.raises(DatasetError) as caught:
            list(Corpus(records, passages=16))
        return str(caught.value)

    assert "document 'a': its field 'parent' has a name that passages need" in cut(
        [{"id": "a", "text": "x", "parent": "p"}]
    )
    text = "one two three four. " * 20
    assert "duplicate id 'a#2'" in cut([{"id": "a", "text": text}, {"id": "a#2", "text": "x"}])
    path = write(
        tmp_path / "c.jsonl", json.dumps({"id": "a", "text": text}) + '\n{"id": "a#2", "text": "x"}\n'
    )
    with pytest.raises(DatasetError, match=r"c\.jsonl:2: duplicate id 'a#2', first on line 1"):
        list(Corpus(path, passages=16))


# ---- bad input ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"_id": "a", "text": "again"}', "2: duplicate id 'a', first on line 1"),
        ('{"_id": 7.0, "text": "x"}', "2: the field _id must be a string, got 7.0"),
        ('{"text": "x"}', "2: the field _id (or id) is missing"),
        ('{"_id": "", "text": "x"}', "2: the _id is empty"),
        ('{"_id": "b"}', "2: the field text is missing"),
        ('{"_id": "b", "text": null}', "2: the field text is null"),
        ('{"_id": "b", "text": ["x"]}', '2: the field text must be a string, got ["x"]'),
        ('{"_id": "b", "text": "x", "title": 3}', "2: the field title must be a string, got 3"),
        ('{"_id": "b", "text": " ", "title": ""}', "2: document 'b' has neither title nor text"),
        ('{"_id": "b", "text": "\\ud800"}', "2: the field text holds half a surrogate pair"),
        (
            '{"_id": "b", "text": "x", "a\\ud800": 1}',
            "2: the field name 'a\\ud800' holds half a surrogate pair",
        ),
        ('["b", "x"]', '2: an object with id and text is needed, got ["b", "x"]'),
        ('{"_id": "b", "text', "2: not JSON"),
        ("[" * 100_000, "2: JSON nested too deeply"),
    ],
)
def test_jsonl_refusals_name_file_and_line(tmp_path, line, message):
    path = write(tmp_path / "c.jsonl", '{"_id": "a", "text": "first"}\n' + line + "\n")
    assert refusal(path).startswith(f"{path}:{message}")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"_id": "a"}'.encode("utf-16"), "(byte 0xff at column 1; it is UTF-16, save it as UTF-8)"),
        *(
            ('{"_id": "a"}\n'.encode(name), ":1: zero bytes: UTF-16 or UTF-32 without its mark, save it as")
            for name in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
        ),
        # the time in the head of a gzip file may hold bytes that look like the end of a line
        (
            gzip.compress(b"{}", mtime=0x0D0D0D0D),
            "(byte 0x8b at column 2; it is compressed, and its name has to end in .gz)",
        ),
        (
            b'[{"_id": "a", "text": "x"}]',
            ":1: begins an array; JSONL has one object per line, rename it .json",
        ),
        (b'{\n"_id": "a", "text": "x"}', ":1: begins an object over several lines; JSONL has one object"),
    ],
    ids=["UTF-16", "16-le", "16-be", "32-le", "32-be", "gzip", "array", "lines"],
)
def test_files_of_another_kind_are_told_as_such(tmp_path, content, told):
    assert told in refusal(write(tmp_path / "c.jsonl", content))


def test_invalid_utf8_names_the_byte(tmp_path):
    path = write(tmp_path / "c.jsonl", b'{"_id": "a", "text": "x"}\n{"_id": "b", "text": "caf\xe9"}\n')
    assert refusal(path) == f"{path}:2: invalid UTF-8 (byte 0xe9 at column 26)"
    text = write(tmp_path / "notes/x.txt", b"fine\ncaf\xe9\n")
    assert refusal(text).startswith(f"{text}:2: invalid UTF-8 (byte 0xe9); --encoding")


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_truncated_compression(tmp_path, suffix):
    lines = "".join(
        json.dumps({"id": str(i), "text": f"{i * 7919} words"}) + "\n" for i in range(5000)
    ).encode()
    packed = gzip.compress(lines) if suffix == "gz" else pa.compress(lines, codec="zstd", asbytes=True)
    path = write(tmp_path / f"c.jsonl.{suffix}", packed[: len(packed) // 2])
    message = refusal(path)
    assert message.startswith(f"{path}:")
    assert "truncated" in message


def test_not_a_gzip_file_and_a_damaged_one(tmp_path):
    assert "damaged gzip" in refusal(write(tmp_path / "a.jsonl.gz", CORPUS))
    packed = bytearray(gzip.compress(CORPUS.encode() * 500))
    packed[len(packed) // 2] ^= 0xFF
    assert "gzip" in refusal(write(tmp_path / "b.jsonl.gz", bytes(packed)))


@pytest.mark.parametrize("name", ["c.jsonl", "c.tsv", "c.jsonl.gz", "beir/corpus.jsonl", "notes/x.txt"])
def test_empty_corpus(tmp_path, name):
    write(tmp_path / name, gzip.compress(b"") if name.endswith("gz") else b"\n")
    source = tmp_path / name if "/" not in name else (tmp_path / name).parent
    assert "empty corpus" in refusal(source)


def test_missing_and_unknown_sources(tmp_path):
    assert refusal(tmp_path / "nothing") == f"{tmp_path}/nothing: no such file or folder"
    assert "the format .xlsx is not known" in refusal(write(tmp_path / "c.xlsx", "x"))


def test_tsv_rows_must_have_the_columns_of_the_first(tmp_path):
    assert "c.tsv:2: 3 columns where 2 were expected" in refusal(write(tmp_path / "c.tsv", "a\tx\nb\ty\tz\n"))
    assert "d.tsv:1: 4 columns; needed" in refusal(write(tmp_path / "d.tsv", "a\tb\tc\td\n"))
    assert "names a column twice" in refusal(write(tmp_path / "e.tsv", "id\ttext\ttext\n"))


# ---- duplicates among many ------------------------------------------------------------------------


def test_register_finds_duplicates_across_windows():
    register = IdRegister(window=100)
    found = []
    ids = [f"doc-{i}" for i in range(5000)]
    ids[4321] = "doc-17"
    ids[1234] = "doc-1200"
    for line, doc_id in enumerate(ids):
        found += register.add(doc_id, line)
    found += register.flush()
    assert sorted(found) == [(17, 4321), (1200, 1234)]


def test_a_late_duplicate_is_named_with_both_lines(tmp_path, monkeypatch):
    monkeypatch.setattr("splade_engine.collections.reading.IdRegister", lambda: IdRegister(window=4))
    ids = [f"d{i}" for i in range(40)] + ["d3"] + [f"e{i}" for i in range(9)]
    path = write(tmp_path / "c.tsv", "".join(f"{i}\ttext\n" for i in ids))
    assert refusal(path) == f"{path}:41: duplicate id 'd3', first on line 4"


def test_two_ids_with_one_hash_are_no_duplicates(tmp_path, monkeypatch):
    monkeypatch.setattr("splade_engine.collections.id_register.digest_64", lambda data: len(data))
    path = write(tmp_path / "c.tsv", "a\tx\nb\ty\nc\tz\n")
    assert [d.id for d in read_documents(path)] == ["a", "b", "c"]


# ---- Corpus ------------------------------------------------------------------------------------


def test_corpus_from_memory():
    record = {"id": "r", "title": "T", "text": "words", "year": 3}
    corpus = Corpus(iter(["first text", Document("d", "second"), record]))
    assert list(corpus) == list(corpus)
    assert [d.id for d in corpus] == ["0", "d", "r"]
    assert corpus.survey().n_docs == 3


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "empty corpus"),
        (["x", ""], "document 1: '1' has neither title nor text"),
        ([Document("a", "x"), Document("a", "y")], "document 1: duplicate id 'a', first at document 0"),
        ([3], "document 0: an object with id and text is needed, got 3"),
    ],
)
def test_corpus_from_memory_refusals(items, message):
    with pytest.raises(DatasetError, match=message.replace("(", r"\(")):
        Corpus(items).survey()


def test_the_digest_sees_every_field_and_the_order():
    def digest(*documents):
        total = CorpusDigest()
        for document in documents:
            total.update(document)
        return total.summary().digest

    a, b = Document("a", "text", "title", {"k": 1}), Document("b", "x")
    others = [
        (Document("c", "text", "title", {"k": 1}), b),
        (Document("a", "text.", "title", {"k": 1}), b),
        (Document("a", "titletext", "", {"k": 1}), b),
        (Document("a", "text", "title", {"k": 2}), b),
        (b, a),
        (a,),
    ]
    assert digest(a, b) == digest(a, b)
    assert digest(a, b) not in [digest(*other) for other in others]


@pytest.mark.parametrize("name", ["corpus.txt", "corpus.jl"])
def test_records_that_are_called_a_text(tmp_path, name):
    path = tmp_path / name
    path.write_text('{"_id": "a", "text": "tea"}\n{"_id": "b", "text": "bread"}\n')
    told = rf"{name}:1: holds a record, and \.{name[7:]} would be read as one text; rename it .jsonl"
    with pytest.raises(DatasetError, match=told):
        list(read_documents(path))
    path.write_text('{"level": "info", "text": "no record"}\n')
    assert len(list(read_documents(path))) == 1
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / name).write_text('{"_id": "a", "text": "tea"}\n')
    assert len(list(read_documents(tmp_path / "notes"))) == 1
