"""The training loop and its parts: options, loss, state on disk."""
