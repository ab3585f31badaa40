"""What the tests and the benchmarks share: factories, a faulty server, a stand-in for a GPU, waiting."""
