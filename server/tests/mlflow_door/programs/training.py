"""What trains and logs by itself: scikit-learn, XGBoost, Optuna; models logged, registered, loaded, evaluated.

Prints, as JSON, what it read back.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from typing import Any

import mlflow
import numpy as np
import optuna
import pandas as pd
import xgboost
from mlflow import MlflowClient
from mlflow.models import infer_signature
from optuna_integration import MLflowCallback
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

warnings.filterwarnings("ignore", category=UserWarning)
client = MlflowClient()
random = np.random.default_rng(7)
X = pd.DataFrame(random.normal(size=(80, 3)), columns=["a", "b", "c"])
y = pd.Series((X["a"] + X["b"] > 0).astype(int), name="y")


def paths(run: str, folder: str | None = None) -> list[str]:
    """The files below a folder of a run."""
    found: list[str] = []
    for one in client.list_artifacts(run, folder):
        found.extend(paths(run, one.path) if one.is_dir else [one.path])
    return found


def autologged() -> dict[str, Any]:
    """A pipeline of scikit-learn that is logged by itself, and loaded back."""
    experiment = mlflow.set_experiment("autolog").experiment_id
    mlflow.autolog(log_datasets=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(X, y)
    score = model.score(X, y)
    run = mlflow.last_active_run()
    mlflow.autolog(disable=True)
    run = client.get_run(run.info.run_id)
    (logged,) = client.search_logged_models([experiment])
    loaded = mlflow.sklearn.load_model(f"models:/{logged.model_id}")
    by_run = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    return {
        "run": run.info.run_id, "status": run.info.status, "params": {
            key: run.data.params[key] for key in ("logisticregression__C", "steps") if key in run.data.params},
        "metrics": sorted(run.data.metrics), "score": score, "files": paths(run.info.run_id),
        "tags": run.data.tags["estimator_name"], "inputs": len(run.inputs.dataset_inputs),
        "model": logged.model_id, "name": logged.name, "state": str(logged.status), "of": logged.source_run_id,
        "outputs": [one.model_id for one in run.outputs.model_outputs],
        "same": bool((loaded.predict(X) == model.predict(X)).all() and (by_run.predict(X) == model.predict(X)).all()),
    }  # fmt: skip


def registered() -> dict[str, Any]:
    """A model logged by hand, registered twice, called by an alias, and loaded by it."""
    mlflow.set_experiment("registry")
    model = LogisticRegression().fit(X, y)
    signature = infer_signature(X, model.predict(X))
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(
            model, name="churn-model", signature=signature, input_example=X[:2], registered_model_name="churn",
            pip_requirements=["scikit-learn"],
        )  # fmt: skip
        mlflow.log_metric("auc", 0.9, model_id=info.model_id)
    second = mlflow.register_model(info.model_uri, "churn", tags={"checked": "no"})
    client.set_registered_model_alias("churn", "champion", "1")
    client.set_registered_model_tag("churn", "owner", "ann")
    client.update_registered_model("churn", description="who leaves")
    client.set_model_version_tag("churn", second.version, "checked", "yes")
    client.transition_model_version_stage("churn", second.version, "Staging")
    by_alias = mlflow.pyfunc.load_model("models:/churn@champion")
    by_version = mlflow.sklearn.load_model(f"models:/churn/{second.version}")
    first = client.get_model_version_by_alias("churn", "champion")
    versions = client.search_model_versions("name = 'churn'")
    whole = client.get_registered_model("churn")
    return {
        "run": run.info.run_id, "model": info.model_id, "uri": info.model_uri,
        "versions": sorted(one.version for one in versions), "of": sorted({one.run_id for one in versions}),
        "tags": client.get_model_version("churn", "2").tags, "alias": first.version, "aliases": whole.aliases,
        "description": whole.description, "owner": whole.tags["owner"], "example": by_alias.input_example is not None,
        "stages": sorted(one.current_stage for one in versions),
        "columns": [column.name for column in by_alias.metadata.signature.inputs],
        "same": [bool((one.predict(X) == model.predict(X)).all()) for one in (by_alias, by_version)],
        "metric": [(one.key, one.value) for one in client.get_logged_model(info.model_id).metrics or []],
        "tagged": [one.name for one in client.search_registered_models("tags.owner = 'ann'")],
    }  # fmt: skip


def boosted() -> dict[str, Any]:
    """XGBoost logged by itself: a series for each metric, and the importance of features."""
    mlflow.set_experiment("boosted")
    mlflow.xgboost.autolog(log_datasets=False)
    train, valid = xgboost.DMatrix(X[:60], y[:60]), xgboost.DMatrix(X[60:], y[60:])
    with mlflow.start_run() as run:
        booster = xgboost.train(
            {"objective": "binary:logistic", "eval_metric": ["auc", "logloss"], "max_depth": 2}, train,
            num_boost_round=6, evals=[(train, "train"), (valid, "valid")], verbose_eval=False,
        )  # fmt: skip
    mlflow.xgboost.autolog(disable=True)
    (output,) = client.get_run(run.info.run_id).outputs.model_outputs
    loaded = mlflow.xgboost.load_model(f"models:/{output.model_id}")
    return {
        "run": run.info.run_id, "params": client.get_run(run.info.run_id).data.params["max_depth"],
        "steps": [one.step for one in client.get_metric_history(run.info.run_id, "valid-logloss")],
        "files": paths(run.info.run_id), "same": bool(np.allclose(loaded.predict(valid), booster.predict(valid))),
    }  # fmt: skip


def evaluated() -> dict[str, Any]:
    """An evaluation by MLflow's own evaluator, with traces that are nobody's: they are warned of and nothing else."""
    mlflow.set_experiment("evaluated")
    model = LogisticRegression().fit(X, y)

    @mlflow.trace
    def traced(value: int) -> int:
        return value + 1

    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(
            model,
            name="evaluated-model",
            signature=infer_signature(X, model.predict(X)),
            pip_requirements=["scikit-learn"],
        )
        answer = traced(1)
        result = mlflow.models.evaluate(
            info.model_uri, data=X.assign(y=y), targets="y", model_type="classifier", evaluators="default",
            evaluator_config={"log_model_explainability": False},
        )  # fmt: skip
    mlflow.flush_trace_async_logging()
    found = client.get_run(run.info.run_id)
    return {
        "run": run.info.run_id, "model": info.model_id, "traced": answer, "status": found.info.status,
        "accuracy": [found.data.metrics["accuracy_score"], result.metrics["accuracy_score"]],
        "files": paths(run.info.run_id), "inputs": [one.dataset.name for one in found.inputs.dataset_inputs],
    }  # fmt: skip


def studied() -> dict[str, Any]:
    """A study of Optuna, each trial a run."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    callback = MLflowCallback(
        tracking_uri=os.environ["MLFLOW_TRACKING_URI"], metric_name="loss", mlflow_kwargs={"nested": True}
    )
    study = optuna.create_study(study_name="study", sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=3, callbacks=[callback])
    (experiment,) = mlflow.search_experiments(filter_string="name = 'study'")
    found = client.search_runs([experiment.experiment_id], order_by=["metrics.loss ASC"])
    return {
        "runs": [one.info.run_id for one in found], "best": found[0].data.metrics["loss"] == study.best_value,
        "params": sorted(float(one.data.params["x"]) for one in found) == sorted(
            trial.params["x"] for trial in study.trials),
    }  # fmt: skip


if __name__ == "__main__":
    parts = (autologged, registered, boosted, evaluated, studied)
    chosen = sys.argv[1:]
    json.dump({part.__name__: part() for part in parts if not chosen or part.__name__ in chosen}, sys.stdout)
