// What strata_headers compiles beside its headers: nothing.
