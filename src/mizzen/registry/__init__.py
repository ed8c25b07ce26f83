"""Where workloads are found: today the processes that Mizzen's nodes start.

``reports`` is what a node and the control plane tell each other; ``services``, ``processes`` and ``addresses`` turn
users' Service and Workload resources and a node's report into the model's services, endpoints and proxies.
"""
