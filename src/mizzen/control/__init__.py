"""The control plane: one process that knows the world, compiles it for every proxy, and answers the command line.

    stores, node reports ──▶ world (single writer) ──▶ Snapshot ──▶ configs (compile) ──▶ xds
                                   ▲                       │
                              rejections ◀─────────────────┘ what Envoy refused

``plane`` is the composition root; ``world`` owns the state; ``views`` are pure; ``api/`` is the HTTP face of it all.
"""
