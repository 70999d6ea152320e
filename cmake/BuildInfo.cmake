# Writes the version stamp's source, only if it says something new, so that a commit rebuilds one file and relinks.
# Run by the build: cmake -DSOURCE=... -DOUTPUT=... -DVERSION=... [-DCOMMIT=...] -P BuildInfo.cmake
if(NOT COMMIT)
  find_program(GIT git)
  if(GIT)
    execute_process(COMMAND ${GIT} --no-optional-locks describe --always --dirty --abbrev=12 --exclude=*
                    WORKING_DIRECTORY ${SOURCE} OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  if(NOT COMMIT)
    set(COMMIT unknown)
  endif()
endif()
configure_file(${SOURCE}/cmake/build_info.cc.in ${OUTPUT} @ONLY)
