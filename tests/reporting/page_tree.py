"""A page as a tree, by the parser of Python's standard library; unclosed or crossed elements are errors."""

from __future__ import annotations

from html.parser import HTMLParser
from xml.etree.ElementTree import Element, TreeBuilder

VOID = {"meta", "link", "img", "br", "hr", "input"}


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.builder, self.open = TreeBuilder(), []

    def handle_starttag(self, tag, attrs):
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        assert len(dict(attrs)) == len(attrs), f"an attribute of {tag} stands twice: {attrs}"
        if tag in VOID:
            self.builder.end(tag)
        else:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element, at {self.getpos()}"
        self.builder.end(tag)

    def handle_data(self, data):
        if self.open:
            self.builder.data(data)


def parse(text: str) -> Element:
    """The tree of a page."""
    parser = _Parser()
    parser.feed(text)
    parser.close()
    assert not parser.open, f"never closed: {parser.open}"
    return parser.builder.close()


def content(element: Element) -> str:
    """Text of an element and of what is in it, with single blanks, also where one element ends and another begins."""
    return " ".join(" ".join(element.itertext()).split())


def rows(table: Element) -> list[list[str]]:
    """Text of every entry of a table's rows, without rows of details."""
    found = [row for row in table.iter("tr") if row.get("class") != "detail"]
    return [[content(cell) for cell in row if cell.tag in ("th", "td")] for row in found]
