"""What `scripts/bench.py` measures with: the corpus, a server process, h2load, bare baselines and the report."""
