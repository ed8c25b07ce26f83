"""What several kinds of tests share: worlds made from YAML, real Envoys, load."""
