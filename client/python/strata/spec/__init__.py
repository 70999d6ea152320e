"""Reads the YAML of an experiment into its proto, as strictly as the command line does.

Which keys there are, their types, bounds and choices follow from trial_spec.proto by reflection, as in client/spec and
server/base/spec, whose sentences these are; nothing is listed here. A test holds both readers to the same sentences.
"""

from strata.spec.reader import read_spec

__all__ = ["read_spec"]
