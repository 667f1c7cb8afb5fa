"""`python -m listen_edge` is the command line."""

from listen_edge.cli.root import main

main()
