"""The tuner: what a user holds. It checks the arguments, puts the parts together, and answers.

The only module that knows all the others; the loop itself is `tunedeco.search`.
"""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunedeco import enqueued, exporting, keeping, signals, tracing, warm_starts
from tunedeco.budgets import Budgets, check_counts
from tunedeco.decorator import Tunable, tunable
from tunedeco.domains import Value
from tunedeco.errors import ConfigurationError, SearchNotFound
from tunedeco.events import Created, Ended, Enqueued, Event, Extended, Started, Trained
from tunedeco.executors import checkpoints, devices, processes
from tunedeco.executors.base import Executor, Interrupted
from tunedeco.importances import Importances, importances
from tunedeco.journal.journal import load
from tunedeco.journal.search_state import SearchState
from tunedeco.objective import Objective
from tunedeco.objectives import several
from tunedeco.opening import carried_over, open_search
from tunedeco.oracles import (
    Grid,
    Oracle,
    begins_with_defaults,
    check_curves,
    check_several,
    describe,
    resolve,
)
from tunedeco.report import messages, tables
from tunedeco.search import Search
from tunedeco.space import Space
from tunedeco.translations import HyperModel
from tunedeco.trial import Trial
from tunedeco.units import seconds_in
from tunedeco.warm_starts import Source, TakenOver

if TYPE_CHECKING:
    import keras

    from tunedeco.executors.loop import Train


_KEEP = 10  # weights of a front, where nothing is said


class Tuner:
    """Searches the hyperparameters of a function that builds a Keras model.

    Nothing is read, written or loaded before `search`. Run again in the same directory, a search
    continues where it stopped.

    Args:
        model_fn: builds and compiles a model; decorated with `tunable` or not. It may take Keras
            Tuner's ``hp`` or Optuna's ``trial``, or be a ``HyperModel``. It may return
            ``(model, fit_arguments)``: what `fit` is to be given in this trial.
        objective: a metric as the logs name it, such as ``"val_accuracy"``, or an `Objective`; or
            a function of the trained model whose name is that of a metric. Or a list of these: see
            `pareto`, and ``docs/objectives.md`` for what the executor supplies. What ends with a
            score (`best_trial`, `target`, ``"median"``, ``"plateau"``) goes by the first.
        epoch_budget: epochs to train in all trials together.
        max_epochs: epochs to train one trial at most.
        min_epochs: epochs to train one trial at least: with less left of the budget none is begun,
            and no oracle stops or judges one before.
        max_trials: trials to run.
        time_budget: how long to search, over all sessions: seconds, or text such as ``"90m"``.
        target: the score that is good enough to stop.
        oracle: decides what to try, and for how many epochs: ``"halving"``, the default, which
            stops most trials early and varies the best ones; ``"asha"``, ``"hyperband"``,
            ``"median"``, ``"plateau"``; ``"evolution"``, ``"aging"``, ``"random"`` or ``"grid"``,
            with which every trial has ``max_epochs``; or an oracle, such as ``ASHA("random")``, or
            your own.
        seed: decides the proposals, and every trial's initial weights, dropout and shuffling.
        directory: where the search lives; ``runs/<function name>`` if None.
        precision: ``"float32"``, ``"mixed_bfloat16"``, ``"mixed_float16"``, or ``"auto"``: mixed
            on a GPU that is faster with it, else your global dtype policy.
        max_parameters: models with more are rejected before they are built; None means any size.
        max_memory: models whose weights, gradients and optimizer state need more are rejected
            before they are built: bytes, or text such as ``"8GB"``, ``"500MB"`` or ``"8GiB"``.
            ``"auto"`` is the memory of the device they train on; None means any size.
        max_consecutive_failures: failed trials in a row after which the search stops.
        max_retries: how often a trial goes on after the process that trained it died.
        executions_per_trial: how often to train each trial, each time from another seed; its score
            is the mean.
        folds: into how many parts to cut arrays; each trial is then trained so many times, each
            time on all parts but one and judged on that one. Needs scikit-learn.
        train_fn: a training loop in place of `fit`, ``train_fn(model, context)``; see
            `tunedeco.executors.loop.Context`. The model need not be compiled then, nor be Keras's.
        keep: of how many of the best trials the weights are kept on disk; None is 1, or 10 with
            several objectives: of the Pareto front the best in each, then the least alike.
        overwrite: move a search that lives in the directory aside, and begin a new one.
        extend: make a search that lives in the directory with another space, oracle or seed into
            this one: its trials that still lie in the space count, the others are set aside.
        warm_start: another search, or several: its directory, or a JSON file that was exported
            from it. Its best configurations are tried first, as far as they fit; its scores do not
            count here.

    Raises:
        ConfigurationError: an argument is wrong; says which.
        ObjectiveError: Keras has no metric of that name, so the direction must be given.
        ModelFunctionError: ``model_fn`` cannot be called without arguments.
    """

    def __init__(
        self,
        model_fn: Callable[..., object] | HyperModel[object],
        objective: str
        | Objective
        | Callable[[Any], float]
        | Sequence[str | Objective | Callable[[Any], float]],
        *,
        epoch_budget: int | None = None,
        max_epochs: int = 10,
        min_epochs: int = 1,
        max_trials: int | None = None,
        time_budget: float | str | None = None,
        target: float | None = None,
        oracle: str | Oracle = "halving",
        seed: int = 0,
        directory: str | os.PathLike[str] | None = None,
        precision: str = "auto",
        max_parameters: int | None = None,
        max_memory: int | str | None = "auto",
        max_consecutive_failures: int = 5,
        max_retries: int = 2,
        executions_per_trial: int = 1,
        folds: int | None = None,
        train_fn: "Train | None" = None,
        keep: int | None = None,
        overwrite: bool = False,
        extend: bool = False,
        warm_start: "str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None" = None,
    ) -> None:
        self._tunable: Tunable[..., object] = tunable(model_fn)
        self.model_fn = self._tunable.alone
        self.name = tracing.name_of(self.model_fn)
        self.objectives = several(objective)
        self.objective = self.objectives[0]
        check_counts(executions_per_trial=executions_per_trial)
        check_counts(optional=True, max_parameters=max_parameters, keep=keep)
        self.budgets = Budgets(
            epoch_budget,
            max_epochs,
            min_epochs,
            max_trials,
            None if time_budget is None else seconds_in(time_budget),
            target,
            max_consecutive_failures,
            max_retries,
        )
        self.oracle = resolve(oracle, min_epochs, max_epochs)
        check_curves(self.oracle, self.objective)
        check_several(self.oracle, len(self.objectives))
        _check_folds(folds)
        self.folds = folds
        self.executions = executions_per_trial * (folds or 1)
        if train_fn is not None and not callable(train_fn):
            msg = f"train_fn must be a function of (model, context), not {train_fn!r}"
            raise ConfigurationError(msg)
        self.train_fn = train_fn
        self.max_parameters = max_parameters
        devices.check_memory(max_memory)
        self.max_memory = max_memory
        self.keep = (_KEEP if len(self.objectives) > 1 else 1) if keep is None else keep
        limits = (epoch_budget, max_trials, time_budget, target)
        if limits == (None,) * len(limits) and not isinstance(self.oracle, Grid):
            msg = "say when to stop: give epoch_budget=, max_trials=, time_budget= or target="
            raise ConfigurationError(msg)
        if type(seed) is not int:
            msg = f"seed must be an integer, not {seed!r}"
            raise ConfigurationError(msg)
        self.seed = seed
        devices.check_precision(precision)
        self.precision = precision
        if overwrite and extend:
            msg = "overwrite=True begins anew and extend=True goes on; give one of them"
            raise ConfigurationError(msg)
        self.overwrite = overwrite
        self.extend = extend
        self.warm_start = warm_starts.paths(warm_start)
        self._enqueued: tuple[Mapping[str, Any], ...] = ()
        default = Path("runs", re.sub(r"\W+", "-", self.name).strip("-") or "search")
        self.directory = default if directory is None else Path(directory)
        self._state: SearchState | None = None

    def enqueue(self, *configurations: Mapping[str, Any]) -> None:
        """Have configurations tried before any that the oracle proposes, in this order.

        Call it before `search`, as often as you like. What one lacks has its default, or the value
        it is held at. What was enqueued before is not tried again, so a program that enqueues can
        be run again; nor is what some trial has had.

        Args:
            configurations: each ``{group: {name: value}}``, or ``{name: value}`` where the name is
                unique; ``{}`` for the defaults of the code.

        Raises:
            ConfigurationError: one is no mapping; or, where the space is known already, a name or
                a value is not in it. Else, and with ``extend=True``, `search` raises that, before
                anything is trained.
        """
        # where somebody has asked for it; what was enqueued before it was another one is right
        space = None if self.extend else vars(self._tunable).get("space")
        if space is not None and self._state is not None:
            space = space.extended(h for h in self._state.space if h.key not in space.by_key)
        self._enqueued += enqueued.checked(space, configurations)

    def search(
        self,
        x: Any = None,  # noqa: ANN401 (whatever Keras takes)
        y: Any = None,  # noqa: ANN401
        *,
        validation_data: Any = None,  # noqa: ANN401
        validation_split: float | None = None,
        batch_size: int | None = None,
        callbacks: "Sequence[keras.callbacks.Callback] | Callable[[Trial], Any] | None" = None,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,  # noqa: ANN401
        shuffle: bool | None = None,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] | None = None,
        groups: Sequence[str] | None = None,
        freeze: Mapping[str, Any] | None = None,
        workers: int | None = None,
        gpus_per_trial: float | None = None,
        trial_timeout: float | str | None = None,
        vectorise: int | None = None,
        share_programs: bool = True,
        steps_per_execution: int | None = None,
        verbose: int = 1,
    ) -> None:
        """Search until a budget is spent, or the space; continue what the directory holds.

        Args:
            x: as in `fit`: arrays, a ``tf.data.Dataset``, a ``PyDataset``; or ``(x, y)``, or
                ``(x, y, sample_weight)``; or a function without arguments that returns it.
            y: as in `fit`.
            validation_data: as in `fit`; or a function that returns it.
            validation_split: as in `fit`.
            batch_size: as in `fit`.
            callbacks: a list, deep-copied for each trial, or a function of the `Trial` that
                returns one.
            class_weight: as in `fit`.
            sample_weight: as in `fit`.
            shuffle: as in `fit`.
            steps_per_epoch: as in `fit`.
            validation_steps: as in `fit`.
            validation_batch_size: as in `fit`.
            validation_freq: as in `fit`.
            groups: search the hyperparameters of these groups, and hold all others at the best
                known values; None means all groups.
            freeze: hold hyperparameters at these values, ``{group: {name: value}}``, or
                ``{name: value}`` where the name is unique.
            workers: how many processes train trials at once; None trains in this process, one
                after the other.
            gpus_per_trial: how many GPUs each worker gets: a whole number, a fraction such as 0.5
                to share one, or 0 for none; None deals all there are out evenly.
            trial_timeout: how long a worker may take over a trial, from one decision of the oracle
                to the next, before the trial fails: seconds, or text such as ``"10m"``.
            vectorise: how many trials to train at once as one program, those whose models differ
                only in what is kept in variables; None trains one after the other. For many small
                models on one GPU, with arrays, on JAX only; see ``docs/training.md``.
            share_programs: whether trials whose models differ in the values of variables alone are
                trained by one compiled program, to the same numbers; see ``docs/training.md``.
            steps_per_execution: as in `compile`, for models that say nothing of it there; None
                chooses by what was measured, to the same numbers, on TensorFlow; elsewhere 1.
            verbose: 0 for silence, 1 for progress.

        Raises:
            ConfigurationError: an argument is wrong, or the data does not fit together.
            ObjectiveError: the logs do not contain the objective; lists what they contain.
            ModelFunctionError: ``model_fn`` returns no compiled Keras model.
            SearchMismatch: the directory holds another search; shows the differences.
            JournalError: the journal cannot be read or written, or another process holds it.
            OracleError: the oracle cannot search this space.
            TooManyFailures: one trial after another failed.
            WorkerError: worker processes cannot be started, or cannot go on.
        """
        options = {
            "validation_split": validation_split,
            "batch_size": batch_size,
            "class_weight": class_weight,
            "sample_weight": sample_weight,
            "shuffle": shuffle,
            "steps_per_epoch": steps_per_epoch,
            "validation_steps": validation_steps,
            "validation_batch_size": validation_batch_size,
            "validation_freq": validation_freq,
        }
        check_counts(optional=True, vectorise=vectorise, steps_per_execution=steps_per_execution)
        if vectorise is not None and workers is not None:
            msg = "workers= trains in processes, and vectorise= in this one: give one of them"
            raise ConfigurationError(msg)
        if vectorise is not None and steps_per_execution is not None:
            msg = "vectorise= trains an epoch in one call: leave steps_per_execution= out"
            raise ConfigurationError(msg)
        own_loop = self.train_fn is not None
        others = {"callbacks": callbacks, "steps_per_execution": steps_per_execution}
        _check_own_loop(own_loop, options | others)
        with contextlib.ExitStack() as stack:
            # workers load Keras while this process does, traces, and opens the journal
            seconds = None if trial_timeout is None else seconds_in(trial_timeout, "trial_timeout")
            pool = processes.with_keras(workers, gpus_per_trial, seconds)
            if pool is not None:
                stack.callback(pool.close)
            # Keras is loaded here and not before: every other thing a tuner does goes without
            from tunedeco.executors import setup
            from tunedeco.executors.data import prepare
            from tunedeco.executors.keras import KerasExecutor
            from tunedeco.executors.models import settled

            stack.enter_context(settled())
            arguments: dict[str, Any] = {
                "model_fn": self.model_fn,
                "objectives": self.objectives,
                "data": prepare(
                    *(x, y, validation_data, options, self.objectives),
                    folds=self.folds,
                    own_loop=own_loop,
                ),
                "directory": self._checkpoints,
                "callbacks": callbacks,
                "precision": self.precision,
                "max_parameters": self.max_parameters,
                "max_memory": self.max_memory,
                "train_fn": self.train_fn,
                "share_programs": share_programs,
                "steps_per_execution": steps_per_execution,
            }
            executor: Executor
            if vectorise is not None:
                from tunedeco.executors import alone

                alone.check(arguments["data"], self.objectives, self.train_fn)
                from tunedeco.executors.vectorised import VectorisedExecutor  # which needs JAX

                executor = VectorisedExecutor(vectorise, **arguments)
            elif pool is not None:
                pool.furnish(**setup.parts(**arguments))
                executor = pool
            else:
                executor = KerasExecutor(**arguments)
            self._search(executor, groups, freeze or {}, verbose)

    def _search(
        self,
        executor: Executor,
        groups: Sequence[str] | None,
        freeze: Mapping[str, Any],
        verbose: int,
    ) -> None:
        """Search with an executor, and close it."""
        from tunedeco.abstract import run_abstractly
        from tunedeco.executors.models import clean_session
        from tunedeco.report.progress import Progress

        policy = devices.resolve_precision(self.precision)
        space = self._explored(policy, verbose)
        wanted = Created(
            self.name,
            self.objective,
            space,
            describe(self.oracle),
            self.seed,
            executions=self.executions,
            folds=self.folds,
            defaults=begins_with_defaults(self.oracle),
            others=self.objectives[1:],
        )
        # read now: one may live in this search's directory, and be moved aside
        own = None if self.overwrite else self.directory
        sources = warm_starts.read(self.warm_start, self.objectives, own)

        def extended(state: SearchState) -> Extended:
            with clean_session(policy):
                event = carried_over(state, wanted, lambda: run_abstractly(self.model_fn))
            if verbose:
                print(messages.carried_over(event, state))  # noqa: T201 (as the documentation promises)
            return event

        keep = (self.oracle, self.keep, self._checkpoints)

        def observe(event: Event) -> None:
            if isinstance(event, Started):  # what a crash left undone goes, too
                checkpoints.prune(self._checkpoints, keeping.needed(state, *keep))
                progress.say(messages.enqueued(events, taken, state))
            elif isinstance(event, (Trained, Ended)):
                needed = keeping.needed(state, *keep)
                checkpoints.prune(self._checkpoints, needed, state.unfinished)
            progress.update(event)

        with contextlib.ExitStack() as stack:
            journal, state = open_search(
                self.directory,
                wanted,
                overwrite=self.overwrite,
                extend=extended if self.extend else None,
            )
            stack.callback(journal.close)
            self._state = state
            events, taken = self._known_beforehand(sources, space, state)
            progress = Progress(state, self.budgets.in_all(space.size, self.executions), verbose)
            search = Search(journal, state, self.oracle, executor, self.budgets, observe)
            stack.callback(executor.close)
            stack.callback(progress.close)
            caught = stack.enter_context(signals.caught(executor.interrupt))
            try:
                worked = search.run(wanted, groups, freeze, events)
            except Interrupted:
                stack.close()
                if verbose:
                    with contextlib.suppress(OSError):  # nobody may be left to read it
                        print(messages.interrupted(state, self.directory), file=sys.stderr)  # noqa: T201
                caught.leave()
        if verbose and not worked:
            print(messages.nothing_to_do(state.stopped, self.budgets))  # noqa: T201 (the answer to a call)
        if caught.signal is not None:  # it came too late to interrupt anything
            caught.leave()

    def _known_beforehand(
        self, sources: Sequence[Source], space: Space, state: SearchState
    ) -> tuple[list[Enqueued], list[TakenOver]]:
        """Return what is to be enqueued, and what of it comes from other searches."""
        space = space if state.created is None else state.space
        given = enqueued.new(space, self._enqueued, state.enqueued)
        taken = list(warm_starts.taken_over(sources, space, state.sources))
        return [*given, *(other.event for other in taken)], taken

    def _explored(self, policy: str, verbose: int) -> Space:
        """Return what the model function can ask for."""
        from tunedeco.executors.fit_arguments import checked
        from tunedeco.executors.models import clean_session

        own_loop = self.train_fn is not None
        with clean_session(policy):
            space = self._tunable.explored(
                lambda result: checked(result, self.name, own_loop=own_loop)
            )
        if verbose and space.coverage is not None and not space.coverage.complete:
            print(str(space).splitlines()[-1], file=sys.stderr)  # noqa: T201 (as its table says)
        return space

    @property
    def trials(self) -> list[Trial]:
        """All trials in order, as records; empty before the first search."""
        return list(self._known.trials)

    @property
    def space(self) -> Space:
        """The hyperparameters: what tracing finds, and what trials have met since."""
        state = self._known
        if state.created is not None:
            return state.space
        return self._tunable.space

    @property
    def best_trial(self) -> Trial:
        """The ended trial with the best score; of several objectives, with the best in the first.

        Raises:
            NoTrialError: there is none yet.
        """
        return self._known.best

    @property
    def pareto(self) -> list[Trial]:
        """The trials that none is better than in all objectives, from the best in the first one."""
        return tables.front(self._known)

    @property
    def best_hyperparameters(self) -> dict[str, dict[str, Value]]:
        """The best trial's values, ``{group: {name: value}}``.

        Raises:
            NoTrialError: there is none yet.
        """
        return {group: dict(names) for group, names in self.best_trial.values.items()}

    def results(self) -> Any:  # noqa: ANN401 (a DataFrame, where pandas is installed)
        """Return one row a trial: a pandas ``DataFrame`` if pandas is installed, else dicts.

        A hyperparameter's column is ``group/name``. Of several objectives the first is ``score``,
        and another one with a column's name is ``objective/<name>``.
        """
        rows = tables.rows(self._known)
        try:
            import pandas as pd
        except ImportError:
            return rows
        return pd.DataFrame(rows)

    def summary(self, top: int = 10) -> None:
        """Print where the search stands, and its best trials.

        Args:
            top: how many trials to show.
        """
        state = self._known
        text = "no search yet" if state.created is None else tables.summary(state, top)
        print(text)  # noqa: T201 (printing is what it is for)

    def importances(
        self, evaluator: str = "ped-anova", *, objective: str | None = None
    ) -> Importances:
        """Return how much each hyperparameter and each group mattered, as shares; print it.

        Args:
            evaluator: ``"ped-anova"``, the built-in one; or ``"fanova"`` or ``"mdi"``, Optuna's.
            objective: the name of one of several objectives; None is the first.

        Raises:
            ConfigurationError: there is no such evaluator or objective, or what the evaluator
                needs is not installed.
            HyperparameterError: a trial has a value that is not in the space.
        """
        state = self._known
        names = [o.name for o in (state.objectives if state.created else self.objectives)]
        return importances(
            state.space, state.trials, evaluator, objectives=names, objective=objective
        )

    def best_model(self, trial: int | None = None) -> "keras.Model":
        """Return a trial's model, compiled, with the weights of its best epoch.

        Args:
            trial: the number of the trial, such as one of `pareto`; None for the best.

        Raises:
            NoTrialError: there is no such trial with a score yet.
            CheckpointError: its weights are no longer in the directory; says whose are.
            ConfigurationError: ``model_fn`` returns no Keras model; see `best_state`.
        """
        from tunedeco.executors.models import restored_model

        return restored_model(
            self.model_fn,
            self.objectives,
            self._ranked(trial),
            self._checkpoints,
            own_loop=self.train_fn is not None,
        )

    def best_state(self, trial: int | None = None) -> dict[str, Any]:
        """Return what a trial's ``train_fn`` kept in ``context.state``, at its best epoch.

        Args:
            trial: the number of the trial; None for the best.

        Raises:
            NoTrialError: there is no such trial with a score yet.
            CheckpointError: it is no longer in the directory; says of which trials it is.
            ConfigurationError: the search has no ``train_fn``.
        """
        from tunedeco.executors.models import restored_state

        return restored_state(self._ranked(trial), self._checkpoints)

    def export_best(self, path: str | os.PathLike[str], trial: int | None = None) -> Path:
        """Write a trial's hyperparameters as JSON, atomically; return the path.

        Any program builds the model from it: ``model_fn.build(path)``.

        Args:
            path: of the file.
            trial: the number of the trial, such as one of `pareto`; None for the best.

        Raises:
            NoTrialError: there is no such trial with a score yet.
            ExportError: the file cannot be written.
        """
        return exporting.write(path, tables.export(self._known, trial))

    def _ranked(self, number: int | None) -> list[Trial]:
        """Return a trial, or the best one, and then the others, the best first."""
        first = tables.chosen(self._known, number)
        return [first, *(t for t in tables.ranked(self.trials) if t.number != first.number)]

    @property
    def _known(self) -> SearchState:
        """What the journal says; read when first needed, kept up to date by `search`."""
        if self._state is None:
            try:
                self._state = load(self.directory)
            except SearchNotFound:
                return SearchState()
        return self._state

    @property
    def _checkpoints(self) -> Path:
        return self.directory / "checkpoints"


def _check_folds(folds: object) -> None:
    if folds is not None and (type(folds) is not int or folds < 2):  # noqa: PLR2004 (one to train on)
        msg = f"folds must be a whole number of at least 2, or None, not {folds!r}"
        raise ConfigurationError(msg)


def _check_own_loop(own_loop: bool, options: Mapping[str, Any]) -> None:  # noqa: FBT001 (a condition)
    """Refuse what only `fit` heeds, where a user's own loop trains."""
    fits = (
        *("callbacks", "class_weight", "steps_per_execution", "validation_batch_size"),
        *("validation_freq", "validation_steps"),
    )
    given = [name for name in fits if options[name] is not None]
    if own_loop and given:
        msg = f"{', '.join(given)} is for `fit`, and train_fn trains: leave it out, and do it there"
        raise ConfigurationError(msg)
