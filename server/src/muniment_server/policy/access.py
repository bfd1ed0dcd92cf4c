"""Permissions, and the scope of what a caller may see.

For now there is one principal, the local owner, who may do everything; the scope is already a parameter of every
read and the permission a part of every route, so that roles only have to fill them.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from muniment.model.errors import Denied


class Permission(StrEnum):
    """What a route asks of its caller; each includes the ones before it."""

    PUBLIC = "public"
    """Needs no identity: health, version."""
    READ = "read"
    WRITE = "write"
    CURATE = "curate"
    ADMIN = "admin"


_ORDER = list(Permission)


class Scope(msgspec.Struct, frozen=True):
    """A caller: who acts, with which permission, and which projects are visible.

    Attributes:
        principal: id of the acting principal; every entry records it.
        permission: the greatest permission.
        projects: numbers of the visible projects; None is all of them.
    """

    principal: str
    permission: Permission = Permission.ADMIN
    projects: frozenset[int] | None = None

    def sees(self, project_id: int) -> bool:
        """Whether a project exists as far as this caller may know."""
        return self.projects is None or project_id in self.projects

    def require(self, permission: Permission) -> None:
        """Check a permission.

        Raises:
            Denied: the caller lacks it.
        """
        if _ORDER.index(self.permission) < _ORDER.index(permission):
            raise Denied(f"this needs the permission {permission}, and you have {self.permission}")
