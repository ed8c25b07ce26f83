"""What users write: Istio's, Kubernetes' and Mizzen's kinds, read with line numbers and checked.

Text goes through ``yaml_documents`` (values and places), ``decoding`` (models), ``unimplemented`` and ``validation``
(rules) and comes out of ``loading`` as resources and problems; ``references`` checks resources against each other. The
lowest layer: of the rest of Mizzen it imports ``settings`` alone.
"""
