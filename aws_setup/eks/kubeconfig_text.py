"""Changes to the text of a kubeconfig that keep its comments, its order and its style."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from aws_setup.engine import go_yaml


def edit(text: str, document: Mapping[str, Any]) -> str | None:
    """Return a YAML text changed so that it reads as a document; None where that is not possible.

    Values are replaced in place, and items of block lists appended or removed as lines. What comes
    out is read again and compared, so that a text that is not understood is never damaged.
    """
    try:
        editor = _Editor(text, yaml.SafeLoader(text))
        root = editor.loader.get_single_node()
        if root is None or not editor.change(root, document):
            return None
        changed = editor.result()
        return changed if yaml.safe_load(changed) == document else None
    except yaml.YAMLError:
        return None


def written(document: Mapping[str, Any]) -> str:
    """Return a document as the text of a new kubeconfig."""
    return go_yaml.dump(dict(document), sort_keys=False)


@dataclass
class _Editor:
    text: str
    loader: Any
    edits: list[tuple[int, int, str]] = field(default_factory=list)

    def result(self) -> str:
        text = self.text
        for start, end, new in sorted(self.edits, reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def change(self, node: Any, value: Any) -> bool:
        """Note the edits after which a node has a value; False when there are none."""
        if self._value(node) == value:
            return True
        if isinstance(node, yaml.MappingNode) and isinstance(value, Mapping):
            keys = [key.value for key, _ in node.value]
            if sorted(keys) != sorted(value):
                return False
            return all(self.change(child, value[key.value]) for key, child in node.value)
        if isinstance(node, yaml.SequenceNode) and isinstance(value, list):
            return self._change_list(node, value)
        return self._change_scalar(node, value)

    def _change_scalar(self, node: Any, value: Any) -> bool:
        if not isinstance(node, yaml.ScalarNode) or isinstance(value, (Mapping, list)):
            return False
        start, end = node.start_mark.index, node.end_mark.index
        if node.style in ("|", ">") or start == end:
            return False
        self.edits.append((start, end, json.dumps(value)))
        return True

    def _value(self, node: Any) -> Any:
        return self.loader.construct_object(node, deep=True)

    def _change_list(self, node: Any, value: list[Any]) -> bool:
        before = [self._value(item) for item in node.value]
        if len(value) == len(before):
            return all(map(self.change, node.value, value))
        if node.flow_style or not before:
            return False
        if len(value) == len(before) + 1 and value[:-1] == before:
            return self._append(node, value[-1])
        positions = range(len(before))
        gone = [i for i in positions if before[:i] + before[i + 1 :] == value]
        return bool(gone) and len(before) > 1 and self._remove(node, gone[-1])

    def _append(self, node: Any, item: Any) -> bool:
        """Insert an item as lines behind the line on which the last item ends."""
        column = node.start_mark.column
        lines = go_yaml.dump([item], sort_keys=False).splitlines(keepends=True)
        new = "".join(" " * column + line for line in lines)
        end = self._line_end(_last_leaf(node).end_mark.index)
        self.edits.append((end, end, ("" if self.text[:end].endswith("\n") else "\n") + new))
        return True

    def _remove(self, node: Any, position: int) -> bool:
        """Remove the lines of an item, but not the comment lines before it."""
        item = node.value[position]
        start = self.text.rfind("\n", 0, item.start_mark.index) + 1
        self.edits.append((start, self._line_end(_last_leaf(item).end_mark.index), ""))
        return True

    def _line_end(self, index: int) -> int:
        """Return where the line of a position ends; a position behind a line end is that."""
        if index and self.text[index - 1] == "\n":
            return index
        end = self.text.find("\n", index)
        return len(self.text) if end < 0 else end + 1


def _last_leaf(node: Any) -> Any:
    """Return the node that ends last: a block's own mark is behind the comments that follow it."""
    while not isinstance(node, yaml.ScalarNode) and node.value and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return node
