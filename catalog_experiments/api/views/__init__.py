"""The views, split by idea: experiments, lifecycle verbs, judgement, history, bundles, intake."""
