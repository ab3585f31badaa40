"""What the user sees and clicks: the panel, its sections, and what to do when something is wrong (Qt)."""
