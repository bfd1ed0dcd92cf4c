"""The demo, recorded: data and its parts, training runs, the finalists' models and how good they are."""

from __future__ import annotations

from importlib.metadata import version

import msgspec
from rich.progress import Progress

from muniment import ActiveRun, fluent
from muniment.capture import environment
from muniment.model.batch import UpdateRun
from muniment.model.dataset import DatasetVersion, Source
from muniment.model.errors import InvalidInput
from muniment.model.evaluation import Threshold
from muniment.model.model import Framework, ModelVersion, Signature
from muniment.model.run import PACKAGES, Code, Environment
from muniment.model.schema import Column
from muniment_server.commands import sweep

RELEASE = version("scikit-learn")
_TAGS = {"demo": "sweep", "scikit-learn": RELEASE}


class Finalist(msgspec.Struct, frozen=True):
    """A trained model that may be registered."""

    trained: sweep.Trained
    trial: sweep.Trial
    run: ActiveRun


def everything(progress: Progress, seed: int | None) -> int:
    """Record the whole demo; how many runs it has."""
    trials = list(sweep.trials())
    runs = 0
    task = progress.add_task("preparing", total=len(trials))
    around = environment.capture()
    for name, load in sweep.DATASETS.items():
        data = load()
        parts, prepared = _prepare(name, data)
        runs += 1
        finalists: list[Finalist] = []
        for number, trial in enumerate(trials, start=1):
            if trial.dataset != name:
                continue
            progress.update(task, description=f"{name} · {trial.model}")
            finalists.append(_train(trial, number, seed, parts, prepared, around))
            progress.advance(task)
            runs += 1
        progress.update(task, description=f"{name} · evaluating")
        _judge(name, data, parts, prepared, finalists)
        runs += 1
    return runs


def one(number: int, seed: int | None) -> None:
    """Record one training run of the demo, by its number from 1, and nothing around it.

    Raises:
        InvalidInput: the sweep has no such trial.
    """
    trials = list(sweep.trials())
    if number > len(trials):
        raise InvalidInput(f"trial: the demo has trials 1 to {len(trials)}, not {number}", field="trial")
    trial = trials[number - 1]
    data = sweep.DATASETS[trial.dataset]()
    parts = sweep.split(data)
    _train(trial, number, seed, parts, _divided(trial.dataset, data, parts), environment.capture())


def _divided(name: str, data: sweep.Data, parts: sweep.Split, made_by: ActiveRun | None = None) -> DatasetVersion:
    """The version of the divided data; the one that is there, if it is."""
    return fluent.dataset(
        name,
        digest=sweep.digest_of(parts.train_x, parts.valid_x),
        schema=data.schema,
        slices=sweep.slices(data, parts),
        rows=len(data.y),
        made_by=made_by,
    )


def _prepare(name: str, data: sweep.Data) -> tuple[sweep.Split, DatasetVersion]:
    """Divide a data set; the run that did it read the raw version and wrote the divided one."""
    raw = fluent.dataset(
        name,
        namespace=sweep.NAMESPACE,
        version=RELEASE,
        digest=data.digest,
        sources=[Source(uri=f"sklearn.datasets.load_{name.replace('-', '_')}", format="numpy", version=RELEASE)],
        schema=data.schema,
        rows=len(data.y),
    )
    seeds = {"numpy": sweep.SPLIT_SEED}
    with fluent.start_run(name, f"divide-{name}", kind="processing", tags=_TAGS, seeds=seeds) as run:
        run.use(raw, role="source")
        parts = sweep.split(data)
        prepared = _divided(name, data, parts, run)
    return parts, prepared


def _train(
    trial: sweep.Trial,
    number: int,
    given: int | None,
    parts: sweep.Split,
    prepared: DatasetVersion,
    around: tuple[Environment, bytes],
) -> Finalist:
    again = ["muniment", "demo", "--trial", str(number)]
    if given is not None:
        again += ["--seed", str(given)]
    seed = sweep.SEED if given is None else given
    with fluent.start_run(
        trial.dataset,
        f"{trial.model}-{number:02}",
        params={"model": trial.model, **trial.params},
        tags=_TAGS,
        seeds={"numpy": seed},
    ) as run:
        run.use(prepared, role="training")
        run.learn(UpdateRun(run=run.id, code=Code(command=again), environment=around[0]))
        if around[1]:
            run.log_artifact(around[1], PACKAGES)
        trained = sweep.train(trial, seed, parts, run)
    return Finalist(trained, trial, run)


def _judge(
    name: str, data: sweep.Data, parts: sweep.Split, prepared: DatasetVersion, finalists: list[Finalist]
) -> None:
    """Register the best, evaluate each on every slice that was held out, and crown one."""
    best = sorted(finalists, key=lambda finalist: -finalist.trained.accuracy)[: sweep.FINALISTS]
    with fluent.start_run(name, f"judge-{name}", kind="evaluation", tags=_TAGS) as run:
        run.use(prepared, role="test")
        judged = [(_evaluated(name, data, parts, prepared, finalist, run), finalist) for finalist in best]
    ranked = sorted(judged, key=lambda pair: -pair[0][1])
    for alias, ((made, _), _) in zip(("champion", "challenger"), ranked, strict=False):
        fluent.connection().set_alias(name, alias, made.version)


def _evaluated(
    name: str, data: sweep.Data, parts: sweep.Split, prepared: DatasetVersion, finalist: Finalist, run: ActiveRun
) -> tuple[ModelVersion, float]:
    """The registered version and its accuracy on the whole of what was held out."""
    classes = [Column(name=f"p_{label}", type="float64") for label in sorted(set(data.y.tolist()))]
    made = fluent.register(
        name,
        finalist.run,
        signature=Signature(inputs=data.schema[:-1], outputs=classes),
        framework=Framework(name="scikit-learn", version=RELEASE),
        digest=sweep.digest_of(finalist.trained.predict(parts.valid_x)),
        metadata={"digest_of": "predictions on the validation part"},
    )
    whole = 0.0
    for part, (x, y) in parts.held_out.items():
        found = sweep.scores(finalist.trained.predict, x, y)
        fluent.evaluate(
            made, prepared, found, slice=part, run=run, thresholds={"accuracy": Threshold(min=sweep.THRESHOLDS[name])}
        )
        whole = found["accuracy"] if part == "test" else whole
    return made, whole
