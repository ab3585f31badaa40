"""Networks of others beside IUINet: how they are built, what they cost, and how all are trained alike."""
