"""``python -m basicsr_ganzoo.train -opt FILE``, the same as ``ganzoo train``."""

from basicsr_ganzoo.cli.train import main

if __name__ == '__main__':
    main()
