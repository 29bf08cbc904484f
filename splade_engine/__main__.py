"""`python -m splade_engine`: the command line."""

from splade_engine.cli import main

if __name__ == "__main__":
    main()
