"""Reading an option file: YAML within bounds, with one sentence for what cannot be read."""

import pytest
from _training import write_option_file

from basicsr_ganzoo.checking import prepare
from basicsr_ganzoo.config.read import read_options
from basicsr_ganzoo.errors import OptionError

LAUGHS = 'a0: &a0 [x, x]\n' + '\n'.join(f'a{i}: &a{i} [*a{i - 1}, *a{i - 1}]' for i in range(1, 29))
REFUSED = {
    'a billion laughs': (LAUGHS, 'more than 100000 values, aliases counted'),
    'deep nesting': (f'a: {"[" * 3000}{"]" * 3000}', 'line 1: more than 32 levels of mappings and lists'),
    'deep nesting by aliases': (
        f'a: &a {"[" * 20}{"]" * 20}\nb: {"[" * 20}*a{"]" * 20}',
        'line 2: more than 32 levels of mappings and lists',
    ),
    'an alias inside of itself': ('a: &a [*a]', 'line 1: the alias *a is inside of what it names'),
    'an alias inside of itself, deeper': ('a: &a {b: {c: *a}}', 'the alias *a is inside of what it names'),
    'an alias of nothing': ('a: *b', "found undefined alias 'b'"),
    'a large file': (f'a: {"x" * 300_000}', 'it has 300003 characters, more than the 200000'),
    'an impossible date': ('b: 1\nname: 2020-13-45', "line 2: '2020-13-45' cannot be read as date; put it in quotes"),
    'text as an integer': ('a: !!int abc', "line 1: 'abc' cannot be read as int"),
    'text as a switch': ('a: !!bool abc', "line 1: 'abc' cannot be read as bool"),
    'an integer of 5000 digits': (f'a: {"9" * 5000}', 'cannot be read as int'),
    'an integer beyond 64 bits': ('a: 99999999999999999999', 'line 1: a whole number of 20 digits'),
    'a key twice': ('a: 1\na: 2', 'the key a comes twice, in lines 1 and 2'),
    'code': ('a: !!python/object/apply:os.system [ls]', 'could not determine a constructor'),
    'no mapping': ('[1]', 'it holds no keys'),
}


@pytest.mark.parametrize('name', REFUSED)
def test_what_cannot_be_read_is_one_short_sentence(name, tmp_path):
    text, expected = REFUSED[name]
    (tmp_path / 'o.yml').write_text(text)
    with pytest.raises(OptionError) as error:
        read_options(tmp_path / 'o.yml')
    assert expected in str(error.value)
    assert '\n' not in str(error.value)
    assert len(str(error.value)) < 400 + len(str(tmp_path))


def test_a_file_in_another_encoding_and_one_in_toml_are_named(tmp_path):
    (tmp_path / 'o.yml').write_bytes('name: 训练'.encode('gbk'))
    with pytest.raises(OptionError, match='is not UTF-8 text; save it as UTF-8'):
        read_options(tmp_path / 'o.yml')
    (tmp_path / 'o.toml').write_text('a = 1')
    with pytest.raises(OptionError, match='is TOML, and option files are YAML'):
        read_options(tmp_path / 'o.toml')


def test_a_file_of_many_bytes_is_not_read(tmp_path):
    with (tmp_path / 'o.yml').open('wb') as file:
        file.truncate(2**32)
    with pytest.raises(OptionError, match='has 4294967296 bytes, too many'):
        read_options(tmp_path / 'o.yml')


def test_aliases_and_merge_keys_are_read(tmp_path):
    (tmp_path / 'o.yml').write_text('a: &a {x: 1, y: [1, 2]}\nb: *a\nc: {<<: *a, x: 5000.0}')
    one = {'x': 1, 'y': [1, 2]}
    assert read_options(tmp_path / 'o.yml') == {'a': one, 'b': one, 'c': {'x': 5000.0, 'y': [1, 2]}}


@pytest.mark.parametrize(
    ('entry', 'expected'),
    [
        ('train:x=2020-13-45', 'cannot be read as date'),
        (f'a={"[" * 40}{"]" * 40}', 'more than 32 levels'),
        ('a=[', 'is not YAML'),
        (':'.join('a' * 40) + '=1', 'of at most 16 levels'),
        (f'name:x={"y" * 5000}', 'which holds no keys'),
    ],
)
def test_force_yml_is_read_within_the_same_bounds(entry, expected, tmp_path):
    with pytest.raises(OptionError, match=expected) as error:
        prepare(write_option_file(tmp_path), [entry])
    assert len(str(error.value)) < 400


PLUGINS = {
    'a folder': ('.', None, 'imports: cannot import .: '),
    'nothing': ('', None, 'imports: cannot import : '),
    'a file that is missing': ('own.py', None, 'No such file'),
    'a module that is missing': ('own_zoo_of_nobody', None, 'No module named'),
    'a slip of syntax': ('own.py', 'def', 'SyntaxError: '),
    'an exception': ('own.py', 'import torch\n1 / 0', 'ZeroDivisionError: division by zero'),
    'an exit': ('own.py', 'import sys; sys.exit(0)', 'SystemExit: 0'),
}


@pytest.mark.parametrize('name', PLUGINS)
def test_a_plugin_that_cannot_be_imported_is_one_sentence(name, tmp_path):
    module, source, expected = PLUGINS[name]
    path = write_option_file(tmp_path, imports=[module])
    if source:
        (tmp_path / module).write_text(source)
    with pytest.raises(OptionError) as error:
        prepare(path)
    assert expected in str(error.value)
    assert '\n' not in str(error.value)
    if name == 'an exception':
        assert 'own.py, line 2)' in str(error.value)
