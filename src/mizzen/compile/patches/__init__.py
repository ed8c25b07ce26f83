"""EnvoyFilters: the last stage of the compiler, which changes what it built for a proxy as users ask (Istio 2.19).

``patch`` prepares what users wrote, ``places`` says what each of a proxy's resources is to them, ``matching`` which patch is
for which object; ``listeners``, ``filters``, ``routes`` and ``clusters`` change objects, and ``stage`` puts it together. Each
change is a pure function of a view; a proxy without EnvoyFilters pays nothing.
"""
