"""From the text of a rule to a tree, and back from a node to its place in the text.

Python's own parser reads the text; nothing here runs it. Whatever the text is, the outcome is a
tree of bounded depth or a Fault.
"""

import ast
import re
import warnings
from typing import Final

LENGTH_MAX: Final = 1_000  # characters of a condition
DEPTH_MAX: Final = 50  # of its tree: far below what Python's stack can bear

# Quoted text, a comment, or a dotted name. Channels such as bar.1m are no Python names: a dot
# before a digit becomes an underscore for the parser, which leaves every column where it was.
_TOKENS: Final = re.compile(r"'[^']*'|\"[^\"]*\"|(#)|(?<![\w.])([A-Za-z_]\w*(?:\.\w+)+)")


class Fault(Exception):
    """What is wrong with a text, and at which column of it, from 0."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.message, self.column = message, column


class Source:
    """The text of a condition, its tree, and where each node of the tree stands.

    Parameters
    ----------
    text
        On one line.

    Attributes
    ----------
    tree
        What Python's parser made of it, at most DEPTH_MAX deep.

    Raises
    ------
    Fault
        It is no expression, or an absurd one.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._shift = len(text) - len(text.lstrip())
        self._bytes = text.lstrip().encode(errors="replace")
        self.tree = self._parse()

    def column(self, node: ast.expr) -> int:
        """Return where a node starts."""
        return self._letters(node.col_offset)

    def dotted(self, node: ast.expr) -> str:
        """Return the text of a node without blanks: of a dotted name, the name as written."""
        text = self._text[self.column(node) : self._letters(node.end_col_offset or 0)]
        return re.sub(r"\s", "", text)

    def last_column(self, node: ast.expr, last: str) -> int:
        """Return where the last part of a dotted name starts."""
        return self._letters(node.end_col_offset or 0) - len(last)

    def _letters(self, offset: int) -> int:
        """Return the column of an offset: Python counts bytes, people letters."""
        return self._shift + len(self._bytes[:offset].decode())

    def _parse(self) -> ast.expr:
        if len(self._text) > LENGTH_MAX:
            raise Fault(f"a condition has at most {LENGTH_MAX} characters", LENGTH_MAX)
        for token in _TOKENS.finditer(self._text):
            if token[1]:
                raise Fault("a condition has no room for comments", token.start())
        plain = _TOKENS.sub(_python_name, self._text).lstrip()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # what Python only doubts, such as 5or, is refused
                tree = ast.parse(plain, mode="eval").body
        except SyntaxError as error:
            if not error.offset:  # Python has no column for what is not there
                end = len(self._text.rstrip())
                raise Fault("not a condition: it ends too soon", end) from None
            column = self._shift + error.offset - 1
            raise Fault(f"not a condition: {error.msg}", column) from None
        except (ValueError, MemoryError, RecursionError) as error:
            raise Fault(f"not a condition: {error}", self._shift) from None
        if _depth(tree) > DEPTH_MAX:
            raise Fault(f"nested more than {DEPTH_MAX} deep", self._shift)
        return tree


def _python_name(token: re.Match[str]) -> str:
    """Return a token as Python can read it, just as long."""
    return re.sub(r"\.(?=\d)", "_", token[0]) if token[2] else token[0]


def _depth(tree: ast.AST) -> int:
    """Return the levels of a tree, without recursion."""
    level, depth = [tree], 0
    while level:
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        depth += 1
    return depth
