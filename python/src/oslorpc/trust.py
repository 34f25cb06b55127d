"""What a transport trusts, and how it proves its identity:

PEM files, named by the URL or the environment.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os

from oslorpc.errors import invalid

PARAMETERS = ("ca", "cert", "key", "server-name", "identity", "token-file", "policy", "insecure", "hide", "gateways")
HIDEABLE = ("failures", "introspection", "reflection")


@dataclasses.dataclass(frozen=True)
class Trust:
    """Paths of PEM files, and the name, or the template of names, that the certificates of servers
    must have.

    ``policy`` is the path of a policy file for servers, ``hide`` what servers hide from callers,
    and ``gateways`` the gateways that servers trust to name the original callers; clients ignore
    these. Without files, connections are plaintext, and stay within the machine unless ``insecure``
    is set.
    """

    ca: str = ""
    cert: str = ""
    key: str = ""
    server_name: str = ""
    identity: str = ""
    token_file: str = ""
    policy: str = ""
    insecure: bool = False
    hide: frozenset[str] = frozenset()
    gateways: tuple[str, ...] = ()

    @classmethod
    def read(cls, parameters: dict[str, str]) -> Trust:
        """Return the settings of a URL, completed by the environment.

        A certificate and its key come from the same source.
        """
        pair = ("cert", "key")
        url_has_pair = any(parameters.get(name) for name in pair)
        values = {}
        for name in PARAMETERS:
            value = parameters.get(name, "")
            if not value and name != "gateways" and not (name in pair and url_has_pair):
                value = os.environ.get("OSLORPC_" + name.upper().replace("-", "_"), "").strip()
            values[name.replace("-", "_")] = value
        hide = frozenset(name.strip() for name in values.pop("hide").split(",") if name.strip())
        for name in hide.difference(HIDEABLE):
            raise invalid(
                f'hide: "{name}" cannot be hidden: write failures, introspection or reflection, with commas between'
            )
        given = values.pop("gateways")
        gateways = tuple(name.strip() for name in given.split(",")) if given else ()
        insecure = values.pop("insecure")
        if insecure not in ("", "true", "false"):
            raise invalid(f'"insecure" is {insecure!r}: write true or false')
        if bool(values["cert"]) != bool(values["key"]):
            raise invalid("a certificate needs its key: give both cert and key, or none")
        return cls(**values, insecure=insecure == "true", hide=hide, gateways=gateways)

    @property
    def secure(self) -> bool:
        """Whether connections use TLS."""
        return bool(self.ca or self.cert)

    def check_plaintext(self, addr: str) -> None:
        """Raise an Error for a plaintext connection to another machine."""
        if self.insecure or addr.startswith("unix:"):
            return
        host = addr.rpartition(":")[0].removeprefix("[").removesuffix("]")
        try:
            loopback = ipaddress.ip_address(host).is_loopback
        except ValueError:
            loopback = host == "localhost"
        if not loopback:
            raise invalid(
                f"{addr} is another machine, or can be reached from one, and there is no TLS: give ca, cert and key "
                "in the transport URL, or allow plaintext with insecure=true"
            )
