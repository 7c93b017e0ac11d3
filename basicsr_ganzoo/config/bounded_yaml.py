"""YAML text to plain values, by the safe loader and within bounds, so that no text can take the machine's memory."""

import yaml

MOST_CHARACTERS = 200_000  # a shipped file has 6,000 at most
MOST_LEVELS = 32
MOST_VALUES = 100_000
MOST = 2**63 - 1


def load(text):
    """The values that YAML ``text`` holds.

    Raises:
        yaml.YAMLError: it is no YAML, has a key twice, is too large, or has a value that cannot be.
    """
    if len(text) > MOST_CHARACTERS:
        raise yaml.YAMLError(f'it has {len(text)} characters, more than the {MOST_CHARACTERS} that are read')
    _check_size(text)
    return yaml.load(text, _Loader)


def reason(error):
    """What a ``YAMLError`` says, in one line."""
    return ' '.join(str(error).split()).replace('"<unicode string>", ', '')


def _check_size(text):
    """Go through ``text`` without building anything, and count what its aliases would expand to."""
    open_nodes, sizes, total = [], {}, 0  # an open node: its anchor, the total before it, its deepest level
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            total, levels = total + _size_of(event, sizes, open_nodes), sizes.get(event.anchor, (0, 0))[1]
            _note_levels(open_nodes, len(open_nodes) + levels, event)
        elif isinstance(event, yaml.NodeEvent):
            total += 1
            open_nodes.append([event.anchor, total - 1, len(open_nodes) + 1])
            _note_levels(open_nodes, len(open_nodes), event)
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionEndEvent)):
            anchor, before, deepest = open_nodes.pop()
            sizes[anchor] = total - before, deepest - len(open_nodes)
            _note_levels(open_nodes, deepest, event)
        if total > MOST_VALUES:
            raise yaml.YAMLError(f'it holds more than {MOST_VALUES} values, aliases counted; give fewer')


def _size_of(event, sizes, open_nodes):
    if any(anchor == event.anchor for anchor, _, _ in open_nodes):
        raise yaml.YAMLError(f'{_line(event)}: the alias *{event.anchor} is inside of what it names; remove it')
    return sizes.get(event.anchor, (0, 0))[0]


def _note_levels(open_nodes, levels, event):
    if levels > MOST_LEVELS:
        raise yaml.YAMLError(f'{_line(event)}: more than {MOST_LEVELS} levels of mappings and lists; nest less')
    if open_nodes:
        open_nodes[-1][2] = max(open_nodes[-1][2], levels)


def _line(event):
    return f'line {event.start_mark.line + 1}'


class _Loader(yaml.SafeLoader):
    """Refuses a key that comes twice, of which YAML would take the last in silence, and values that cannot be."""

    def construct_mapping(self, node, deep=False):
        seen = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and seen.setdefault(key.value, line) != line:
                raise yaml.YAMLError(f'the key {key.value} comes twice, in lines {seen[key.value]} and {line}')
        return super().construct_mapping(node, deep)

    def construct_object(self, node, deep=False):
        try:
            value = super().construct_object(node, deep)
        except (AttributeError, KeyError, OverflowError, ValueError):
            kind = node.tag.rsplit(':', 1)[-1].replace('timestamp', 'date')
            text = node.value if len(node.value) <= 40 else f'{node.value[:37]}...'
            message = f'{text!r} cannot be read as {kind}; put it in quotes if it is text'
            raise yaml.YAMLError(f'{_line(node)}: {message}') from None
        if isinstance(value, int) and abs(value) > MOST:
            raise yaml.YAMLError(f'{_line(node)}: a whole number of {len(node.value)} digits, beyond {MOST}')
        return value
