"""``python -m basicsr_ganzoo.test -opt FILE``, the same as ``ganzoo test``."""

from basicsr_ganzoo.cli.test import main

if __name__ == '__main__':
    main()
