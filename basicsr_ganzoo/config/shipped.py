"""The option files that come with the package: where they lie, and how they are named on the command line."""

from pathlib import Path

from basicsr_ganzoo.errors import DependencyError, OptionError, did_you_mean


def options_root():
    """The folder of the option files: inside an installed package, or beside it in a checkout.

    Raises:
        DependencyError: it is in neither place.
    """
    package = Path(__file__).resolve().parents[1]
    candidates = (package / 'options', package.parent / 'options')
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise DependencyError(
        f'basicsr_ganzoo is incomplete: its option files are neither in {candidates[0]} nor in {candidates[1]}; '
        'pip install --force-reinstall --no-deps basicsr-ganzoo, or pip install -e . in a clone'
    )


def shipped_files():
    """The option files of the package by their names without ``.yml``, in the order of their folders."""
    return {path.stem: path for path in sorted(options_root().rglob('*.yml'))}


def find_shipped_file(name):
    """The path of an option file of the package.

    Args:
        name: such as ``esrgan_x4``, with or without ``.yml``, and with as many of its folders as one likes, up to
            ``options/train/ESRGAN/esrgan_x4.yml``.

    Raises:
        OptionError: there is none; the message names a near one.
    """
    files = shipped_files()
    wanted = Path(name)
    stem = wanted.name.removesuffix('.yml')
    path = files.get(stem)
    if path is None:
        hint = did_you_mean(stem, files)
        raise OptionError(f'no shipped option file is called {name}{hint}; `ganzoo options` lists them')
    folders = ('options', *path.relative_to(options_root()).parts[:-1])
    if wanted.parts[:-1] != folders[len(folders) - len(wanted.parts) + 1 :]:
        raise OptionError(f'no shipped option file is called {name}; {stem} is {"/".join(folders)}/{path.name}')
    return path


def text_for_elsewhere(path):
    """The text of a shipped file for another folder: its line for editors names the schema of this installation."""
    here = f'$schema={"../" * (len(path.relative_to(options_root()).parts) - 1)}schema.json'
    elsewhere = f'$schema={(options_root() / "schema.json").as_uri()}'
    return path.read_text(encoding='utf-8').replace(here, elsewhere, 1)


def find_option_file(name):
    """The path of an option file: ``name`` where that is a file, else the file of the package that it names.

    Raises:
        OptionError: it is neither.
    """
    if Path(name).is_file():
        return Path(name)
    try:
        return find_shipped_file(name)
    except OptionError as error:
        raise OptionError(f'-opt names no file: {name}, and {error}') from error
