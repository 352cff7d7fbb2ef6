"""mountplan: write down the mount tree and the sharing you want; get it built in order, and verified."""

__version__ = "0.1.0"
