"""How the bundled encoder is made: `python -m scripts.train_default`, from a checkout.

`data.py` makes its training pairs from collections laid out as its head says, `copies.py` keeps them apart
from test collections, `model.py` trains in four runs and exports, `__main__.py` is the command.
"""
