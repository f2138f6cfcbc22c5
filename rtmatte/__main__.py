"""python -m rtmatte"""

from rtmatte.cli import main

main()
