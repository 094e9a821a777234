"""Renders the Markdown of a request as safe HTML."""

from collections.abc import MutableMapping, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererProtocol
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup


def _open_link(
    self: RendererProtocol,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: MutableMapping[str, Any],
) -> str:
    token = tokens[index]
    token.attrSet("target", "_blank")
    token.attrSet("rel", "noopener noreferrer nofollow")
    return "<a" + "".join(f' {name}="{escape(str(value))}"' for name, value in token.attrs.items()) + ">"


def escape(text: str) -> str:
    return str(Markup.escape(text))


#: CommonMark without raw HTML; markdown-it refuses javascript: and similar schemes in links.
_markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
_markdown.add_render_rule("link_open", _open_link)


def render(text: str) -> Markup:
    return Markup(_markdown.render(text))  # noqa: S704 - markdown-it has escaped it
