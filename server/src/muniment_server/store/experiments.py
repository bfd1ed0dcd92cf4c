"""Reading experiments."""

from __future__ import annotations

import sqlalchemy as sa

from muniment.model.errors import Gone, NotFound
from muniment.model.experiment import Experiment
from muniment_server.policy.access import Scope
from muniment_server.store import current
from muniment_server.store.projects import visible
from muniment_server.store.records import erased
from muniment_server.store.tables import experiments


def find(connection: sa.Connection, scope: Scope, project_id: int, key: str, *, as_of: int | None = None) -> Experiment:
    """The experiment with this name or id.

    Raises:
        NotFound: there was none at that position.
        Gone: it was erased since, and its past with it.
    """
    query = current.versions("experiment").where(
        experiments.c.project_id == project_id,
        current.at(experiments, as_of),
        visible(scope, experiments.c.project_id),
    )
    row = connection.execute(query.where(experiments.c.name == key)).first()
    plain = key.replace("-", "").lower()
    if row is None and len(plain) == 32 and all(letter in "0123456789abcdef" for letter in plain):
        row = connection.execute(query.where(experiments.c.id == plain)).first()
        if row is None and as_of is not None and erased(connection, project_id, plain):
            raise Gone(f"experiment {plain} was erased, and its past with it", field="experiment")
    if row is None:
        raise NotFound(f"experiment {key[:100]!r} does not exist{_then(as_of)}", field="experiment")
    found: Experiment = current.to_record("experiment", row)
    return found


def _then(as_of: int | None) -> str:
    return "" if as_of is None else f" as of position {as_of}"
