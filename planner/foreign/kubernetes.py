"""A container of a Kubernetes pod -> a spec: its volumes with their propagation, as a runtime gets them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import ceil

from mountplan.planner.foreign.spec_draft import ImportFacts, Refusal, SpecDraft, Table, absolute
from mountplan.planner.foreign.volumes import StandIns, depth, host_bind, image_root

_PROPAGATION = {"None": "rprivate", "HostToContainer": "rslave", "Bidirectional": "rshared"}
# Whose volumes are files, which nobody in a pod may write; a subPath is one of them.
_OF_FILES = ("configMap", "secret", "projected", "downwardAPI")


def import_kubernetes(
    documents: Iterable[object], file: str, facts: ImportFacts, *, container: str = "", root: str = ""
) -> SpecDraft:
    """A pod, or what makes pods (a Deployment, a DaemonSet, ...). Raises SpecError."""
    refusal = Refusal(file)
    pods = [pod for document in documents for pod in _pods(document)]
    if not pods:
        refusal.stop("spec", "there is no pod, and nothing that makes pods", "name a file with one")
    every = [(one, pod) for pod in pods for one in _containers(pod)]
    first = [one for one in pods[0].get("containers") or () if isinstance(one, Mapping)]
    known = ", ".join(str(one.get("name")) for one, _ in every)
    if not container and len(first) > 1:
        refusal.add("spec.containers", f"has several: {known}", "name one with --container")
    chosen, pod = next((one for one in every if container in ("", one[0].get("name"))), (None, pods[0]))
    if chosen is None:
        refusal.stop("spec.containers", f"there is no container {container}", f"there are: {known or 'none'}")
    refusal.end()
    draft = SpecDraft(str(chosen.get("name", "")))
    if len(pods) > 1 and not container:
        draft.cannot_say(f"the other pods of the file: their containers are {', '.join(known.split(', ')[1:])}")
    security = chosen.get("securityContext") or {}
    read_only = bool(security.get("readOnlyRootFilesystem"))
    image_root(draft, root, facts, f"the image {chosen.get('image')}", read_only=read_only)
    volumes = {one.get("name"): one for one in pod.get("volumes") or () if isinstance(one, Mapping)}
    for one in pod.get("volumeClaimTemplates") or ():
        volumes.setdefault(str(one["metadata"]["name"]), {"name": one["metadata"]["name"], "persistentVolumeClaim": {}})
    stand_ins = StandIns(draft)
    mounts: list[Table] = []
    for number, mount in enumerate(chosen.get("volumeMounts") or ()):
        key = f"spec.containers.{chosen.get('name')}.volumeMounts[{number}]"
        if not isinstance(mount, Mapping) or "mountPath" not in mount or mount.get("name") not in volumes:
            refusal.add(key, "has no mountPath, or names no volume", f"volumes are: {', '.join(map(str, volumes))}")
            continue
        mounts.append(mount)
    for mount in sorted(mounts, key=lambda one: depth(absolute(str(one["mountPath"])))):
        _mount(draft, mount, volumes[mount["name"]], facts, stand_ins)
    _run(draft, chosen, security, pod)
    refusal.end()
    return draft


def _pods(document: object) -> Iterable[Table]:
    """The specs of pods in what a document describes, with what a StatefulSet gives them."""
    found = document.get("spec") if isinstance(document, Mapping) else None
    if isinstance(document, Mapping) and isinstance(document.get("items"), list):  # a List
        for one in document["items"]:
            yield from _pods(one)
    claims = found.get("volumeClaimTemplates") if isinstance(found, Mapping) else None
    for step in (None, "jobTemplate", "template"):
        if step is not None and isinstance(found, Mapping) and isinstance(found.get(step), Mapping):
            found = found[step].get("spec")
        if isinstance(found, Mapping) and found.get("containers"):
            yield {**found, "volumeClaimTemplates": claims} if claims else found
            return


def _containers(pod: Table) -> list[Table]:
    found = [*(pod.get("containers") or ()), *(pod.get("initContainers") or ())]
    return [one for one in found if isinstance(one, Mapping)]


def _mount(draft: SpecDraft, mount: Table, volume: Table, facts: ImportFacts, stand_ins: StandIns) -> None:
    place, part = draft.destination(absolute(str(mount["mountPath"])), facts), str(mount.get("subPath") or "")
    read_only = ""
    if mount.get("readOnly"):
        read_only = "recursive" if mount.get("recursiveReadOnly") in ("Enabled", "IfPossible") else "mount"
    if mount.get("subPathExpr"):
        draft.cannot_say(f"{place}: subPathExpr {mount['subPathExpr']}")
    if ".." in part.split("/"):
        draft.cannot_say(f"{place}: subPath {part} leads out of the volume, and Kubernetes refuses it")
        return
    propagation = _PROPAGATION.get(str(mount.get("mountPropagation") or "None"), "rprivate")
    host = volume.get("hostPath")
    if isinstance(host, Mapping):
        source = absolute(part, absolute(str(host.get("path", "/"))))
        made = host_bind(draft, place, source, facts, propagation=propagation, read_only=read_only)
        kind, whole = str(host.get("type") or ""), facts.kind(absolute(str(host.get("path", "/"))))
        if whole and kind and (whole == "directory") != kind.startswith("Directory"):
            made.notes.append(f"the pod would wait for a {kind}, where there is a {whole}")
        if not facts.kind(source):
            who = "the kubelet makes it" if kind.endswith("OrCreate") else "the pod would wait for it"
            what = f"{who}, for type {kind}" if kind else "most runtimes make a directory"
            made.notes.append(f"{source} is not there: {what}")
        return
    name = str(volume.get("name"))
    kind = next((one for one in volume if one != "name"), "emptyDir")
    given = volume.get(kind) or {}
    options, note = {"mode": "0777"}, f"in place of the volume {name}, {kind}: fill it with contents = DIRECTORY"
    if kind == "emptyDir":
        options |= {"size": _bytes(given["sizeLimit"])} if given.get("sizeLimit") else {}
        on_disk = given.get("medium") != "Memory"
        note = f"the volume {name}, which the kubelet keeps on the node's disk" if on_disk else ""
    is_file = kind in _OF_FILES and not any(one.startswith(f"{part.strip('/')}/") for one in _paths(given))
    is_read_only = bool(read_only or kind in _OF_FILES or given.get("readOnly"))
    stand_ins.bind(place, stand_ins.of(name, options, note), part, read_only=is_read_only, is_file=is_file)


def _paths(volume: Table) -> Iterable[str]:
    """Where a volume of files says that they are to be in it."""
    sources = [part for one in volume.get("sources") or () for part in one.values() if isinstance(part, Mapping)]
    for source in (volume, *sources):
        for item in source.get("items") or ():
            yield str(item.get("path"))


def _bytes(text: object) -> str:
    """A quantity of Kubernetes as tmpfs takes it."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:([kMGTPE])(i?)|Ki|(m)|[eE]([0-9]+))?", str(text))
    if match is None:
        return str(text)
    amount, letter, binary, thousandths, power = match.groups()
    if match[0].endswith("Ki"):
        letter, binary = "k", "i"
    if binary and amount.isdecimal():
        return amount + letter.lower()
    factor = Fraction(1, 1000) if thousandths else Fraction(10) ** int(power or 0)
    factor *= (1024 if binary else 1000) ** ("kMGTPE".index(letter) + 1 if letter else 0)
    return str(ceil(Fraction(amount) * factor))


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    """With what $(NAME) stands for; an unknown one stays, and $$ is a dollar."""
    return re.sub(r"\$(?:\$|\(([^)]*)\))", lambda one: "$" if one[1] is None else variables.get(one[1], one[0]), text)


def _run(draft: SpecDraft, chosen: Table, security: Table, pod: Table) -> None:
    if not chosen.get("command"):
        draft.cannot_say("the entry point of the image" + (", before the arguments" if chosen.get("args") else ""))
    environment: dict[str, str] = {}
    for one in chosen.get("env") or ():
        if isinstance(one, Mapping) and "value" in one:
            environment[str(one.get("name"))] = _expanded(str(one["value"]), environment)
        elif isinstance(one, Mapping):
            draft.cannot_say(f"the value of {one.get('name')}, which comes from elsewhere")
    words = [_expanded(str(one), environment) for one in (*(chosen.get("command") or ()), *(chosen.get("args") or ()))]
    draft.say_run(command=words)
    directory = chosen.get("workingDir")
    draft.say_run(environment=environment, cwd=absolute(str(directory)) if directory else "")
    of_security = ("runAsUser", "capabilities", "seccompProfile", "privileged")
    draft.cannot_say_of(security, of_security, before="securityContext.")
    draft.cannot_say_of(chosen, ("volumeDevices", "envFrom"))
    draft.cannot_say_of(pod, ("hostPID", "hostNetwork", "hostIPC", "initContainers"), " of the pod")
