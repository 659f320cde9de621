"""Bundle experiments: define, measure, judge, act."""
