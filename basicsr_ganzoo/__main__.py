"""``python -m basicsr_ganzoo`` is the ``ganzoo`` command."""

from basicsr_ganzoo.cli import main

if __name__ == '__main__':
    main()
