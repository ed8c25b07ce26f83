"""Envoy's API by name: its messages, their JSON form, and the constraints that Envoy puts on their fields.

What an EnvoyFilter holds is Envoy's configuration, so whoever reads one needs to know it. Nothing here knows what a mesh is;
messages are imported when they are asked for, because all of them together take seconds.
"""
