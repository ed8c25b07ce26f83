"""Turns a proxy and a snapshot into the xDS resources of that proxy. Pure functions, one file per Envoy concept.

``compiler`` puts the parts together; each part is built by a function of a frozen *view* that holds everything its
result depends on, so equal views share one encoded resource. Which policy applies is resolved in ``mesh``; how Envoy
says it is here, under Istio's names: nowhere else do users' resources and Envoy's messages meet.
"""
