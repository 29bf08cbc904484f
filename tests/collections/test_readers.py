"""Every kind of file: its text, headings, places; and every way in which it can be broken."""

from __future__ import annotations

import dataclasses
import io
import json
import time
import zipfile
from pathlib import Path

import pytest

from splade_engine.collections import read_documents
from splade_engine.collections.corpus import Corpus
from splade_engine.collections.readers import _BY_SUFFIX, FILE_KINDS, FileName, kind_of_file
from splade_engine.collections.readers.decoding import decoded
from splade_engine.collections.readers.kind import FileText
from splade_engine.collections.text_lines import decoded_lines
from splade_engine.errors import DatasetError


def read(suffix: str, data: bytes | str, encoding: str | None = None) -> FileText:
    kind = kind_of_file(suffix)
    assert kind is not None
    content = data.encode() if isinstance(data, str) else data
    found = kind.read(content, FileName(f"a{suffix}", suffix, encoding))
    assert all(found.text[b.start : b.end].strip() for b in found.blocks)
    return found


def blocks(found: FileText) -> list[tuple[str, str]]:
    return [(b.kind, found.text[b.start : b.end]) for b in found.blocks]


def places(found: FileText) -> list[dict[str, int]]:
    assert found.places is not None
    return [found.places.of(b.start, b.end) for b in found.blocks]


@pytest.mark.parametrize(
    ("head", "title"),
    [
        ("---\ntitle: npm uninstall\nsection: 1\n---\n", "npm uninstall"),
        ("---\r\nsection: 1\r\ntitle: 'Tides: a guide'\r\n---\r\n", "Tides: a guide"),
        ("---\nsection: 1\n...\n", "Synopsis"),
        ("---\ntitle: >-\n  Tides\n  and moons\ntags:\n- a\n- b\n---\n", "Tides and moons"),
        ("---\ntitle: |\n  Tides # 2\n---\n", "Tides"),
        ('---\ntitle: "a \\"b\\": c" # why\n---\n', 'a "b": c'),
        ("---\n'title': 'it''s #1'\n---\n", "it's #1"),
        ("---\ntitle: Tides # the second\n---\n", "Tides"),
        ("---\ntitle: !!str &t Tides\nx: *t\n---\n", "Tides"),
        ("---\ntitle: *t\n---\n", "Synopsis"),
        ("---\ntitle:\ntags: [a,\n  b\n]\n---\n", "Synopsis"),
        ("---\ntitle: null\n---\n", "Synopsis"),
        ("---\ntitle: ['a', 'b']\nog:title: x\n---\n", "Synopsis"),
        ("---\na: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\ntitle: Bomb\n---\n", "Bomb"),
        (f"---\ntitle: {'tide ' * 99_999}\n---\n", "tide " * 39 + "tide"),
    ],
)
def test_front_matter_names_a_markdown_file_and_is_no_text(head, title):
    found = read(".md", head + "\n## Synopsis\n\nRemove a package.\n")
    assert found.title == title
    assert blocks(found) == [("heading", "## Synopsis"), ("text", "Remove a package.")]
    assert places(found)[1]["line"] == head.count("\n") + 4


@pytest.mark.parametrize(
    "text",
    [
        "---\n\nA rule before.\n\n---\n",
        "A: 1\n\n---\ntitle: no\n---\n",
        "---\ntitle: open\n\nNo end.",
        "---\nWarning: keep out.\n\nA rule before it.\n\n---\n\nMore.",
        "---\nhttps://example.org No end\n---\n",
    ],
)
def test_lines_that_only_look_like_front_matter_are_text(text):
    found = read(".md", text)
    words = " ".join(found.text[b.start : b.end] for b in found.blocks)
    assert all(word in words for word in ("rule before", "no", "No end") if word in text)


def test_no_suffix_has_two_readers():
    suffixes = [suffix for kind in FILE_KINDS for suffix in kind.suffixes]
    assert len(suffixes) == len(set(suffixes)) and all(s == s.lower() and s[0] == "." for s in suffixes)


# ---- HTML ------------------------------------------------------------------------------------------------

PAGE = """<!DOCTYPE html><html><head><title>The
 tides &amp; the moon</title><style>p {color: red}</style><script>var x = "<p>no</p>";</script></head>
<body><nav><a href="/">Home</a></nav>
<h1>Tides</h1><p>The <b>moon</b> pulls
the sea.<br>Twice a day.</p>
<h2 id="x">How <code>it</code> works</h2>
<ul><li>one<li>two <p>more</ul>
<pre>if x:
    y()
</pre><table><tr><th>a<th>b</tr><tr><td>1</td><td>2</td></tr></table>
text at the end&nbsp;&lt;3
</body></html>"""


def test_html():
    found = read(".html", PAGE)
    assert found.title == "The tides & the moon"
    assert blocks(found) == [
        ("heading", "Tides"),
        ("text", "The moon pulls the sea.\nTwice a day."),
        ("heading", "How it works"),
        ("text", "- one"),
        ("text", "- two"),
        ("text", "more"),
        ("code", "if x:\n    y()"),
        ("text", "a | b"),
        ("text", "1 | 2"),
        ("text", "text at the end <3"),
    ]
    assert [p["line"] for p in places(found)] == [4, 4, 6, 7, 7, 7, 8, 10, 10, 11]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("plain words", "plain words"),
        ("<p>unclosed <b>bold", "unclosed bold"),
        ("</div></p>x", "x"),
        ("<head><title>t</title><p>no end of head", "no end of head"),
        ("<svg><text>no</text></svg>yes", "yes"),
        ("<nav>a<nav>b</nav>c</nav>yes", "yes"),
        ('<script src="x"/>yes', "yes"),  # as in XHTML
        ("<!-- <p>no</p> -->yes<![CDATA[x]]>", "yes"),
        ("a<script>1</script>b", "ab"),
        ("<h1></h1><p> </p>x", "x"),
    ],
)
def test_html_that_is_not_well_formed(page: str, text: str):
    assert read(".html", page).text.replace("\n\n", "") == text


@pytest.mark.parametrize("part", ["<!--", "</", '<a b="', "<a ", "<?", "<![CDATA["])
def test_html_that_nothing_closes_is_read_in_the_time_of_its_length(part: str):
    """The parser looked for each end to the end of the page: 100 kB took 20 s, a megabyte half an hour."""
    started = time.process_time()
    found = read(".html", "<p>The moon.</p>" + part * 20_000)
    assert time.process_time() - started < 2
    assert found.text.startswith("The moon.")


def test_html_in_other_encodings():
    page = '<meta charset="iso-8859-1"><p>café</p>'
    assert read(".html", page.encode("latin-1")).text == "café"
    assert read(".html", "<p>café</p>".encode("latin-1"), "latin-1").text == "café"
    with pytest.raises(DatasetError, match=r"a\.html:1: invalid UTF-8"):
        read(".html", "<p>café</p>".encode("latin-1"))


# ---- PDF -------------------------------------------------------------------------------------------------


def pdf_of(pages: list[str], title: str = "") -> bytes:
    """A PDF file of lines of text."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>"]
    first = 4
    kids = " ".join(f"{first + 2 * i} 0 R" for i in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>")
    objects.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for i, page in enumerate(pages):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {first + 2 * i + 1} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        lines = "".join(f"({line}) Tj 0 -14 Td " for line in page.split("\n"))
        stream = f"BT /F1 12 Tf 72 720 Td {lines} ET"
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    objects.append(f"<< /Title ({title}) >>")
    out, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{content}\nendobj\n".encode()
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return (
        out
        + (
            f"trailer << /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>\nstartxref\n{start}\n%%EOF"  # noqa: E501
        ).encode()
    )


def test_pdf():
    found = read(
        ".pdf",
        pdf_of(["The moon pulls the sea.\nTwice a day, it re-\nturns.", "", "Page three."], "On tides"),
    )
    assert found.title == "On tides"
    assert blocks(found) == [
        ("text", "The moon pulls the sea.\nTwice a day, it returns."),
        ("text", "Page three."),
    ]
    assert places(found) == [{"page": 1, "last_page": 1}, {"page": 3, "last_page": 3}]
    assert read(".pdf", pdf_of(["x"], "Microsoft Word - a.doc")).title == ""
    assert read(".pdf", pdf_of([""])).blocks == []


@pytest.mark.parametrize("data", [b"", b"%PDF-1.4", b"no pdf", pdf_of(["x"])[:80]])
def test_pdf_that_is_damaged(data: bytes):
    with pytest.raises(DatasetError, match=r"^a\.pdf: not readable as PDF \(.+\)$"):
        read(".pdf", data)


# ---- DOCX, EPUB ------------------------------------------------------------------------------------------


def archive(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return out.getvalue()


W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
R = "http://schemas.openxmlformats.org"
DOCX = {
    "[Content_Types].xml": f'<Types xmlns="{R}/package/2006/content-types"><Default Extension="xml" '
    'ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.'
    'openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{R}/package/2006/relationships"><Relationship Id="r1" '
    f'Type="{R}/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>',  # noqa: E501
    "word/document.xml": f'<w:document {W}><w:body><w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r>'
    "<w:t>Tides</w:t></w:r></w:p><w:p><w:r><w:t>The moon </w:t></w:r><w:r><w:t>pulls the sea.</w:t></w:r></w:p>"  # noqa: E501
    "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc>"
    "</w:tr></w:tbl></w:body></w:document>",
    "word/styles.xml": f'<w:styles {W}><w:style w:type="paragraph" w:styleId="Heading1"><w:name '
    'w:val="heading 1"/></w:style></w:styles>',
    "docProps/core.xml": '<c xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>On  tides</dc:title></c>',
}
EPUB = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
    "OEBPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">'
    '<metadata><dc:title>A book</dc:title></metadata><manifest><item id="b" href="text/two%20b.xhtml"/>'
    '<item id="a" href="text/one.xhtml"/></manifest><spine><itemref idref="a"/><itemref idref="b"/></spine></package>',  # noqa: E501
    "OEBPS/text/one.xhtml": "<html><head><title>x</title></head><body><h1>One</h1><p>First page.</p></body></html>",  # noqa: E501
    "OEBPS/text/two b.xhtml": "<html><body><h1>Two</h1><p>Second page.</p></body></html>",
}


def test_docx():
    found = read(".docx", archive(DOCX))
    assert found.title == "On tides"
    assert blocks(found)[:2] == [("heading", "Tides"), ("text", "The moon pulls the sea.")]
    assert "".join(text for _, text in blocks(found)[2:]).replace("|", "").split() == ["ab"]


def test_epub():
    found = read(".epub", archive(EPUB))
    assert found.title == "A book"
    assert blocks(found) == [
        ("heading", "One"), ("text", "First page."), ("heading", "Two"), ("text", "Second page."),
    ]  # fmt: skip


def test_an_epub_whose_pages_are_listed_with_a_part():
    """Its file was looked for under the name of the part as well."""
    book = EPUB["OEBPS/book.opf"].replace("one.xhtml", "one.xhtml#top").replace("b.xhtml", "b.xhtml#a%23")
    again = book.replace("</manifest>", '<item id="c" href="text/one.xhtml#end"/></manifest>').replace(
        "</spine>", '<itemref idref="c"/></spine>'
    )
    for listed in (book, again):  # a page stands once, where its first part is listed
        assert read(".epub", archive({**EPUB, "OEBPS/book.opf": listed})) == read(".epub", archive(EPUB))
    sharp = EPUB["OEBPS/book.opf"].replace("one.xhtml", "%23one.xhtml")
    files = {**EPUB, "OEBPS/book.opf": sharp, "OEBPS/text/#one.xhtml": EPUB["OEBPS/text/one.xhtml"]}
    assert read(".epub", archive(files)) == read(".epub", archive(EPUB))


@pytest.mark.parametrize(("suffix", "files"), [(".docx", DOCX), (".epub", EPUB)])
def test_archives_that_are_damaged(suffix: str, files: dict[str, str]):
    whole = archive(files)
    damaged = [b"", b"PK", whole[: len(whole) // 2], archive({}), archive({"x": "y"})]
    damaged += [
        archive({**files, name: "<broken"}) for name in files if name.endswith((".opf", "document.xml"))
    ]
    damaged += [
        archive({k: v for k, v in files.items() if k != name})
        for name in files
        if name.endswith((".opf", "one.xhtml", "document.xml"))
    ]
    for data in damaged:
        with pytest.raises(DatasetError, match=rf"^a{suffix}: not readable as (DOCX|EPUB) \(.+\)$"):
            read(suffix, data)


@pytest.mark.parametrize(
    ("suffix", "name"), [(".docx", "word/document.xml"), (".epub", "OEBPS/text/one.xhtml")]
)
def test_an_archive_that_unpacks_to_too_much(suffix: str, name: str, monkeypatch: pytest.MonkeyPatch):
    files = DOCX if suffix == ".docx" else EPUB
    monkeypatch.setenv("SPLADE_ENGINE_MAX_FILE_BYTES", "100000")
    with pytest.raises(DatasetError, match=r"unpacks to [\d,]+ bytes, more than 100,000"):
        read(suffix, archive({**files, name: "<p>" + "x" * 200_000}))


def test_a_word_document_of_too_many_elements(monkeypatch: pytest.MonkeyPatch):
    """One of two million paragraphs was read for minutes; it is 20 kB."""

    def of(paragraphs: int) -> bytes:
        body = f"<w:document {W}><w:body>" + "<w:p/>" * paragraphs + "</w:body></w:document>"
        return archive({**DOCX, "word/document.xml": body})

    with pytest.raises(DatasetError) as error:
        read(".docx", of(1_000_000))
    bound = "more than 1,000,000 (SPLADE_ENGINE_MAX_ELEMENTS sets another bound)"
    assert str(error.value) == f"a.docx: 1,000,010 XML elements, {bound}"
    monkeypatch.setenv("SPLADE_ENGINE_MAX_ELEMENTS", "1010")
    assert read(".docx", of(1000)).text == ""
    with pytest.raises(DatasetError, match="1,011 XML elements, more than 1,010"):
        read(".docx", of(1001))


# ---- notebooks, source code ------------------------------------------------------------------------------


def test_notebooks():
    cells = [
        {"cell_type": "markdown", "source": ["# Tides\n", "\n", "The moon."]},
        {"cell_type": "code", "source": "x = 1\n", "outputs": [{"text": "not read"}]},
        {"cell_type": "raw", "source": ["raw"]},
        {"cell_type": "markdown", "source": ["## Next"]},
    ]
    found = read(".ipynb", json.dumps({"cells": cells, "nbformat": 4}))
    assert found.title == "Tides"
    assert blocks(found) == [
        ("heading", "# Tides"), ("text", "The moon."), ("code", "x = 1"), ("text", "raw"), ("heading", "## Next"),  # noqa: E501
    ]  # fmt: skip
    assert [p["cell"] for p in places(found)] == [1, 1, 2, 3, 4]
    old = {"worksheets": [{"cells": [{"cell_type": "code", "input": ["y = 2"]}]}]}
    assert read(".ipynb", json.dumps(old)).text == "y = 2"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "not JSON: .*"),
        ('{"cells": [], "cells": []}', "'cells' occurs twice"),
        *(
            (data, "no cells in it")
            for data in ("[]", "{}", '{"cells": 3}', '{"cells": [1]}', '{"cells": [{}]}')
        ),
        ("[" * 100_000, "no cells in it"),
    ],
)
def test_notebooks_that_are_none(data: str, reason: str):
    with pytest.raises(DatasetError, match=rf"^a\.ipynb: not readable as a notebook \({reason}\)$"):
        read(".ipynb", data)


CODE = '''"""Module."""

import os

# opens it
# carefully
@cached
def open_file(path: str) -> int:
    """class of things, and so on

    function of nothing
    """
    return 1


class Door(Base):
    def shut(self):
        pass
'''


def test_source_code():
    found = read(".py", CODE)
    titles = [b.title for b in found.blocks if b.kind == "heading"]
    assert titles == ["def open_file(path: str) -> int", "class Door(Base)", "def shut(self)"]
    heading = next(b for b in found.blocks if b.kind == "heading")
    assert found.text[heading.start : heading.end].startswith(
        "# opens it\n# carefully\n@cached\ndef open_file"
    )
    assert found.places is not None and found.places.of(heading.start, heading.end) == {
        "line": 5,
        "last_line": 8,
    }
    assert "".join("".join(t for _, t in blocks(found)).split()) == "".join(CODE.split())


@pytest.mark.parametrize(
    ("suffix", "line"),
    [
        (".rs", "pub(crate) async fn run<T>(x: T) -> u8 {"),
        (".go", "func (s *Server) Start(ctx context.Context) error {"),
        (".ts", "export default class Foo extends Bar {"),
        (".java", "public interface Shape {"),
        (".c", "static int add(int a, int b)"),
        (".sql", "CREATE OR REPLACE VIEW tides AS"),
        (".js", "export async function* rows() {"),
    ],
)
def test_declarations(suffix: str, line: str):
    assert [b.kind for b in read(suffix, f"x = 1\n\n{line}\n  body\n").blocks] == ["code", "heading", "code"]


@pytest.mark.parametrize(
    ("suffix", "line"),
    [(".c", "  call(x);"), (".c", "if (x) {"), (".py", "class of things"), (".go", "// func x")],
)
def test_lines_that_declare_nothing(suffix: str, line: str):
    assert {b.kind for b in read(suffix, f"{line}\n").blocks} == {"code"}


def test_restructured_text():
    found = read(".rst", "=====\nTides\n=====\n\nThe moon.\n\nHow\n~~~\n\nIt pulls.\n")
    assert found.title == "Tides"
    assert [b.title for b in found.blocks if b.kind == "heading"] == ["Tides", "How"]


def test_files_of_every_kind_become_passages_with_their_place(tmp_path: Path):
    (tmp_path / "a.pdf").write_bytes(pdf_of(["Page one. " * 30, "Page two. " * 30]))
    (tmp_path / "b.html").write_text(PAGE)
    (tmp_path / "c.epub").write_bytes(archive(EPUB))
    (tmp_path / "d.docx").write_bytes(archive(DOCX))
    (tmp_path / "e.py").write_text(CODE)
    documents = list(read_documents(tmp_path))
    assert {d.metadata["path"] for d in documents} == {"a.pdf", "b.html", "c.epub", "d.docx", "e.py"}
    assert [d.title for d in documents if d.metadata["path"] == "d.docx"] == ["On tides: Tides"]
    pdf = [d.metadata for d in documents if d.metadata["path"] == "a.pdf"]
    assert (pdf[0]["page"], pdf[-1]["last_page"]) == (1, 2)


# ---- what parsers fail over ------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["<![foo]>", "<![if !supportLists]>", "<![CDATA[x]]>", "<![foo[", "<!["])
def test_marked_sections_are_comments(mark: str):
    assert read(".html", f"<p>moon</p>{mark}<p>tide</p>").text.startswith("moon")
    assert "tide" in read(".html", f"<p>moon</p>{mark}><p>tide</p>").text


@pytest.mark.parametrize("name", ["utf-16", "utf-32"])
def test_files_that_say_their_encoding(name: str):
    assert read(".txt", "moon öä €".encode(name)).text == "moon öä €"
    with pytest.raises(DatasetError, match=f"invalid {name.upper()}"):
        read(".txt", "moon".encode(name) + b"\x01\x02\x03")


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark(name: str):
    """It is valid UTF-8 with a zero byte behind each letter, which no query finds."""
    assert read(".txt", "moon and öä €\n".encode(name)).text == "moon and öä €\n"
    assert read(".txt", "mo\0on").text == "mo\0on"
    for odd in ("moon".encode("utf-32-le"), "Ābols".encode("utf-16-le")):
        with pytest.raises(DatasetError, match="full of zero bytes"):
            read(".txt", odd)


@pytest.mark.parametrize("name", ["utf-16", "utf-32", "cp037", "punycode"])
def test_an_encoding_in_which_its_declaration_could_not_be_read_is_none(name: str):
    """A page in Latin-1 became Chinese where it was said to be UTF-16."""
    page = f'<meta charset="{name}"><p>café</p> '
    assert read(".html", page).text == "café"
    with pytest.raises(DatasetError, match="invalid UTF-8"):
        read(".html", page.encode("latin-1"))


def test_letters_that_are_written_as_ascii():
    """ISO-2022-JP and HZ are valid UTF-8 as well."""
    page = '<meta charset="iso-2022-jp"><p>灯台 moon</p>'
    assert read(".html", page.encode("iso-2022-jp")).text == "灯台 moon"
    assert read(".html", '<?xml version="1.0" encoding="euc-jp"?><p>灯台</p>'.encode("euc-jp")).text == "灯台"
    assert decoded("moon 灯台".encode("iso-2022-jp"), "x", "iso-2022-jp") == "moon 灯台"
    assert decoded("moon 灯台".encode("hz"), "x", "hz") == "moon 灯台"
    assert decoded(b"a ~{ b", "x", "hz") == "a ~{ b", "which is no such text"
    assert decoded(b"\x1b[31mred", "x") == "\x1b[31mred"
    lines = io.BytesIO("1\t灯台\n2\tsea\n".encode("iso-2022-jp"))
    assert [line for _, line in decoded_lines(lines, "x", encoding="iso-2022-jp")] == ["1\t灯台", "2\tsea"]


def test_an_epub_whose_spine_names_what_it_does_not_list():
    container = '<c><rootfiles><rootfile full-path="o.opf"/></rootfiles></c>'
    package = '<p><manifest><item id="a" href="a.xhtml"/></manifest><spine><itemref idref="b"/></spine></p>'
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("o.opf", package)
    with pytest.raises(DatasetError, match=r"not readable as EPUB \(a page 'b' is not listed\)"):
        read(".epub", data.getvalue())


@pytest.mark.parametrize("large", ["META-INF/container.xml", "o.opf"])
def test_an_epub_is_bounded_before_its_first_part_is_read(large: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SPLADE_ENGINE_MAX_FILE_BYTES", "100000")
    parts = {"META-INF/container.xml": '<c><rootfile full-path="o.opf"/></c>', "o.opf": "<p></p>"}
    parts[large] += " " * 200_000
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(DatasetError, match="unpacks to 200,0"):
        read(".epub", data.getvalue())


def test_whatever_a_parser_raises_leaves_the_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(data: bytes, file: FileName) -> FileText:
        raise AssertionError("unknown status\nkeyword")

    (tmp_path / "a.html").write_text("<p>moon")
    (tmp_path / "b.md").write_text("tide")
    monkeypatch.setitem(_BY_SUFFIX, ".html", dataclasses.replace(_BY_SUFFIX[".html"], read=broken))
    corpus = Corpus(tmp_path)
    corpus.survey()
    assert [document.text for document in corpus] == ["tide"]
    assert corpus.report.failed == [("a.html", "not readable as HTML (unknown status)")]
