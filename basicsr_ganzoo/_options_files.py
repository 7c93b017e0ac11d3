"""Where the option files lie that come with the package."""

from pathlib import Path


def options_root():
    """The folder of the option files: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    candidates = (package / 'options', package.parent / 'options')
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f'the option files of basicsr_ganzoo are in none of {", ".join(map(str, candidates))}')
