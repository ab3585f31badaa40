"""How the starter model is measured on the few real scans at hand, and with what references."""
