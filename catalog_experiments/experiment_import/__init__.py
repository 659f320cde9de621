"""Replay a finished experiment from a file of its units, and report on it.

Beside the other importer. The file's units become exposures and its outcomes orders, through the usual intake; the
claimed variants are taken as given. The experiment is then completed, and its report is the one every other gets.
"""

from catalog_experiments.csv_files import UnreadableFile
from catalog_experiments.experiment_import.lines import ExperimentFormat
from catalog_experiments.experiment_import.runs import AlreadyImported, ExperimentImportResult, import_experiment

__all__ = ["AlreadyImported", "ExperimentFormat", "ExperimentImportResult", "UnreadableFile", "import_experiment"]
