"""What stands behind the researchers' scripts, one package so that its names are its own."""
