"""Generated CTs with their labels: they show no patient."""
