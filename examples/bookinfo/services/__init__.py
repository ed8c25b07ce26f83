"""The four services of Bookinfo, on Python's standard library alone.

``serving`` is the HTTP server and ``calling`` the client that all share; ``details``, ``ratings``, ``reviews`` and
``productpage`` are one service each (``python3 -m services.reviews --port 9080``), and ``page`` is what a reader sees.
Nothing here knows of a mesh: names are called as ``http://reviews:9080``, and who answers is the mesh's business.
"""
