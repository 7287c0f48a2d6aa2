"""The status a kubelet would write. Pure: what is known of a Pod's containers becomes one object.

In: the Pod as it was first seen, its address, the state of its containers, the time. Out: the
`status` for a strategic merge patch, so that conditions of others stay.
"""

from dataclasses import dataclass, field
from typing import Any, Optional

Json = dict[str, Any]


@dataclass
class Container:
    """What is known of one container; `state` is Kubernetes' own word for it."""

    name: str
    image: str
    state: Json = field(default_factory=lambda: {"waiting": {"reason": "PodInitializing"}})
    last_state: Json = field(default_factory=dict)
    ready: bool = False
    restarts: int = 0
    # Ended, and not to be started again.
    over: bool = False

    def status(self) -> Json:
        """Its entry in `containerStatuses`."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": self.image,
            "ready": self.ready,
            "started": "running" in self.state,
            "restartCount": self.restarts,
            "state": self.state,
            "lastState": self.last_state,
        }

    def run(self, now: str) -> None:
        """It has been started."""
        self.state = {"running": {"startedAt": now}}
        self.ready = False

    def exit(self, code: int, now: str) -> None:
        """It has ended."""
        started = self.state.get("running", {}).get("startedAt", now)
        reason = "Completed" if code == 0 else "Error"
        ended = {"exitCode": code, "reason": reason, "startedAt": started, "finishedAt": now}
        self.state = {"terminated": ended}
        self.ready = False

    def back_off(self, message: str) -> None:
        """It waits to be started again."""
        self.last_state = self.state
        self.state = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}


def restarts(policy: str, code: int) -> bool:
    """Whether a container that ended is started again."""
    return policy == "Always" or (policy == "OnFailure" and code != 0)


def phase(containers: list[Container]) -> str:
    """The one word for a Pod, from its containers."""
    if all(container.over for container in containers):
        codes = [container.state["terminated"]["exitCode"] for container in containers]
        return "Failed" if any(codes) else "Succeeded"
    waits = all("waiting" in c.state and not c.restarts for c in containers)
    return "Pending" if waits else "Running"


def report(
    pod: Json, address: str, containers: list[Container], initialized: bool, start: str, now: str
) -> Json:
    """The whole status. Times of conditions are those of the last report, where nothing changed:
    see `keep_times`."""
    # By name, as the kubelet sorts them: Ray's autoscaler looks at the first one.
    ordered = sorted(containers, key=lambda container: container.name)
    ready = all(container.ready for container in ordered)
    wanted = {
        "PodScheduled": (True, ""),
        "Initialized": (initialized, "ContainersNotInitialized"),
        "ContainersReady": (ready, "ContainersNotReady"),
        "Ready": (ready, "ContainersNotReady"),
    }
    status: Json = {
        "phase": phase(ordered),
        "podIP": address,
        "podIPs": [{"ip": address}],
        "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}],
        "startTime": start,
        "conditions": [
            _condition(kind, holds, reason, now) for kind, (holds, reason) in wanted.items()
        ],
        "containerStatuses": [container.status() for container in ordered],
    }
    waiters = pod["spec"].get("initContainers", [])
    if waiters:
        done = {"terminated": {"exitCode": 0, "reason": "Completed"}}
        state = done if initialized else {"running": {"startedAt": start}}
        status["initContainerStatuses"] = [
            {
                "name": waiter["name"],
                "image": waiter["image"],
                "imageID": waiter["image"],
                "ready": initialized,
                "restartCount": 0,
                "state": state,
            }
            for waiter in waiters
        ]
    return status


def unschedulable(most: int, now: str) -> Json:
    """The status of a Pod for which there is no room."""
    condition = _condition("PodScheduled", False, "Unschedulable", now)
    condition["message"] = f"0/1 nodes are available: this one runs {most} Pods already."
    return {"phase": "Pending", "conditions": [condition]}


def keep_times(status: Json, before: Optional[Json]) -> None:
    """A condition that did not change keeps the time of its last change."""
    old = {condition["type"]: condition for condition in (before or {}).get("conditions", [])}
    for condition in status["conditions"]:
        known = old.get(condition["type"])
        if known and known["status"] == condition["status"]:
            condition["lastTransitionTime"] = known["lastTransitionTime"]


def _condition(kind: str, holds: bool, reason: str, now: str) -> Json:
    condition = {"type": kind, "status": str(holds), "lastTransitionTime": now}
    # Said also when empty: in a merge, absent ones would leave the old ones.
    condition["reason"] = "" if holds else reason
    condition["message"] = ""
    return condition
