"""What stands in request and answer bodies, split by idea: experiments, bundles, intake, results."""
