"""What runs on a machine: Envoys and applications, started and stopped in an order that no caller notices.

``agent`` composes the parts; ``workloads`` makes what runs become what should run (``planning`` is the pure part), with
one ``instances`` runner a replica, which has a ``sidecars`` and an ``applications`` keeper. ``capturing`` says what they
need of traffic capture: ``explicit`` has it with loopback ports, ``capture`` with network namespaces. ``announcing``,
``control_client`` and ``control_process`` face the control plane, ``sds`` serves certificates to the Envoys.
"""
