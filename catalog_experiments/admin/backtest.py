"""The backtest page: proposed guardrails on the past of an experiment's product page. Looks only, stores nothing."""

from dataclasses import replace

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone

from catalog_experiments.admin.backtest_forms import BacktestForm, wanted_values
from catalog_experiments.admin.ladder_chart import ladder_charts
from catalog_experiments.admin.pages import requires, service_for, show
from catalog_experiments.backtest import Backtest
from catalog_experiments.backtest.wording import Outcome, outcomes, pause_lines, ran_on
from catalog_experiments.models import Experiment
from catalog_experiments.service import InvalidExperiment


@requires("view_experiment")
def backtest_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Show what guardrails would have done: the experiment's own, or those a form sent, saved or not."""
    experiment = Experiment.objects.filter(slug=slug).first()
    if experiment is None:
        raise Http404(f"No experiment {slug!r}.")
    sent = request.POST if request.method == "POST" else request.GET
    form = BacktestForm(wanted_values(experiment, sent))
    backtest = _try_out(request, experiment, form)
    return show(
        request,
        "backtest.html",
        title=f"Guardrails on the past: {experiment.name}",
        status=422 if form.errors else 200,
        experiment=experiment,
        form=form,
        backtest=backtest,
        outcomes=_outcomes(backtest) if backtest else [],
        pauses=list(pause_lines(backtest)) if backtest else [],
        quiet=[ran_on(replay) for replay in backtest.replays if replay.pause is None] if backtest else [],
        charts=ladder_charts(backtest) if backtest else [],
    )


def _outcomes(backtest: Backtest) -> list[Outcome]:
    # A number and its sign of per cent stay on one line.
    return [replace(each, sentence=each.sentence.replace(" %", "\u00a0%")) for each in outcomes(backtest)]


def _try_out(request: HttpRequest, experiment: Experiment, form: BacktestForm) -> Backtest | None:
    if not form.is_valid():
        return None
    try:
        return service_for(request).backtest_guardrails(
            experiment.slug,
            now=timezone.now(),
            config=form.config(),
            minimum_sample=form.cleaned_data["sample_size_guardrail"] or 0,
            options=form.options(),
        )
    except InvalidExperiment as refusal:
        form.place(refusal.errors)
    return None
