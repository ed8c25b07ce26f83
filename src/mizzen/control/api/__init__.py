"""The HTTP API of the control plane, on a Unix socket that only the mesh's owner can reach.

One module for each subject; each makes the routes of its subject from the parts that it needs. Errors are
``{"problems": [...]}``, in the form of ``resources.problems_json``.
"""
