"""The rules of each kind, one module per kind; the phrases of Istio's messages are kept, for tools search for them.

``rules`` has all for one resource by itself. What concerns several resources at once is in
``mizzen.resources.references``.
"""
