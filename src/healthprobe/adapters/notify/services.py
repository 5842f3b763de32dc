"""Services of apprise by URL, and the separate targets of one."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from typing import Any

from apprise import Apprise, AppriseAsset, NotifyBase, PersistentStoreMode
from apprise.plugins import url_to_dict as _url_to_dict

from healthprobe.ports import ConfigurationError

url_to_dict: Any = _url_to_dict  # apprise left it untyped


def service_at(url: str) -> NotifyBase:
    """Returns the service at one of apprise's URLs. Raises ConfigurationError, without secrets, for any other."""
    service = _made(url)
    if service is None:
        scheme = scheme_of(url)
        named = f"the {scheme}:// URL" if scheme.isalnum() and scheme.isascii() else "the URL"
        raise ConfigurationError(f"apprise does not know {named} to notify: compare it with the form of its service")
    return service


def services_by_target(url: str) -> Mapping[str, NotifyBase]:
    """Returns a service for each target of a URL, or nothing if there is one or if they cannot be separated.

    The targets are those of apprise's own form of the URL, where each stands by itself; all else is as the URL says.
    Raises ConfigurationError as `service_at` does.
    """
    service = service_at(url)
    if len(service) < 2:
        return {}
    targets = _targets_of(service)
    found = {target: _made({**(url_to_dict(url) or {}), "targets": [target]}) for target in targets}
    separate = {target: each for target, each in found.items() if each is not None and _targets_of(each) == [target]}
    return separate if len(separate) == len(targets) == len(service) else {}


def scheme_of(url: str) -> str:
    """Returns the name of the service in a URL, or nothing."""
    return url.partition("://")[0] if "://" in url else ""


def hidden(target: str) -> str:
    """Returns a target as apprise hides secrets: its first and its last character."""
    untyped: Any = NotifyBase
    return str(untyped.pprint(target, privacy=True, quote=False))


def _made(url: str | dict[str, Any]) -> NotifyBase | None:
    logging.getLogger("apprise").disabled = True  # it logs to standard error; our error says what failed
    asset = AppriseAsset(
        app_id="healthprobe", app_desc="healthprobe", async_mode=False, storage_mode=PersistentStoreMode.MEMORY
    )
    with warnings.catch_warnings(action="ignore"):  # loads all plugins, some with deprecated modules
        service = Apprise.instantiate(url, asset=asset)
    return service if isinstance(service, NotifyBase) else None


def _targets_of(service: Any) -> list[str]:
    targets = (url_to_dict(service.url(privacy=False)) or {}).get("targets")
    return [target for target in targets if isinstance(target, str)] if isinstance(targets, list) else []
