"""Strata from Python: submit grids, follow them, take results as data frames.

    import strata

    client = strata.Client()                       # the coordinator that the command line would use
    experiment = client.submit("grid.yaml", set={"train.updates": 20})
    experiment.wait(timeout=600)
    experiment.to_pandas()

The messages of the API are in `strata.v1` (generated from proto/strata/v1); `Client.stubs` holds a stub of each service.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read when grpc is imported; what goes wrong StrataError says

from strata.client import Client
from strata.errors import InvalidSpec, StrataError
from strata.experiment import Experiment, Update
from strata.measurements import Measurements
from strata.trial import Trial

__all__ = ["Client", "Experiment", "InvalidSpec", "Measurements", "StrataError", "Trial", "Update"]
