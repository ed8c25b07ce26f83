"""The model in the middle: services, workloads, endpoints, identities, and which policy applies to what. Pure.

Users' resources come in from ``store``, what runs comes in from ``registry``; ``compile`` takes a Snapshot out.
"""
