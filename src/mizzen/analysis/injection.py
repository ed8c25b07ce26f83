"""Which namespaces and pods get a sidecar, and whether it is the one that the injector would give them.

Source of the conditions: istio/istio, ``pkg/config/analysis/analyzers/injection``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from mizzen.analysis.embedded import embedded
from mizzen.analysis.items import Item
from mizzen.analysis.label_selectors import matches
from mizzen.analysis.messages import Message, message
from mizzen.analysis.values import Values, at, elements, labels, mapping, mappings, text
from mizzen.analysis.workloads import PROXY, workload_of
from mizzen.analysis.world import ROOT_NAMESPACE, SYSTEM_NAMESPACES, World, injected

_LABEL, _REVISION, _MODE = "istio-injection", "istio.io/rev", "istio.io/dataplane-mode"
_INJECTOR = "istio-sidecar-injector"


def namespaces(world: World) -> Iterator[Message]:
    """IST0102, IST0123 and IST0148 for namespaces, and IST0103 for pods of injected ones that have no proxy."""
    for item in world.of("Namespace"):
        if item.name not in SYSTEM_NAMESPACES and item.name != ROOT_NAMESPACE:
            yield from _namespace(world, item)
    for pod in world.of("Pod"):
        home = world.namespaces.get(pod.namespace)
        if home is not None and injected(home.labels) and pod.namespace not in SYSTEM_NAMESPACES and _lacks_proxy(pod):
            text_ = f"namespace {pod.namespace} asks for sidecars, and this pod has no container {PROXY}"
            yield message("IST0103", pod, "metadata.name", f"{text_}: if it runs, start it again")


def _namespace(world: World, item: Item) -> Iterator[Message]:
    given = item.labels
    enabled = given.get(_LABEL) in (None, "enabled")
    found = [f"{_LABEL}={given[_LABEL]}"] if _LABEL in given else []
    found += [f"{name}={given[name]}" for name in (_REVISION, _MODE) if name in given and enabled]
    if len(found) > 1:
        text_ = f"the labels {', '.join(found)} ask for different things; keep one of them"
        yield message("IST0123", item, "metadata.labels", text_)
    if given.get(_MODE) == "ambient" or given.get(_LABEL) or _REVISION in given:
        return
    if _injects_by_default(world, given.get(_REVISION, "")):
        text_ = "its pods get sidecars without a label, as the injector has enableNamespacesByDefault"
        yield message("IST0148", item, "metadata.name", text_)
        return
    text_ = f"its pods get no sidecar; to have one, label it {_LABEL}=enabled, to say that this is meant, disabled"
    yield message("IST0102", item, "metadata.name", text_)


def _lacks_proxy(pod: Item) -> bool:
    workload = workload_of(pod)
    said = pod.labels.get("sidecar.istio.io/inject", pod.annotations.get("sidecar.istio.io/inject", ""))
    if workload is None or said.lower() == "false" or pod.spec.get("hostNetwork") is True:
        return False
    return not any(text(one, "name") == PROXY and text(one, "image") for one in workload.containers)


def _injector(world: World, revision: str) -> Values:
    """Returns the settings of the injector for a revision; empty where the items do not have them."""
    name = f"{_INJECTOR}-{revision}" if revision and revision != "default" else _INJECTOR
    found = next((item for item in world.of("ConfigMap") if item.name == name), None)
    return embedded(text(found.value, "data", "values")) if found else {}


def _injects_by_default(world: World, revision: str) -> bool:
    return at(_injector(world, revision), "sidecarInjectorWebhook", "enableNamespacesByDefault") is True


def images(world: World) -> Iterator[Message]:
    """IST0158, once for each namespace with pods whose proxy is not the injector's."""
    different: dict[Item, list[str]] = defaultdict(list)
    for pod in world.of("Pod"):
        home = world.namespaces.get(pod.namespace)
        if home is None or not injected(home.labels) or pod.annotations.get("sidecar.istio.io/proxyImage"):
            continue
        wanted = _image(world, home.labels.get(_REVISION, ""))
        workload = workload_of(pod)
        for one in workload.containers if workload and wanted else ():
            if text(one, "name") == PROXY and text(one, "image") != wanted:
                different[home].append(pod.name)
    for home, names in different.items():
        text_ = f"the pods {', '.join(names)} have another proxy than the injector gives; start them again"
        yield message("IST0158", home, "metadata.name", text_)


def _image(world: World, revision: str) -> str:
    settings = mapping(_injector(world, revision), "global")
    image = text(settings, "proxy", "image")
    if not image or "/" in image:
        return image
    variant = text(world.mesh_config, "defaultConfig", "image", "imageType")
    suffix = f"-{variant}" if variant not in {"", "default"} else ""
    tag = str(settings.get("tag", ""))
    return f"{text(settings, 'hub')}/{image}:{tag if tag.endswith(suffix) else tag + suffix}"


def automatic_images(world: World) -> Iterator[Message]:
    """IST0147 for a pod, and IST0146 for a Deployment, with ``image: auto`` that no injector will replace."""
    for pod in world.of("Pod"):
        if (index := _automatic(pod.spec)) is not None:
            path = f"spec.containers[{index}].image"
            yield message("IST0147", pod, path, "`image: auto` is still there: no injector has replaced it")
    for item in world.of("Deployment"):
        template = mapping(item.spec, "template")
        index = _automatic(mapping(template, "spec"))
        if index is not None and not _will_be_injected(world, item, template):
            path = f"spec.template.spec.containers[{index}].image"
            yield message("IST0146", item, path, "no injector will replace `image: auto`: none is for these pods")


def _automatic(pod: Values) -> int | None:
    found = (index for index, one in elements(pod, "containers") if text(one, "name") == PROXY)
    return next((index for index in found if pod["containers"][index].get("image") == "auto"), None)


def _will_be_injected(world: World, item: Item, template: Values) -> bool:
    home = world.namespaces.get(item.namespace)
    own = labels(template, "metadata", "labels")
    hooks = [hook for one in world.of("MutatingWebhookConfiguration") for hook in mappings(one.value, "webhooks")]
    hooks = [hook for hook in hooks if text(hook, "name").endswith("istio.io")]
    if hooks:
        given = home.labels if home else {}
        return any(
            matches(hook.get("namespaceSelector"), given) and matches(hook.get("objectSelector"), own) for hook in hooks
        )
    # Without the webhooks: what those of Istio's charts do, and no word on namespaces that are not in the files.
    return home is None or injected(home.labels) or own.get("sidecar.istio.io/inject") == "true"
